"""Pausing and changing options by the official CLI, around a workflow of the official SDK."""

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.parts.deployed import Serving, deployed
from tests.server.cli import cli, cli_json

QUEUE = "pauses"


@workflow.defn
class Waiting:
    """Waits for a word, and returns it."""

    def __init__(self) -> None:
        self.word = ""

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: bool(self.word))
        return self.word

    @workflow.signal
    def say(self, word: str) -> None:
        self.word = word


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with deployed(tmp_path_factory.mktemp("pauses"), dynamic_config={"frontend.WorkflowPauseEnabled": True}) as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Client]:
    """With a worker behind it."""
    client = await Client.connect(server.address)
    async with Worker(client, task_queue=QUEUE, workflows=[Waiting], workflow_runner=UnsandboxedWorkflowRunner()):
        yield client


async def test_pause_and_unpause(server: Serving, client: Client) -> None:
    handle = await client.start_workflow(Waiting.run, id="paused", task_queue=QUEUE)
    await cli(server, "workflow", "pause", "--workflow-id", "paused", "--reason", "lunch")
    described = await cli_json(server, "workflow", "describe", "--workflow-id", "paused")
    assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_PAUSED"
    assert described["workflowExtendedInfo"]["pauseInfo"]["reason"] == "lunch"
    await handle.signal(Waiting.say, "hello")
    await cli(server, "workflow", "unpause", "--workflow-id", "paused")
    assert await handle.result() == "hello"


async def test_update_options(server: Serving, client: Client) -> None:
    handle = await client.start_workflow(Waiting.run, id="changed", task_queue=QUEUE)
    change = ("workflow", "update-options", "--workflow-id", "changed", "--versioning-override-behavior")
    await cli(server, *change, "auto_upgrade")
    described = await cli_json(server, "workflow", "describe", "--workflow-id", "changed")
    assert described["workflowExecutionInfo"]["versioningInfo"]["versioningOverride"]["autoUpgrade"]
    await cli(server, *change, "unspecified")
    described = await cli_json(server, "workflow", "describe", "--workflow-id", "changed")
    assert "versioningOverride" not in described["workflowExecutionInfo"]["versioningInfo"]
    await handle.signal(Waiting.say, "hello")
    assert await handle.result() == "hello"
