"""Puts an application on a server: its worker as a process, and a recorder connected as its users are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tests.apps.drivers import Driver
from tests.apps.histories import replay
from tests.apps.recorder import Recorder
from tests.apps.serving import connect
from tests.processes import Worker

SEED = 7
SECONDS_MAX = 60.0  # for the whole use of an application; what hangs fails here
D = TypeVar("D", bound=Driver)


class Serving(Protocol):
    """A deployment under test."""

    @property
    def address(self) -> str: ...


def worker_of(driver: Driver, server: Serving, directory: Path) -> Worker:
    arguments = ["--address", server.address, "--task-queue", driver.name, *driver.worker_arguments()]
    return Worker(driver.module, arguments, directory / f"{driver.name}.log")


async def recorder_of(driver: Driver, server: Serving) -> Recorder:
    return Recorder(await connect(server.address, driver.converter), driver.name)


@asynccontextmanager
async def staged(kind: type[D], server: Serving, directory: Path) -> AsyncIterator[tuple[D, Recorder]]:
    """A running application; on the way out its effects and histories are checked, and replayed."""
    driver = kind(directory, SEED)
    worker = worker_of(driver, server, directory)
    await asyncio.to_thread(worker.start)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            recorder = await recorder_of(driver, server)
            yield driver, recorder
            await check(driver, recorder)
        worker.check_alive()
    finally:
        await asyncio.to_thread(worker.kill)


async def check(driver: Driver, recorder: Recorder) -> int:
    """Effects are right, nothing acknowledged is missing, histories replay; returns how many these were."""
    driver.check_world()
    histories = await recorder.verify(driver.result_type)
    return await replay(histories, driver.workflows, driver.converter)
