"""Timers in memory are a window of those in the store: none is lost or early, and few of the far ones take memory."""

import asyncio
import heapq
from collections.abc import Callable
from random import Random

import pytest

from services.history import outbox
from services.history.outbox import MANY, WINDOW_NS, Key
from services.history.shard import Shard
from services.persistence import Commit, Outcome, ShardRecord, StoreError, TaskCategory, TaskRow
from services.protos.run_pb2 import Task
from services.runtime import TimerHandle

MINUTE_NS = 60 * 10**9


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualClock:
    """Moves when told, from timer to timer."""

    def __init__(self) -> None:
        self.ns = 1_000 * MINUTE_NS
        self.jumped_ns = 0  # the wall clock, so far ahead
        self._timers: list[tuple[int, int, Handle, Callable[[], None]]] = []

    def now_ns(self) -> int:
        return self.ns + self.jumped_ns

    def monotonic(self) -> float:
        return self.ns / 1e9

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        handle = Handle()
        heapq.heappush(self._timers, (self.ns + round(delay_s * 1e9), id(handle), handle, callback))
        return handle

    async def sleep(self, delay_s: float) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.call_later(delay_s, lambda: over.set_result(None))
        await over

    async def advance(self, ns: int) -> None:
        end_ns = self.ns + ns
        while self._timers and self._timers[0][0] <= end_ns:
            at_ns, _, handle, callback = heapq.heappop(self._timers)
            self.ns = max(self.ns, at_ns)
            if not handle.cancelled:
                callback()
                await settle()
        self.ns = end_ns

    @property
    def is_still(self) -> bool:
        """No timer is set."""
        return all(handle.cancelled for _, _, handle, _ in self._timers)


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


class Rows:
    """The outbox of one shard. `gate` holds reads and commits; `failures` are raised by the next reads."""

    def __init__(self) -> None:
        self.rows: dict[Key, TaskRow] = {}
        self.reads = 0
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        return ShardRecord(shard_id=shard_id, range_id=7, owner=owner)

    async def read_tasks(
        self, _shard_id: int, category: TaskCategory, after: Key, until_ns: int, limit: int
    ) -> list[TaskRow]:
        if category is not TaskCategory.TIMER:
            return []
        self.reads += 1
        if self.failures:
            raise self.failures.pop()
        found = [self.rows[key] for key in sorted(self.rows) if key > after and key[0] < until_ns][:limit]
        await self.gate.wait()  # what is committed from here on is not among them
        return found

    async def commit(self, commit: Commit) -> Outcome:
        await self.gate.wait()
        self.rows.update({(row.fire_time_ns, row.task_id): row for row in commit.tasks})
        return Outcome.COMMITTED

    async def delete_tasks(self, _shard_id: int, _range_id: int, category: TaskCategory, upto: Key) -> Outcome:
        if category is TaskCategory.TIMER:
            self.rows = {key: row for key, row in self.rows.items() if key > upto}
        return Outcome.COMMITTED

    def put(self, fire_time_ns: int, number: int) -> None:
        """A row of an earlier owner."""
        task = Task(kind=Task.WAKE, fire_time_ns=fire_time_ns, workflow_id=str(number))
        blob = task.SerializeToString()
        row = TaskRow(category=TaskCategory.TIMER, fire_time_ns=fire_time_ns, task_id=number, blob=blob)
        self.rows[fire_time_ns, number] = row


class House:
    """A shard on a virtual clock. `fired` tells when each timer did; those in `stubborn` fail before they succeed."""

    def __init__(self) -> None:
        self.clock, self.store = VirtualClock(), Rows()
        self.fired: dict[str, int] = {}
        self.stubborn: set[str] = set()
        store: object = self.store
        self.shard = Shard(1, "me", store, self.clock, self._execute, lambda *_: None)  # type: ignore[arg-type]  # its part

    async def _execute(self, _shard: Shard, _key: Key, task: Task) -> bool:
        if task.workflow_id in self.stubborn:
            self.stubborn.discard(task.workflow_id)
            raise StoreError("not now")
        self.fired.setdefault(task.workflow_id, self.clock.ns)
        return True

    async def begin(self) -> None:
        await self.shard.acquire()
        await self.shard.resume()

    async def set(self, fire_time_ns: int, name: str) -> None:
        task = Task(kind=Task.WAKE, fire_time_ns=fire_time_ns, workflow_id=name)
        _, rows = await self.shard.commit("n", name, (), [task], None)
        self.shard.dispatch(rows)

    @property
    def in_memory(self) -> int:
        return len(self.shard.acknowledged[TaskCategory.TIMER].outstanding)


@pytest.fixture
def house() -> House:
    return House()


async def test_an_idle_shard_reads_nothing_and_sets_no_alarm(house: House) -> None:
    await house.begin()
    assert (house.store.reads, house.clock.is_still) == (1, True)


async def test_few_timers_are_known_however_far_they_are(house: House) -> None:
    far_ns = house.clock.ns + 40 * 24 * 60 * MINUTE_NS
    house.store.put(far_ns, 1)
    await house.begin()
    await house.clock.advance(41 * 24 * 60 * MINUTE_NS)
    assert house.fired == {"1": far_ns}
    assert house.store.reads == 1
    assert not house.store.rows


@pytest.mark.parametrize("seed", range(6))
async def test_no_timer_is_lost_early_or_deleted_before_it_fired(
    house: House, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, small in (("FEW", 4), ("MANY", 32), ("PAGE", 16)):
        monkeypatch.setattr(outbox, name, small)
    random = Random(seed)
    due: dict[str, int] = {}
    horizon = 120 * MINUTE_NS

    def later() -> int:
        return house.clock.ns + random.choice([random.randrange(horizon), random.randrange(5 * 10**9)])

    for number in range(random.choice([0, 4, 5, 20, 100])):
        due[str(number)] = later()
        house.store.put(due[str(number)], number)
    await house.begin()
    commits: list[asyncio.Task[None]] = []
    for step in range(80):
        if random.random() < 0.3:
            house.store.gate.clear() if house.store.gate.is_set() else house.store.gate.set()
        if random.random() < 0.1:
            house.store.failures.append(StoreError("busy"))
        for n in range(random.choice([0, 1, 3])):
            name = f"{step}-{n}"
            due[name] = later()
            if random.random() < 0.05:
                house.stubborn.add(name)
            commits.append(asyncio.create_task(house.set(due[name], name)))
        await settle()
        await house.clock.advance(random.randrange(2 * MINUTE_NS))
        if house.store.gate.is_set():
            stored = {Task.FromString(row.blob).workflow_id for row in house.store.rows.values()}
            assert due.keys() - house.fired.keys() <= stored, "a row was deleted before its timer fired"
    house.store.gate.set()
    house.store.failures.clear()
    await asyncio.gather(*commits)
    await house.clock.advance(2 * horizon)
    assert house.fired.keys() == due.keys()
    assert all(house.fired[name] >= due[name] for name in due)
    assert not house.store.rows
    assert house.in_memory == 0


@pytest.mark.parametrize("failure", [StoreError("away"), ValueError("unheard of")])
async def test_timers_are_read_again_after_whatever_went_wrong(house: House, failure: Exception) -> None:
    count = 2 * outbox.FEW
    for number in range(count):
        house.store.put(house.clock.ns + (number + 1) * MINUTE_NS, number)
    await house.begin()
    house.store.failures.append(failure)
    await house.clock.advance(2 * count * MINUTE_NS)
    assert len(house.fired) == count
    assert not house.store.failures


async def test_a_timer_fires_soon_after_the_wall_clock_has_jumped_over_it(house: House) -> None:
    """As it does when a machine was asleep."""
    await house.begin()
    await house.set(house.clock.ns + 60 * MINUTE_NS, "t")
    house.clock.jumped_ns = 60 * MINUTE_NS
    await house.clock.advance(5 * MINUTE_NS)
    assert house.fired.keys() == {"t"}


async def test_far_timers_leave_memory_when_there_are_many(house: House) -> None:
    await house.begin()
    for number in range(2 * MANY):
        await house.set(house.clock.ns + 2 * WINDOW_NS + number * 10**9, str(number))
    assert house.in_memory <= MANY + 1
    await house.clock.advance(3 * MANY * 10**9 + 4 * WINDOW_NS)
    assert len(house.fired) == 2 * MANY


async def test_many_near_timers_are_not_looked_through_for_each_new_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.begin()
    heapified: list[int] = []
    monkeypatch.setattr(heapq, "heapify", lambda heap: heapified.append(len(heap)))
    for number in range(8 * MANY):
        await house.set(house.clock.ns + MINUTE_NS + number, str(number))
    assert len(heapified) <= 4
