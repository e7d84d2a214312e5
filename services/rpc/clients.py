"""The interfaces by which services meet. A service implements one; others hold it as a client and cannot tell which
carrier is behind it. Requests and replies are public API messages where the API has them (the namespace's id travels
in the Call), our own protos otherwise.

Replies that hold history travel as serialized bytes: batches are concatenated into them and never parsed (design: One
transaction). Two serialized messages of one type, concatenated, are their merge.
"""

from enum import Enum
from typing import Protocol

from temporalio.api.workflowservice import v1 as api

from services.protos.history_pb2 import (
    ActivityTaskTokenRequest,
    ExternalCancelRequest,
    ExternalSignalRequest,
    PauseActivityRequest,
    RecordActivityTaskStartedRequest,
    RecordChildClosedRequest,
    RecordWorkflowTaskStartedRequest,
    ScheduleFirstWorkflowTaskRequest,
    StartChildRequest,
    StartChildResponse,
    UpdateActivityOptionsRequest,
)
from services.protos.matching_pb2 import AddTaskRequest, QueryTaskRequest, ReleasePollsRequest, UnloadRequest
from services.rpc.call import Call


class HistoryClient(Protocol):
    """The engine. Every method may raise services.errors.ServiceError."""

    # What clients ask.
    async def start_workflow_execution(
        self, call: Call, request: api.StartWorkflowExecutionRequest
    ) -> api.StartWorkflowExecutionResponse: ...
    async def signal_workflow_execution(
        self, call: Call, request: api.SignalWorkflowExecutionRequest
    ) -> api.SignalWorkflowExecutionResponse: ...
    async def signal_with_start_workflow_execution(
        self, call: Call, request: api.SignalWithStartWorkflowExecutionRequest
    ) -> api.SignalWithStartWorkflowExecutionResponse: ...
    async def execute_multi_operation(
        self, call: Call, request: api.ExecuteMultiOperationRequest
    ) -> api.ExecuteMultiOperationResponse: ...
    async def request_cancel_workflow_execution(
        self, call: Call, request: api.RequestCancelWorkflowExecutionRequest
    ) -> None: ...
    async def terminate_workflow_execution(
        self, call: Call, request: api.TerminateWorkflowExecutionRequest
    ) -> None: ...
    async def delete_workflow_execution(self, call: Call, request: api.DeleteWorkflowExecutionRequest) -> None: ...
    async def describe_workflow_execution(
        self, call: Call, request: api.DescribeWorkflowExecutionRequest
    ) -> api.DescribeWorkflowExecutionResponse: ...
    async def get_workflow_execution_history(
        self, call: Call, request: api.GetWorkflowExecutionHistoryRequest
    ) -> bytes:
        """A serialized GetWorkflowExecutionHistoryResponse."""
        ...

    async def get_workflow_execution_history_reverse(
        self, call: Call, request: api.GetWorkflowExecutionHistoryReverseRequest
    ) -> api.GetWorkflowExecutionHistoryReverseResponse: ...
    async def query_workflow(self, call: Call, request: api.QueryWorkflowRequest) -> api.QueryWorkflowResponse: ...
    async def update_workflow_execution(
        self, call: Call, request: api.UpdateWorkflowExecutionRequest
    ) -> api.UpdateWorkflowExecutionResponse: ...
    async def poll_workflow_execution_update(
        self, call: Call, request: api.PollWorkflowExecutionUpdateRequest
    ) -> api.PollWorkflowExecutionUpdateResponse: ...
    async def pause_workflow_execution(self, call: Call, request: api.PauseWorkflowExecutionRequest) -> None: ...
    async def unpause_workflow_execution(self, call: Call, request: api.UnpauseWorkflowExecutionRequest) -> None: ...
    async def update_workflow_execution_options(
        self, call: Call, request: api.UpdateWorkflowExecutionOptionsRequest
    ) -> api.UpdateWorkflowExecutionOptionsResponse: ...
    async def reset_workflow_execution(
        self, call: Call, request: api.ResetWorkflowExecutionRequest
    ) -> api.ResetWorkflowExecutionResponse:
        """Asked again with the same request id, answers with the run that is there already."""
        ...

    async def pause_activity(self, call: Call, request: PauseActivityRequest) -> None: ...
    async def unpause_activity(self, call: Call, request: api.UnpauseActivityRequest) -> None: ...
    async def reset_activity(self, call: Call, request: api.ResetActivityRequest) -> None: ...
    async def update_activity_options(
        self, call: Call, request: UpdateActivityOptionsRequest
    ) -> api.UpdateActivityOptionsResponse: ...
    async def reset_sticky_task_queue(self, call: Call, request: api.ResetStickyTaskQueueRequest) -> None: ...

    # What workers answer. The token says which run is meant.
    async def respond_workflow_task_completed(
        self, call: Call, request: api.RespondWorkflowTaskCompletedRequest
    ) -> bytes:
        """A serialized RespondWorkflowTaskCompletedResponse."""
        ...

    async def respond_workflow_task_failed(self, call: Call, request: api.RespondWorkflowTaskFailedRequest) -> None: ...
    async def record_activity_task_heartbeat(
        self, call: Call, request: api.RecordActivityTaskHeartbeatRequest
    ) -> api.RecordActivityTaskHeartbeatResponse: ...
    async def respond_activity_task_completed(
        self, call: Call, request: api.RespondActivityTaskCompletedRequest
    ) -> None: ...
    async def respond_activity_task_failed(
        self, call: Call, request: api.RespondActivityTaskFailedRequest
    ) -> api.RespondActivityTaskFailedResponse: ...
    async def respond_activity_task_canceled(
        self, call: Call, request: api.RespondActivityTaskCanceledRequest
    ) -> None: ...
    async def activity_task_token(self, call: Call, request: ActivityTaskTokenRequest) -> bytes:
        """A token for the pending activity with that id, for completions by id."""
        ...

    # What matching asks.
    async def record_workflow_task_started(self, call: Call, request: RecordWorkflowTaskStartedRequest) -> bytes:
        """A serialized PollWorkflowTaskQueueResponse. NotFound: the task is over or was started by another poll."""
        ...

    async def record_activity_task_started(self, call: Call, request: RecordActivityTaskStartedRequest) -> bytes:
        """A serialized PollActivityTaskQueueResponse. NotFound: the task is over or was started by another poll."""
        ...

    # What runs tell each other, by outbox tasks: at least once, so every one is idempotent.
    async def start_child(self, call: Call, request: StartChildRequest) -> StartChildResponse:
        """With the run id of the child. Asked again with the same initiated event, answers the same."""
        ...

    async def schedule_first_workflow_task(self, call: Call, request: ScheduleFirstWorkflowTaskRequest) -> None: ...
    async def record_child_closed(self, call: Call, request: RecordChildClosedRequest) -> None: ...
    async def signal_external(self, call: Call, request: ExternalSignalRequest) -> None: ...
    async def cancel_external(self, call: Call, request: ExternalCancelRequest) -> None: ...


class AddTaskOutcome(Enum):
    """Who answers for the task from now on."""

    MATCHED = "matched"  # history has started it for a poller, or it is over: it was never written by matching
    STORED = "stored"  # it is in the backlog: the outbox row may go
    STICKY_WORKER_UNAVAILABLE = "sticky_worker_unavailable"  # nobody has polled this sticky queue lately
    UNMATCHED = "unmatched"  # to a partition that forwarded it, nobody else: it must go on trying


class MatchingClient(Protocol):
    """Task queues. Every method may raise services.errors.ServiceError."""

    async def add_task(self, call: Call, request: AddTaskRequest) -> AddTaskOutcome: ...
    async def forward_task(self, call: Call, request: AddTaskRequest) -> AddTaskOutcome:
        """From one partition to its parent, which never stores it: MATCHED or UNMATCHED, nothing else."""
        ...

    async def poll_workflow_task_queue(self, call: Call, request: api.PollWorkflowTaskQueueRequest) -> bytes:
        """A serialized PollWorkflowTaskQueueResponse; b"" (an empty response) when the wait is over."""
        ...

    async def poll_activity_task_queue(self, call: Call, request: api.PollActivityTaskQueueRequest) -> bytes:
        """A serialized PollActivityTaskQueueResponse; b"" (an empty response) when the wait is over."""
        ...

    async def query_workflow(self, call: Call, request: QueryTaskRequest) -> api.RespondQueryTaskCompletedRequest:
        """Hands a query task to a poller of the queue and waits for its answer until the call's deadline.

        Raises DeadlineExceeded ("query timed out before a worker could process it"), FailedPrecondition when nobody
        polls the queue, Unavailable when a sticky queue's worker is gone.
        """
        ...

    async def respond_query_task_completed(self, call: Call, request: api.RespondQueryTaskCompletedRequest) -> None: ...
    async def describe_task_queue(
        self, call: Call, request: api.DescribeTaskQueueRequest
    ) -> api.DescribeTaskQueueResponse: ...
    async def list_task_queue_partitions(
        self, call: Call, request: api.ListTaskQueuePartitionsRequest
    ) -> api.ListTaskQueuePartitionsResponse:
        """Those that are polled, and whose they are."""
        ...

    async def shutdown_worker(self, call: Call, request: api.ShutdownWorkerRequest) -> None: ...
    async def record_worker_heartbeat(self, call: Call, request: api.RecordWorkerHeartbeatRequest) -> None: ...
    async def list_workers(self, call: Call, request: api.ListWorkersRequest) -> api.ListWorkersResponse: ...
    async def describe_worker(self, call: Call, request: api.DescribeWorkerRequest) -> api.DescribeWorkerResponse: ...
    async def release_polls(self, call: Call, request: ReleasePollsRequest) -> None:
        """Ends the polls another partition has forwarded here, politely: that one is about to go."""
        ...

    async def unload(self, call: Call, request: UnloadRequest) -> None:
        """Used when a namespace goes."""
        ...
