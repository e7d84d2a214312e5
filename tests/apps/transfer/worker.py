"""python -m tests.apps.transfer.worker --address A --task-queue Q --ledger FILE"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.apps.serving import command_line, connect, poll
from tests.apps.transfer.activities import LedgerActivities
from tests.apps.transfer.ledger import Ledger
from tests.apps.transfer.workflows import DepositWorkflow, TransferWorkflow, WithdrawWorkflow

WORKFLOWS = [TransferWorkflow, WithdrawWorkflow, DepositWorkflow]


async def main() -> None:
    parser = command_line("Works on money transfers.")
    parser.add_argument("--ledger", required=True, type=Path, help="SQLite file of the accounts")
    options = parser.parse_args()
    bank = LedgerActivities(Ledger(options.ledger))
    await poll(await connect(options.address), options.task_queue, WORKFLOWS, [bank.withdraw, bank.deposit])


if __name__ == "__main__":
    asyncio.run(main())
