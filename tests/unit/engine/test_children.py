"""A parent that closes while its child is being started: no child is left behind without anyone to tell it anything."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ParentClosePolicy, WorkflowIdReusePolicy
from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound, Unavailable
from services.history.core.draft import Draft
from services.history.executor import OutboxExecutor
from services.protos.run_pb2 import Task
from tests.unit.engine.house import COMPLETE, START_CHILD, House, Misbehaving, eventually, live, open_store

ABANDON = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
TERMINATE = ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
CANCEL = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Misbehaving]:
    async with open_store(tmp_path / "data.db") as store:
        yield store


def child(policy: ParentClosePolicy.ValueType) -> Command:
    command = Command()
    command.CopyFrom(START_CHILD)
    command.start_child_workflow_execution_command_attributes.parent_close_policy = policy
    return command


async def terminate(house: House, workflow_id: str) -> None:
    request = api.TerminateWorkflowExecutionRequest(workflow_execution=WorkflowExecution(workflow_id=workflow_id))
    await house.history.terminate_workflow_execution(house.call, request)


@pytest.mark.parametrize(
    ("policy", "sign"),
    [
        (TERMINATE, "WORKFLOW_EXECUTION_TERMINATED"),
        (CANCEL, "WORKFLOW_EXECUTION_CANCEL_REQUESTED"),
        (ABANDON, "WORKFLOW_TASK_SCHEDULED"),
    ],
)
async def test_a_child_that_its_parent_never_recorded_is_found_again(
    store: Misbehaving, monkeypatch: pytest.MonkeyPatch, policy: ParentClosePolicy.ValueType, sign: str
) -> None:
    started = asyncio.Event()

    async def lost(_executor: OutboxExecutor, _task: Task, _decide: Callable[[Draft], None]) -> None:
        started.set()
        raise Unavailable("the host crashed before it could say that the child was started")

    house = await live(store)
    with monkeypatch.context() as patched:
        patched.setattr(OutboxExecutor, "_tell", lost)
        await house.begin("parent")
        await house.answer(await house.task(), child(policy))
        await asyncio.wait_for(started.wait(), 5)
        await terminate(house, "parent")

    async def told() -> bool:
        return sign in await house.event_names("child")

    await eventually(told)


async def test_a_child_is_not_started_once_its_parent_is_closed(store: Misbehaving) -> None:
    house = await live(store)
    await house.begin("parent")
    await house.answer(await house.task(), child(ABANDON), COMPLETE)
    await house.begin("other")
    await house.answer(await house.task(), COMPLETE)
    with pytest.raises(NotFound):
        await house.event_names("child")


async def test_no_run_replaces_itself_by_its_child(store: Misbehaving) -> None:
    """The reference never comes to an end with such a child; here it is told like any other that cannot start."""
    house = await live(store)
    await house.begin("child")
    command = child(TERMINATE)
    policy = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    command.start_child_workflow_execution_command_attributes.workflow_id_reuse_policy = policy
    await house.answer(await house.task(), command)
    await house.answer(await house.task(), COMPLETE)
    names = await house.event_names("child")
    assert "START_CHILD_WORKFLOW_EXECUTION_FAILED" in names
    assert names[-1] == "WORKFLOW_EXECUTION_COMPLETED"
