"""The people who use the applications: a driver makes up one use after another from a seed, and knows what is right."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from temporalio.converter import DataConverter

import tests.apps.expense.worker
import tests.apps.hello_encrypted.worker
import tests.apps.transfer.worker
from tests.apps.expense.activities import FORBIDDEN_CATEGORIES, UNASKED_CENTS_MAX, Item
from tests.apps.expense.payments import PaymentService
from tests.apps.expense.workflows import Decision, ExpenseReportWorkflow, Progress, Report
from tests.apps.hello_encrypted.codec import ENCRYPTING
from tests.apps.hello_encrypted.workflows import HelloWorkflow
from tests.apps.recorder import Handle, Recorder
from tests.apps.transfer.ledger import Ledger
from tests.apps.transfer.workflows import Outcome, Receipt, Transfer, TransferWorkflow


class Driver(ABC):
    """One application in use: `run_one` asserts its result, `check_world` the sum of all effects."""

    module: ClassVar[str]
    workflows: ClassVar[Sequence[type]]
    result_type: ClassVar[type]
    converter: ClassVar[DataConverter] = DataConverter.default

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.seed = seed

    @property
    def name(self) -> str:
        return self.module.split(".")[-2]

    def worker_arguments(self) -> list[str]:
        return []

    @abstractmethod
    async def run_one(self, recorder: Recorder, number: int) -> None: ...

    @abstractmethod
    def check_world(self) -> None:
        """Assert that the effects outside of the histories are exactly those that were asked for."""

    def _chance(self, number: int) -> random.Random:
        return random.Random(f"{self.seed}/{self.name}/{number}")


class TransferDriver(Driver):
    module = "tests.apps.transfer.worker"
    workflows: ClassVar[Sequence[type]] = tests.apps.transfer.worker.WORKFLOWS
    result_type = Receipt

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__(directory, seed)
        self._opening = {f"account-{number}": 1_000_000 for number in range(8)} | {"poor": 0, "closed": 500}
        self._expected: list[tuple[str, str, int]] = []
        self.ledger = Ledger(directory / "ledger.db")
        self.ledger.create(self._opening, closed={"closed"})

    def worker_arguments(self) -> list[str]:
        return ["--ledger", str(self.directory / "ledger.db")]

    async def run_one(self, recorder: Recorder, number: int) -> None:
        chance = self._chance(number)
        outcome = chance.choices([Outcome.COMPLETED, Outcome.REFUNDED, Outcome.DECLINED], [6, 3, 1])[0]
        source, target = chance.sample([f"account-{number}" for number in range(8)], 2)
        await self.transfer(recorder, f"transfer-{number}", outcome, source, target, chance)

    async def transfer(
        self, recorder: Recorder, workflow_id: str, outcome: Outcome, source: str, target: str, chance: random.Random
    ) -> None:
        """Run a transfer that must end as given, and expect the movements that belong to that end."""
        cents = chance.randint(1, 500)
        source = "poor" if outcome is Outcome.DECLINED else source
        target = "closed" if outcome is Outcome.REFUNDED else target
        transfer = Transfer(source, target, cents, clearing_seconds=chance.choice([0, 0, 0.2]))
        handle = await recorder.start(TransferWorkflow.run, transfer, workflow_id)
        reasons = {
            Outcome.COMPLETED: ("", [(source, -cents), (target, cents)]),
            Outcome.REFUNDED: ("AccountClosed", [(source, -cents), (source, cents)]),
            Outcome.DECLINED: ("InsufficientFunds", []),
        }
        reason, movements = reasons[outcome]
        self._expected += [(workflow_id, account, amount) for account, amount in movements]
        assert await recorder.result(handle) == Receipt(outcome, reason), workflow_id

    def check_world(self) -> None:
        assert sorted(self.ledger.entries()) == sorted(self._expected), "effects lost or doubled"
        balances = dict(self._opening)
        for _, account, amount in self._expected:
            balances[account] += amount
        assert self.ledger.balances_cents() == balances


class ExpenseDriver(Driver):
    module = "tests.apps.expense.worker"
    workflows: ClassVar[Sequence[type]] = tests.apps.expense.worker.WORKFLOWS
    result_type = Progress

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__(directory, seed)
        self._expected_cents: dict[str, int] = {}
        self.service = PaymentService(directory / "payments.db", seed)
        self.service.create()

    def worker_arguments(self) -> list[str]:
        return ["--payments", str(self.directory / "payments.db"), "--seed", str(self.seed)]

    async def run_one(self, recorder: Recorder, number: int) -> None:
        chance = self._chance(number)
        categories = ["travel", "meal", "gift", "book"]
        items = [
            Item(f"item-{at}", chance.choice(categories), chance.choice([900, 4_000, 9_000, 40_000]))
            for at in range(chance.randint(1, 6))
        ]
        decisions = [Decision(item.id, chance.random() < 0.7) for item in items if _needs_approval(item)]
        await self.report(recorder, f"expense-{number}", items, decisions, chance)

    async def report(
        self,
        recorder: Recorder,
        workflow_id: str,
        items: list[Item],
        decisions: list[Decision],
        chance: random.Random,
    ) -> None:
        """File a report, decide on its items in any order, and expect the right ones to be paid."""
        report = Report(employee="Ada", manager="Grace", director="Barbara", items=items, remind_after_seconds=0.3)
        handle = await recorder.start(ExpenseReportWorkflow.run, report, workflow_id)
        approved = {decision.item_id for decision in decisions if decision.approved}
        paid = [item for item in items if _is_free_to_pay(item) or item.id in approved]
        self.expect(workflow_id, paid)
        await self._decide(recorder, handle, chance.sample(decisions, len(decisions)), chance)

        result = await recorder.result(handle)
        assert isinstance(result, Progress)
        assert result.paid == [item.id for item in paid], workflow_id
        assert result.refused == [item.id for item in items if item not in paid], workflow_id
        assert result.paid_cents == sum(item.amount_cents for item in paid), workflow_id

    def expect(self, workflow_id: str, paid: list[Item]) -> None:
        """These items of a report, and of no other report that was not announced, will have been paid."""
        self._expected_cents |= {f"{workflow_id}/{item.id}": item.amount_cents for item in paid}

    async def _decide(
        self, recorder: Recorder, handle: Handle, decisions: list[Decision], chance: random.Random
    ) -> None:
        for decision in decisions:
            await asyncio.sleep(chance.uniform(0, 0.4))  # people think
            if chance.random() < 0.5:
                await recorder.signal(handle, ExpenseReportWorkflow.decide, decision)
            else:
                update_id = f"review-{decision.item_id}"
                stands = await recorder.update(handle, ExpenseReportWorkflow.review, decision, update_id)
                assert stands == decision, f"{handle.id}: {update_id}"

    def check_world(self) -> None:
        assert self.service.paid_cents() == self._expected_cents


def _needs_approval(item: Item) -> bool:
    return item.category not in FORBIDDEN_CATEGORIES and item.amount_cents > UNASKED_CENTS_MAX


def _is_free_to_pay(item: Item) -> bool:
    return item.category not in FORBIDDEN_CATEGORIES and item.amount_cents <= UNASKED_CENTS_MAX


class HelloDriver(Driver):
    module = "tests.apps.hello_encrypted.worker"
    workflows: ClassVar[Sequence[type]] = tests.apps.hello_encrypted.worker.WORKFLOWS
    result_type = str
    converter = ENCRYPTING

    async def run_one(self, recorder: Recorder, number: int) -> None:
        handle = await recorder.start(HelloWorkflow.run, f"Guest {number}", f"hello-{number}")
        await recorder.signal(handle, HelloWorkflow.call_me, "Dr.")
        assert await recorder.result(handle) == f"Hello, Dr. Guest {number}!"

    def check_world(self) -> None:
        """A greeting leaves no trace."""


ALL: list[type[Driver]] = [TransferDriver, ExpenseDriver, HelloDriver]
