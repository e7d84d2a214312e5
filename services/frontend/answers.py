"""What workers answer: tasks completed, failed and canceled, by token. What is too large becomes a failure.

A result over the limit must not come back for ever in retries of a refused call, so the activity fails in its stead.
"""

from google.protobuf.message import Message
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.failure.v1 import Failure, ServerFailureInfo
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument
from services.frontend import checks
from services.frontend.backends import Backends
from services.rpc import Call


class Answers:
    """RespondWorkflowTask..., RespondActivityTask..., RecordActivityTaskHeartbeat, RespondQueryTaskCompleted."""

    def __init__(self, backends: Backends) -> None:
        self._history, self._matching, self._config = backends.history, backends.matching, backends.config

    async def respond_workflow_task_completed(
        self, call: Call, request: api.RespondWorkflowTaskCompletedRequest
    ) -> bytes:
        self._check_identity(request.identity)
        return await self._history.respond_workflow_task_completed(call, request)

    async def respond_workflow_task_failed(self, call: Call, request: api.RespondWorkflowTaskFailedRequest) -> None:
        self._check_identity(request.identity)
        if self._too_large(call, request.failure):
            request.failure.CopyFrom(self._shortened(call, request.failure))
        await self._history.respond_workflow_task_failed(call, request)

    async def respond_query_task_completed(self, call: Call, request: api.RespondQueryTaskCompletedRequest) -> None:
        if self._too_large(call, request.query_result):
            request.ClearField("query_result")
            request.completed_type = QueryResultType.QUERY_RESULT_TYPE_FAILED
            request.error_message = "Blob data size exceeds limit."
        await self._matching.respond_query_task_completed(call, request)

    async def respond_activity_task_completed(
        self, call: Call, request: api.RespondActivityTaskCompletedRequest
    ) -> None:
        self._check_identity(request.identity)
        if self._too_large(call, request.result):
            await self._fail(call, request.task_token, request.identity, "Complete result exceeds size limit.")
        else:
            await self._history.respond_activity_task_completed(call, request)

    async def respond_activity_task_failed(
        self, call: Call, request: api.RespondActivityTaskFailedRequest, *, of_any_kind: bool = False
    ) -> api.RespondActivityTaskFailedResponse:
        known = request.failure.HasField("application_failure_info")
        if request.HasField("failure") and not known and not of_any_kind:
            raise InvalidArgument("Failure must have ApplicationFailureInfo.")
        self._check_identity(request.identity)
        problems: list[Failure] = []
        if self._too_large(call, request.last_heartbeat_details):
            problems.append(server_failure("Heartbeat details exceed size limit."))
            request.ClearField("last_heartbeat_details")
        if self._too_large(call, request.failure):
            shortened = self._shortened(call, request.failure)
            problems.append(shortened)
            request.failure.CopyFrom(shortened)
        reply = await self._history.respond_activity_task_failed(call, request)
        reply.failures.extend(problems)
        return reply

    async def respond_activity_task_canceled(self, call: Call, request: api.RespondActivityTaskCanceledRequest) -> None:
        self._check_identity(request.identity)
        if self._too_large(call, request.details):
            await self._fail(call, request.task_token, request.identity, "Cancel details exceed size limit.")
        else:
            await self._history.respond_activity_task_canceled(call, request)

    async def record_activity_task_heartbeat(
        self, call: Call, request: api.RecordActivityTaskHeartbeatRequest
    ) -> api.RecordActivityTaskHeartbeatResponse:
        if self._too_large(call, request.details):
            await self._fail(call, request.task_token, request.identity, "Heartbeat details exceed size limit.")
            return api.RecordActivityTaskHeartbeatResponse(cancel_requested=True)
        return await self._history.record_activity_task_heartbeat(call, request)

    def _check_identity(self, identity: str) -> None:
        checks.length(identity, self._config.get(limits.MAX_ID_LENGTH), "Identity")

    def _too_large(self, call: Call, blob: Message) -> bool:
        return blob.ByteSize() > self._config.get(limits.BLOB_SIZE_ERROR, call.namespace)

    async def _fail(self, call: Call, token: bytes, identity: str, reason: str) -> None:
        failure = server_failure(reason)
        await self._history.respond_activity_task_failed(
            call,
            api.RespondActivityTaskFailedRequest(
                namespace=call.namespace, task_token=token, failure=failure, identity=identity
            ),
        )

    def _shortened(self, call: Call, failure: Failure) -> Failure:
        """A failure that fits, with what of the large one fits as its cause."""
        shortened = server_failure("Failure exceeds size limit.")
        kept = shortened.cause
        kept.source = failure.source
        if failure.HasField("application_failure_info"):
            info = failure.application_failure_info
            kept.application_failure_info.type = _cut(info.type, 1000)
            kept.application_failure_info.non_retryable = info.non_retryable
        room = self._config.get(limits.BLOB_SIZE_WARN, call.namespace) - kept.ByteSize() - FRAMING_BYTES
        kept.message = _cut(failure.message, room)
        kept.stack_trace = _cut(failure.stack_trace, room - len(kept.message.encode()))
        return shortened


FRAMING_BYTES = 10  # what the reference keeps free of a failure that it cuts, as measured


def server_failure(message: str) -> Failure:
    return Failure(message=message, server_failure_info=ServerFailureInfo(non_retryable=True))


def _cut(text: str, bytes_max: int) -> str:
    return text.encode()[: max(bytes_max, 0)].decode(errors="ignore")
