"""The official CLI against the server: each command that users live by, judged by its JSON."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.parts.deployed import Serving, deployed
from tests.server.cli import cli, cli_fails, cli_json
from tests.server.waiting import until

QUEUE = "cli"


@activity.defn
async def ask() -> str:
    """Somebody answers later, with the CLI."""
    activity.raise_complete_async()


@workflow.defn
class Greeting:
    """Greets by the name it has when it is told to go on, and adds what `ask` is answered if it is told to ask."""

    def __init__(self) -> None:
        self._name, self._asks, self._ready = "", False, False

    @workflow.run
    async def run(self, name: str) -> str:
        self._name = self._name or name
        await workflow.wait_condition(lambda: self._ready)
        if not self._asks:
            return f"Hello, {self._name}!"
        answer = await workflow.execute_activity(ask, activity_id="ask", start_to_close_timeout=timedelta(minutes=1))
        return f"Hello, {self._name}: {answer}"

    @workflow.signal
    def go_on(self, asks: bool) -> None:
        self._asks, self._ready = asks, True

    @workflow.query
    def name(self) -> str:
        return self._name

    @workflow.update
    def rename(self, name: str) -> str:
        before, self._name = self._name, name
        return before


@workflow.defn
class Echo:
    @workflow.run
    async def run(self, text: str) -> str:
        return text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with deployed(tmp_path_factory.mktemp("cli"), search_attributes={"Shade": "Keyword"}) as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Client]:
    """With a worker behind it."""
    client = await Client.connect(server.address)
    workflows = [Greeting, Echo]
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=QUEUE, workflows=workflows, activities=[ask], workflow_runner=runner):
        yield client


@pytest.fixture
def workflow_id() -> str:
    return str(uuid.uuid4())


async def start(server: Serving, workflow_id: str, *more: str, task_queue: str = QUEUE) -> Any:
    return await cli_json(
        server,
        *("workflow", "start", "--type", "Greeting", "--task-queue", task_queue, "-w", workflow_id),
        *("--input", '"Ada"', *more),
    )


async def status(server: Serving, workflow_id: str) -> str:
    described = await cli_json(server, "workflow", "describe", "-w", workflow_id)
    return str(described["workflowExecutionInfo"]["status"]).removeprefix("WORKFLOW_EXECUTION_STATUS_")


async def events(server: Serving, workflow_id: str) -> list[str]:
    shown = await cli_json(server, "workflow", "show", "-w", workflow_id)
    return [event["eventType"].removeprefix("EVENT_TYPE_") for event in shown["events"]]


async def test_execute(server: Serving, client: Client, workflow_id: str) -> None:
    arguments = ("--type", "Echo", "--task-queue", QUEUE, "-w", workflow_id, "--input", '"hello"')
    executed = await cli_json(server, "workflow", "execute", *arguments)
    assert (executed["status"], executed["result"]) == ("COMPLETED", "hello")
    assert (await cli_json(server, "workflow", "result", "-w", workflow_id))["result"] == "hello"
    assert (await events(server, workflow_id))[-1] == "WORKFLOW_EXECUTION_COMPLETED"


async def test_start_and_describe(server: Serving, workflow_id: str) -> None:
    more = (
        "--memo",
        'note="x"',
        "--search-attribute",
        'Shade="green"',
        "--static-summary",
        "sum",
        "--run-timeout",
        "1h",
    )
    started = await start(server, workflow_id, *more, task_queue="idle")
    assert (started["workflowId"], started["namespace"], started["taskQueue"]) == (workflow_id, "default", "idle")
    described = await cli_json(server, "workflow", "describe", "-w", workflow_id)
    info = described["workflowExecutionInfo"]
    assert info["execution"] == {"workflowId": workflow_id, "runId": started["runId"]}
    assert info["memo"]["fields"] == {"note": "x"}
    assert info["searchAttributes"]["indexedFields"]["Shade"]
    assert described["executionConfig"]["workflowRunTimeout"] == "3600s"
    assert described["executionConfig"]["userMetadata"]["summary"]
    assert described["pendingWorkflowTask"]["state"] == "PENDING_WORKFLOW_TASK_STATE_SCHEDULED"
    assert await events(server, workflow_id) == ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"]
    assert "WorkflowExecutionStarted" in await cli(server, "workflow", "show", "-w", workflow_id)


async def test_list_and_count(server: Serving, workflow_id: str) -> None:
    await start(server, workflow_id, "--search-attribute", f'Shade="{workflow_id}"', task_queue="idle")
    query = ("--query", f"Shade = '{workflow_id}' AND ExecutionStatus = 'Running'")

    async def count() -> str:
        return str((await cli_json(server, "workflow", "count", *query)).get("count", "0"))

    await until(count, "1")
    (listed,) = await cli_json(server, "workflow", "list", *query)
    assert listed["execution"]["workflowId"] == workflow_id
    grouped = await cli_json(server, "workflow", "count", "--query", f"{query[1]} GROUP BY ExecutionStatus")
    assert grouped["groups"] == [{"groupValues": ["Running"], "count": "1"}]
    text = await cli_fails(server, "workflow", "list", "--query", "Unheard = 1")
    assert "invalid query: invalid search attribute: Unheard" in text


async def test_signal_query_update_and_result(server: Serving, client: Client, workflow_id: str) -> None:
    await start(server, workflow_id)
    update = ("workflow", "update", "execute", "-w", workflow_id, "--name", "rename", "--input", '"Grace"')
    assert (await cli_json(server, *update, "--update-id", "first"))["result"] == "Ada"
    assert (await cli_json(server, *update, "--update-id", "first"))["result"] == "Ada"
    described = await cli_json(server, "workflow", "update", "describe", "-w", workflow_id, "--update-id", "first")
    assert (described["stage"], described["result"]) == ("Completed", "Ada")
    query = ("workflow", "query", "-w", workflow_id, "--type", "name")
    assert (await cli_json(server, *query))["queryResult"] == ["Grace"]
    assert f"workflow: Greeting, id: {workflow_id}" in await cli(server, "workflow", "stack", "-w", workflow_id)
    await cli(server, "workflow", "signal", "-w", workflow_id, "--name", "go_on", "--input", "false")
    assert (await cli_json(server, "workflow", "result", "-w", workflow_id))["result"] == "Hello, Grace!"
    assert "✓ Greeting" in await cli(server, "workflow", "trace", "-w", workflow_id, "--no-fold")
    text = await cli_fails(server, *query, "--reject-condition", "not_open")
    assert "query was rejected, workflow has status: Completed" in text


async def test_signal_with_start(server: Serving, client: Client, workflow_id: str) -> None:
    arguments = ("--type", "Greeting", "--task-queue", QUEUE, "-w", workflow_id, "--input", '"Ada"')
    signal = ("--signal-name", "go_on", "--signal-input", "false")
    started = await cli_json(server, "workflow", "signal-with-start", *arguments, *signal)
    assert started["workflowId"] == workflow_id
    assert (await cli_json(server, "workflow", "result", "-w", workflow_id))["result"] == "Hello, Ada!"


async def until_asked(server: Serving, client: Client, workflow_id: str) -> None:
    """A workflow whose activity is with somebody who answers later."""
    await start(server, workflow_id)
    await cli(server, "workflow", "signal", "-w", workflow_id, "--name", "go_on", "--input", "true")

    async def asked() -> bool:
        described = await client.get_workflow_handle(workflow_id).describe()
        pending = described.raw_description.pending_activities
        return any(each.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED for each in pending)

    await until(asked, True)


async def test_activity_complete(server: Serving, client: Client, workflow_id: str) -> None:
    await until_asked(server, client, workflow_id)
    await cli(server, "activity", "complete", "--activity-id", "ask", "-w", workflow_id, "--result", '"yes"')
    assert (await cli_json(server, "workflow", "result", "-w", workflow_id))["result"] == "Hello, Ada: yes"
    text = await cli_fails(server, "activity", "complete", "--activity-id", "ask", "-w", workflow_id, "--result", "1")
    assert "workflow execution already completed" in text


async def test_activity_fail(server: Serving, client: Client, workflow_id: str) -> None:
    await until_asked(server, client, workflow_id)
    await cli(server, "activity", "fail", "--activity-id", "ask", "-w", workflow_id, "--reason", "nobody knows")
    await until(partial(status, server, workflow_id), "FAILED")
    shown = await cli_json(server, "workflow", "show", "-w", workflow_id)
    failed = shown["events"][-1]["workflowExecutionFailedEventAttributes"]["failure"]
    assert failed["cause"]["message"] == "nobody knows"


async def test_cancel(server: Serving, client: Client, workflow_id: str) -> None:
    await start(server, workflow_id)
    await cli(server, "workflow", "cancel", "-w", workflow_id)
    await until(partial(status, server, workflow_id), "CANCELED")


async def test_terminate_and_delete(server: Serving, workflow_id: str) -> None:
    await start(server, workflow_id, task_queue="idle")
    await cli(server, "workflow", "terminate", "-w", workflow_id, "--reason", "enough")
    assert await status(server, workflow_id) == "TERMINATED"
    assert (await events(server, workflow_id))[-1] == "WORKFLOW_EXECUTION_TERMINATED"
    text = await cli_fails(server, "workflow", "terminate", "-w", workflow_id)
    assert "workflow execution already completed" in text
    await cli(server, "workflow", "delete", "-w", workflow_id, "--yes")

    async def gone() -> bool:
        try:
            await status(server, workflow_id)
        except AssertionError as error:
            return "not found" in str(error)
        return False

    await until(gone, True)


async def test_batches_are_refused_in_words(server: Serving) -> None:
    text = await cli_fails(
        server, "workflow", "terminate", "--query", "WorkflowId = 'x'", "--reason", "enough", "--yes"
    )
    assert "not built in Perdure yet" in text


async def test_namespaces(server: Serving) -> None:
    name = f"ns-{uuid.uuid4()}"
    namespace = ("operator", "namespace")
    details = ("--description", "first", "--email", "a@b.c", "--data", "team=x", "--retention", "3d")
    await cli(server, *namespace, "create", name, *details)
    assert "already exists" in await cli_fails(server, *namespace, "create", name)
    described = await cli_json(server, *namespace, "describe", name)
    info = described["namespaceInfo"]
    assert (info["name"], info["description"], info["ownerEmail"]) == (name, "first", "a@b.c")
    assert info["data"] == {"team": "x"}
    assert described["config"]["workflowExecutionRetentionTtl"] == "259200s"
    await cli(server, *namespace, "update", name, "--description", "second", "--retention", "5d")
    described = await cli_json(server, *namespace, "describe", name)
    assert described["namespaceInfo"]["description"] == "second"
    assert described["config"]["workflowExecutionRetentionTtl"] == "432000s"
    names = {each["namespaceInfo"]["name"] for each in await cli_json(server, *namespace, "list")}
    assert {"default", "temporal-system", name} <= names
    await cli(server, *namespace, "delete", name, "--yes")
    assert "is not found" in await cli_fails(server, *namespace, "describe", name)


async def test_cluster(server: Serving) -> None:
    cluster = ("operator", "cluster")
    assert await cli_json(server, *cluster, "health") == {"status": "SERVING"}
    system = await cli_json(server, *cluster, "system")
    assert system["capabilities"]["signalAndQueryHeader"]
    described = await cli_json(server, *cluster, "describe")
    assert described["clusterName"] == "active"
    assert described["persistenceStore"] in {"sqlite", "postgres12", "mysql8", "cassandra"}


async def test_task_queue_describe(server: Serving, client: Client, workflow_id: str) -> None:
    idle = f"idle-{workflow_id}"
    await start(server, workflow_id, task_queue=idle)

    async def backlogs() -> dict[str, int]:
        described = await cli_json(server, "task-queue", "describe", "--task-queue", idle)
        return {each["taskQueueType"]: each["approximateBacklogCount"] for each in described["stats"]}

    await until(backlogs, {"workflow": 1, "activity": 0})
    described = await cli_json(server, "task-queue", "describe", "--task-queue", QUEUE, "--report-reachability")
    pollers = {(each["taskQueueType"], each["identity"]) for each in described["pollers"]}
    assert {("workflow", client.identity), ("activity", client.identity)} <= pollers
    assert described["reachability"][0]["reachability"] == "reachable"
    legacy = ("--legacy-mode", "--task-queue-type", "activity")
    described = await cli_json(server, "task-queue", "describe", "--task-queue", QUEUE, *legacy)
    assert client.identity in json.dumps(described)
