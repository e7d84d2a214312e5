"""Applications in the hands of many users at once, while somebody does harm to what they stand on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.apps.drivers import Driver
from tests.apps.recorder import Recorder
from tests.apps.stage import check
from tests.processes import Process


@dataclass
class InUse:
    """Each application has users who begin its next use when the one before has ended, until it is `over`."""

    applications: Sequence[tuple[Driver, Recorder, Process]]
    users_per_application: int
    finished: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, users: asyncio.TaskGroup) -> None:
        for driver, recorder, _ in self.applications:
            numbers = itertools.count()
            for _ in range(self.users_per_application):
                users.create_task(self._use(driver, recorder, numbers))

    async def _use(self, driver: Driver, recorder: Recorder, numbers: itertools.count[int]) -> None:
        while not self.over.is_set():
            await driver.run_one(recorder, next(numbers))
            self.finished += 1

    async def check(self) -> int:
        """Nothing acknowledged is missing, effects are exact, histories replay; returns how many these were."""
        replayed = [await check(driver, recorder) for driver, recorder, _ in self.applications]
        assert all(replayed), "an application did nothing"
        return sum(replayed)

    async def explain(self) -> AssertionError:
        """What is wrong when uses do not end in time; raises for what is wrong besides."""
        for driver, recorder, _ in self.applications:
            await recorder.verify(driver.result_type)
        stuck = [workflow_id for _, recorder, _ in self.applications for workflow_id in recorder.unfinished()]
        return AssertionError(f"nothing acknowledged was lost, but these do not end: {stuck}")

    def kill(self) -> None:
        """The workers."""
        for _, _, worker in self.applications:
            worker.kill()
