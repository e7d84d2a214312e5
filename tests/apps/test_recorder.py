"""The checker is checked: whatever was acknowledged and is not in the histories makes `verify` fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps.drivers import ExpenseDriver
from tests.apps.expense.activities import Item
from tests.apps.expense.workflows import Decision, ExpenseReportWorkflow, Progress, Report
from tests.apps.recorder import Acknowledged
from tests.apps.stage import staged
from tests.processes import Server

DEAR = Item("dear", "travel", 40_000)
YES = Decision("dear", approved=True)


def _claim_run(noted: Acknowledged) -> None:
    noted.first_run_id = "another run"


def _claim_result(noted: Acknowledged) -> None:
    noted.result = Progress(paid_cents=1)


def _claim_signal(noted: Acknowledged) -> None:
    noted.signals.append(("decide", Decision("other", approved=True)))


def _claim_update(noted: Acknowledged) -> None:
    noted.updates["other"] = YES


def _claim_update_result(noted: Acknowledged) -> None:
    noted.updates["first"] = Decision("dear", approved=False)


CLAIMS: list[tuple[Callable[[Acknowledged], None], str]] = [
    (_claim_run, "not the run that was acknowledged"),
    (_claim_result, "acknowledged Progress"),
    (_claim_signal, "signal decide"),
    (_claim_update, "is not accepted"),
    (_claim_update_result, "update first was"),
]


async def test_verify_misses_nothing(server: Server, tmp_path: Path) -> None:
    async with staged(ExpenseDriver, server, tmp_path) as (driver, recorder):
        driver.expect("claims", [DEAR])
        report = Report("Ada", manager="Grace", director="Barbara", items=[DEAR], remind_after_seconds=60)
        handle = await recorder.start(ExpenseReportWorkflow.run, report, "claims")
        await recorder.update(handle, ExpenseReportWorkflow.review, YES, "first")
        await recorder.result(handle)
        truth = recorder.acknowledged["claims"]
        for claim, complaint in CLAIMS:
            recorder.acknowledged["claims"] = Acknowledged(
                truth.first_run_id, truth.result, list(truth.signals), dict(truth.updates)
            )
            claim(recorder.acknowledged["claims"])
            with pytest.raises(AssertionError, match=complaint):
                await recorder.verify(Progress)
        recorder.acknowledged["claims"] = truth
