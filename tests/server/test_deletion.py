"""DeleteWorkflowExecution as clients see it: the run goes, whatever state it is in, and takes nothing else with it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import temporalio.api.workflowservice.v1 as api
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import TerminatedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.parts.deployed import Serving, deployed
from tests.server.waiting import until


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Parent:
    """Has a child of the id that it is given, which it does not survive."""

    def __init__(self) -> None:
        self.has_child = False

    @workflow.run
    async def run(self, child_id: str) -> None:
        child = await workflow.start_child_workflow(Child.run, id=child_id)
        self.has_child = True
        await child

    @workflow.update
    async def child_started(self) -> None:
        await workflow.wait_condition(lambda: self.has_child)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory: Path = tmp_path_factory.mktemp("deletion")
    with deployed(directory) as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> Client:
    return await Client.connect(server.address)


async def start(client: Client, workflow_id: str) -> str:
    """A run that no worker takes up, in the place of the one before. Returns its id."""
    replace = WorkflowIDConflictPolicy.TERMINATE_EXISTING
    handle = await client.start_workflow("Nobody", id=workflow_id, task_queue="idle", id_conflict_policy=replace)
    assert handle.first_execution_run_id is not None
    return handle.first_execution_run_id


async def delete(client: Client, workflow_id: str, run_id: str = "") -> None:
    request = api.DeleteWorkflowExecutionRequest(
        namespace="default", workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
    )
    await client.workflow_service.delete_workflow_execution(request)


async def status(client: Client, workflow_id: str, run_id: str | None = None) -> WorkflowExecutionStatus | None:
    """None when there is no such run."""
    try:
        return (await client.get_workflow_handle(workflow_id, run_id=run_id).describe()).status
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None


async def listed(client: Client, workflow_id: str) -> set[str]:
    return {each.run_id async for each in client.list_workflows(f"WorkflowId = '{workflow_id}'")}


async def test_a_running_workflow_is_gone_from_everywhere(client: Client) -> None:
    workflow_id = str(uuid.uuid4())
    run_id = await start(client, workflow_id)
    await until(lambda: listed(client, workflow_id), {run_id})
    await delete(client, workflow_id)
    await until(lambda: status(client, workflow_id, run_id), None)
    await until(lambda: listed(client, workflow_id), set())
    with pytest.raises(RPCError, match="not found") as refused:
        await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    assert refused.value.status == RPCStatusCode.NOT_FOUND
    with pytest.raises(RPCError, match=f"workflow not found for ID: {workflow_id}"):
        await client.get_workflow_handle(workflow_id).signal("hello")

    again = await start(client, workflow_id)
    assert await status(client, workflow_id) == WorkflowExecutionStatus.RUNNING
    await until(lambda: listed(client, workflow_id), {again})


async def test_other_runs_of_the_workflow_id_stay(client: Client) -> None:
    workflow_id = str(uuid.uuid4())
    first, second, third = [await start(client, workflow_id) for _ in range(3)]
    await until(lambda: listed(client, workflow_id), {first, second, third})
    await delete(client, workflow_id, second)
    await until(lambda: listed(client, workflow_id), {first, third})
    assert await status(client, workflow_id, second) is None
    assert await status(client, workflow_id, first) == WorkflowExecutionStatus.TERMINATED
    assert await status(client, workflow_id) == WorkflowExecutionStatus.RUNNING

    # Once the current run is gone, as in the reference, no run is the current one.
    await delete(client, workflow_id)
    await until(lambda: listed(client, workflow_id), {first})
    assert await status(client, workflow_id) is None
    assert await status(client, workflow_id, first) == WorkflowExecutionStatus.TERMINATED


async def test_a_deleted_parent_takes_its_children_along(client: Client) -> None:
    workflow_id, child_id = str(uuid.uuid4()), str(uuid.uuid4())
    worker = Worker(client, task_queue="family", workflows=[Parent, Child], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        handle = await client.start_workflow(Parent.run, child_id, id=workflow_id, task_queue="family")
        await handle.execute_update(Parent.child_started)
        await delete(client, workflow_id)
        with pytest.raises(WorkflowFailureError) as ended:
            await client.get_workflow_handle(child_id).result()
        assert isinstance(ended.value.cause, TerminatedError)
        await until(lambda: status(client, workflow_id), None)


async def test_what_is_not_there_cannot_be_deleted(client: Client) -> None:
    workflow_id, run_id = str(uuid.uuid4()), str(uuid.uuid4())
    with pytest.raises(RPCError, match=f"^workflow not found for ID: {workflow_id}$"):
        await delete(client, workflow_id)
    await start(client, workflow_id)
    with pytest.raises(RPCError, match=f'workflow ID "{workflow_id}" and run ID "{run_id}"') as refused:
        await delete(client, workflow_id, run_id)
    assert refused.value.status == RPCStatusCode.NOT_FOUND
    assert await status(client, workflow_id) == WorkflowExecutionStatus.RUNNING
