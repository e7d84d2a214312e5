"""python -m tests.apps.expense.worker --address A --task-queue Q --payments FILE --seed N"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.apps.expense.activities import PaymentActivities, check_policy, remind
from tests.apps.expense.payments import PaymentService
from tests.apps.expense.workflows import ExpenseReportWorkflow
from tests.apps.serving import command_line, connect, poll

WORKFLOWS = [ExpenseReportWorkflow]


async def main() -> None:
    parser = command_line("Works on expense reports.")
    parser.add_argument("--payments", required=True, type=Path, help="SQLite file of the payment service")
    parser.add_argument("--seed", required=True, type=int, help="decides when the payment service fails")
    options = parser.parse_args()
    payments = PaymentActivities(PaymentService(options.payments, options.seed))
    activities: list[Callable[..., object]] = [check_policy, remind, payments.pay]
    await poll(await connect(options.address), options.task_queue, WORKFLOWS, activities)


if __name__ == "__main__":
    asyncio.run(main())
