"""Calls about one workflow, polls, and update-with-start: what is refused, and with which text."""

from collections.abc import Callable
from typing import Any

import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, UpdateRef, WaitPolicy

from services.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    MultiOperationFailed,
    PermissionDenied,
    ServiceError,
    WorkflowExecutionAlreadyStarted,
)
from tests.unit.frontend.conftest import Desk
from tests.unit.frontend.test_starts import start

LONG = "x" * 1001
BIG = Payloads(payloads=[Payload(data=b"x" * (2 * 1024 * 1024 + 1))])
W = WorkflowExecution(workflow_id="w")
ODD = WorkflowExecution(workflow_id="w", run_id="tea")


def signal(**fields: Any) -> api.SignalWorkflowExecutionRequest:
    return api.SignalWorkflowExecutionRequest(
        **{"namespace": "default", "workflow_execution": W, "signal_name": "s", **fields}
    )


def update(**fields: Any) -> api.UpdateWorkflowExecutionRequest:
    request = Request(meta=Meta(update_id="u"), input=Input(name="n"))
    return api.UpdateWorkflowExecutionRequest(
        **{"namespace": "default", "workflow_execution": W, "request": request, **fields}
    )


def query(**fields: Any) -> api.QueryWorkflowRequest:
    return api.QueryWorkflowRequest(**{"namespace": "default", "execution": W, **fields})


def polls(**fields: Any) -> api.PollWorkflowExecutionUpdateRequest:
    return api.PollWorkflowExecutionUpdateRequest(namespace="default", **fields)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (signal(workflow_execution=None), "Execution is not set on request."),
        (signal(workflow_execution=WorkflowExecution()), "WorkflowId is not set on request."),
        (signal(workflow_execution=ODD), "Invalid RunId."),
        (signal(signal_name="", request_id=LONG), "SignalName is not set on request."),
        (signal(signal_name=LONG), "SignalName length exceeds limit."),
        (signal(request_id=LONG), "RequestId length exceeds limit."),
        (signal(input=BIG), "Blob data size exceeds limit."),
        (query(), "WorkflowQuery is not set on request."),
        (query(query=WorkflowQuery()), "QueryType is not set on request."),
        (query(query=WorkflowQuery(query_type="q", query_args=BIG)), "Blob data size exceeds limit."),
        (update(request=None), "Update meta is not set on request."),
        (update(request=Request(meta=Meta(update_id=LONG))), "UpdateId length exceeds limit."),
        (update(request=Request(meta=Meta())), "Update input is not set on request."),
        (update(request=Request(meta=Meta(), input=Input())), "Update name is not set on request."),
        (polls(), "UpdateRef is not set on request."),
        (polls(update_ref=UpdateRef()), "Can't load workflow execution.  WorkflowId not set."),
        (polls(update_ref=UpdateRef(workflow_execution=ODD)), "RunId is not valid UUID."),
        (api.TerminateWorkflowExecutionRequest(namespace="default"), "Execution is not set on request."),
        (api.RequestCancelWorkflowExecutionRequest(namespace="default"), "Execution is not set on request."),
        (api.DeleteWorkflowExecutionRequest(namespace="default"), "Execution is not set on request."),
        (api.DescribeWorkflowExecutionRequest(namespace="default"), "Execution is not set on request."),
        (api.ResetStickyTaskQueueRequest(namespace="default", execution=ODD), "Invalid RunId."),
        (api.GetWorkflowExecutionHistoryRequest(namespace="default", execution=ODD), "Invalid RunId."),
        (api.GetWorkflowExecutionHistoryReverseRequest(namespace="default", execution=ODD), "Invalid RunId."),
        (api.DescribeTaskQueueRequest(namespace="default"), "taskQueue is not set"),
    ],
)
async def test_a_bad_request_is_told_why_and_reaches_nobody(desk: Desk, request_: Message, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.ask(request_)
    assert refused.value.message == text
    assert desk.history.requests == desk.matching.requests == []


async def test_an_update_gets_an_id_and_may_not_wait_for_admission(desk: Desk) -> None:
    await desk.ask(update(request=Request(meta=Meta(), input=Input(name="n"))))
    assert desk.history.only("update_workflow_execution").request.meta.update_id
    admitted = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
    with pytest.raises(PermissionDenied, match="waiting on update admitted is not supported"):
        await desk.ask(update(wait_policy=WaitPolicy(lifecycle_stage=admitted)))


# Polls


def poll(**fields: Any) -> api.PollWorkflowTaskQueueRequest:
    return api.PollWorkflowTaskQueueRequest(**{"namespace": "default", "task_queue": TaskQueue(name="q"), **fields})


async def test_a_poll_needs_a_deadline_it_can_keep(desk: Desk) -> None:
    with pytest.raises(InvalidArgument, match=r"^Context timeout is not set\.$"):
        await desk.ask(poll(), deadline_s=None)
    with pytest.raises(FailedPrecondition, match=r"^Context timeout is too short\.$"):
        await desk.ask(poll(), deadline_s=1.5)
    await desk.ask(poll(), deadline_s=2.0)
    desk.matching.only("poll_workflow_task_queue")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"identity": LONG, "task_queue": TaskQueue()}, "Identity length exceeds limit."),
        ({"task_queue": None}, "taskQueue is not set"),
        ({"task_queue": TaskQueue(name="/_sys/q/1")}, "task queue name cannot start with reserved prefix /_sys/"),
        (
            {"worker_version_capabilities": {"use_versioning": True}},
            "WorkerVersionStamp must be present if UseVersioning is true.",
        ),
        (
            {"deployment_options": {"worker_versioning_mode": 2}},
            "Deployment name and build id must be set together.",
        ),
    ],
)
async def test_a_bad_poll_is_told_why(desk: Desk, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.ask(poll(**fields))
    assert refused.value.message == text
    assert desk.matching.requests == []


# Update-with-start


def together(*operations: object) -> api.ExecuteMultiOperationRequest:
    request = api.ExecuteMultiOperationRequest(namespace="default")
    for each in operations:
        if isinstance(each, api.StartWorkflowExecutionRequest):
            request.operations.add().start_workflow.CopyFrom(each)
        elif isinstance(each, api.UpdateWorkflowExecutionRequest):
            request.operations.add().update_workflow.CopyFrom(each)
    return request


async def test_update_with_start_is_a_start_and_an_update(desk: Desk) -> None:
    for operations in ((), (start(),), (update(), start()), (start(), start()), (start(), update(), update())):
        with pytest.raises(InvalidArgument, match=r"^Operations have to be exactly \[Start, Update\]\.$"):
            await desk.ask(together(*operations))
    await desk.ask(together(start(), update()))
    desk.history.only("execute_multi_operation")


async def test_a_start_that_is_refused_aborts_the_update(desk: Desk) -> None:
    refusal = WorkflowExecutionAlreadyStarted("running", "request", "run")
    desk.history.answers["execute_multi_operation"] = refusal
    with pytest.raises(MultiOperationFailed) as refused:
        await desk.ask(together(start(), update()))
    first, second = refused.value.errors
    assert first is refusal
    assert isinstance(second, Aborted)
    assert refused.value.code == refusal.code


@pytest.mark.parametrize(
    ("in_start", "in_update", "texts"),
    [
        (lambda r: r.ClearField("workflow_type"), None, ["WorkflowType is not set on request.", None]),
        (lambda r: setattr(r, "cron_schedule", "* * * * *"), None, ["CronSchedule is not allowed.", None]),
        (
            lambda r: setattr(r, "request_eager_execution", True),
            None,
            ["RequestEagerExecution is not supported.", None],
        ),
        (
            lambda r: r.workflow_start_delay.FromSeconds(1),
            None,
            ["WorkflowStartDelay is not supported.", None],
        ),
        (
            lambda r: setattr(r, "namespace", "other"),
            None,
            ["Operation namespace did not match request's namespace.", None],
        ),
        (None, lambda r: r.ClearField("request"), [None, "Update meta is not set on request."]),
        (
            lambda r: setattr(r, "workflow_id", "another"),
            None,
            [None, "WorkflowId is not consistent with previous operation(s)."],
        ),
        (
            None,
            lambda r: setattr(r.workflow_execution, "run_id", "11111111-1111-1111-1111-111111111111"),
            [None, "RunId is not allowed."],
        ),
        (None, lambda r: setattr(r, "first_execution_run_id", "x"), [None, "FirstExecutionRunId is not allowed."]),
    ],
)
async def test_a_bad_part_fails_the_whole_and_aborts_the_other(
    desk: Desk,
    in_start: Callable[[Any], object] | None,
    in_update: Callable[[Any], object] | None,
    texts: list[str | None],
) -> None:
    begin, change = start(), update()
    if in_start:
        in_start(begin)
    if in_update:
        in_update(change)
    with pytest.raises(MultiOperationFailed, match=r"^Update-with-Start could not be executed\.$") as refused:
        await desk.ask(together(begin, change))
    assert desk.history.requests == []
    for error, text in zip(refused.value.errors, texts, strict=True):
        assert isinstance(error, ServiceError)
        assert (error.message == "Operation was aborted.") is isinstance(error, Aborted) is (text is None)
        assert text is None or error.message == text
