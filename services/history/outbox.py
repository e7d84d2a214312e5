"""The outbox of a shard: tasks that follow from commits, kept in memory queues and, for recovery, in the store.

A task is outstanding from the moment it gets its id, before the commit that stores it. Stored rows are deleted in
ranges behind the lowest outstanding one, so that no row is deleted before its task is done. An idle outbox is still.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence

from services.errors import ServiceError
from services.persistence import ShardStore, StoreError, TaskCategory, TaskRow, UnknownOutcome
from services.protos.run_pb2 import Task
from services.runtime import Clock, TimerHandle
from services.telemetry import get_logger

_log = get_logger("history")

Key = tuple[int, int]  # fire time (0 for immediate tasks), task id
Execute = Callable[[Key, Task], Awaitable[bool]]  # True: done; False: held, to be acknowledged later

FLUSH_DELAY_S = 1.0  # after a task is done, before its row is deleted
RETRY_DELAY_S = 0.05
RETRY_DELAY_S_MAX = 10.0
PAGE = 1000
WINDOW_NS = 15 * 60 * 1_000_000_000  # when there are many timers, those later than this stay in the store for now
FEW, MANY = 64, 1024  # so many stored timers are all taken into memory; at so many in memory, the far ones are left
NEVER_NS = 2**63 - 1
MAX_TASK_ID = 2**62
ALARM_S_MAX = 300.0  # alarms do not see the wall clock jump, as it does when a machine was asleep


class Acknowledged:
    """Which tasks of a category are outstanding, and the deletion of rows behind them."""

    def __init__(self, store: ShardStore, clock: Clock, shard_id: int, category: TaskCategory) -> None:
        self._store, self._clock, self._shard_id, self.category = store, clock, shard_id, category
        self.range_id = 0
        self.outstanding: set[Key] = set()
        self.complete = False  # `outstanding` knows what is stored; until it does, nothing is deleted
        self._done_upto: Key = (0, 0)
        self.deleted_upto: Key = (0, 0)  # or about to be
        self._stopped = False
        self._flush: TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def done(self, key: Key) -> None:
        self.outstanding.discard(key)
        self._done_upto = max(self._done_upto, key)
        if self._flush is None and not self._stopped:
            self._flush = self._clock.call_later(FLUSH_DELAY_S, self._start_flush)

    def _start_flush(self) -> None:
        self._flush = None
        if self.complete:
            self._flushing = asyncio.ensure_future(self.flush())
        else:
            self._flush = self._clock.call_later(FLUSH_DELAY_S, self._start_flush)

    async def flush(self) -> None:
        """Deletes the rows of tasks that are done. Losing it costs a repetition after a restart, nothing else."""
        if not self.complete:
            return
        upto = self._done_upto
        if self.outstanding:
            fire_ns, task_id = min(self.outstanding)
            upto = min(upto, (fire_ns, task_id - 1))
        if upto > self.deleted_upto or (self.category == TaskCategory.TIMER and upto > (0, 0)):
            self.deleted_upto = upto
            try:
                await self._store.delete_tasks(self._shard_id, self.range_id, self.category, upto)
            except (StoreError, UnknownOutcome):
                _log.warning("Outbox rows were not deleted", shard_id=self._shard_id, exc_info=True)

    def stop(self) -> None:
        self._stopped = True
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None


class Executor:
    """Runs tasks of one queue, each until it is done, with growing delays when it cannot be done yet."""

    def __init__(self, clock: Clock, acknowledged: Acknowledged, execute: Execute) -> None:
        self._clock, self._acknowledged, self._execute = clock, acknowledged, execute
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False

    def run(self, key: Key, task: Task) -> None:
        if self._stopped:
            return
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
                _log.info("An outbox task waits", error=error.message, **_fields(key, task))
            except Exception:
                _log.exception("An outbox task failed and is tried again", **_fields(key, task))
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_DELAY_S_MAX)

    def stop(self) -> None:
        self._stopped = True
        for running in self._running:
            running.cancel()


def _fields(key: Key, task: Task) -> dict[str, str | int]:
    """What a log line says of a task."""
    return {
        "queue_task_type": Task.Kind.Name(task.kind),
        "queue_task_id": key[1],
        "wf_namespace_id": task.namespace_id,
        "wf_id": task.workflow_id,
        "wf_run_id": task.run_id,
    }


class TimerQueue:
    """Tasks that are due later: a heap of those within a window of time; the rest stays in the store.

    The window has no end while few timers are stored, so that a shard at rest reads nothing and sets no alarm.
    """

    def __init__(
        self,
        clock: Clock,
        executor: Executor,
        acknowledged: Acknowledged,
        read: Callable[[Key, int, int], Awaitable[Sequence[TaskRow]]],
    ) -> None:
        self._clock, self._executor, self._acknowledged, self._read = clock, executor, acknowledged, read
        self._heap: list[tuple[int, int, int, Task]] = []  # fire time, task id, a number that breaks ties, task
        self._added = 0
        self._many = MANY
        self._window_end_ns = 0
        self._stopped = False
        self._alarm: TimerHandle | None = None
        self._alarm_ns = NEVER_NS

    def takes(self, fire_time_ns: int) -> bool:
        """Whether a timer belongs in memory; a later one is read when its time comes near."""
        return fire_time_ns < self._window_end_ns or not self._acknowledged.complete

    async def load(self) -> None:
        """Takes in what is stored from the end of the window on, and moves that on. Raises what the store raises."""
        start_ns = self._window_end_ns
        self._acknowledged.complete = False
        rows = list(await self._read((start_ns - 1, MAX_TASK_ID), NEVER_NS, FEW + 1))
        end_ns = NEVER_NS
        if len(rows) > FEW:
            end_ns = max(self._clock.now_ns() + WINDOW_NS, rows[-1].fire_time_ns)
            await self._read_until(end_ns, rows)
        self._window_end_ns = end_ns
        outstanding = self._acknowledged.outstanding
        for row in rows:
            key = (row.fire_time_ns, row.task_id)
            if row.fire_time_ns < end_ns and key not in outstanding:
                outstanding.add(key)
                self._push(key, Task.FromString(row.blob))
        self._acknowledged.complete = True
        self._set_alarm()

    async def _read_until(self, end_ns: int, rows: list[TaskRow]) -> None:
        while True:
            page = await self._read((rows[-1].fire_time_ns, rows[-1].task_id), end_ns, PAGE)
            rows.extend(page)
            if len(page) < PAGE:
                return

    def add(self, key: Key, task: Task) -> None:
        self._push(key, task)
        if len(self._heap) > self._many:
            self._narrow()
        if key[0] < self._alarm_ns:
            self._set_alarm()

    def _push(self, key: Key, task: Task) -> None:
        self._added += 1
        heapq.heappush(self._heap, (*key, self._added, task))

    def _narrow(self) -> None:
        """There are many by now: those that are far off are left to the store. Those of memory alone stay."""
        end_ns = self._clock.now_ns() + WINDOW_NS
        if self._acknowledged.complete and end_ns < self._window_end_ns:
            far = [(fire_ns, task_id) for fire_ns, task_id, _, _ in self._heap if fire_ns >= end_ns and task_id]
            self._window_end_ns = end_ns
            self._acknowledged.outstanding.difference_update(far)
            self._heap = [timer for timer in self._heap if timer[0] < end_ns or not timer[1]]
            heapq.heapify(self._heap)
            self._set_alarm()
        self._many = max(MANY, 2 * len(self._heap))  # looked at again when there are twice as many

    def _set_alarm(self) -> None:
        reload_ns = self._window_end_ns - WINDOW_NS // 10 if self._window_end_ns != NEVER_NS else NEVER_NS
        next_ns = min(self._heap[0][0], reload_ns) if self._heap else reload_ns
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_ns = next_ns
        if next_ns != NEVER_NS and not self._stopped:
            delay_s = max(next_ns - self._clock.now_ns(), 0) / 1e9
            self._alarm = self._clock.call_later(min(delay_s, ALARM_S_MAX), self._fire)

    def _fire(self) -> None:
        now_ns = self._clock.now_ns()
        while self._heap and self._heap[0][0] <= now_ns:
            fire_ns, task_id, _, task = heapq.heappop(self._heap)
            self._executor.run((fire_ns, task_id), task)
        if now_ns < self._window_end_ns - WINDOW_NS // 10 or self._window_end_ns == NEVER_NS:
            self._set_alarm()
        elif self._acknowledged.complete:
            self._reload = asyncio.ensure_future(self._load_until_done())

    async def _load_until_done(self) -> None:
        while not self._stopped:
            try:
                await self.load()
                return
            except Exception:  # whatever it is: without this task no timer would ever fire again
                _log.warning("Timers could not be read and are tried again", exc_info=True)
                await self._clock.sleep(RETRY_DELAY_S_MAX / 10)

    def stop(self) -> None:
        self._stopped = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._heap.clear()
