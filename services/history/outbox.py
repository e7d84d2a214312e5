"""The outbox of a shard: tasks that follow from commits, kept in memory queues and, for recovery, in the store.

A task is outstanding from the moment it gets its id, before the commit that stores it. Stored rows are deleted in
ranges behind the lowest outstanding one, so that no row is deleted before its task is done. An idle outbox is still.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable

from services.errors import ServiceError
from services.persistence import ShardStore, StoreError, TaskCategory, TaskRow, UnknownOutcome
from services.protos.run_pb2 import Task
from services.runtime import Clock, TimerHandle

logger = logging.getLogger(__name__)

Key = tuple[int, int]  # fire time (0 for immediate tasks), task id
Execute = Callable[[Key, Task], Awaitable[bool]]  # True: done; False: held, to be acknowledged later

FLUSH_DELAY_S = 1.0  # after a task is done, before its row is deleted
RETRY_DELAY_S = 0.05
RETRY_DELAY_S_MAX = 10.0
PAGE = 1000
WINDOW_NS = 15 * 60 * 1_000_000_000  # timers later than this stay in the store for now


class Acknowledged:
    """Which tasks of a category are outstanding, and the deletion of rows behind them."""

    def __init__(self, store: ShardStore, clock: Clock, shard_id: int, category: TaskCategory) -> None:
        self._store, self._clock, self._shard_id, self.category = store, clock, shard_id, category
        self.range_id = 0
        self.outstanding: set[Key] = set()
        self._done_upto: Key = (0, 0)
        self._deleted_upto: Key = (0, 0)
        self._flush: TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def done(self, key: Key) -> None:
        self.outstanding.discard(key)
        self._done_upto = max(self._done_upto, key)
        if self._flush is None:
            self._flush = self._clock.call_later(FLUSH_DELAY_S, self._start_flush)

    def _start_flush(self) -> None:
        self._flush = None
        self._flushing = asyncio.ensure_future(self.flush())

    async def flush(self) -> None:
        """Deletes the rows of tasks that are done. Losing it costs a repetition after a restart, nothing else."""
        upto = self._done_upto
        if self.outstanding:
            fire_ns, task_id = min(self.outstanding)
            upto = min(upto, (fire_ns, task_id - 1))
        if upto > self._deleted_upto or (self.category == TaskCategory.TIMER and upto > (0, 0)):
            self._deleted_upto = upto
            try:
                await self._store.delete_tasks(self._shard_id, self.range_id, self.category, upto)
            except (StoreError, UnknownOutcome):
                logger.warning("outbox rows of shard %d were not deleted", self._shard_id, exc_info=True)

    def stop(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None


class Executor:
    """Runs tasks of one queue, each until it is done, with growing delays when it cannot be done yet."""

    def __init__(self, clock: Clock, acknowledged: Acknowledged, execute: Execute) -> None:
        self._clock, self._acknowledged, self._execute = clock, acknowledged, execute
        self._running: set[asyncio.Task[None]] = set()

    def run(self, key: Key, task: Task) -> None:
        running = asyncio.ensure_future(self._until_done(key, task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _until_done(self, key: Key, task: Task) -> None:
        delay_s = RETRY_DELAY_S
        while True:
            try:
                if await self._execute(key, task):
                    self._acknowledged.done(key)
                return
            except ServiceError as error:
                logger.info("outbox task %s waits: %s", Task.Kind.Name(task.kind), error.message)
            except Exception:
                logger.exception("outbox task %s failed and is tried again", Task.Kind.Name(task.kind))
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_DELAY_S_MAX)

    def stop(self) -> None:
        for running in self._running:
            running.cancel()


class TimerQueue:
    """Tasks that are due later: a heap of those within a window of time; the rest stays in the store."""

    def __init__(self, clock: Clock, executor: Executor, load: Callable[[int], Awaitable[Iterable[TaskRow]]]) -> None:
        self._clock, self._executor, self._load = clock, executor, load
        self._heap: list[tuple[int, int, Task]] = []
        self._window_end_ns = 0
        self._alarm: TimerHandle | None = None
        self._alarm_ns = 0

    @property
    def window_end_ns(self) -> int:
        return self._window_end_ns

    def extend_window(self, end_ns: int, rows: Iterable[TaskRow]) -> None:
        """Takes in stored tasks that are due before `end_ns`."""
        self._window_end_ns = end_ns
        for row in rows:
            heapq.heappush(self._heap, (row.fire_time_ns, row.task_id, Task.FromString(row.blob)))
        self._set_alarm()

    def add(self, key: Key, task: Task) -> None:
        heapq.heappush(self._heap, (*key, task))
        if not self._alarm_ns or key[0] < self._alarm_ns:
            self._set_alarm()

    def _set_alarm(self) -> None:
        next_ns = self._heap[0][0] if self._heap else self._window_end_ns
        next_ns = min(next_ns, self._window_end_ns) if self._window_end_ns else next_ns
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_ns = next_ns
        if next_ns:
            delay_s = max(next_ns - self._clock.now_ns(), 0) / 1e9
            self._alarm = self._clock.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        now_ns = self._clock.now_ns()
        while self._heap and self._heap[0][0] <= now_ns:
            fire_ns, task_id, task = heapq.heappop(self._heap)
            self._executor.run((fire_ns, task_id), task)
        if now_ns >= self._window_end_ns - WINDOW_NS // 10:
            asyncio.ensure_future(self._next_window())
        self._set_alarm()

    async def _next_window(self) -> None:
        end_ns = self._clock.now_ns() + WINDOW_NS
        start_ns, self._window_end_ns = self._window_end_ns, end_ns
        self.extend_window(end_ns, await self._load(start_ns))

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._heap.clear()
