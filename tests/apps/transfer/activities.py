"""The two things that touch the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity
from temporalio.exceptions import ApplicationError

from tests.apps.transfer.ledger import AccountClosedError, InsufficientFundsError, Ledger


@dataclass(frozen=True)
class Movement:
    """Money that enters or leaves one account, on behalf of a transfer."""

    transfer_id: str
    account: str
    amount_cents: int


class LedgerActivities:
    """Both are idempotent: the key of an effect is the run and the activity that asked for it.

    So an activity that is tried again books once, while a workflow that a server ran twice would book twice.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @activity.defn
    def withdraw(self, movement: Movement) -> None:
        self._book(movement, -movement.amount_cents)

    @activity.defn
    def deposit(self, movement: Movement) -> None:
        self._book(movement, movement.amount_cents)

    def _book(self, movement: Movement, amount_cents: int) -> None:
        info = activity.info()
        key = f"{info.workflow_run_id}/{info.activity_id}"
        try:
            self._ledger.book(key, movement.transfer_id, movement.account, amount_cents)
        except InsufficientFundsError as refusal:
            raise ApplicationError(str(refusal), type="InsufficientFunds", non_retryable=True) from refusal
        except AccountClosedError as refusal:
            raise ApplicationError(str(refusal), type="AccountClosed", non_retryable=True) from refusal
