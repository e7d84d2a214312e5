"""The calls by which operators pause, unpause and reset pending activities and change their options.

There are two of each: an older one about activities of a workflow by id, by type, or all of them, and a newer one about
one activity, of a workflow or on its own. Of the latter kind there are none.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument, NotFound
from services.frontend import checks
from services.frontend.answers_by_id import ById
from services.frontend.backends import Backends
from services.protos.history_pb2 import PauseActivityRequest, UpdateActivityOptionsRequest
from services.rpc import Call

PATHS: Final = frozenset(
    (
        "task_queue.name",
        "schedule_to_close_timeout",
        "schedule_to_start_timeout",
        "start_to_close_timeout",
        "heartbeat_timeout",
        "retry_policy",
        "retry_policy.initial_interval",
        "retry_policy.backoff_coefficient",
        "retry_policy.maximum_interval",
        "retry_policy.maximum_attempts",
        "priority",
        "priority.priority_key",
        "priority.fairness_key",
        "priority.fairness_weight",
        "start_delay",
    )
)

Older = (
    api.PauseActivityRequest | api.UnpauseActivityRequest | api.ResetActivityRequest | api.UpdateActivityOptionsRequest
)


class _Newer(ById, Protocol):
    @property
    def request_id(self) -> str: ...


class ActivityOperations:
    """PauseActivity, PauseActivityExecution and their kin."""

    def __init__(self, backends: Backends) -> None:
        self._history, self._config, self._chance = backends.history, backends.config, backends.chance

    async def pause_activity(self, call: Call, request: api.PauseActivityRequest) -> api.PauseActivityResponse:
        _check(request)
        await self._history.pause_activity(call, PauseActivityRequest(pause=request))
        return api.PauseActivityResponse()

    async def unpause_activity(self, call: Call, request: api.UnpauseActivityRequest) -> api.UnpauseActivityResponse:
        _check(request)
        _check_jitter(request.jitter)
        await self._history.unpause_activity(call, request)
        return api.UnpauseActivityResponse()

    async def reset_activity(self, call: Call, request: api.ResetActivityRequest) -> api.ResetActivityResponse:
        _check(request)
        _check_jitter(request.jitter)
        await self._history.reset_activity(call, request)
        return api.ResetActivityResponse()

    async def update_activity_options(
        self, call: Call, request: api.UpdateActivityOptionsRequest
    ) -> api.UpdateActivityOptionsResponse:
        _check(request)
        _check_update(request)
        known = [_snake(path) for path in request.update_mask.paths]  # what is not known is ignored
        request.update_mask.CopyFrom(FieldMask(paths=[path for path in known if path in PATHS]))
        asked = UpdateActivityOptionsRequest(update=request)
        return await self._history.update_activity_options(call, asked)

    async def pause_activity_execution(
        self, call: Call, request: api.PauseActivityExecutionRequest
    ) -> api.PauseActivityExecutionResponse:
        execution = self._execution(request)
        pause = api.PauseActivityRequest(
            namespace=request.namespace,
            execution=execution,
            identity=request.identity,
            id=request.activity_id,
            reason=request.reason,
            request_id=request.request_id or self._chance.unique_id(),
        )
        await self._history.pause_activity(call, PauseActivityRequest(pause=pause, refuse_paused=True))
        return api.PauseActivityExecutionResponse()

    async def unpause_activity_execution(
        self, call: Call, request: api.UnpauseActivityExecutionRequest
    ) -> api.UnpauseActivityExecutionResponse:
        execution = self._execution(request)
        _check_jitter(request.jitter)
        unpause = api.UnpauseActivityRequest(
            namespace=request.namespace,
            execution=execution,
            identity=request.identity,
            id=request.activity_id,
            jitter=request.jitter,
        )
        await self._history.unpause_activity(call, unpause)
        return api.UnpauseActivityExecutionResponse()

    async def reset_activity_execution(
        self, call: Call, request: api.ResetActivityExecutionRequest
    ) -> api.ResetActivityExecutionResponse:
        execution = self._execution(request)
        _check_jitter(request.jitter)
        reset = api.ResetActivityRequest(
            namespace=request.namespace,
            execution=execution,
            identity=request.identity,
            id=request.activity_id,
            reset_heartbeat=request.reset_heartbeat,
            keep_paused=request.keep_paused,
            jitter=request.jitter,
            restore_original_options=request.restore_original_options,
        )
        await self._history.reset_activity(call, reset)
        return api.ResetActivityExecutionResponse()

    async def update_activity_execution_options(
        self, call: Call, request: api.UpdateActivityExecutionOptionsRequest
    ) -> api.UpdateActivityExecutionOptionsResponse:
        execution = self._execution(request)
        _check_update(request)
        update = api.UpdateActivityOptionsRequest(
            namespace=request.namespace,
            execution=execution,
            identity=request.identity,
            id=request.activity_id,
            activity_options=request.activity_options if request.HasField("activity_options") else None,
            update_mask=FieldMask(paths=_known(request)),
            restore_original=request.restore_original,
        )
        asked = UpdateActivityOptionsRequest(update=update, strict=True)
        reply = await self._history.update_activity_options(call, asked)
        return api.UpdateActivityExecutionOptionsResponse(activity_options=reply.activity_options)

    def _execution(self, request: _Newer) -> WorkflowExecution:
        """The workflow whose activity is meant; raises what the request is refused for."""
        if not request.activity_id:
            raise InvalidArgument("activity ID is required")
        length_max = self._config.get(limits.MAX_ID_LENGTH)
        for name, text in (
            ("activity ID", request.activity_id),
            ("workflow ID", request.workflow_id),
            ("identity", request.identity),
            ("request ID", request.request_id),
        ):
            length = len(text.encode())
            if length > length_max:
                raise InvalidArgument(f"{name} exceeds length limit. Length={length} Limit={length_max}")
        if request.run_id and not checks.is_uuid(request.run_id):
            raise InvalidArgument("invalid run id: must be a valid UUID")
        if not request.workflow_id:  # an activity of its own, of which there are none
            raise NotFound(f"activity not found for ID: {request.activity_id}")
        return WorkflowExecution(workflow_id=request.workflow_id, run_id=request.run_id)


def _check(request: Older) -> None:
    if not request.execution.workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    if request.execution.run_id and not checks.is_uuid(request.execution.run_id):
        raise InvalidArgument("RunId is not valid UUID.")
    if request.WhichOneof("activity") is None:
        raise InvalidArgument("Either Activity.Id or Activity.Type should be set on request.")


def _check_jitter(jitter: Duration) -> None:
    wrong = checks.why_bad_duration(jitter)
    if wrong:
        raise InvalidArgument(f"An invalid Jitter is set on request. cause: {wrong}")


def _check_update(request: api.UpdateActivityOptionsRequest | api.UpdateActivityExecutionOptionsRequest) -> None:
    """Either options with a mask, or the original ones."""
    if request.restore_original:
        if request.update_mask.paths:
            raise InvalidArgument("Both UpdateMask and RestoreOriginal are provided")
        return
    if not request.HasField("activity_options"):
        raise InvalidArgument("ActivityOptions are not provided")
    if not request.HasField("update_mask"):
        raise InvalidArgument("UpdateMask is not provided")


def _known(request: api.UpdateActivityExecutionOptionsRequest) -> Iterator[str]:
    """The paths of the mask as the API's fields are named; raises InvalidArgument when one is none."""
    if not request.restore_original and not request.update_mask.paths:
        raise InvalidArgument("UpdateMask must specify at least one path")
    for path in request.update_mask.paths:
        known = _snake(path)
        if known not in PATHS:
            raise InvalidArgument(f'unsupported update_mask path: "{path}"')
        yield known


def _snake(path: str) -> str:
    """Masks of JSON name fields in camel case."""
    return re.sub(r"(?<=[^._])(?=[A-Z])", "_", path).lower()
