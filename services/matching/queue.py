"""One partition of one task queue: tasks meet pollers.

Whatever comes first waits. A task that meets a waiting poller is handed over and never written; one that nobody takes
within the sync match wait goes to the backlog. While nobody here wants them, the first tasks or polls look for partners
at the parent partition. Nothing here awaits between looking for a partner and the hand-over, so no wake-up can be lost.
"""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from functools import partial

from services.errors import StickyWorkerUnavailable, TaskQueueOwnershipLost, Unavailable
from services.matching.backlog import Backlog
from services.matching.forwarder import Forwarder
from services.matching.metrics import queue_metrics
from services.matching.pollers import PollerHistory
from services.matching.rates import RateMeter, TokenBucket
from services.matching.settings import LiveSettings
from services.matching.tasks import FORWARD_POLL, ForwardPoll, Handed, Poller, QueryTask, Task
from services.matching.writer import BacklogWriter
from services.persistence import QueueKey, QueueStore
from services.protos.matching_pb2 import QueuedTask
from services.rpc.clients import AddTaskOutcome
from services.runtime import Clock, TimerHandle

STORE_TOGETHER_S = 0.01  # tasks due within this time are stored by one write
CLOSING = "the task queue is closing, retry"
MATCHED, STORED, UNMATCHED = AddTaskOutcome.MATCHED, AddTaskOutcome.STORED, AddTaskOutcome.UNMATCHED


class QueuePartition:
    """Pollers and tasks of one partition. Every task that came in is delivered, stored, or given back to its adder.

    `send_up` asks the parent to take a task; None for a root. `namespace` and `name` are what they are on the wire,
    `shared` says that other hosts may have had it,
    `shown_as` is the queue's name in metrics: for a sticky one, its normal queue's.
    """

    def __init__(
        self,
        store: QueueStore,
        key: QueueKey,
        clock: Clock,
        settings: LiveSettings,
        *,
        name: str,
        namespace: str,
        send_up: "Callable[[QueuePartition, Task], Awaitable[AddTaskOutcome]] | None",
        on_lost: Callable[[], None],
        shared: bool = False,
        shown_as: str = "",
    ) -> None:
        self.metrics = queue_metrics(
            namespace,
            shown_as or key.name,
            key.task_queue_type,
            key.partition,
            sticky=settings.sticky,
            by_queue=settings.now.metrics_by_queue,
            by_partition=settings.now.metrics_by_partition,
        )
        self.key, self.name, self.namespace, self.settings = key, name, namespace, settings
        self._clock = clock
        now = clock.monotonic()
        self.history = PollerHistory(settings)
        self.adds, self.dispatches = RateMeter(now), RateMeter(now)
        self.limit = TokenBucket(settings.now.dispatch_per_s_max / settings.partitions_read(), now)
        self.scaling = TokenBucket(settings.now.scaling_decisions_per_s, now)
        self.backlog = Backlog(
            store,
            key,
            clock,
            settings,
            self.metrics,
            shared=shared and not settings.sticky,
            on_loaded=self._match,
            on_lost=on_lost,
        )
        self.forwarder: Forwarder | None = None
        if send_up is not None:
            self.forwarder = Forwarder(
                partial(send_up, self), clock, settings, on_free=self._match, on_back=self._came_back
            )
        self._writer = BacklogWriter(self.backlog, settings, on_stored=self._match)
        self._requested_per_s = math.inf  # the dispatch rate that the latest poller wants of the whole queue
        self._active_at = now
        self._polls = 0
        self._polled_at = -math.inf
        self._pollers: OrderedDict[Poller, None] = OrderedDict()
        self._queries: deque[QueryTask] = deque()
        self._guests: deque[Task] = deque()  # of other partitions
        self._waiting: deque[Task] = deque()  # in memory, by due time
        self._retrying: dict[Task, TimerHandle] = {}
        self._due_timer: TimerHandle | None = None
        self._token_timer: TimerHandle | None = None
        self._closing = False
        self._moved_to: str | None = None
        self._polls_ended = asyncio.Event()  # set by the last poll of a closing queue

    # Tasks come.
    async def add(self, queued: QueuedTask) -> AddTaskOutcome:
        """MATCHED when history has started it or it is over. Raises Unavailable: the adder must try again."""
        now = self._active_at = self._clock.monotonic()
        self.adds.count(now)
        self._raise_if_moved()
        settings = self.settings.now
        task = Task(queued)
        task.due = now + settings.sync_match_wait_s_max
        added: asyncio.Future[AddTaskOutcome] = asyncio.get_running_loop().create_future()
        task.added = added
        behind = self.backlog.count > 0 and self.backlog_age_s() > settings.backlog_negligible_age_s
        if behind or self._closing:
            self._writer.store(task)
        elif not self._hand_over(task, now):
            self._waiting.append(task)
            self._await_due(now)
            self._forward(now)
        self.backlog.read()
        return await added

    async def add_guest(self, task: Task, wait_s: float) -> AddTaskOutcome:
        """MATCHED, or UNMATCHED when nobody wanted it in that time. It does not keep an idle partition loaded."""
        if self._closing:
            self._raise_if_moved()
            return UNMATCHED
        now = self._clock.monotonic()
        task.due = now + wait_s
        added: asyncio.Future[AddTaskOutcome] = asyncio.get_running_loop().create_future()
        task.added = added
        self._guests.append(task)
        timer = self._clock.call_later(wait_s, partial(self._dismiss, task))
        self._match()
        try:
            return await added
        finally:
            timer.cancel()
            if task in self._guests:
                self._guests.remove(task)

    def _dismiss(self, guest: Task) -> None:
        if guest in self._guests:
            guest.answer(UNMATCHED)

    def add_query(self, query: QueryTask) -> None:
        """Puts a query in front of everything. Nobody stores it; its asker gives up by resolving the answer."""
        self._active_at = self._clock.monotonic()
        if self._closing:
            query.answer.set_exception(Unavailable(CLOSING))
            return
        self._queries.append(query)
        self._match()

    # Pollers come.
    async def poll(self, worker_instance_key: str, until: float, forwarded_from: str = "") -> Handed:
        """The next task, which the caller then answers for (done, retry, put_back); None when the wait is over.

        FORWARD_POLL: the caller shall poll the parent and tell the forwarder what came of it. Raises
        TaskQueueOwnershipLost when the queue has moved.
        """
        self._raise_if_moved()
        now = self._clock.monotonic()
        if self._closing:
            return None
        handed_now = self._next(now)
        if handed_now is not None or until <= now:
            return handed_now
        if self.forwarder is not None and self.forwarder.may_send_poll(now):
            self.forwarder.poll_goes()
            return FORWARD_POLL
        self.backlog.read()
        handed: asyncio.Future[Handed] = asyncio.get_running_loop().create_future()
        poller = Poller(handed, worker_instance_key, forwarded_from)
        self._pollers[poller] = None
        timer = self._clock.call_later(until - now, poller.release)
        try:
            return await handed
        except asyncio.CancelledError:
            if handed.done() and not handed.cancelled() and handed.exception() is None:
                self.put_back(handed.result())  # a task came at the very moment the poller went
            raise
        finally:
            timer.cancel()
            self._pollers.pop(poller, None)

    def poll_begins(self) -> None:
        self._polls += 1
        self._polled_at = self._active_at = self._clock.monotonic()
        self._set_limit()

    def poll_ends(self) -> None:
        self._polls -= 1
        if self._polled_at > -math.inf:  # the worker has not shut down meanwhile
            self._polled_at = self._clock.monotonic()
        if self._closing and not self._polls:
            self._polls_ended.set()

    def polled_within(self, seconds: float) -> bool:
        """Whether somebody polls now or did so lately."""
        return self._polls > 0 or self._clock.monotonic() - self._polled_at <= seconds

    def release_pollers(self, *, worker_instance_key: str | None = None, forwarded_from: str | None = None) -> None:
        """Ends the waits of one worker's polls, or of another partition's, or of all, politely."""
        for poller in list(self._pollers):
            if worker_instance_key in (None, poller.worker_instance_key) and forwarded_from in (
                None,
                poller.forwarded_from,
            ):
                poller.release()

    def forget_worker(self) -> None:
        """The worker of this sticky queue has shut down: adders that still wait must turn to the normal queue."""
        self.release_pollers()
        self._polled_at = -math.inf
        while self._waiting:
            self._waiting.popleft().refuse(StickyWorkerUnavailable())

    def limit_dispatch(self, per_second: float | None) -> None:
        """What the latest poller of activities asked for; None is the system's limit."""
        self._requested_per_s = math.inf if per_second is None else per_second
        self._set_limit()

    def queue_rate(self) -> float:
        """The limit on the dispatches of all partitions together."""
        return min(self.settings.now.dispatch_per_s_max, self._requested_per_s)

    def _set_limit(self) -> None:
        rate = self.queue_rate() / self.settings.partitions_read()
        if rate != self.limit.rate:
            self.limit.set_rate(rate, self._clock.monotonic())
            if self._token_timer is not None:
                self._token_timer.cancel()  # it waits for a token of the old rate
                self._token_timer = None
            self._match()

    def is_limited(self) -> bool:
        """Whether tasks wait for the dispatch rate now."""
        return self.limit.wait_s(self._clock.monotonic()) > 0

    def backlog_count(self) -> int:
        """Stored tasks that are not done."""
        return self.backlog.count

    def backlog_age_s(self) -> float:
        """How long the oldest stored task has been waiting; 0 when there is none."""
        oldest = self.backlog.oldest()
        tasks = [] if self.forwarder is None else [task for task in self.forwarder.tasks() if task.task_id]
        if oldest is not None:
            tasks.append(oldest)
        if not tasks:
            return 0.0
        return max(0.0, (self._clock.now_ns() - min(task.queued.create_time_ns for task in tasks)) / 1e9)

    # A poller that took a task says what came of it.
    def done(self, task: Task) -> None:
        """It was started, or it is obsolete."""
        if task.task_id:
            self.backlog.done(task)
        if not task.guest:
            self.dispatches.count(self._clock.monotonic())
        task.answer(MATCHED)

    def retry(self, task: Task) -> None:
        """History could not say; the task waits a little and is the next again."""
        task.attempts += 1
        settings = self.settings.now
        pause_s = min(settings.retry_s_min * 2 ** min(task.attempts - 1, 16), settings.retry_s_max)
        self._retrying[task] = self._clock.call_later(pause_s, partial(self._end_pause, task))
        if self._closing:
            self._give_up_all()

    def put_back(self, task: Handed) -> None:
        """Undoes a hand-over: the task is the next one again."""
        if isinstance(task, ForwardPoll):
            self.forwarded_poll_is_back()
        elif isinstance(task, QueryTask):
            self._queries.appendleft(task)
            if self._closing:
                self._refuse_queries()
        elif task is not None:
            self._put_task_back(task)
        self._match()

    def forwarded_poll_is_back(self, *, in_vain: bool = True, error: Exception | None = None) -> None:
        """What a poller says that got FORWARD_POLL."""
        if self.forwarder is not None:
            self.forwarder.poll_is_back(in_vain=in_vain, error=error)

    def _put_task_back(self, task: Task) -> None:
        now = self._clock.monotonic()
        if task.task_id:
            self.backlog.put_back(task)
        elif task.guest:
            if self._closing or task.due <= now:
                task.answer(UNMATCHED)
            else:
                self._guests.appendleft(task)
        elif self._moved_to is not None:
            task.refuse(TaskQueueOwnershipLost(self._moved_to))
        elif self._closing or (task.due <= now and self._first_poller() is None):
            self._writer.store(task)
        else:
            task.due = min(task.due, self._waiting[0].due) if self._waiting else task.due
            self._waiting.appendleft(task)
            self._await_due(now)

    def _end_pause(self, task: Task) -> None:
        del self._retrying[task]
        self.put_back(task)

    # They meet.
    def _match(self) -> None:
        now = self._clock.monotonic()
        while (poller := self._first_poller()) is not None:
            task = self._next(now)
            if task is None:
                break
            del self._pollers[poller]
            poller.handed.set_result(task)
        self._forward(now)

    def _hand_over(self, task: Task, now: float) -> bool:
        poller = self._first_poller()
        if poller is None or self._limited(now):
            return False
        del self._pollers[poller]
        poller.handed.set_result(task)
        self.limit.take()
        return True

    def _first_poller(self) -> Poller | None:
        while self._pollers:
            poller = next(iter(self._pollers))
            if not poller.handed.done():
                return poller
            del self._pollers[poller]  # it is leaving and has not run yet
        return None

    def _next(self, now: float) -> Task | QueryTask | None:
        while self._queries:
            query = self._queries.popleft()
            if not query.answer.done():
                return query
        return self._next_task(now)

    def _next_task(self, now: float) -> Task | None:
        while self._guests:
            task = self._guests.popleft()
            if task.is_wanted() and not self._drop_if_expired(task):
                return task  # its own partition keeps the dispatch rate
        while (self._waiting or self.backlog.has_loaded()) and not self._limited(now):
            task = self.backlog.take() or self._waiting.popleft()
            if not self._drop_if_expired(task):
                self.limit.take()
                return task
        return None

    def _drop_if_expired(self, task: Task) -> bool:
        """Its time-out has told history already."""
        if not task.queued.expire_time_ns or task.queued.expire_time_ns > self._clock.now_ns():
            return False
        self.metrics.expired()
        task.answer(MATCHED if task.guest else STORED)
        if task.task_id:
            self.backlog.done(task)
        return True

    def _limited(self, now: float) -> bool:
        wait_s = self.limit.wait_s(now)
        if wait_s > 0 and self._token_timer is None and wait_s < math.inf:
            self._token_timer = self._clock.call_later(wait_s, self._token_came)
        return wait_s > 0

    def _token_came(self) -> None:
        self._token_timer = None
        self._match()

    # They look elsewhere.
    def _forward(self, now: float) -> None:
        """After a match here: there are pollers left, or tasks, or neither."""
        forwarder = self.forwarder
        if forwarder is None or self._closing:
            return
        while (poller := self._first_poller()) is not None and forwarder.may_send_poll(now):
            del self._pollers[poller]
            forwarder.poll_goes()
            poller.handed.set_result(FORWARD_POLL)
        while poller is None and self._has_tasks() and forwarder.may_send_task(now):
            task = self._next_task(now)
            if task is None:
                return
            forwarder.send_task(task)

    def _has_tasks(self) -> bool:
        return bool(self._guests or self._waiting or self.backlog.has_loaded())

    def _came_back(self, task: Task, outcome: AddTaskOutcome) -> None:
        if outcome is MATCHED:
            self._active_at = self._clock.monotonic()
            self.done(task)
            self._match()
        else:
            self.put_back(task)

    # Tasks go to the backlog.
    def _await_due(self, now: float) -> None:
        if self._due_timer is None and self._waiting:
            self._due_timer = self._clock.call_later(max(0.0, self._waiting[0].due - now), self._store_due)

    def _store_due(self) -> None:
        self._due_timer = None
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0].due <= now + STORE_TOGETHER_S:
            self._writer.store(self._waiting.popleft())
        self._await_due(now)

    def _give_up_all(self) -> None:
        """Nothing waits here any more: what is nowhere else is stored, or goes back to where it came from."""
        for timer in self._retrying.values():
            timer.cancel()
        tasks = (*self._retrying, *self._waiting, *self._guests)
        self._retrying.clear()
        self._waiting.clear()
        self._guests.clear()
        for task in tasks:
            if not task.task_id:
                self._put_task_back(task)

    # The end.
    def is_idle(self) -> bool:
        """Nobody polls, nothing waits, and nothing happened for long."""
        busy = self._polls or self._waiting or self._retrying or self._queries or self._writer.is_busy()
        return not busy and self._clock.monotonic() - self._active_at >= self.settings.now.idle_s_max

    def stop(self, *, moved_to: str | None = None) -> None:
        """Ends the polls politely and stores what waits in memory; tasks that still come are stored at once.

        When the queue has moved, pollers and adders are sent after it instead.
        """
        self._closing = True
        self._moved_to = moved_to
        for timer in (self._due_timer, self._token_timer):
            if timer is not None:
                timer.cancel()
        for poller in list(self._pollers):
            poller.release() if moved_to is None else poller.refuse(TaskQueueOwnershipLost(moved_to))
        if self.forwarder is not None:
            self.forwarder.stop()
        self._refuse_queries()
        self._give_up_all()

    async def close(self) -> None:
        """After a stop: all that came in is with a poller, in the store, or back with its adder."""
        if self._polls:
            await self._polls_ended.wait()  # they may still give back what they took
        if self.forwarder is not None:
            await self.forwarder.wait_until_back()
        await self._writer.wait_until_stored()
        await self.backlog.close()

    def _raise_if_moved(self) -> None:
        if self._moved_to is not None:
            raise TaskQueueOwnershipLost(self._moved_to)

    def _refuse_queries(self) -> None:
        error = Unavailable(CLOSING) if self._moved_to is None else TaskQueueOwnershipLost(self._moved_to)
        while self._queries:
            query = self._queries.popleft()
            if not query.answer.done():
                query.answer.set_exception(error)
