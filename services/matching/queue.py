"""One partition of one task queue: tasks meet pollers.

Whatever comes first waits. A task that meets a waiting poller is handed over and never written; one that nobody takes
within the sync match wait goes to the backlog. Nothing here awaits between looking for a partner and the hand-over,
so no wake-up can be lost.
"""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from services.errors import StickyWorkerUnavailable, Unavailable
from services.matching.backlog import Backlog
from services.matching.pollers import PollerHistory
from services.matching.rates import RateMeter, TokenBucket
from services.matching.settings import MatchingSettings
from services.matching.tasks import Poller, QueryTask, Task
from services.matching.writer import BacklogWriter
from services.persistence import QueueKey, QueueStore
from services.protos.matching_pb2 import QueuedTask
from services.runtime import Clock, TimerHandle

STORE_TOGETHER_S = 0.01  # tasks due within this time are stored by one write
CLOSING = "the task queue is closing, retry"


class QueuePartition:
    """Pollers and tasks of one partition. Every task that came in is delivered, stored, or given back to its adder."""

    def __init__(
        self,
        store: QueueStore,
        key: QueueKey,
        clock: Clock,
        settings: MatchingSettings,
        *,
        sticky: bool,
        on_lost: Callable[[], None],
    ) -> None:
        self.key, self.sticky = key, sticky
        self._clock, self._settings = clock, settings
        now = clock.monotonic()
        self.history = PollerHistory(settings.poller_history_s)
        self.adds, self.dispatches = RateMeter(now), RateMeter(now)
        self.limit = TokenBucket(settings.dispatch_per_s_max, now)
        self.scaling = TokenBucket(settings.scaling_decisions_per_s, now)
        self.backlog = Backlog(store, key, clock, settings, on_loaded=self._match, on_lost=on_lost)
        self._writer = BacklogWriter(self.backlog, clock, settings, on_stored=self._match, on_refused=self.retry)
        self._active_at = now
        self._polls = 0
        self._polled_at = -math.inf
        self._pollers: OrderedDict[Poller, None] = OrderedDict()
        self._queries: deque[QueryTask] = deque()
        self._waiting: deque[Task] = deque()  # in memory, by due time
        self._retrying: dict[Task, TimerHandle] = {}
        self._due_timer: TimerHandle | None = None
        self._token_timer: TimerHandle | None = None
        self._closing = False
        self._polls_ended = asyncio.Event()  # set by the last poll of a closing queue

    # Tasks come.
    async def add(self, queued: QueuedTask) -> bool:
        """True: a poller has it. False: it is stored. Raises Unavailable: the adder must try again."""
        now = self._active_at = self._clock.monotonic()
        self.adds.count(now)
        task = Task(queued)
        behind = self.backlog.count > 0 and self.backlog.age_s() > self._settings.backlog_negligible_age_s
        if not behind and self._hand_over(task, now):
            return True
        added: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        task.added = added
        if behind or self._closing:
            self._writer.store(task)
        else:
            task.due = now + self._settings.sync_match_wait_s_max
            self._waiting.append(task)
            self._await_due(now)
        self.backlog.read()
        return await added

    def add_query(self, query: QueryTask) -> None:
        """Puts a query in front of everything. Nobody stores it; its asker gives up by resolving the answer."""
        self._active_at = self._clock.monotonic()
        if self._closing:
            query.answer.set_exception(Unavailable(CLOSING))
            return
        self._queries.append(query)
        self._match()

    # Pollers come.
    async def poll(self, worker_instance_key: str, until: float) -> Task | QueryTask | None:
        """The next task, which the caller then answers for (done, retry, put_back); None when the wait is over."""
        now = self._clock.monotonic()
        task = self._take(now)
        if task is not None or self._closing or until <= now:
            return task
        self.backlog.read()
        handed: asyncio.Future[Task | QueryTask | None] = asyncio.get_running_loop().create_future()
        poller = Poller(handed, worker_instance_key)
        self._pollers[poller] = None
        timer = self._clock.call_later(until - now, poller.release)
        try:
            return await handed
        except asyncio.CancelledError:
            if handed.done() and not handed.cancelled():  # a task came at the very moment the poller went
                self.put_back(handed.result())
            raise
        finally:
            timer.cancel()
            self._pollers.pop(poller, None)

    def poll_begins(self) -> None:
        self._polls += 1
        self._polled_at = self._active_at = self._clock.monotonic()

    def poll_ends(self) -> None:
        self._polls -= 1
        if self._polled_at > -math.inf:  # the worker has not shut down meanwhile
            self._polled_at = self._clock.monotonic()
        if self._closing and not self._polls:
            self._polls_ended.set()

    def polled_within(self, seconds: float) -> bool:
        """Whether somebody polls now or did so lately."""
        return self._polls > 0 or self._clock.monotonic() - self._polled_at <= seconds

    def release_pollers(self, worker_instance_key: str | None = None) -> None:
        """Ends the waits of one worker's polls, or of all, politely."""
        for poller in list(self._pollers):
            if worker_instance_key is None or poller.worker_instance_key == worker_instance_key:
                poller.release()

    def forget_worker(self) -> None:
        """The worker of this sticky queue has shut down: adders that still wait must turn to the normal queue."""
        self.release_pollers()
        self._polled_at = -math.inf
        self._waiting = deque(task for task in self._waiting if not task.refuse(StickyWorkerUnavailable()))

    def limit_dispatch(self, per_second: float | None) -> None:
        """What the latest poller of activities asked for; None is the system's limit."""
        system = self._settings.dispatch_per_s_max
        rate = system if per_second is None else min(system, per_second)
        if rate != self.limit.rate:
            self.limit.set_rate(rate, self._clock.monotonic())
            if self._token_timer is not None:
                self._token_timer.cancel()  # it waits for a token of the old rate
                self._token_timer = None
            self._match()

    def is_limited(self) -> bool:
        """Whether tasks wait for the dispatch rate now."""
        return self.limit.wait_s(self._clock.monotonic()) > 0

    # A poller that took a task says what came of it.
    def done(self, task: Task) -> None:
        """It was started, or it is obsolete."""
        if task.task_id:
            self.backlog.done(task)

    def retry(self, task: Task) -> None:
        """History could not say; the task waits a little and is the next again."""
        task.attempts += 1
        pause_s = min(self._settings.retry_s_min * 2 ** min(task.attempts - 1, 16), self._settings.retry_s_max)
        self._retrying[task] = self._clock.call_later(pause_s, partial(self._end_pause, task))
        if self._closing:
            self._store_all()

    def put_back(self, task: Task | QueryTask | None) -> None:
        """Undoes a hand-over: the task is the next one again."""
        if isinstance(task, QueryTask):
            self._queries.appendleft(task)
            if self._closing:
                self._refuse_queries()
        elif task is not None and task.task_id:
            self.backlog.put_back(task)
        elif task is not None and self._closing:
            self._writer.store(task)
        elif task is not None:
            now = self._clock.monotonic()
            task.due = self._waiting[0].due if self._waiting else now + self._settings.sync_match_wait_s_max
            self._waiting.appendleft(task)
            self._await_due(now)
        self._match()

    def _end_pause(self, task: Task) -> None:
        del self._retrying[task]
        self.put_back(task)

    # They meet.
    def _match(self) -> None:
        now = self._clock.monotonic()
        while (poller := self._first_poller()) is not None:
            task = self._take(now)
            if task is None:
                return
            del self._pollers[poller]
            poller.handed.set_result(task)

    def _hand_over(self, task: Task, now: float) -> bool:
        poller = self._first_poller()
        if poller is None or self._limited(now):
            return False
        del self._pollers[poller]
        poller.handed.set_result(task)
        self._count_dispatch(now)
        return True

    def _first_poller(self) -> Poller | None:
        while self._pollers:
            poller = next(iter(self._pollers))
            if not poller.handed.done():
                return poller
            del self._pollers[poller]  # it is leaving and has not run yet
        return None

    def _take(self, now: float) -> Task | QueryTask | None:
        while self._queries:
            query = self._queries.popleft()
            if not query.answer.done():
                return query
        while (self._waiting or self.backlog.has_loaded()) and not self._limited(now):
            task = self.backlog.take() or self._waiting.popleft()
            if task.queued.expire_time_ns and task.queued.expire_time_ns <= self._clock.now_ns():
                task.answer(matched=False)  # its time-out has told history already
                self.done(task)
                continue
            if not task.task_id:
                task.answer(matched=True)
            self._count_dispatch(now)
            return task
        return None

    def _count_dispatch(self, now: float) -> None:
        self.limit.take()
        self.dispatches.count(now)

    def _limited(self, now: float) -> bool:
        wait_s = self.limit.wait_s(now)
        if wait_s > 0 and self._token_timer is None and wait_s < math.inf:
            self._token_timer = self._clock.call_later(wait_s, self._token_came)
        return wait_s > 0

    def _token_came(self) -> None:
        self._token_timer = None
        self._match()

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

    def _store_all(self) -> None:
        for timer in self._retrying.values():
            timer.cancel()
        for task in (*self._retrying, *self._waiting):
            if not task.task_id:
                self._writer.store(task)
        self._retrying.clear()
        self._waiting.clear()

    # The end.
    def is_idle(self) -> bool:
        """Nobody polls, nothing waits, and nothing happened for long."""
        busy = self._polls or self._waiting or self._retrying or self._queries or self._writer.is_busy()
        return not busy and self._clock.monotonic() - self._active_at >= self._settings.idle_s_max

    def stop(self) -> None:
        """Ends the polls politely and stores what waits in memory; tasks that still come are stored at once."""
        self._closing = self._writer.closing = True
        for timer in (self._due_timer, self._token_timer):
            if timer is not None:
                timer.cancel()
        self.release_pollers()
        self._refuse_queries()
        self._store_all()

    async def close(self) -> None:
        """Stops; afterwards all that came in is with a poller, in the store, or back with its adder."""
        self.stop()
        if self._polls:
            await self._polls_ended.wait()  # they may still give back what they took
        await self._writer.wait_until_stored()
        await self.backlog.close()

    def _refuse_queries(self) -> None:
        while self._queries:
            query = self._queries.popleft()
            if not query.answer.done():
                query.answer.set_exception(Unavailable(CLOSING))
