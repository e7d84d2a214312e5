"""Requests with missing, oversized, malformed or contradictory fields: each call, one oddity at a time."""

from collections.abc import Callable
from functools import reduce
from itertools import count
from typing import TypeVar

import grpc
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads

from tests.conformance.commands import failure, oversize, payloads, schedule_activity, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.queries import query
from tests.conformance.scenarios.signals import signal_with_start
from tests.conformance.scenarios.updates import poll, update
from tests.conformance.wire import Wire

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
Oddity = str | bytes | int | Message | None

LONG = "x" * 1001
NAMESPACE: dict[str, Oddity] = {"namespace ": "", "namespace": "nowhere"}
TOKEN: dict[str, Oddity] = {**NAMESPACE, "task_token": b"", "task_token ": b"tea", "task_token  ": b"\x0a\x04abcd"}


def set_field(request: Message, path: str, value: Oddity) -> None:
    """Set the field at a dotted path, or clear it where the value is None."""
    *parents, name = path.strip().split(".")
    owner: Message = reduce(getattr, parents, request)
    if value is None:
        owner.ClearField(name)
    elif isinstance(value, Message):
        getattr(owner, name).CopyFrom(value)
    else:
        setattr(owner, name, value)


async def each_oddity(
    w: Wire,
    method: "grpc.UnaryUnaryMultiCallable[Q, R]",
    good: Callable[[], Q],
    oddities: dict[str, Oddity],
) -> None:
    """Call with one field wrong at a time. Paths may end in blanks, to name a field twice."""
    for path, value in oddities.items():
        request = good()
        set_field(request, path, value)
        shown = str(value)[:20].strip().replace("\n", " ")
        await w.attempt(method, request, note=f"{path.strip()} = {shown!r}", limit_s=3)


@scenario
async def bad_start(w: Wire) -> None:
    """StartWorkflowExecution."""
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "workflow_id": "",
        "workflow_id ": LONG,
        "workflow_type": None,
        "workflow_type.name": LONG,
        "task_queue": None,
        "task_queue.name": LONG,
        "task_queue.name ": "/_sys/other/1",
        "request_id": LONG,
        "identity": LONG,
        "workflow_execution_timeout": seconds(-1),
        "workflow_run_timeout": seconds(-1),
        "workflow_task_timeout": seconds(-1),
        "workflow_start_delay": seconds(-1),
        "workflow_id_reuse_policy": 99,
        "workflow_id_conflict_policy": 99,
        "input": oversize(),
        "cron_schedule": LONG,
        "priority.priority_key": -1,
        "priority.fairness_key": "x" * 65,
        "user_metadata.summary": Payload(data=b"x" * 401),
        "user_metadata.details": Payload(data=b"x" * 20001),
    }
    numbers = count()
    await each_oddity(w, w.rpc.StartWorkflowExecution, lambda: w.other(str(next(numbers))).start_request(), oddities)
    request = w.start_request()
    request.memo.fields["big"].CopyFrom(oversize().payloads[0])
    await w.attempt(w.rpc.StartWorkflowExecution, request, note="big memo")
    await w.attempt(w.rpc.StartWorkflowExecution, api.StartWorkflowExecutionRequest(), note="nothing")


@scenario
async def bad_signal_with_start(w: Wire) -> None:
    """SignalWithStartWorkflowExecution."""
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "workflow_id": "",
        "workflow_id ": LONG,
        "workflow_type": None,
        "task_queue": None,
        "signal_name": "",
        "signal_name ": LONG,
        "request_id": LONG,
        "workflow_run_timeout": seconds(-1),
        "workflow_start_delay": seconds(-1),
        "signal_input": oversize(),
        "input": oversize(),
    }
    await each_oddity(w, w.rpc.SignalWithStartWorkflowExecution, lambda: signal_with_start(w), oddities)


@scenario
async def bad_signal(w: Wire) -> None:
    """SignalWorkflowExecution."""
    await w.start()
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "workflow_execution": None,
        "workflow_execution.workflow_id": LONG,
        "workflow_execution.workflow_id ": "",
        "workflow_execution.run_id": "tea",
        "signal_name": "",
        "signal_name ": LONG,
        "request_id": LONG,
        "input": oversize(),
    }
    await each_oddity(w, w.rpc.SignalWorkflowExecution, w.signal_request, oddities)


@scenario
async def bad_cancel_and_terminate(w: Wire) -> None:
    """RequestCancelWorkflowExecution and TerminateWorkflowExecution."""
    await w.start()
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "workflow_execution": None,
        "workflow_execution.workflow_id": LONG,
        "workflow_execution.run_id": "tea",
        "first_execution_run_id": "tea",
    }
    await each_oddity(w, w.rpc.RequestCancelWorkflowExecution, w.cancel_request, {**oddities, "request_id": LONG})
    await each_oddity(w, w.rpc.TerminateWorkflowExecution, w.terminate_request, {**oddities, "details": oversize()})


@scenario
async def bad_query(w: Wire) -> None:
    """QueryWorkflow."""
    await w.start()
    await w.turn()
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "execution": None,
        "execution.workflow_id": LONG,
        "execution.run_id": "tea",
        "query": None,
        "query.query_type": "",
        "query.query_args": oversize(),
    }
    await each_oddity(w, w.rpc.QueryWorkflow, lambda: query(w), oddities)


@scenario
async def bad_update(w: Wire) -> None:
    """UpdateWorkflowExecution and PollWorkflowExecutionUpdate."""
    await w.start()
    await w.turn()
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "workflow_execution": None,
        "workflow_execution.workflow_id": LONG,
        "workflow_execution.run_id": "tea",
        "first_execution_run_id": "11111111-1111-1111-1111-111111111111",
        "request": None,
        "request.meta": None,
        "request.meta.update_id": LONG,
        "request.input": None,
        "request.input.name": "",
    }
    await each_oddity(w, w.rpc.UpdateWorkflowExecution, lambda: update(w), oddities)
    oddities = {**NAMESPACE, "update_ref": None, "update_ref.update_id": "", "update_ref.workflow_execution": None}
    await each_oddity(w, w.rpc.PollWorkflowExecutionUpdate, lambda: poll(w), oddities)


@scenario
async def bad_polls(w: Wire) -> None:
    """PollWorkflowTaskQueue and PollActivityTaskQueue."""
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "task_queue": None,
        "task_queue.name": "",
        "task_queue.name ": LONG,
        "task_queue.name  ": "/_sys/other/1",
        "identity": LONG,
    }

    def workflow() -> api.PollWorkflowTaskQueueRequest:
        request = api.PollWorkflowTaskQueueRequest(namespace=w.namespace, identity="worker")
        request.task_queue.name = w.queue
        return request

    def activity() -> api.PollActivityTaskQueueRequest:
        request = api.PollActivityTaskQueueRequest(namespace=w.namespace, identity="worker")
        request.task_queue.name = w.queue
        return request

    await each_oddity(w, w.rpc.PollWorkflowTaskQueue, workflow, oddities)
    await each_oddity(w, w.rpc.PollActivityTaskQueue, activity, oddities)
    await w.attempt(w.rpc.PollWorkflowTaskQueue, workflow(), note="a deadline too short", limit_s=0.9)
    await w.attempt(w.rpc.PollActivityTaskQueue, activity(), note="a deadline too short", limit_s=0.9)


@scenario
async def bad_workflow_task_answers(w: Wire) -> None:
    """RespondWorkflowTaskCompleted and RespondWorkflowTaskFailed. A missing namespace is taken from the token."""
    await w.start()
    task = await w.workflow_task()
    # The one without a namespace succeeds, so it comes last.
    oddities: dict[str, Oddity] = {**TOKEN, "identity": LONG}
    oddities["namespace "] = oddities.pop("namespace ")

    def failed() -> api.RespondWorkflowTaskFailedRequest:
        return api.RespondWorkflowTaskFailedRequest(
            namespace=w.namespace, task_token=task.task_token, identity="worker"
        )

    foreign = api.RespondActivityTaskCompletedRequest(namespace=w.namespace, task_token=task.task_token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, foreign, note="token of a workflow task")
    await each_oddity(w, w.rpc.RespondWorkflowTaskFailed, failed, oddities)
    task = await w.workflow_task()
    await each_oddity(w, w.rpc.RespondWorkflowTaskCompleted, lambda: w.completion(task), oddities)


@scenario
async def bad_activity_task_answers(w: Wire) -> None:
    """Answers about activities, by token."""
    space, token = w.namespace, b"replaced"
    await each_oddity(
        w,
        w.rpc.RespondActivityTaskCompleted,
        lambda: api.RespondActivityTaskCompletedRequest(namespace=space, task_token=token, result=payloads("x")),
        TOKEN,
    )
    await each_oddity(
        w,
        w.rpc.RespondActivityTaskFailed,
        lambda: api.RespondActivityTaskFailedRequest(namespace=space, task_token=token, failure=failure()),
        TOKEN,
    )
    await each_oddity(
        w,
        w.rpc.RespondActivityTaskCanceled,
        lambda: api.RespondActivityTaskCanceledRequest(namespace=space, task_token=token),
        TOKEN,
    )
    await each_oddity(
        w,
        w.rpc.RecordActivityTaskHeartbeat,
        lambda: api.RecordActivityTaskHeartbeatRequest(namespace=space, task_token=token),
        TOKEN,
    )


@scenario
async def bad_activity_answers_by_id(w: Wire) -> None:
    """Answers about activities, by ids."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.activity_task()
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "workflow_id": "",
        "workflow_id ": LONG,
        "run_id": "tea",
        "activity_id": "",
        "activity_id ": LONG,
    }
    space, name, big = w.namespace, w.name, Payloads()
    await each_oddity(
        w,
        w.rpc.RespondActivityTaskCompletedById,
        lambda: api.RespondActivityTaskCompletedByIdRequest(
            namespace=space, workflow_id=name, activity_id="a", result=big
        ),
        oddities,
    )
    await each_oddity(
        w,
        w.rpc.RespondActivityTaskFailedById,
        lambda: api.RespondActivityTaskFailedByIdRequest(
            namespace=space, workflow_id=name, activity_id="a", failure=failure()
        ),
        oddities,
    )
    await each_oddity(
        w,
        w.rpc.RespondActivityTaskCanceledById,
        lambda: api.RespondActivityTaskCanceledByIdRequest(namespace=space, workflow_id=name, activity_id="a"),
        oddities,
    )
    await each_oddity(
        w,
        w.rpc.RecordActivityTaskHeartbeatById,
        lambda: api.RecordActivityTaskHeartbeatByIdRequest(namespace=space, workflow_id=name, activity_id="a"),
        oddities,
    )


@scenario
async def bad_reads(w: Wire) -> None:
    """Descriptions and histories."""
    await w.start()
    oddities: dict[str, Oddity] = {
        **NAMESPACE,
        "execution": None,
        "execution.workflow_id": "",
        "execution.workflow_id ": LONG,
        "execution.run_id": "tea",
    }

    def described() -> api.DescribeWorkflowExecutionRequest:
        return api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution())

    def read() -> api.GetWorkflowExecutionHistoryRequest:
        return api.GetWorkflowExecutionHistoryRequest(namespace=w.namespace, execution=w.execution())

    def read_reverse() -> api.GetWorkflowExecutionHistoryReverseRequest:
        return api.GetWorkflowExecutionHistoryReverseRequest(namespace=w.namespace, execution=w.execution())

    paged: dict[str, Oddity] = {**oddities, "next_page_token": b"tea", "maximum_page_size": -1}
    await each_oddity(w, w.rpc.DescribeWorkflowExecution, described, oddities)
    await each_oddity(w, w.rpc.GetWorkflowExecutionHistory, read, paged)
    await each_oddity(w, w.rpc.GetWorkflowExecutionHistoryReverse, read_reverse, paged)


@scenario
async def bad_query_answer(w: Wire) -> None:
    """RespondQueryTaskCompleted and ResetStickyTaskQueue."""
    await each_oddity(
        w,
        w.rpc.RespondQueryTaskCompleted,
        lambda: api.RespondQueryTaskCompletedRequest(namespace=w.namespace, task_token=b"replaced"),
        TOKEN,
    )
    await each_oddity(
        w,
        w.rpc.ResetStickyTaskQueue,
        lambda: api.ResetStickyTaskQueueRequest(namespace=w.namespace, execution=w.execution()),
        {**NAMESPACE, "execution": None, "execution.run_id": "tea"},
    )
