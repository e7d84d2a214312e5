"""The money transfer ends in each of its three ways, with the right effects and child workflows."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.apps.drivers import TransferDriver
from tests.apps.histories import family
from tests.apps.stage import staged
from tests.apps.transfer.workflows import Outcome
from tests.processes import Server

CHILDREN = {
    Outcome.COMPLETED: ["one/withdraw", "one/deposit"],
    Outcome.REFUNDED: ["one/withdraw", "one/deposit", "one/refund"],
    Outcome.DECLINED: ["one/withdraw"],
}


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_outcome(outcome: Outcome, server: Server, tmp_path: Path) -> None:
    async with staged(TransferDriver, server, tmp_path) as (driver, recorder):
        await driver.transfer(recorder, "one", outcome, "account-0", "account-1", random.Random(1))
        histories = await family(recorder.client, "one")
        assert [history.workflow_id for history in histories] == ["one", *CHILDREN[outcome]]


async def test_many_at_once(server: Server, tmp_path: Path) -> None:
    async with staged(TransferDriver, server, tmp_path) as (driver, recorder):
        await asyncio.gather(*(driver.run_one(recorder, number) for number in range(20)))
