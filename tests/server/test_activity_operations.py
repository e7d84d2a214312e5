"""The official CLI operates on activities of the official SDK: they are paused, unpaused, reset, and moved."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.parts.deployed import Serving, deployed
from tests.server.cli import cli, cli_fails, cli_json
from tests.server.waiting import until

QUEUE = "operated"
SOON = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1)


@activity.defn
async def watch() -> list[str]:
    """Beats until it is told to stop, and tells the next attempt why it was. That one is done at once."""
    info = activity.info()
    if info.heartbeat_details and info.heartbeat_details[0] != "watching":
        return [str(info.attempt), *info.heartbeat_details]
    try:
        while True:
            activity.heartbeat("watching")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        assert details is not None
        activity.heartbeat("paused" if details.paused else "reset" if details.reset else "neither")
        raise


@workflow.defn
class Watching:
    @workflow.run
    async def run(self, task_queue: str) -> list[str]:
        return await workflow.execute_activity(
            watch,
            activity_id="watch",
            task_queue=task_queue,
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=SOON,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with deployed(tmp_path_factory.mktemp("operated")) as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Client]:
    """With a worker behind it that sends every heartbeat."""
    client = await Client.connect(server.address)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Watching],
        activities=[watch],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_heartbeat_throttle_interval=timedelta(milliseconds=50),
    ):
        yield client


async def start(client: Client, task_queue: str = QUEUE) -> "WorkflowHandle[Watching, list[str]]":
    return await client.start_workflow(Watching.run, task_queue, id=str(uuid.uuid4()), task_queue=QUEUE)


async def pending(handle: "WorkflowHandle[Watching, list[str]]") -> PendingActivityInfo | None:
    described = (await handle.describe()).raw_description.pending_activities
    return described[0] if described else None


async def until_state(handle: "WorkflowHandle[Watching, list[str]]", name: str) -> None:
    async def state() -> str:
        known = await pending(handle)
        return PendingActivityState.Name(known.state).removeprefix("PENDING_ACTIVITY_STATE_") if known else "none"

    await until(state, name)


async def until_beating(handle: "WorkflowHandle[Watching, list[str]]") -> None:
    async def beating() -> bool:
        known = await pending(handle)
        return known is not None and known.HasField("heartbeat_details")

    await until(beating, True)


def operate(deed: str, handle: "WorkflowHandle[Watching, list[str]]", *more: str) -> tuple[str, ...]:
    return ("activity", deed, "--activity-id", "watch", "-w", handle.id, *more)


async def test_pause_and_unpause(server: Serving, client: Client) -> None:
    handle = await start(client)
    await until_beating(handle)
    await cli(server, *operate("pause", handle, "--reason", "maintenance", "--identity", "operator"))
    await until_state(handle, "PAUSED")
    described = await cli_json(server, "workflow", "describe", "-w", handle.id)
    (told,) = described["pendingActivities"]
    assert (told["paused"], told["attempt"]) == (True, 2)
    assert told["pauseInfo"]["manual"] == {"identity": "operator", "reason": "maintenance"}
    await cli(server, *operate("unpause", handle))
    assert await handle.result() == ["2", "paused"]


async def test_reset(server: Serving, client: Client) -> None:
    handle = await start(client)
    await until_beating(handle)
    await cli(server, *operate("reset", handle))
    assert await handle.result() == ["2", "reset"]


async def test_move_and_restore(server: Serving, client: Client) -> None:
    handle = await start(client, "nobody's")
    await until_state(handle, "SCHEDULED")
    await cli(server, *operate("pause", handle))
    await cli(server, *operate("update-options", handle, "--task-queue", QUEUE, "--heartbeat-timeout", "5s"))
    known = await pending(handle)
    assert known is not None
    assert known.activity_options.task_queue.name == QUEUE
    assert known.activity_options.heartbeat_timeout.seconds == 5
    await cli(server, *operate("update-options", handle, "--restore-original-options"))
    known = await pending(handle)
    assert known is not None
    assert (known.activity_options.task_queue.name, known.paused) == ("nobody's", True)
    await cli(server, *operate("update-options", handle, "--task-queue", QUEUE))
    await cli(server, *operate("unpause", handle))
    await until_beating(handle)
    await handle.terminate()
    text = await cli_fails(server, *operate("pause", handle))
    assert "workflow execution already completed" in text
