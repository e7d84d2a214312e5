"""The stored tasks of one partition: written under its lease, read back in order, forgotten once they are done.

On a single host, a queue that never stores anything takes no lease and leaves no row; sticky queues never do, for they
come and go with worker processes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from services.errors import TaskQueueOwnershipLost, Unavailable
from services.matching.metrics import QueueMetrics
from services.matching.settings import LiveSettings
from services.matching.tasks import Task
from services.persistence import BacklogTask, Outcome, QueueKey, QueueStore, StoreError, UnknownOutcome
from services.protos.matching_pb2 import QueuedTask
from services.runtime import Clock, TimerHandle

TASKS_PER_RANGE_BITS = 24  # task id = range id << 24 | counter: ids of a later lease are always higher
COULD_NOT_STORE = "the task queue could not store the task, retry"

logger = logging.getLogger(__name__)


class Backlog:
    """Keeps the next tasks in memory; calls `on_loaded` when there are new ones, `on_lost` when the lease is gone.

    `shared`: another host may have had it a moment ago, so it takes the lease before it reads: what that host still
    stores is then either read here or refused there.
    """

    def __init__(
        self,
        store: QueueStore,
        key: QueueKey,
        clock: Clock,
        settings: LiveSettings,
        metrics: QueueMetrics,
        *,
        shared: bool,
        on_loaded: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._store, self._key, self._clock, self._settings = store, key, clock, settings
        self._lease_first = shared
        self._metrics = metrics
        self._on_loaded, self._on_lost = on_loaded, on_lost
        self.count = 0  # stored and not done
        self.ack_level = 0  # all up to it are done
        self.read_level = 0  # all up to it are in memory or done
        self.range_id = 0  # 0: no lease
        self._lease_lock = asyncio.Lock()
        self._task_id_next = 0
        self._loaded: deque[Task] = deque()
        self._undone: deque[int] = deque()  # ids read, in order
        self._done: set[int] = set()  # those of them that are done, but for a prefix already taken off
        self._more = True  # the store may have tasks past the read level
        self._changes = 0  # leases taken and appends made: what a read under way may have missed
        self._reader: asyncio.Task[None] | None = None
        self._acknowledger: asyncio.Task[None] | None = None
        self._acknowledge_timer: TimerHandle | None = None
        self._unacknowledged = 0  # done since the last time
        self._done_stored = 0  # done, and not yet forgotten by the store
        self._closed = False

    # For pollers.
    def has_loaded(self) -> bool:
        return bool(self._loaded)

    def take(self) -> Task | None:
        """The oldest task in memory; reads on when few are left."""
        task = self._loaded.popleft() if self._loaded else None
        if self._more:
            self.read()
        return task

    def put_back(self, task: Task) -> None:
        """A task that was taken and came to nothing: it is the next again."""
        self._loaded.appendleft(task)

    def done(self, task: Task) -> None:
        """The task needs no delivery any more; the store forgets it soon."""
        self.count -= 1
        self._done_stored += 1
        self._done.add(task.task_id)
        while self._undone and self._undone[0] in self._done:
            self.ack_level = self._undone.popleft()
            self._done.remove(self.ack_level)
        self._unacknowledged += 1
        if self._unacknowledged >= self._settings.now.acknowledge_after_tasks:
            self._acknowledge_soon()
        else:
            self._acknowledge_later()

    def oldest(self) -> Task | None:
        """Of those in memory."""
        return self._loaded[0] if self._loaded else None

    # Reading.
    def read(self) -> None:
        """Starts reading unless it is under way, memory is full enough, or there is nothing more."""
        enough = len(self._loaded) >= self._settings.now.backlog_reload_at
        if self._more and self._reader is None and not enough and not self._closed:
            self._reader = asyncio.create_task(self._read())

    async def wait_for_first_read(self) -> None:
        """Afterwards `count` is what the store says."""
        self.read()
        if self._reader is not None:
            await asyncio.wait([self._reader])

    async def _read(self) -> None:
        pause_s = self._settings.now.retry_s_min
        try:
            while self._more and len(self._loaded) < self._settings.now.backlog_reload_at:
                try:
                    await self._read_page()
                    pause_s = self._settings.now.retry_s_min
                except (StoreError, UnknownOutcome):
                    logger.warning("backlog of %s could not be read", self._key, exc_info=True)
                    await self._clock.sleep(pause_s)
                    pause_s = min(2 * pause_s, self._settings.now.retry_s_max)
        finally:
            self._reader = None

    async def _read_page(self) -> None:
        if self._lease_first:
            await self._lease(0)
        changes, limit = self._changes, self._settings.now.backlog_read_max
        rows = await self._store.read_backlog(self._key, self.read_level, limit)
        if rows:
            await self._lease(0)
        for row in rows:
            if row.task_id > self.read_level:
                self._loaded.append(Task(QueuedTask.FromString(row.blob), row.task_id, durable=True))
                self._undone.append(row.task_id)
                self.read_level = row.task_id
        if len(rows) < limit and changes == self._changes:
            self._more = False
        if rows:
            self._on_loaded()

    # Writing.
    async def append(self, tasks: Sequence[Task]) -> None:
        """Stores the tasks, all or none; one call at a time. Raises Unavailable; they may be stored even so."""
        try:
            if self.range_id == 0 or (self._task_id_next + len(tasks)) >> TASKS_PER_RANGE_BITS != self.range_id:
                await self._lease(self.range_id)
            first, range_id = self._task_id_next, self.range_id
            self._task_id_next += len(tasks)
            rows = [BacklogTask(task_id=first + i, blob=t.queued.SerializeToString()) for i, t in enumerate(tasks)]
            began = self._clock.monotonic()
            outcome = await self._store.append_backlog(self._key, range_id, rows)
            self._metrics.stored(self._clock.monotonic() - began)
        except UnknownOutcome as error:  # a new lease keeps it from coming later; what came already is read
            self.range_id = 0
            self._lease_first = self._more = True
            self._changes += 1
            self.read()
            raise Unavailable(COULD_NOT_STORE) from error
        except StoreError as error:
            raise Unavailable(COULD_NOT_STORE) from error
        if outcome is not Outcome.COMMITTED:
            self._on_lost()
            raise TaskQueueOwnershipLost()
        self.count += len(tasks)
        self._changes += 1
        if self._more or self._reader is not None or len(self._loaded) >= self._settings.now.backlog_read_max:
            self._more = True
            self.read()
            return
        for task, row in zip(tasks, rows, strict=True):  # nothing lies between them and what is in memory
            task.task_id = self.read_level = row.task_id
            task.durable = True
            self._loaded.append(task)
            self._undone.append(task.task_id)

    async def _lease(self, held: int) -> None:
        """Takes a lease, unless another than `held` was taken meanwhile."""
        async with self._lease_lock:
            if self.range_id != held:
                return
            self._metrics.leasing()
            lease = await self._store.lease_queue(self._key)
            if held == 0:
                self.count = max(0, await self._store.backlog_count(self._key) - self._done_stored)
                self.ack_level = max(self.ack_level, lease.ack_level)
                self.read_level = max(self.read_level, lease.ack_level)
                self._more = True  # whoever had the lease before may have stored more since we looked
            self.range_id = lease.range_id
            self._changes += 1
            self._task_id_next = (lease.range_id << TASKS_PER_RANGE_BITS) + 1

    # Forgetting.
    def _acknowledge_later(self) -> None:
        if self._acknowledge_timer is None and not self._closed:
            delay_s = self._settings.now.acknowledge_after_s
            self._acknowledge_timer = self._clock.call_later(delay_s, self._acknowledge_soon)

    def _acknowledge_soon(self) -> None:
        if self._acknowledge_timer is not None:
            self._acknowledge_timer.cancel()
            self._acknowledge_timer = None
        if self._acknowledger is None and not self._closed:
            self._acknowledger = asyncio.create_task(self._acknowledge())

    async def _acknowledge(self) -> None:
        forgotten, unacknowledged = self._done_stored - len(self._done), self._unacknowledged
        self._unacknowledged = 0
        try:
            await self._lease(0)
            range_id = self.range_id
            outcome = await self._store.acknowledge_backlog(self._key, range_id, self.ack_level)
            if outcome is Outcome.COMMITTED:
                self._done_stored -= forgotten
            elif range_id == self.range_id:
                self._on_lost()
        except (StoreError, UnknownOutcome):  # what stays is delivered again, and found to be done
            self._unacknowledged += unacknowledged
            logger.warning("backlog of %s could not be acknowledged", self._key, exc_info=True)
        finally:
            self._acknowledger = None
            if self._unacknowledged:
                self._acknowledge_later()

    async def close(self) -> None:
        """Stops reading and writes the last ack level. What is in memory stays in the store."""
        self._closed = True
        if self._acknowledge_timer is not None:
            self._acknowledge_timer.cancel()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._acknowledger is not None:
            await asyncio.wait([self._acknowledger])
        if self._unacknowledged:
            await self._acknowledge()
