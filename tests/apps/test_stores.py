"""The applications on every store that is a server of its own, all services in one process on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from tests.apps.drivers import Driver, ExpenseDriver, HelloDriver, TransferDriver
from tests.apps.stage import staged
from tests.parts.cluster import StoreName
from tests.parts.one_process import OneProcess

USES = 12  # of each application


@pytest.mark.parametrize("store", get_args(StoreName))
async def test_the_applications_survive_a_kill_of_server_and_store(store: StoreName, tmp_path: Path) -> None:
    deployed = await asyncio.to_thread(OneProcess(tmp_path / "server", store).__enter__)
    try:
        async with asyncio.TaskGroup() as group:
            halfway = [asyncio.Event() for _ in range(3)]
            drivers: tuple[type[Driver], ...] = (TransferDriver, ExpenseDriver, HelloDriver)
            for kind, reached in zip(drivers, halfway, strict=True):
                group.create_task(_use(kind, deployed, tmp_path, reached))
            for reached in halfway:
                await reached.wait()
            await asyncio.to_thread(deployed.kill)
            await asyncio.to_thread(deployed.start)
    finally:
        await asyncio.to_thread(deployed.kill)


async def _use(kind: type[Driver], deployed: OneProcess, directory: Path, halfway: asyncio.Event) -> None:
    """Uses the application concurrently; `halfway` is set when half of the uses are over."""
    over = 0

    async def use(number: int) -> None:
        nonlocal over
        await driver.run_one(recorder, number)
        over += 1
        if over == USES // 2:
            halfway.set()

    async with staged(kind, deployed, directory) as (driver, recorder):
        await asyncio.gather(*(use(number) for number in range(USES)))
