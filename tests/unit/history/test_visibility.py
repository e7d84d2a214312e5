"""What lists show of a run, as this host writes it."""

from typing import Any, cast

from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType

from services.config import DynamicConfig
from services.namespaces import NamespaceRegistry
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
