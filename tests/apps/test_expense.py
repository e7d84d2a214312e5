"""The expense report asks, reminds, escalates, pays through a failing third party and continues as new."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from temporalio.client import WorkflowUpdateFailedError

from tests.apps.drivers import ExpenseDriver
from tests.apps.expense.activities import Item
from tests.apps.expense.workflows import ITEMS_PER_RUN, Decision, ExpenseReportWorkflow, Progress, Report, Status
from tests.apps.histories import event_name, family, names
from tests.apps.recorder import Handle
from tests.apps.stage import staged
from tests.processes import Server

DEAR = Item("dear", "travel", 40_000)


async def test_long_report_continues_as_new(server: Server, tmp_path: Path) -> None:
    items = [Item(f"item-{number}", "meal", 1_000) for number in range(2 * ITEMS_PER_RUN + 1)]
    async with staged(ExpenseDriver, server, tmp_path) as (driver, recorder):
        await driver.report(recorder, "long", items, [], random.Random(1))
        runs = await family(recorder.client, "long")
        ends = [names(run)[-1] for run in runs]
        assert ends == 2 * ["WorkflowExecutionContinuedAsNew"] + ["WorkflowExecutionCompleted"]
        assert driver.service.calls() > len(items), "the payment service never failed: nothing was tried again"


async def test_nobody_answers_until_the_director_is_asked(server: Server, tmp_path: Path) -> None:
    report = Report("Ada", manager="Grace", director="Barbara", items=[DEAR], remind_after_seconds=0.1)
    async with staged(ExpenseDriver, server, tmp_path) as (driver, recorder):
        handle = await recorder.start(ExpenseReportWorkflow.run, report, "patient")
        await _wait_for(handle, "ActivityTaskCompleted", count=2)  # two reminders
        await _wait_for(handle, "TimerStarted", count=3)
        status = await recorder.query(handle, ExpenseReportWorkflow.status)
        assert status == Status(settled_count=0, waits_for="Barbara", item_id="dear")
        await recorder.signal(handle, ExpenseReportWorkflow.decide, Decision("dear", approved=False))
        result = await recorder.result(handle)
        assert isinstance(result, Progress)
        assert result.refused == ["dear"]
        assert result.reminders >= 2
        assert driver.service.calls() == 0


async def test_update_is_refused_by_its_validator_and_leaves_no_trace(server: Server, tmp_path: Path) -> None:
    report = Report("Ada", manager="Grace", director="Barbara", items=[DEAR], remind_after_seconds=60)
    async with staged(ExpenseDriver, server, tmp_path) as (driver, recorder):
        driver.expect("strict", [DEAR])
        handle = await recorder.start(ExpenseReportWorkflow.run, report, "strict")
        with pytest.raises(WorkflowUpdateFailedError, match="failed"):
            await handle.execute_update(ExpenseReportWorkflow.review, Decision("unknown", approved=True))
        stands = await recorder.update(handle, ExpenseReportWorkflow.review, Decision("dear", approved=True), "first")
        assert stands == Decision("dear", approved=True)
        await recorder.result(handle)
        [run] = await family(recorder.client, "strict")
        assert names(run).count("WorkflowExecutionUpdateAccepted") == 1
        assert "WorkflowExecutionUpdateRejected" not in names(run)


async def test_many_at_once(server: Server, tmp_path: Path) -> None:
    async with staged(ExpenseDriver, server, tmp_path) as (driver, recorder):
        await asyncio.gather(*(driver.run_one(recorder, number) for number in range(12)))


async def _wait_for(handle: Handle, name: str, count: int) -> None:
    """Follow the history until it has so many events of that name."""
    async for event in handle.fetch_history_events(wait_new_event=True):
        count -= event_name(event.event_type) == name
        if count == 0:
            return
    raise AssertionError(f"{handle.id} closed without {name}")
