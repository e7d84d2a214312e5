"""Tasks on their way into the backlog: whatever is there at one time is stored by one write."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from services.errors import Unavailable
from services.matching.backlog import COULD_NOT_STORE, Backlog
from services.matching.settings import MatchingSettings
from services.matching.tasks import Task
from services.runtime import Clock

logger = logging.getLogger(__name__)


class BacklogWriter:
    """Stores tasks in the order they come. A task that cannot be stored goes back to its adder, or else to the queue.

    Once `closing`, a task without an adder is tried again until it is stored: there is no queue to go back to.
    """

    def __init__(
        self,
        backlog: Backlog,
        clock: Clock,
        settings: MatchingSettings,
        *,
        on_stored: Callable[[], None],
        on_refused: Callable[[Task], None],
    ) -> None:
        self._backlog, self._clock, self._settings = backlog, clock, settings
        self._on_stored, self._on_refused = on_stored, on_refused
        self.closing = False
        self._tasks: deque[Task] = deque()
        self._writing: asyncio.Task[None] | None = None

    def store(self, task: Task) -> None:
        self._tasks.append(task)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    def is_busy(self) -> bool:
        return self._writing is not None

    async def wait_until_stored(self) -> None:
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        try:
            while self._tasks:
                size = min(len(self._tasks), self._settings.backlog_append_max)
                batch = [self._tasks.popleft() for _ in range(size)]
                try:
                    await self._backlog.append(batch)
                except Exception as error:
                    logger.warning("tasks could not be stored", exc_info=True)
                    await self._give_back(batch, error)
                else:
                    for task in batch:
                        task.answer(matched=False)
                    self._on_stored()
        finally:
            self._writing = None

    async def _give_back(self, batch: Sequence[Task], error: Exception) -> None:
        refusal = error if isinstance(error, Unavailable) else Unavailable(COULD_NOT_STORE)
        kept = [task for task in batch if not task.refuse(refusal)]
        if not self.closing:
            for task in kept:
                self._on_refused(task)
        elif kept:
            self._tasks.extendleft(reversed(kept))
            await self._clock.sleep(self._settings.retry_s_max)
