"""What lists show of a run, as this host writes it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType

from services.config import DynamicConfig
from services.history.visibility import APART_S, RETRY_DELAY_S
from services.namespaces import NamespaceRegistry
from services.persistence import StoreError, StoreUnavailable, VisibilityRecord
from tests.unit.history.conftest import House
from tests.unit.matching.conftest import CountedChance, HandClock

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


async def test_an_attribute_that_another_host_just_added_is_not_left_out(house: House) -> None:
    elsewhere = NamespaceRegistry(cast(Any, house.store), HandClock(), CountedChance(), DynamicConfig(env={}))
    await elsewhere.load()
    await elsewhere.add_search_attributes(house.call.namespace, {"Shade": KEYWORD})
    shade = Payload(metadata={"encoding": b"json/plain", "type": b"Keyword"}, data=b'"green"')
    await house.start("wf", SearchAttributes(indexed_fields={"Shade": shade}))
    await house.clock.advance(1)
    records, _ = await house.store.list_visibility(
        house.call.namespace_id, "Shade = 'green'", {"Shade": KEYWORD}, 100, b""
    )
    assert [record.workflow_id for record in records] == ["wf"]


class Choosy:
    """Stands before `upsert_visibility`: refuses batches with one of `refused` in them."""

    def __init__(self, upsert: Callable[[Sequence[VisibilityRecord]], Awaitable[None]], *refused: str) -> None:
        self._upsert, self.refused, self.calls = upsert, set(refused), 0
        self.error: Exception = StoreError("a value out of range")

    async def __call__(self, records: Sequence[VisibilityRecord]) -> None:
        self.calls += 1
        if self.refused & {record.workflow_id for record in records}:
            raise self.error
        await self._upsert(records)


async def test_a_record_that_cannot_be_written_does_not_keep_others_from_the_lists(house: House) -> None:
    choosy = Choosy(house.store.upsert_visibility, "4")
    house.store.upsert_visibility = choosy  # type: ignore[method-assign]  # for this test
    for number in range(10):
        await house.start(str(number))
    await house.clock.advance(RETRY_DELAY_S)
    await house.start("later")
    await house.clock.advance(RETRY_DELAY_S)
    assert sorted(await house.listed()) == ["0", "1", "2", "3", "5", "6", "7", "8", "9", "later"]
    choosy.refused.clear()
    await house.clock.advance(APART_S)
    assert "4" in await house.listed()


async def test_one_that_cannot_be_written_is_not_tried_all_the_time(house: House) -> None:
    choosy = Choosy(house.store.upsert_visibility, "wf")
    house.store.upsert_visibility = choosy  # type: ignore[method-assign]  # for this test
    await house.start("wf")
    await house.clock.advance(10 * APART_S)
    assert choosy.calls <= 12


async def test_nobody_is_looked_for_while_the_store_is_away(house: House) -> None:
    choosy = Choosy(house.store.upsert_visibility, "4")
    choosy.error = StoreUnavailable("away")
    house.store.upsert_visibility = choosy  # type: ignore[method-assign]  # for this test
    for number in range(10):
        await house.start(str(number))
    await house.clock.advance(RETRY_DELAY_S / 2)
    assert choosy.calls == 1
    choosy.refused.clear()
    await house.clock.advance(RETRY_DELAY_S)
    assert len(await house.listed()) == 10
