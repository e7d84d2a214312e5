"""The services' methods as they travel: what each takes and answers, what it is about, and what may be repeated.

One table per service, by the name of the client interface's method; carriers and routing read it and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument
from services.protos import history_pb2 as history
from services.protos import matching_pb2 as matching
from services.protos.run_pb2 import QueryTaskToken, TaskToken
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome

HISTORY_SERVICE: Final = "perdure.internal.v1.HistoryService"
MATCHING_SERVICE: Final = "perdure.internal.v1.MatchingService"

WORKFLOW = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
SHORT_S = 10.0  # a call whose caller set no deadline is given up after that
LONG_S = 75.0  # so is a long poll

Subject = Callable[[Call, Any], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Reply:
    """How a reply becomes bytes and is one again."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One method. `about` says what a request concerns: ring members own that. `everywhere`: all members are told.

    `repeatable`: asking twice does no more than asking once. `timeout_s` counts when the caller set no deadline.
    """

    name: str
    request: type[Message]
    reply: Reply
    about: Subject
    repeatable: bool = True
    everywhere: bool = False
    timeout_s: float = SHORT_S

    def path(self, service: str) -> str:
        """The full gRPC name."""
        return f"/{service}/{''.join(part.capitalize() for part in self.name.split('_'))}"


def message(kind: type[Message]) -> Reply:
    return Reply(lambda reply: reply.SerializeToString(), kind.FromString)


NOTHING: Final = Reply(lambda _reply: b"", lambda _payload: None)
BYTES: Final = Reply(lambda reply: reply, lambda payload: payload)
OUTCOME: Final = Reply(lambda outcome: outcome.value.encode(), lambda payload: AddTaskOutcome(payload.decode()))


# What requests are about: a workflow (namespace id, workflow id) for history, a key of the ring for matching.


def _execution(field: str) -> Subject:
    return lambda call, request: (call.namespace_id, getattr(request, field).workflow_id)


def _workflow_id(call: Call, request: Any) -> tuple[str, ...]:
    return call.namespace_id, request.workflow_id


def _own_workflow(_call: Call, request: Any) -> tuple[str, ...]:
    return request.namespace_id, request.workflow_id


def _multi_operation(call: Call, request: api.ExecuteMultiOperationRequest) -> tuple[str, ...]:
    for operation in request.operations:
        if operation.HasField("start_workflow"):
            return call.namespace_id, operation.start_workflow.workflow_id
    return call.namespace_id, ""


def _task_token(_call: Call, request: Any) -> tuple[str, ...]:
    try:
        token = TaskToken.FromString(request.task_token)
    except DecodeError as error:
        raise InvalidArgument("Error deserializing task token.") from error
    return token.namespace_id, token.workflow_id


def _of_update(call: Call, request: api.PollWorkflowExecutionUpdateRequest) -> tuple[str, ...]:
    return call.namespace_id, request.update_ref.workflow_execution.workflow_id


def queue_key(namespace_id: str, task_queue_type: int, name: str) -> tuple[str, ...]:
    """What a task queue partition is called on the ring of matching hosts. `name` is the partition's."""
    return namespace_id, str(int(task_queue_type)), name


def _queue(kind: int) -> Subject:
    return lambda call, request: queue_key(call.namespace_id, kind, request.task_queue.name)


def _queue_of_task(_call: Call, request: matching.AddTaskRequest) -> tuple[str, ...]:
    return queue_key(request.task.namespace_id, request.task_queue_type, request.task_queue)


def _queue_released(call: Call, request: matching.ReleasePollsRequest) -> tuple[str, ...]:
    return queue_key(call.namespace_id, request.task_queue_type, request.task_queue)


def _queue_described(call: Call, request: api.DescribeTaskQueueRequest) -> tuple[str, ...]:
    return queue_key(call.namespace_id, request.task_queue_type or WORKFLOW, request.task_queue.name)


def _queue_of_query(_call: Call, request: api.RespondQueryTaskCompletedRequest) -> tuple[str, ...]:
    try:
        token = QueryTaskToken.FromString(request.task_token)
    except DecodeError as error:
        raise InvalidArgument("Error deserializing task token.") from error
    return queue_key(token.namespace_id, WORKFLOW, token.task_queue)


def _namespace(call: Call, _request: Any) -> tuple[str, ...]:
    return (call.namespace_id,)


def _table(*methods: Wire) -> Mapping[str, Wire]:
    return {method.name: method for method in methods}


def _wire(
    name: str,
    request: type[Message],
    reply: type[Message] | Reply,
    about: Subject,
    *,
    repeatable: bool = True,
    everywhere: bool = False,
    timeout_s: float = SHORT_S,
) -> Wire:
    codec = reply if isinstance(reply, Reply) else message(reply)
    return Wire(
        name=name,
        request=request,
        reply=codec,
        about=about,
        repeatable=repeatable,
        everywhere=everywhere,
        timeout_s=timeout_s,
    )


# A worker's second report of one result is refused as unknown, which the worker would believe of its first.
HISTORY: Final = _table(
    _wire(
        "start_workflow_execution",
        api.StartWorkflowExecutionRequest,
        api.StartWorkflowExecutionResponse,
        _workflow_id,
    ),
    _wire(
        "signal_workflow_execution",
        api.SignalWorkflowExecutionRequest,
        api.SignalWorkflowExecutionResponse,
        _execution("workflow_execution"),
    ),
    _wire(
        "signal_with_start_workflow_execution",
        api.SignalWithStartWorkflowExecutionRequest,
        api.SignalWithStartWorkflowExecutionResponse,
        _workflow_id,
    ),
    _wire(
        "execute_multi_operation",
        api.ExecuteMultiOperationRequest,
        api.ExecuteMultiOperationResponse,
        _multi_operation,
        timeout_s=LONG_S,
    ),
    _wire(
        "request_cancel_workflow_execution",
        api.RequestCancelWorkflowExecutionRequest,
        NOTHING,
        _execution("workflow_execution"),
    ),
    _wire(
        "terminate_workflow_execution",
        api.TerminateWorkflowExecutionRequest,
        NOTHING,
        _execution("workflow_execution"),
        repeatable=False,
    ),
    _wire(
        "delete_workflow_execution",
        api.DeleteWorkflowExecutionRequest,
        NOTHING,
        _execution("workflow_execution"),
        repeatable=False,
    ),
    _wire(
        "describe_workflow_execution",
        api.DescribeWorkflowExecutionRequest,
        api.DescribeWorkflowExecutionResponse,
        _execution("execution"),
    ),
    _wire(
        "get_workflow_execution_history",
        api.GetWorkflowExecutionHistoryRequest,
        BYTES,
        _execution("execution"),
        timeout_s=LONG_S,
    ),
    _wire(
        "get_workflow_execution_history_reverse",
        api.GetWorkflowExecutionHistoryReverseRequest,
        api.GetWorkflowExecutionHistoryReverseResponse,
        _execution("execution"),
    ),
    _wire(
        "query_workflow",
        api.QueryWorkflowRequest,
        api.QueryWorkflowResponse,
        _execution("execution"),
        timeout_s=LONG_S,
    ),
    _wire(
        "update_workflow_execution",
        api.UpdateWorkflowExecutionRequest,
        api.UpdateWorkflowExecutionResponse,
        _execution("workflow_execution"),
        timeout_s=LONG_S,
    ),
    _wire(
        "poll_workflow_execution_update",
        api.PollWorkflowExecutionUpdateRequest,
        api.PollWorkflowExecutionUpdateResponse,
        _of_update,
        timeout_s=LONG_S,
    ),
    _wire(  # repeated without a request id it is refused, and so is any repetition of its end
        "pause_workflow_execution",
        api.PauseWorkflowExecutionRequest,
        NOTHING,
        _workflow_id,
        repeatable=False,
    ),
    _wire(
        "unpause_workflow_execution",
        api.UnpauseWorkflowExecutionRequest,
        NOTHING,
        _workflow_id,
        repeatable=False,
    ),
    _wire(
        "update_workflow_execution_options",
        api.UpdateWorkflowExecutionOptionsRequest,
        api.UpdateWorkflowExecutionOptionsResponse,
        _execution("workflow_execution"),
    ),
    _wire(
        "reset_workflow_execution",
        api.ResetWorkflowExecutionRequest,
        api.ResetWorkflowExecutionResponse,
        _execution("workflow_execution"),
        timeout_s=LONG_S,  # a long history is copied
    ),
    _wire(
        "pause_activity",
        history.PauseActivityRequest,
        NOTHING,
        lambda call, request: (call.namespace_id, request.pause.execution.workflow_id),
    ),
    _wire("unpause_activity", api.UnpauseActivityRequest, NOTHING, _execution("execution")),
    # A worker may have the first attempt by the time it is asked again.
    _wire("reset_activity", api.ResetActivityRequest, NOTHING, _execution("execution"), repeatable=False),
    _wire(
        "update_activity_options",
        history.UpdateActivityOptionsRequest,
        api.UpdateActivityOptionsResponse,
        lambda call, request: (call.namespace_id, request.update.execution.workflow_id),
    ),
    _wire("reset_sticky_task_queue", api.ResetStickyTaskQueueRequest, NOTHING, _execution("execution")),
    _wire(
        "respond_workflow_task_completed",
        api.RespondWorkflowTaskCompletedRequest,
        BYTES,
        _task_token,
        repeatable=False,
    ),
    _wire(
        "respond_workflow_task_failed",
        api.RespondWorkflowTaskFailedRequest,
        NOTHING,
        _task_token,
        repeatable=False,
    ),
    _wire(
        "record_activity_task_heartbeat",
        api.RecordActivityTaskHeartbeatRequest,
        api.RecordActivityTaskHeartbeatResponse,
        _task_token,
    ),
    _wire(
        "respond_activity_task_completed",
        api.RespondActivityTaskCompletedRequest,
        NOTHING,
        _task_token,
        repeatable=False,
    ),
    _wire(
        "respond_activity_task_failed",
        api.RespondActivityTaskFailedRequest,
        api.RespondActivityTaskFailedResponse,
        _task_token,
        repeatable=False,
    ),
    _wire(
        "respond_activity_task_canceled",
        api.RespondActivityTaskCanceledRequest,
        NOTHING,
        _task_token,
        repeatable=False,
    ),
    _wire("activity_task_token", history.ActivityTaskTokenRequest, BYTES, _workflow_id),
    _wire("record_workflow_task_started", history.RecordWorkflowTaskStartedRequest, BYTES, _own_workflow),
    _wire("record_activity_task_started", history.RecordActivityTaskStartedRequest, BYTES, _own_workflow),
    _wire(
        "start_child",
        history.StartChildRequest,
        history.StartChildResponse,
        lambda _call, request: (request.namespace_id, request.start.workflow_id),
    ),
    _wire("schedule_first_workflow_task", history.ScheduleFirstWorkflowTaskRequest, NOTHING, _own_workflow),
    _wire("record_child_closed", history.RecordChildClosedRequest, NOTHING, _own_workflow),
    _wire(
        "signal_external",
        history.ExternalSignalRequest,
        NOTHING,
        lambda _call, request: (request.namespace_id, request.signal.workflow_execution.workflow_id),
    ),
    _wire(
        "cancel_external",
        history.ExternalCancelRequest,
        NOTHING,
        lambda _call, request: (request.namespace_id, request.cancel.workflow_execution.workflow_id),
    ),
)

# Added twice, a task is refused by history when it is started the second time.
MATCHING: Final = _table(
    _wire("add_task", matching.AddTaskRequest, OUTCOME, _queue_of_task),
    # At two places at once under one request id, it could be started for two workers.
    _wire("forward_task", matching.AddTaskRequest, OUTCOME, _queue_of_task, repeatable=False, timeout_s=LONG_S),
    _wire(
        "poll_workflow_task_queue",
        api.PollWorkflowTaskQueueRequest,
        BYTES,
        _queue(WORKFLOW),
        repeatable=False,
        timeout_s=LONG_S,
    ),
    _wire(
        "poll_activity_task_queue",
        api.PollActivityTaskQueueRequest,
        BYTES,
        _queue(ACTIVITY),
        repeatable=False,
        timeout_s=LONG_S,
    ),
    _wire(
        "query_workflow",
        matching.QueryTaskRequest,
        api.RespondQueryTaskCompletedRequest,
        _queue(WORKFLOW),
        timeout_s=LONG_S,
    ),
    _wire("respond_query_task_completed", api.RespondQueryTaskCompletedRequest, NOTHING, _queue_of_query),
    _wire("describe_task_queue", api.DescribeTaskQueueRequest, api.DescribeTaskQueueResponse, _queue_described),
    _wire(
        "list_task_queue_partitions",
        api.ListTaskQueuePartitionsRequest,
        api.ListTaskQueuePartitionsResponse,
        _queue(WORKFLOW),
    ),
    _wire("shutdown_worker", api.ShutdownWorkerRequest, NOTHING, _namespace, everywhere=True),
    _wire("record_worker_heartbeat", api.RecordWorkerHeartbeatRequest, NOTHING, _namespace),
    _wire("list_workers", api.ListWorkersRequest, api.ListWorkersResponse, _namespace),
    _wire("describe_worker", api.DescribeWorkerRequest, api.DescribeWorkerResponse, _namespace),
    _wire("release_polls", matching.ReleasePollsRequest, NOTHING, _queue_released),
    _wire("unload", matching.UnloadRequest, NOTHING, _namespace, everywhere=True),
)
