"""A transfer is a withdrawal and a deposit, each a workflow of its own, and a refund when the deposit is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from tests.apps.transfer.activities import LedgerActivities, Movement

TASK_TIMEOUT = timedelta(seconds=2)
TRY_TIMEOUT = timedelta(seconds=2)
UNTIL_DONE = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(milliseconds=500))


class Outcome(StrEnum):
    COMPLETED = "completed"
    DECLINED = "declined"  # nothing was withdrawn
    REFUNDED = "refunded"  # withdrawn, and given back


@dataclass(frozen=True)
class Transfer:
    source: str
    target: str
    amount_cents: int
    clearing_seconds: float = 0  # how long the bank holds the money between withdrawal and deposit


@dataclass(frozen=True)
class Receipt:
    outcome: Outcome
    reason: str = ""


@workflow.defn
class TransferWorkflow:
    def __init__(self) -> None:
        self._phase = "withdrawing"

    @workflow.run
    async def run(self, transfer: Transfer) -> Receipt:
        try:
            await self._withdraw(transfer)
        except ChildWorkflowError as failure:
            return Receipt(Outcome.DECLINED, _reason(failure))
        self._phase = "clearing"
        if transfer.clearing_seconds:
            await workflow.sleep(transfer.clearing_seconds)
        self._phase = "depositing"
        try:
            await self._deposit("deposit", transfer.target, transfer.amount_cents)
        except ChildWorkflowError as failure:
            self._phase = "refunding"
            await self._deposit("refund", transfer.source, transfer.amount_cents)
            return Receipt(Outcome.REFUNDED, _reason(failure))
        return Receipt(Outcome.COMPLETED)

    @workflow.query
    def phase(self) -> str:
        return self._phase

    async def _withdraw(self, transfer: Transfer) -> None:
        transfer_id = workflow.info().workflow_id
        await workflow.execute_child_workflow(
            WithdrawWorkflow.run,
            Movement(transfer_id, transfer.source, transfer.amount_cents),
            id=f"{transfer_id}/withdraw",
            task_timeout=TASK_TIMEOUT,
        )

    async def _deposit(self, step: str, account: str, amount_cents: int) -> None:
        transfer_id = workflow.info().workflow_id
        await workflow.execute_child_workflow(
            DepositWorkflow.run,
            Movement(transfer_id, account, amount_cents),
            id=f"{transfer_id}/{step}",
            task_timeout=TASK_TIMEOUT,
        )


@workflow.defn
class WithdrawWorkflow:
    @workflow.run
    async def run(self, movement: Movement) -> None:
        await workflow.execute_activity_method(
            LedgerActivities.withdraw, movement, start_to_close_timeout=TRY_TIMEOUT, retry_policy=UNTIL_DONE
        )


@workflow.defn
class DepositWorkflow:
    @workflow.run
    async def run(self, movement: Movement) -> None:
        await workflow.execute_activity_method(
            LedgerActivities.deposit, movement, start_to_close_timeout=TRY_TIMEOUT, retry_policy=UNTIL_DONE
        )


def _reason(failure: ChildWorkflowError) -> str:
    """The type of the refusal that the child's activity met."""
    assert isinstance(failure.cause, ActivityError)
    assert isinstance(failure.cause.cause, ApplicationError)
    return failure.cause.cause.type or ""
