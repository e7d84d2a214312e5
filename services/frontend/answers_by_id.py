"""Answers about activities by their ids, for those who have no token: the same as by token once it is found."""

from typing import Protocol

from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument, NotFound
from services.frontend import checks
from services.frontend.answers import Answers
from services.frontend.backends import Backends
from services.protos.history_pb2 import ActivityTaskTokenRequest
from services.rpc import Call


class ById(Protocol):
    """A request about an activity by its ids."""

    @property
    def workflow_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def activity_id(self) -> str: ...
    @property
    def identity(self) -> str: ...


class AnswersById:
    """RespondActivityTaskCompletedById and its kin."""

    def __init__(self, backends: Backends) -> None:
        self._history, self._config = backends.history, backends.config
        self._answers = Answers(backends)

    async def respond_activity_task_completed_by_id(
        self, call: Call, request: api.RespondActivityTaskCompletedByIdRequest
    ) -> None:
        answer = api.RespondActivityTaskCompletedRequest(
            namespace=request.namespace, task_token=await self._token(call, request), identity=request.identity
        )
        if request.HasField("result"):
            answer.result.CopyFrom(request.result)
        await self._answers.respond_activity_task_completed(call, answer)

    async def respond_activity_task_failed_by_id(
        self, call: Call, request: api.RespondActivityTaskFailedByIdRequest
    ) -> api.RespondActivityTaskFailedByIdResponse:
        answer = api.RespondActivityTaskFailedRequest(
            namespace=request.namespace, task_token=await self._token(call, request), identity=request.identity
        )
        if request.HasField("failure"):
            answer.failure.CopyFrom(request.failure)
        if request.HasField("last_heartbeat_details"):
            answer.last_heartbeat_details.CopyFrom(request.last_heartbeat_details)
        reply = await self._answers.respond_activity_task_failed(call, answer, of_any_kind=True)
        return api.RespondActivityTaskFailedByIdResponse(failures=reply.failures)

    async def respond_activity_task_canceled_by_id(
        self, call: Call, request: api.RespondActivityTaskCanceledByIdRequest
    ) -> None:
        answer = api.RespondActivityTaskCanceledRequest(
            namespace=request.namespace, task_token=await self._token(call, request), identity=request.identity
        )
        if request.HasField("details"):
            answer.details.CopyFrom(request.details)
        await self._answers.respond_activity_task_canceled(call, answer)

    async def record_activity_task_heartbeat_by_id(
        self, call: Call, request: api.RecordActivityTaskHeartbeatByIdRequest
    ) -> api.RecordActivityTaskHeartbeatByIdResponse:
        answer = api.RecordActivityTaskHeartbeatRequest(
            namespace=request.namespace,
            task_token=await self._token(call, request, long_identity=True),
            identity=request.identity,
        )
        if request.HasField("details"):
            answer.details.CopyFrom(request.details)
        reply = await self._answers.record_activity_task_heartbeat(call, answer)
        return api.RecordActivityTaskHeartbeatByIdResponse(
            cancel_requested=reply.cancel_requested,
            activity_paused=reply.activity_paused,
            activity_reset=reply.activity_reset,
        )

    async def _token(self, call: Call, request: ById, *, long_identity: bool = False) -> bytes:
        if not request.activity_id:
            raise InvalidArgument("ActivityId is not set on request.")
        if not long_identity:
            checks.length(request.identity, self._config.get(limits.MAX_ID_LENGTH), "Identity")
        if request.run_id and not checks.is_uuid(request.run_id):
            raise InvalidArgument("RunId is not valid UUID.")
        if not request.workflow_id:  # an activity of its own, of which there are none
            raise NotFound(f"activity not found for ID: {request.activity_id}")
        asked = ActivityTaskTokenRequest(
            workflow_id=request.workflow_id, run_id=request.run_id, activity_id=request.activity_id
        )
        return await self._history.activity_task_token(call, asked)
