"""What a partition sends to its parent, so that tasks and pollers of different partitions find each other.

A task goes up while nobody polls here; a poll goes up while no task is here. Both meet on their way to the root, which
every partition's way leads to. A forwarded task stays its partition's: nobody else stores it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from services.errors import Unavailable, Unreachable
from services.matching.rates import TokenBucket
from services.matching.settings import LiveSettings
from services.matching.tasks import Task
from services.rpc.clients import AddTaskOutcome
from services.runtime import Clock, TimerHandle

logger = logging.getLogger(__name__)

SendUp = Callable[[Task], Awaitable[AddTaskOutcome]]


class Forwarder:
    """Few tasks and few polls at a time, and not too many in vain: only those count against the rate.

    Calls `on_free` when more may go after it could not, and `on_back` with each task and what came of it.
    """

    def __init__(
        self,
        send_up: SendUp,
        clock: Clock,
        settings: LiveSettings,
        *,
        on_free: Callable[[], None],
        on_back: Callable[[Task, AddTaskOutcome], None],
    ) -> None:
        self._send_up, self._clock, self._settings = send_up, clock, settings
        self._on_free, self._on_back = on_free, on_back
        self._bucket = TokenBucket(settings.now.forwarder_per_s_max, clock.monotonic())
        self._paused_until = 0.0
        self._failures = 0
        self._timer: TimerHandle | None = None
        self._sending: dict[asyncio.Task[AddTaskOutcome], Task] = {}
        self.polls = 0  # at the parent

    def tasks(self) -> list[Task]:
        """Those at the parent."""
        return list(self._sending.values())

    def may_send_task(self, now: float) -> bool:
        return len(self._sending) < self._settings.now.forwarder_tasks_max and self._may_send(now)

    def may_send_poll(self, now: float) -> bool:
        return self.polls < self._settings.now.forwarder_polls_max and self._may_send(now)

    def _may_send(self, now: float) -> bool:
        rate = self._settings.now.forwarder_per_s_max
        if rate != self._bucket.rate:
            self._bucket.set_rate(rate, now)
        wait_s = max(self._bucket.wait_s(now), self._paused_until - now)
        if wait_s <= 0:
            return True
        if self._timer is None and wait_s < float("inf"):
            self._timer = self._clock.call_later(wait_s, self._wait_is_over)
        return False

    def _wait_is_over(self) -> None:
        self._timer = None
        self._on_free()

    # Tasks.
    def send_task(self, task: Task) -> None:
        """Once `may_send_task` has said so. `on_back` follows, whatever happens."""
        self._bucket.take()
        sending = asyncio.create_task(self._send_task(task))
        self._sending[sending] = task
        sending.add_done_callback(self._task_is_back)

    async def _send_task(self, task: Task) -> AddTaskOutcome:
        try:
            outcome = await self._send_up(task)
        except Exception as error:
            if not _did_nothing(error):
                task.request_id = ""  # it may be started there, and history says so when it is tried under another
            self._failed(error)
            return AddTaskOutcome.UNMATCHED
        self._worked(in_vain=outcome is not AddTaskOutcome.MATCHED)
        return outcome

    def _task_is_back(self, sending: "asyncio.Task[AddTaskOutcome]") -> None:
        task = self._sending.pop(sending)
        if sending.cancelled():
            task.request_id = ""  # as above
            self._on_back(task, AddTaskOutcome.UNMATCHED)
        else:
            self._on_back(task, sending.result())

    # Polls.
    def poll_goes(self) -> None:
        """Once `may_send_poll` has said so. `poll_is_back` must follow."""
        self.polls += 1
        self._bucket.take()

    def poll_is_back(self, *, in_vain: bool = True, error: Exception | None = None) -> None:
        self.polls -= 1
        if error is not None:
            self._failed(error)
        else:
            self._worked(in_vain=in_vain)
        self._on_free()

    def _worked(self, *, in_vain: bool) -> None:
        self._failures = 0
        if not in_vain:
            self._bucket.give_back()

    def _failed(self, error: Exception) -> None:
        logger.info("could not forward to the parent partition: %s", error)
        settings = self._settings.now
        pause_s = min(settings.retry_s_min * 2 ** min(self._failures, 16), settings.forwarder_retry_s_max)
        self._failures += 1
        self._paused_until = self._clock.monotonic() + pause_s

    def stop(self) -> None:
        """Calls the tasks back."""
        if self._timer is not None:
            self._timer.cancel()
        for sending in self._sending:
            sending.cancel()

    async def wait_until_back(self) -> None:
        """For the tasks, after a stop."""
        while self._sending:
            await asyncio.wait(list(self._sending))


def _did_nothing(error: Exception) -> bool:
    """Whether the parent certainly has not started, and will not start, the task that it was sent."""
    return not error.sent if isinstance(error, Unreachable) else isinstance(error, Unavailable)
