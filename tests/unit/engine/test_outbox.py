"""Outbox tasks are done at least once: twice changes nothing, and those memory forgot are done by the next life."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import (
    Command,
    RequestCancelExternalWorkflowExecutionCommandAttributes,
    SignalExternalWorkflowExecutionCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes,
    StartTimerCommandAttributes,
)
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CommandType
from temporalio.api.workflowservice import v1 as api

from services.history.outbox import Executor, Key
from services.history.shard import Shard
from services.history.visibility import VisibilityWriter
from services.protos.run_pb2 import Task
from tests.unit.engine.house import COMPLETE, QUEUE, SCHEDULE, House, Misbehaving, eventually, live, open_store

CHILD = Command(
    command_type=CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
    start_child_workflow_execution_command_attributes=StartChildWorkflowExecutionCommandAttributes(
        workflow_id="child", workflow_type=WorkflowType(name="Child"), task_queue=QUEUE
    ),
)
SIGNAL = Command(
    command_type=CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
    signal_external_workflow_execution_command_attributes=SignalExternalWorkflowExecutionCommandAttributes(
        execution=WorkflowExecution(workflow_id="other"), signal_name="hello"
    ),
)
CANCEL = Command(
    command_type=CommandType.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
    request_cancel_external_workflow_execution_command_attributes=(
        RequestCancelExternalWorkflowExecutionCommandAttributes(workflow_id="other")
    ),
)
TIMER = Command(
    command_type=CommandType.COMMAND_TYPE_START_TIMER,
    start_timer_command_attributes=StartTimerCommandAttributes(
        timer_id="timer", start_to_fire_timeout=Duration(nanos=50_000_000)
    ),
)
ONCE_EACH = [
    "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
    "CHILD_WORKFLOW_EXECUTION_STARTED",
    "CHILD_WORKFLOW_EXECUTION_COMPLETED",
    "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED",
    "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    "ACTIVITY_TASK_STARTED",
    "ACTIVITY_TASK_COMPLETED",
    "TIMER_FIRED",
    "WORKFLOW_EXECUTION_COMPLETED",
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Misbehaving]:
    async with open_store(tmp_path / "data.db") as store:
        yield store


async def drive(house: House) -> list[str]:
    """Plays the worker until the parent, which asks for one of everything, is complete; returns its events."""
    asked: set[str] = set()
    while True:
        names = await house.event_names("parent")
        if names[-1] == "WORKFLOW_EXECUTION_COMPLETED":
            return names
        if "ACTIVITY_TASK_SCHEDULED" in names and "ACTIVITY_TASK_COMPLETED" not in names:
            await house.activity_done(await house.activity())
        task = await house.task()
        workflow_id = task.workflow_execution.workflow_id
        assert workflow_id, f"no workflow task came; the parent is at {names}"
        if workflow_id == "child":
            await house.answer(task, COMPLETE)
        elif workflow_id == "other":
            await house.answer(task)
        elif workflow_id not in asked:
            asked.add(workflow_id)
            await house.answer(task, CHILD, SIGNAL, CANCEL, SCHEDULE, TIMER)
        else:
            seen = await house.event_names("parent")
            finished = all(name in seen for name in ONCE_EACH[:-1])
            await house.answer(task, *([COMPLETE] if finished else []))


async def begin(house: House) -> None:
    await house.begin("other")
    await house.begin("parent")


async def test_every_task_done_twice_changes_nothing(store: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    run_once = Executor.run

    def run_twice(executor: Executor, key: Key, task: Task) -> None:
        run_once(executor, key, task)
        run_once(executor, key, task)

    monkeypatch.setattr(Executor, "run", run_twice)
    house = await live(store)
    await begin(house)
    names = await drive(house)
    assert [names.count(name) for name in ONCE_EACH] == [1] * len(ONCE_EACH)
    other = await house.event_names("other")
    assert other.count("WORKFLOW_EXECUTION_SIGNALED") == 1
    assert other.count("WORKFLOW_EXECUTION_CANCEL_REQUESTED") == 1
    assert (await house.event_names("child")).count("WORKFLOW_TASK_COMPLETED") == 1


async def test_tasks_that_memory_never_saw_are_done_by_the_next_life(
    store: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = await live(store)
    with monkeypatch.context() as patched:
        patched.setattr(Shard, "dispatch", lambda _shard, _rows: None)
        await begin(forgetful)
    attentive = await live(store)
    names = await drive(attentive)
    assert [names.count(name) for name in ONCE_EACH] == [1] * len(ONCE_EACH)


async def test_tasks_of_a_namespace_that_another_host_has_registered_are_done(
    store: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VisibilityWriter, "show", lambda *_: None)  # it looks for itself
    here, there = House(store), await live(store)
    await here.namespaces.load(["default"])
    registered = api.RegisterNamespaceRequest(namespace="tea")
    registered.workflow_execution_retention_period.seconds = 86400
    namespace = await there.namespaces.register(registered)
    call = replace(there.call, namespace=namespace.name, namespace_id=namespace.id)
    with monkeypatch.context() as patched:
        patched.setattr(Shard, "dispatch", lambda _shard, _rows: None)
        request = api.StartWorkflowExecutionRequest(
            workflow_id="w", workflow_type=WorkflowType(name="Workflow"), task_queue=QUEUE, request_id="start"
        )
        await there.history.start_workflow_execution(call, request)
    await here.history.start()
    poll = api.PollWorkflowTaskQueueRequest(task_queue=QUEUE, identity="worker")
    task = await asyncio.wait_for(here.matching.poll_workflow_task_queue(call, poll), 5)
    assert api.PollWorkflowTaskQueueResponse.FromString(task).workflow_execution.workflow_id == "w"


async def test_a_deleted_parent_ends_its_children_first(store: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await live(store)
    await house.begin("parent")
    await house.answer(await house.task(), CHILD)
    waiting = {(await house.task()).workflow_execution.workflow_id for _ in range(2)}
    assert waiting == {"parent", "child"}
    run_all = Executor.run

    def run_deletion_alone(executor: Executor, key: Key, task: Task) -> None:
        if task.kind == Task.DELETE_RUN:  # the close's own tasks are slower
            run_all(executor, key, task)

    with monkeypatch.context() as patched:
        patched.setattr(Executor, "run", run_deletion_alone)
        execution = WorkflowExecution(workflow_id="parent")
        request = api.DeleteWorkflowExecutionRequest(workflow_execution=execution)
        await house.history.delete_workflow_execution(house.call, request)

        async def terminated() -> bool:
            return (await house.event_names("child"))[-1] == "WORKFLOW_EXECUTION_TERMINATED"

        await eventually(terminated)
