"""Tasks on their way into the backlog: whatever is there at one time is stored by one write."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from services.errors import Unavailable
from services.matching.backlog import COULD_NOT_STORE, Backlog
from services.matching.settings import LiveSettings
from services.matching.tasks import Task
from services.rpc.clients import AddTaskOutcome

logger = logging.getLogger(__name__)


class BacklogWriter:
    """Stores tasks in the order they come. A task that cannot be stored goes back to its adder."""

    def __init__(self, backlog: Backlog, settings: LiveSettings, *, on_stored: Callable[[], None]) -> None:
        self._backlog, self._settings, self._on_stored = backlog, settings, on_stored
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
                size = min(len(self._tasks), self._settings.now.backlog_append_max)
                batch = [self._tasks.popleft() for _ in range(size)]
                try:
                    await self._backlog.append(batch)
                except Exception as error:
                    logger.warning("tasks could not be stored", exc_info=True)
                    for task in batch:
                        task.refuse(error if isinstance(error, Unavailable) else Unavailable(COULD_NOT_STORE))
                else:
                    for task in batch:
                        task.answer(AddTaskOutcome.STORED)
                    self._on_stored()
        finally:
            self._writing = None
