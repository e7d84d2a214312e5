"""UpdateWorkflowExecutionOptions: which fields a mask may name, and what they may say."""

from google.protobuf.descriptor import Descriptor
from temporalio.api.workflow.v1 import PostResetOperation, WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument
from services.frontend import checks, overrides
from services.frontend.backends import Backends
from services.rpc import Call


class Options:
    """The call that changes options of an open workflow."""

    def __init__(self, backends: Backends) -> None:
        self._history = backends.history

    async def update_workflow_execution_options(
        self, call: Call, request: api.UpdateWorkflowExecutionOptionsRequest
    ) -> api.UpdateWorkflowExecutionOptionsResponse:
        execution = request.workflow_execution
        if not execution.workflow_id:
            raise InvalidArgument("WorkflowId is not set on request.")
        if execution.run_id and not checks.is_uuid(execution.run_id):
            raise InvalidArgument("RunId is not valid UUID.")
        check_change(request)
        return await self._history.update_workflow_execution_options(call, request)


def check_change(
    change: api.UpdateWorkflowExecutionOptionsRequest | PostResetOperation.UpdateWorkflowOptions,
) -> None:
    """Options, and the mask that says which of them are meant."""
    if not change.HasField("update_mask"):
        raise InvalidArgument("UpdateMask is required")
    if not change.HasField("workflow_execution_options"):
        raise InvalidArgument("WorkflowExecutionOptions is required")
    for path in change.update_mask.paths:
        _check_path(path)
    options = change.workflow_execution_options
    checks.priority(options.priority)
    if options.HasField("versioning_override"):
        overrides.check(options.versioning_override, version_required=False)


def _check_path(path: str) -> None:
    descriptor: Descriptor | None = WorkflowExecutionOptions.DESCRIPTOR
    for name in path.split("."):
        field = descriptor.fields_by_name.get(name) if descriptor is not None else None
        if field is None:
            kind = WorkflowExecutionOptions.DESCRIPTOR.full_name
            raise InvalidArgument(
                f'error parsing UpdateMask: proto:\N{NO-BREAK SPACE}invalid path "{path}" for message "{kind}"'
            )
        descriptor = None if field.is_repeated else field.message_type
