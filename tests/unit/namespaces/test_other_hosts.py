"""What other hosts register, rename and delete is seen here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType, NamespaceState
from temporalio.api.namespace.v1 import UpdateNamespaceInfo

from services.config import DynamicConfig
from services.errors import NamespaceNotFound
from services.namespaces import NamespaceRegistry
from services.persistence import NamespaceRecord, Store
from services.persistence.sqlite import open_sqlite
from services.runtime import Chance, SystemChance, SystemClock

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


class Sleeps(SystemClock):
    """A clock whose sleeps end when they are told to, by `wake`."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeping: list[asyncio.Future[None]] = []

    async def sleep(self, delay_s: float) -> None:
        self.sleeping.append(asyncio.get_running_loop().create_future())
        await self.sleeping[-1]

    async def wake(self) -> None:
        async with asyncio.timeout(10):
            while not self.sleeping:  # noqa: ASYNC110 - there is no event for what has not happened
                await asyncio.sleep(0)
        self.sleeping.pop().set_result(None)


class Descending(SystemChance):
    """Each id is smaller than the one before."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 0xFFFF

    def unique_id(self) -> str:
        self._left -= 1
        return f"{self._left:08x}-0000-4000-8000-000000000000"


class Counted:
    """A store that counts the reads of all namespaces, and raises `failures` from them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.failures: list[Exception] = []

    async def list_namespaces(self, after: str, limit: int) -> Sequence[NamespaceRecord]:
        if not after:
            self.reads += 1
            if self.failures:
                raise self.failures.pop()
        return await self._store.list_namespaces(after, limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
async def store() -> AsyncIterator[Counted]:
    store = await open_sqlite(None)
    yield Counted(store)
    await store.close()


@pytest.fixture
def clock() -> Sleeps:
    return Sleeps()


async def registry_on(store: Counted, clock: Sleeps, chance: Chance | None = None) -> NamespaceRegistry:
    registry = NamespaceRegistry(store, clock, chance or SystemChance(), DynamicConfig(env={}))
    await registry.load()
    return registry


def register(name: str) -> api.RegisterNamespaceRequest:
    return api.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86400))


async def test_a_name_that_was_given_to_another_namespace_leads_to_that(store: Counted, clock: Sleeps) -> None:
    """Whichever of the two is read first."""
    there = await registry_on(store, clock, Descending())
    before = await there.register(register("tea"))
    here = await registry_on(store, clock)
    await there.delete(before)
    after = await there.register(register("tea"))
    assert after.id < before.id
    await here.look_again()
    assert here.by_name("tea").id == after.id
    assert here.by_id(before.id).name.startswith("tea-deleted-")


async def test_a_look_that_began_before_a_namespace_was_registered_is_not_the_last(
    store: Counted, clock: Sleeps
) -> None:
    here, there = await registry_on(store, clock), await registry_on(store, clock)
    await here.look_again()
    made = await there.register(register("tea"))
    looking = asyncio.create_task(here.look_again())
    await clock.wake()  # it waits: the store is not asked more than a few times a second
    await looking
    assert here.knows(made.id)


async def test_many_who_look_at_once_read_once(store: Counted, clock: Sleeps) -> None:
    here = await registry_on(store, clock)
    before = store.reads
    await here.look_again()
    looking = [asyncio.create_task(here.look_again()) for _ in range(100)]
    await clock.wake()
    await asyncio.gather(*looking)
    assert store.reads == before + 2


async def test_a_look_that_failed_is_told_to_those_who_waited_for_it_alone(store: Counted, clock: Sleeps) -> None:
    here, there = await registry_on(store, clock), await registry_on(store, clock)
    store.failures = [ValueError("broken")]
    with pytest.raises(ValueError, match="broken"):
        await here.look_again()
    made = await there.register(register("tea"))
    looking = asyncio.create_task(here.look_again())
    await clock.wake()
    await looking
    assert here.knows(made.id)


async def test_one_who_follows_goes_on_after_whatever_went_wrong(store: Counted, clock: Sleeps) -> None:
    here, there = await registry_on(store, clock), await registry_on(store, clock)
    following = asyncio.create_task(here.follow())
    store.failures = [ValueError("broken")]
    await clock.wake()
    made = await there.register(register("tea"))
    await clock.wake()
    await clock.wake()
    assert here.knows(made.id)
    following.cancel()


async def test_reads_and_pages_show_what_others_did_just_now(store: Counted, clock: Sleeps) -> None:
    here, there = await registry_on(store, clock), await registry_on(store, clock)
    made = await there.register(register("tea"))
    page, _ = await here.page("", 10, include_deleted=False)
    assert made.id in {each.id for each in page}
    assert (await here.read(name="tea")).id == (await here.read(namespace_id=made.id)).id == made.id
    await there.delete(made)
    with pytest.raises(NamespaceNotFound):
        await here.read(name="tea")
    assert (await here.read(namespace_id=made.id)).state == NamespaceState.NAMESPACE_STATE_DELETED
    page, _ = await here.page("", 10, include_deleted=False)
    assert made.id not in {each.id for each in page}


async def test_a_change_by_name_is_made_to_the_namespace_that_has_it_now(store: Counted, clock: Sleeps) -> None:
    here, there = await registry_on(store, clock), await registry_on(store, clock)
    before = await here.register(register("tea"))
    await there.look_again()
    await there.delete(before)
    after = await there.register(register("tea"))
    await here.update(api.UpdateNamespaceRequest(namespace="tea", update_info=UpdateNamespaceInfo(description="new")))
    assert (await there.read(namespace_id=after.id)).description.namespace_info.description == "new"
    assert (await there.read(namespace_id=before.id)).description.namespace_info.description == ""
    await there.delete(after)
    await here.register(register("tea"))  # although it knows one of that name


async def test_an_attribute_that_is_not_known_is_looked_for(store: Counted, clock: Sleeps) -> None:
    here, there = await registry_on(store, clock), await registry_on(store, clock)
    made = await there.register(register("tea"))
    assert (await here.having(made.id, ())).name == "tea"
    await there.add_search_attributes("tea", {"Shade": KEYWORD})
    having = asyncio.create_task(here.having(made.id, ["WorkflowId", "Shade"]))
    await clock.wake()
    assert (await having).search_attribute_types["Shade"] == KEYWORD
    reads = store.reads
    await here.having(made.id, ["Shade"])
    assert store.reads == reads
