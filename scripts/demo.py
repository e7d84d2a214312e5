"""Move money between two accounts, kill the server in the middle, and show that nothing was lost: `make demo`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from temporalio.client import Client, WorkflowHandle

from tests.apps.histories import event_name, family
from tests.apps.recorder import TASK_TIMEOUT
from tests.apps.serving import connect
from tests.apps.transfer.ledger import Ledger
from tests.apps.transfer.workflows import Receipt, Transfer, TransferWorkflow
from tests.processes import Server, Worker

BEGAN = time.monotonic()
SECONDS_MAX = 60.0
WORKFLOW_ID = "transfer"


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ledger = Ledger(directory / "ledger.db")
        ledger.create({"Ada": 100_00, "Grace": 0}, closed=set())
        server = Server(directory)
        worker = Worker(
            "tests.apps.transfer.worker",
            ["--address", server.address, "--task-queue", "bank", "--ledger", str(directory / "ledger.db")],
            directory / "worker.log",
        )
        with server:
            say(f"the server serves on {server.address}")
            with worker:
                say("a worker polls the task queue 'bank'")
                async with asyncio.timeout(SECONDS_MAX):
                    await show(server, ledger)


async def show(server: Server, ledger: Ledger) -> None:
    client = await connect(server.address)
    handle = await client.start_workflow(
        TransferWorkflow.run,
        Transfer(source="Ada", target="Grace", amount_cents=30_00, clearing_seconds=1),
        id=WORKFLOW_ID,
        task_queue="bank",
        task_timeout=TASK_TIMEOUT,
    )
    say("started: move 30.00 from Ada to Grace")
    await wait_for_withdrawal(handle)
    say(f"the money is withdrawn and not yet deposited: {balances(ledger)}")

    server.kill()
    say("killed the server with SIGKILL")
    server.start()
    say("started it again, on the same data file")

    receipt = await handle.result()
    say(f"the transfer is {receipt.outcome}: {balances(ledger)}")
    assert ledger.balances_cents() == {"Ada": 70_00, "Grace": 30_00}, "the books are wrong"
    await print_history(client)


async def wait_for_withdrawal(handle: WorkflowHandle[TransferWorkflow, Receipt]) -> None:
    """Follow the history until the first child workflow has completed."""
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.HasField("child_workflow_execution_completed_event_attributes"):
            return
    raise AssertionError("the transfer ended without a withdrawal")


def balances(ledger: Ledger) -> str:
    return ", ".join(f"{name} has {cents / 100:.2f}" for name, cents in ledger.balances_cents().items())


async def print_history(client: Client) -> None:
    for history in await family(client, WORKFLOW_ID):
        print(f"\nhistory of {history.workflow_id}")
        for event in history.events:
            at = event.event_time.ToDatetime().strftime("%H:%M:%S.%f")[:-3]
            print(f"{event.event_id:4}  {at}  {event_name(event.event_type)}")


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # the SDK's native part (1.35) now and then crashes while the interpreter shuts down
