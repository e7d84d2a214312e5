"""What an expense report needs from the world: the policy, a way to reach people, and money."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from temporalio import activity

from tests.apps.expense.payments import PaymentService


@dataclass(frozen=True)
class Item:
    id: str
    category: str
    amount_cents: int


@dataclass(frozen=True)
class Payment:
    """The id names the payment to the third party, which makes it once."""

    id: str
    amount_cents: int


@dataclass(frozen=True)
class Reminder:
    recipient: str
    report_id: str
    item_id: str


class Policy(StrEnum):
    PAY = "pay"
    ASK = "ask"
    FORBID = "forbid"


UNASKED_CENTS_MAX = 5_000
FORBIDDEN_CATEGORIES = frozenset({"gift", "fine"})


@activity.defn
def check_policy(item: Item) -> Policy:
    if item.category in FORBIDDEN_CATEGORIES:
        return Policy.FORBID
    return Policy.PAY if item.amount_cents <= UNASKED_CENTS_MAX else Policy.ASK


@activity.defn
def remind(reminder: Reminder) -> None:
    activity.logger.info("%s: item %s waits for %s", reminder.report_id, reminder.item_id, reminder.recipient)


class PaymentActivities:
    def __init__(self, service: PaymentService) -> None:
        self._service = service

    @activity.defn
    def pay(self, payment: Payment) -> None:
        """Fails as the service fails; safe to try again."""
        self._service.pay(payment.id, payment.amount_cents)
