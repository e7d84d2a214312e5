"""What a start may say, and what history is given in its stead."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Callback, Link, Payload, Payloads, WorkflowType
from temporalio.api.enums.v1 import TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import OnConflictOptions

from services.errors import InvalidArgument, ServiceError
from tests.unit.frontend.conftest import KEYWORD, Desk

Start = api.StartWorkflowExecutionRequest
SignalWithStart = api.SignalWithStartWorkflowExecutionRequest
Conflict, Reuse = WorkflowIdConflictPolicy, WorkflowIdReusePolicy
LONG = "x" * 1001
BIG = Payload(data=b"x" * (2 * 1024 * 1024 + 1))


def start() -> Start:
    return Start(
        namespace="default",
        workflow_id="w",
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name="queue"),
        request_id="request",
    )


def signal_with_start() -> SignalWithStart:
    return SignalWithStart(
        namespace="default",
        workflow_id="w",
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name="queue"),
        request_id="request",
        signal_name="signal",
    )


def json(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def attribute(name: str, payload: Payload) -> Callable[[Start | SignalWithStart], object]:
    return lambda r: r.search_attributes.indexed_fields[name].CopyFrom(payload)


Change = Callable[[Start], object]


def both(first: Change, second: Change) -> Change:
    """One change after the other."""

    def change(request: Start) -> None:
        first(request)
        second(request)

    return change


REFUSED: dict[str, Change] = {
    "WorkflowId is not set on request.": lambda r: r.ClearField("workflow_id"),
    "WorkflowId exceeds maximum allowed length (1001/1000)": lambda r: setattr(r, "workflow_id", LONG),
    "WorkflowType is not set on request.": lambda r: r.ClearField("workflow_type"),
    "WorkflowType length exceeds limit.": lambda r: setattr(r.workflow_type, "name", LONG),
    "taskQueue is not set": lambda r: r.ClearField("task_queue"),
    "missing task queue name": lambda r: r.task_queue.ClearField("name"),
    "taskQueue length exceeds limit": lambda r: setattr(r.task_queue, "name", LONG),
    "task queue name cannot start with reserved prefix /_sys/": lambda r: setattr(r.task_queue, "name", "/_sys/a/1"),
    "RequestId length exceeds limit.": lambda r: setattr(r, "request_id", LONG),
    "An invalid WorkflowExecutionTimeoutSeconds is set on request. cause: negative duration": lambda r: (
        r.workflow_execution_timeout.FromSeconds(-1)
    ),
    "An invalid WorkflowRunTimeoutSeconds is set on request. cause: duration has seconds and nanos with different"
    " signs": lambda r: r.workflow_run_timeout.CopyFrom(Duration(seconds=1, nanos=-1)),
    "CronSchedule and WorkflowStartDelay may not be used together.": both(
        lambda r: r.workflow_start_delay.FromSeconds(1),
        lambda r: setattr(r, "cron_schedule", "* * * * *"),
    ),
    "invalid CronSchedule.": lambda r: setattr(r, "cron_schedule", "tea time"),
    "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together with a"
    " WorkflowIDConflictPolicy": both(
        lambda r: setattr(r, "workflow_id_reuse_policy", Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING),
        lambda r: setattr(r, "workflow_id_conflict_policy", Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL),
    ),
    "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used together with"
    " WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING": both(
        lambda r: setattr(r, "workflow_id_reuse_policy", Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE),
        lambda r: setattr(r, "workflow_id_conflict_policy", Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING),
    ),
    "attaching request ID is required for attaching completion callbacks": lambda r: r.on_conflict_options.CopyFrom(
        OnConflictOptions(attach_completion_callbacks=True)
    ),
    "Namespace default has no mapping defined for search attribute Unheard": attribute("Unheard", json('"x"')),
    "RunId attribute can't be set in SearchAttributes": attribute("RunId", json('"x"')),
    "invalid value for search attribute Weight of type Int: heavy": attribute("Weight", json('"heavy"')),
    "search attribute Shade value size 2051 exceeds size limit 2048": attribute("Shade", json(f'"{"x" * 2049}"')),
    "priority key can't be negative": lambda r: setattr(r.priority, "priority_key", -1),
    "fairness key length exceeds limit": lambda r: setattr(r.priority, "fairness_key", "x" * 65),
    "invalid url: unknown scheme: x": lambda r: r.completion_callbacks.append(Callback(nexus=Callback.Nexus(url="x"))),
    "unsupported link variant": lambda r: r.links.append(Link()),
    "cannot attach more than 10 links per request, got 11": lambda r: r.links.extend([Link()] * 11),
    "Blob data size exceeds limit.": lambda r: r.input.CopyFrom(Payloads(payloads=[BIG])),
    "Memo size exceeds limit.": lambda r: r.memo.fields["big"].CopyFrom(BIG),
    "override behavior is required": lambda r: r.versioning_override.SetInParent(),
    "BackoffCoefficient cannot be less than 1 on retry policy.": lambda r: setattr(
        r.retry_policy, "backoff_coefficient", 0.5
    ),
    "invalid InitialInterval set on retry policy: negative duration": lambda r: (
        r.retry_policy.initial_interval.FromSeconds(-1)
    ),
    "MaximumInterval cannot be less than InitialInterval on retry policy.": both(
        lambda r: r.retry_policy.initial_interval.FromSeconds(2),
        lambda r: r.retry_policy.maximum_interval.FromSeconds(1),
    ),
    "MaximumAttempts cannot be negative on retry policy.": lambda r: setattr(r.retry_policy, "maximum_attempts", -1),
    "Invalid timeout type value: Tea.": lambda r: r.retry_policy.non_retryable_error_types.append(
        "TemporalTimeout:Tea"
    ),
}
# Of two mistakes, the first in this order is told.
ORDER = [
    "WorkflowId is not set on request.",
    "BackoffCoefficient cannot be less than 1 on retry policy.",
    "invalid CronSchedule.",
    "WorkflowType is not set on request.",
    "missing task queue name",
    "An invalid WorkflowExecutionTimeoutSeconds is set on request. cause: negative duration",
    "RequestId length exceeds limit.",
    "attaching request ID is required for attaching completion callbacks",
    "Namespace default has no mapping defined for search attribute Unheard",
    "priority key can't be negative",
    "invalid url: unknown scheme: x",
    "unsupported link variant",
    "Memo size exceeds limit.",
    "override behavior is required",
]


@pytest.mark.parametrize("text", REFUSED)
async def test_a_bad_start_is_told_why_and_reaches_nobody(desk: Desk, text: str) -> None:
    request = start()
    REFUSED[text](request)
    with pytest.raises(InvalidArgument) as refused:
        await desk.ask(request)
    assert refused.value.message == text
    assert desk.history.requests == []


@pytest.mark.parametrize(("first", "second"), list(pairwise(ORDER)))
async def test_of_two_mistakes_the_reference_tells_the_first(desk: Desk, first: str, second: str) -> None:
    request = start()
    REFUSED[second](request)
    REFUSED[first](request)
    with pytest.raises(ServiceError) as refused:
        await desk.ask(request)
    assert refused.value.message == first


async def test_a_plain_start_is_completed_with_defaults(desk: Desk) -> None:
    request = start()
    request.ClearField("request_id")
    request.retry_policy.maximum_attempts = 3
    await desk.ask(request)
    sent: Start = desk.history.only("start_workflow_execution")
    assert sent.request_id
    assert sent.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    assert sent.workflow_id_reuse_policy == Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    assert sent.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL
    assert sent.retry_policy.initial_interval.seconds == 1
    assert sent.retry_policy.backoff_coefficient == 2.0
    assert sent.retry_policy.maximum_interval.seconds == 100


async def test_terminate_if_running_is_said_as_it_is_today(desk: Desk) -> None:
    request = start()
    request.workflow_id_reuse_policy = Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    await desk.ask(request)
    sent: Start = desk.history.only("start_workflow_execution")
    assert sent.workflow_id_reuse_policy == Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    assert sent.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING


async def test_attributes_carry_their_types_and_nulls_are_left_out(desk: Desk) -> None:
    request = start()
    for name, text in (("Shade", '"green"'), ("Weight", "null"), ("BuildIds", "[]")):
        attribute(name, json(text))(request)
    request.memo.fields["gone"].CopyFrom(Payload(metadata={"encoding": b"binary/null"}))
    request.memo.fields["kept"].CopyFrom(json("1"))
    await desk.ask(request)
    sent: Start = desk.history.only("start_workflow_execution")
    assert dict(sent.search_attributes.indexed_fields["Shade"].metadata) == {
        "encoding": b"json/plain",
        "type": b"Keyword",
    }
    assert set(sent.search_attributes.indexed_fields) == {"Shade"}
    assert set(sent.memo.fields) == {"kept"}


async def test_timeouts_are_cut_to_a_century(desk: Desk) -> None:
    request = start()
    request.workflow_run_timeout.FromSeconds(10**10)
    await desk.ask(request)
    assert desk.history.only("start_workflow_execution").workflow_run_timeout.seconds == 100 * 365 * 24 * 3600


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r.ClearField("workflow_id"), "WorkflowId is not set on request."),
        (lambda r: r.ClearField("signal_name"), "signal not set"),
        (lambda r: setattr(r, "signal_name", LONG), "signal name exceeds maximum allowed length (1001/1000)"),
        (lambda r: r.ClearField("workflow_type"), "workflow type not set"),
        (lambda r: setattr(r, "request_id", LONG), "Request ID exceeds maximum allowed length (1001/1000)"),
        (
            lambda r: setattr(r, "workflow_id_conflict_policy", Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL),
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation.",
        ),
        (lambda r: r.signal_input.CopyFrom(Payloads(payloads=[BIG])), "Blob data size exceeds limit."),
        (attribute("Unheard", json('"x"')), "Namespace default has no mapping defined for search attribute Unheard"),
    ],
)
async def test_a_bad_signal_with_start_is_told_why(
    desk: Desk, change: Callable[[SignalWithStart], object], text: str
) -> None:
    request = signal_with_start()
    change(request)
    with pytest.raises(InvalidArgument) as refused:
        await desk.ask(request)
    assert refused.value.message == text
    assert desk.history.requests == []


async def test_signal_with_start_uses_an_existing_run(desk: Desk) -> None:
    await desk.ask(signal_with_start())
    sent: SignalWithStart = desk.history.only("signal_with_start_workflow_execution")
    assert sent.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING


@pytest.mark.parametrize("request_", [start(), signal_with_start()], ids=["start", "signal with start"])
async def test_an_attribute_that_another_host_just_added_can_be_set(desk: Desk, request_: Start) -> None:
    await (await desk.elsewhere()).add_search_attributes("default", {"Mood": KEYWORD})
    request_.search_attributes.indexed_fields["Mood"].CopyFrom(json('"blue"'))
    await desk.ask(request_)
    ((_, sent),) = desk.history.requests
    assert sent.search_attributes.indexed_fields["Mood"].metadata["type"] == b"Keyword"
