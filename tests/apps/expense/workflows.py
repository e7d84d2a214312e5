"""An expense report: its items are settled one after the other; some wait for a human, and are brought to mind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from tests.apps.expense.activities import (
        Item,
        Payment,
        PaymentActivities,
        Policy,
        Reminder,
        check_policy,
        remind,
    )

ITEMS_PER_RUN = 3  # then the report continues as new, so that a history stays short however long the report
REMINDERS_BEFORE_ESCALATION = 2
TRY_TIMEOUT = timedelta(seconds=2)
UNTIL_DONE = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_interval=timedelta(milliseconds=400))


@dataclass(frozen=True)
class Decision:
    """A human's word on one item; the first word on an item stands."""

    item_id: str
    approved: bool


@dataclass
class Progress:
    """What a run hands to the next when the report continues as new."""

    paid: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    paid_cents: int = 0
    decisions: dict[str, Decision] = field(default_factory=dict)
    reminders: int = 0

    @property
    def settled_count(self) -> int:
        return len(self.paid) + len(self.refused)


@dataclass(frozen=True)
class Report:
    employee: str
    manager: str
    director: str
    items: list[Item]
    remind_after_seconds: float = 0.5
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Status:
    settled_count: int
    waits_for: str | None  # the person whose decision the report waits for
    item_id: str | None  # and the item it is about


@workflow.defn
class ExpenseReportWorkflow:
    @workflow.init
    def __init__(self, report: Report) -> None:
        self._report = report
        self._progress = report.progress
        self._status = Status(self._progress.settled_count, None, None)

    @workflow.run
    async def run(self, report: Report) -> Progress:
        first = self._progress.settled_count
        for item in report.items[first : first + ITEMS_PER_RUN]:
            await self._settle(item)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._progress.settled_count < len(report.items):
            workflow.continue_as_new(replace(report, progress=self._progress))
        return self._progress

    @workflow.query
    def status(self) -> Status:
        return self._status

    @workflow.signal
    def decide(self, decision: Decision) -> None:
        """Nobody answers a signal, so a decision on an unknown item is dropped."""
        if self._knows(decision.item_id):
            self._progress.decisions.setdefault(decision.item_id, decision)

    @workflow.update
    def review(self, decision: Decision) -> Decision:
        """Returns the decision that stands."""
        return self._progress.decisions.setdefault(decision.item_id, decision)

    @review.validator
    def refuse_unknown_item(self, decision: Decision) -> None:
        if not self._knows(decision.item_id):
            raise ValueError(f"no item {decision.item_id} in this report")

    def _knows(self, item_id: str) -> bool:
        return any(item.id == item_id for item in self._report.items)

    async def _settle(self, item: Item) -> None:
        policy = await workflow.execute_local_activity(check_policy, item, start_to_close_timeout=TRY_TIMEOUT)
        approved = policy is Policy.PAY or (policy is Policy.ASK and await self._is_approved(item))
        if approved:
            await workflow.execute_activity_method(
                PaymentActivities.pay,
                Payment(f"{workflow.info().workflow_id}/{item.id}", item.amount_cents),
                start_to_close_timeout=TRY_TIMEOUT,
                retry_policy=UNTIL_DONE,
            )
            self._progress.paid.append(item.id)
            self._progress.paid_cents += item.amount_cents
        else:
            self._progress.refused.append(item.id)
        self._status = Status(self._progress.settled_count, None, None)

    async def _is_approved(self, item: Item) -> bool:
        """Wait for the manager; after some reminders, the director is asked too."""
        decisions = self._progress.decisions
        reminders = 0
        while item.id not in decisions:
            asked = self._report.manager if reminders < REMINDERS_BEFORE_ESCALATION else self._report.director
            self._status = Status(self._progress.settled_count, asked, item.id)
            try:
                await workflow.wait_condition(
                    lambda: item.id in decisions, timeout=self._report.remind_after_seconds, timeout_summary="reminder"
                )
            except TimeoutError:
                reminders += 1
                self._progress.reminders += 1
                await workflow.execute_activity(
                    remind,
                    Reminder(asked, workflow.info().workflow_id, item.id),
                    start_to_close_timeout=TRY_TIMEOUT,
                    retry_policy=UNTIL_DONE,
                )
        return decisions[item.id].approved
