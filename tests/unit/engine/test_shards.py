"""The shards of a host follow its ring, its authority and the store's fence."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from services.errors import ShardOwnershipLost
from services.history.shard import Shard
from services.history.shards import TAKEN_AT_ONCE, Shards
from services.membership import Member, MemberState, Ring, ServiceName
from services.persistence import ShardRecord, StoreError, TaskCategory, TaskRow, UnknownOutcome
from services.protos.run_pb2 import Task
from services.runtime import SystemClock
from tests.unit.engine.test_timers import VirtualClock

COUNT = 200


def ring_of(*addresses: str) -> Ring:
    return Ring(Member("history", address, MemberState.ACTIVE) for address in addresses)


class Members:
    """A membership whose ring and authority a test turns."""

    def __init__(self, *addresses: str) -> None:
        self._ring, self.authority = ring_of(*addresses), True
        self._listeners: list[Callable[[Ring], None]] = []
        self._authority_listeners: list[Callable[[bool], None]] = []

    def ring(self, _service: ServiceName) -> Ring:
        return self._ring

    def watch(self, _service: ServiceName, listener: Callable[[Ring], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def watch_authority(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        self._authority_listeners.append(listener)
        return lambda: self._authority_listeners.remove(listener) if listener in self._authority_listeners else None

    def turn(self, *addresses: str) -> None:
        self._ring = ring_of(*addresses)
        for listener in self._listeners:
            listener(self._ring)

    def tell(self, authority: bool) -> None:
        self.authority = authority
        for listener in self._authority_listeners:
            listener(authority)

    async def start(self) -> None: ...
    async def join(self, service: ServiceName, address: str) -> None: ...
    async def activate(self, service: ServiceName) -> None: ...
    async def drain(self, service: ServiceName) -> None: ...
    async def leave(self, service: ServiceName) -> None: ...
    async def close(self) -> None: ...


class Fences:
    """The part of a store that acquisitions need. `refusals` are raised by the next of them, `gate` holds them."""

    def __init__(self) -> None:
        self.acquired: list[int] = []
        self.refusals: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = self.most_under_way = 0
        self.unreadable = 0  # so many reads fail

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.refusals:
                raise self.refusals.pop()
        finally:
            self.under_way -= 1
        self.acquired.append(shard_id)
        return ShardRecord(shard_id=shard_id, range_id=self.acquired.count(shard_id), owner=owner)

    async def read_tasks(self, *_: object) -> Iterable[TaskRow]:
        if self.unreadable:
            self.unreadable -= 1
            raise ValueError("unheard of")
        return ()

    async def delete_tasks(self, *_: object) -> None: ...


class House:
    def __init__(self) -> None:
        self.members, self.fences = Members("me", "you"), Fences()
        self.forgotten: list[frozenset[int]] = []
        self.shards = Shards(self.members, "me", COUNT, SystemClock(), self._make, self.forgotten.append)

    def virtual(self) -> VirtualClock:
        """From now on on a clock that a test moves."""
        clock = VirtualClock()
        self.shards = Shards(self.members, "me", COUNT, clock, self._make, self.forgotten.append)
        return clock

    def _make(self, shard_id: int) -> Shard:
        async def execute(_shard: Shard, _key: tuple[int, int], _task: Task) -> bool:
            return True

        def show(_shard: Shard, _key: tuple[int, int], _task: Task) -> None: ...

        store: object = self.fences
        return Shard(shard_id, "me", store, SystemClock(), execute, show)  # type: ignore[arg-type]  # what is needed

    @property
    def mine(self) -> set[int]:
        owners = self.members.ring("history").owners(str(shard_id) for shard_id in range(1, COUNT + 1))
        return {shard_id for shard_id, owner in enumerate(owners, 1) if owner is not None and owner.address == "me"}

    @property
    def held(self) -> set[int]:
        return {shard_id for shard_id in range(1, COUNT + 1) if self.holds(shard_id)}

    def holds(self, shard_id: int) -> bool:
        try:
            return self.shards.held(shard_id).shard_id == shard_id
        except ShardOwnershipLost:
            return False


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.shards.stop()


async def test_what_the_ring_gives_is_acquired_many_at_once(house: House) -> None:
    await house.shards.start()
    assert house.held == house.mine
    assert 0 < len(house.mine) < COUNT
    assert house.fences.most_under_way == min(TAKEN_AT_ONCE, len(house.mine))


async def test_what_is_not_ours_is_refused_with_the_way_to_its_owner(house: House) -> None:
    await house.shards.start()
    other = next(shard_id for shard_id in range(1, COUNT + 1) if shard_id not in house.mine)
    with pytest.raises(ShardOwnershipLost) as lost:
        house.shards.held(other)
    assert (lost.value.shard_id, lost.value.owner) == (other, "you")
    with pytest.raises(ShardOwnershipLost):
        await house.shards.get(other)


async def test_a_turn_of_the_ring_moves_only_what_it_must(house: House) -> None:
    await house.shards.start()
    before = house.mine
    house.fences.acquired.clear()
    house.members.turn("me", "you", "third")
    assert house.held == house.mine < before
    assert house.forgotten == [frozenset(before - house.mine)]
    house.members.turn("me", "you")
    await house.shards.settled()
    assert house.held == before
    assert set(house.fences.acquired) == house.forgotten[0]  # those that stayed were not touched


async def test_a_host_that_drains_lets_everything_go(house: House) -> None:
    await house.shards.start()
    house.members.turn("you")
    assert not house.held
    assert len(house.shards) == 0


async def test_a_shard_somebody_waits_for_comes_first(house: House) -> None:
    house.fences.gate.clear()
    starting = asyncio.create_task(house.shards.start())
    await asyncio.sleep(0)
    last = max(house.mine)
    waiting = asyncio.create_task(house.shards.get(last))
    await asyncio.sleep(0)
    house.fences.gate.set()
    assert (await waiting).shard_id == last
    assert len(house.fences.acquired) <= 2 * TAKEN_AT_ONCE
    await starting
    assert house.fences.acquired.count(last) == 1


async def test_without_authority_nothing_is_held_even_before_anybody_is_told(house: House) -> None:
    await house.shards.start()
    house.members.authority = False
    assert not house.held
    house.members.tell(False)
    house.fences.acquired.clear()
    house.members.tell(True)
    await house.shards.settled()
    assert house.held == house.mine == set(house.fences.acquired)  # under new fences


@pytest.mark.parametrize("refusal", [StoreError("busy"), UnknownOutcome("timed out"), ValueError("unheard of")])
async def test_a_store_that_refuses_is_asked_again(house: House, refusal: Exception) -> None:
    house.fences.refusals = [refusal] * 10
    await house.shards.start()
    for shard_id in house.mine:
        await house.shards.get(shard_id)
    assert house.held == house.mine


async def test_a_shard_that_was_fenced_off_is_dropped_and_taken_under_a_new_fence(house: House) -> None:
    await house.shards.start()
    shard = await house.shards.get(min(house.mine))
    house.shards.drop(shard)
    house.shards.drop(shard)  # told twice
    assert shard.stopped
    again = await house.shards.get(shard.shard_id)
    assert again is not shard
    assert again.range_id == shard.range_id + 1
    assert house.forgotten == [frozenset({shard.shard_id})]


async def test_a_shard_that_goes_elsewhere_while_it_is_acquired_is_not_held(house: House) -> None:
    house.fences.gate.clear()
    starting = asyncio.create_task(house.shards.start())
    await asyncio.sleep(0)
    wanted = next(iter(house.mine))
    waiting = asyncio.create_task(house.shards.get(wanted))
    await asyncio.sleep(0)
    house.members.turn("you")
    house.fences.gate.set()
    with pytest.raises(ShardOwnershipLost):
        await waiting
    await starting
    assert not house.held


async def test_a_shard_that_went_and_came_back_while_it_was_acquired_is_acquired_once(house: House) -> None:
    many = ("me", "you", "he", "she", "they")
    house.members.turn(*many)
    assert len(house.mine) < TAKEN_AT_ONCE  # so that nobody has to wait for his turn
    house.fences.gate.clear()
    starting = asyncio.create_task(house.shards.start())
    for _ in range(3):
        await asyncio.sleep(0)
    assert house.fences.under_way == len(house.mine)
    house.members.turn("you")
    house.members.turn(*many)
    await asyncio.sleep(0)
    house.fences.gate.set()
    await starting
    assert house.held == house.mine
    assert sorted(house.fences.acquired) == sorted(house.mine)


async def test_one_that_is_tried_again_and_again_is_tried_by_one(house: House) -> None:
    """Turns of the ring while the store is away do not add up."""
    clock = house.virtual()
    house.fences.refusals = [StoreError("away")] * 1_000_000
    await house.shards.start()
    for _ in range(10):
        await clock.advance(10**9)
        house.members.turn("you")
        house.members.turn("me", "you")
    await clock.advance(10 * 10**9)
    before = len(house.fences.refusals)
    await clock.advance(10 * 10**9)
    assert before - len(house.fences.refusals) <= 11 * len(house.mine)


async def test_a_rest_that_cannot_be_read_is_read_again_under_a_new_fence(house: House) -> None:
    house.fences.unreadable = 3
    await house.shards.start()
    for shard_id in house.mine:
        await house.shards.get(shard_id)
    await house.shards.settled()
    assert house.held == house.mine
    assert len(house.fences.acquired) == len(house.mine) + 3
    assert not any(house.shards.held(shard_id).stopped for shard_id in house.mine)


async def test_who_waits_for_a_shard_is_told_of_the_end(house: House) -> None:
    house.fences.gate.clear()
    starting = asyncio.create_task(house.shards.start())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(house.shards.get(min(house.mine)))
    await asyncio.sleep(0)
    await house.shards.stop()
    with pytest.raises(ShardOwnershipLost):
        await asyncio.wait_for(waiting, 1)
    await starting


def test_the_outbox_has_these_categories() -> None:
    """What a resuming shard reads: a new one would have to be read, too."""
    assert [category.name for category in TaskCategory] == ["IMMEDIATE", "TIMER", "VISIBILITY"]
