"""A shard: the fence under which its workflows are written, its task ids and its outbox."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from services.errors import ShardOwnershipLost, Unavailable
from services.history.outbox import Acknowledged, Executor, Key, TimerQueue
from services.persistence import (
    Commit,
    CurrentWrite,
    Outcome,
    RunWrite,
    ShardStore,
    StoreError,
    TaskCategory,
    TaskRow,
    UnknownOutcome,
)
from services.protos.run_pb2 import Task
from services.runtime import Clock

logger = logging.getLogger(__name__)

TASK_ID_BITS = 24  # task ids are range id << 24 plus a counter; a shard that uses them up takes a new range
TIMERS = frozenset({Task.WAKE, Task.DELETE_RUN, Task.RETRY_CALLBACK})
PAGE = 1000


def category_of(kind: Task.Kind.ValueType) -> TaskCategory:
    if kind in TIMERS:
        return TaskCategory.TIMER
    return TaskCategory.VISIBILITY if kind == Task.UPDATE_VISIBILITY else TaskCategory.IMMEDIATE


class WriteUnknown(Unavailable):
    """The outcome of a write is unknown."""


class Shard:
    """One shard owned by this host. `execute` does immediate and timer tasks, `show` visibility tasks."""

    def __init__(
        self,
        shard_id: int,
        owner: str,
        store: ShardStore,
        clock: Clock,
        execute: Callable[["Shard", Key, Task], Awaitable[bool]],
        show: Callable[["Shard", Key, Task], None],
    ) -> None:
        self.shard_id = shard_id
        self._owner, self._store, self._clock, self._show = owner, store, clock, show
        self.range_id = 0
        self._task_id = 0
        self.stopped = False  # it was let go: another owner, or another life of ours, does what is left

        async def execute_here(key: Key, task: Task) -> bool:
            return await execute(self, key, task)

        self.acknowledged = {
            category: Acknowledged(self._store, self._clock, self.shard_id, category) for category in TaskCategory
        }
        immediate, timer = self.acknowledged[TaskCategory.IMMEDIATE], self.acknowledged[TaskCategory.TIMER]
        self._immediate = Executor(self._clock, immediate, execute_here)
        self._timer_executor = Executor(self._clock, timer, execute_here)
        self._timers = TimerQueue(self._clock, self._timer_executor, timer, self._read_timers)

    async def acquire(self) -> None:
        """Takes the shard under a new fence. Nothing of what was left is done before `resume`."""
        await self._renew_range()

    async def resume(self) -> None:
        """Picks up the tasks that were left; commits may go on meanwhile."""
        for category in (TaskCategory.IMMEDIATE, TaskCategory.VISIBILITY):
            rows = await self._read_all(category)
            self.acknowledged[category].complete = True
            for row in rows:
                self._dispatch(row, Task.FromString(row.blob))
        await self._timers.load()

    async def _read_all(self, category: TaskCategory) -> Sequence[TaskRow]:
        """Rows that were left. Those of commits since the acquisition are in hand already."""
        rows: list[TaskRow] = []
        outstanding, after = self.acknowledged[category].outstanding, (0, 0)
        while True:
            page = await self._store.read_tasks(self.shard_id, category, after, 1, PAGE)
            rows.extend(row for row in page if (row.fire_time_ns, row.task_id) not in outstanding)
            if len(page) < PAGE:
                break
            after = (page[-1].fire_time_ns, page[-1].task_id)
        first_of_ours = self.range_id << TASK_ID_BITS  # ours are in hand, or done by now
        rows = [row for row in rows if row.task_id < first_of_ours]
        outstanding.update((row.fire_time_ns, row.task_id) for row in rows)
        return rows

    async def _read_timers(self, after: Key, until_ns: int, limit: int) -> Sequence[TaskRow]:
        return await self._store.read_tasks(self.shard_id, TaskCategory.TIMER, after, until_ns, limit)

    def _next_task_id(self) -> int:
        self._task_id += 1
        assert self._task_id >> TASK_ID_BITS == self.range_id, f"shard {self.shard_id} has used up its task ids"
        return self._task_id

    async def commit(
        self,
        namespace_id: str,
        workflow_id: str,
        runs: Sequence[RunWrite],
        tasks: Sequence[Task],
        current: CurrentWrite | None,
    ) -> tuple[Outcome, Sequence[tuple[TaskRow, Task]]]:
        """Writes one transaction. COMMITTED: `dispatch` the returned rows once memory says what the store says.

        Raises ShardOwnershipLost when somebody else holds the shard, WriteUnknown when nobody can say whether it was
        written: then the shard must be acquired again, and memory be read anew.
        """
        if self._task_id + len(tasks) >= (self.range_id + 1) << TASK_ID_BITS:
            await self._renew_range()
        rows = [(self._row(task), task) for task in tasks]
        commit = Commit(
            shard_id=self.shard_id,
            range_id=self.range_id,
            namespace_id=namespace_id,
            workflow_id=workflow_id,
            runs=runs,
            current=current,
            tasks=[row for row, _ in rows],
        )
        try:
            outcome = await self._store.commit(commit)
        except StoreError as error:
            self._give_back(rows)
            raise Unavailable(f"the store refused a write: {error}") from error
        except UnknownOutcome as error:
            raise WriteUnknown("the outcome of a write is unknown, please retry") from error
        if outcome is not Outcome.COMMITTED:
            self._give_back(rows)
        if outcome is Outcome.FENCED:
            raise ShardOwnershipLost(self.shard_id)
        return outcome, rows

    async def _renew_range(self) -> None:
        record = await self._store.acquire_shard(self.shard_id, self._owner)
        self.range_id = record.range_id
        self._task_id = record.range_id << TASK_ID_BITS
        for acknowledged in self.acknowledged.values():
            acknowledged.range_id = self.range_id

    def _row(self, task: Task) -> TaskRow:
        category = category_of(task.kind)
        if category == TaskCategory.TIMER:  # a deletion under way must not take it along
            task.fire_time_ns = max(task.fire_time_ns, self.acknowledged[category].deleted_upto[0] + 1)
        row = TaskRow(
            category=category,
            fire_time_ns=task.fire_time_ns,
            task_id=self._next_task_id(),
            blob=task.SerializeToString(),
        )
        if category != TaskCategory.TIMER or self._timers.takes(row.fire_time_ns):
            self.acknowledged[category].outstanding.add((row.fire_time_ns, row.task_id))
        return row

    def _give_back(self, rows: Iterable[tuple[TaskRow, Task]]) -> None:
        for row, _ in rows:
            self.acknowledged[row.category].outstanding.discard((row.fire_time_ns, row.task_id))

    def dispatch(self, rows: Iterable[tuple[TaskRow, Task]]) -> None:
        """Hands committed tasks to the memory queues."""
        for row, task in rows:
            self._dispatch(row, task)

    def _dispatch(self, row: TaskRow, task: Task) -> None:
        key = (row.fire_time_ns, row.task_id)
        if row.category == TaskCategory.IMMEDIATE:
            self._immediate.run(key, task)
        elif row.category == TaskCategory.VISIBILITY:
            self._show(self, key, task)
        elif self._timers.takes(row.fire_time_ns):
            self.acknowledged[TaskCategory.TIMER].outstanding.add(key)
            self._timers.add(key, task)
        else:  # it waits in the store, even if memory wanted it when its commit began
            self.acknowledged[TaskCategory.TIMER].outstanding.discard(key)

    def wake_at(self, task: Task) -> None:
        """A wake that is only in memory: for what memory alone knows of."""
        self._timers.add((task.fire_time_ns, 0), task)

    def run_unstored(self, task: Task) -> None:
        """A task of which only memory knows; it is lost with it."""
        self._immediate.run((0, 0), task)

    def done(self, category: TaskCategory, key: Key) -> None:
        """Of a shard that was let go, the next owner does what is left once more."""
        if not self.stopped:
            self.acknowledged[category].done(key)

    def stop(self) -> None:
        """Nothing is executed any more; what is left waits in the store."""
        self.stopped = True
        self._immediate.stop()
        self._timer_executor.stop()
        self._timers.stop()
        for acknowledged in self.acknowledged.values():
            acknowledged.stop()

    async def flush(self) -> None:
        """Deletes the rows of tasks that were done."""
        for acknowledged in self.acknowledged.values():
            await acknowledged.flush()
