"""The call that resets a workflow to an earlier point."""

from typing import NoReturn

from temporalio.api.enums.v1 import ResetReapplyType
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument
from services.frontend import checks
from services.frontend.backends import Backends
from services.frontend.options import check_change
from services.rpc import Call


class Resets:
    """ResetWorkflowExecution."""

    def __init__(self, backends: Backends) -> None:
        self._history, self._config = backends.history, backends.config

    async def reset_workflow_execution(
        self, call: Call, request: api.ResetWorkflowExecutionRequest
    ) -> api.ResetWorkflowExecutionResponse:
        if not request.request_id:
            raise InvalidArgument("RequestId is not set on request.")
        checks.length(request.request_id, self._config.get(limits.MAX_ID_LENGTH), "RequestId")
        checks.execution(request)
        if request.reset_reapply_type not in ResetReapplyType.values():
            raise InvalidArgument(f"unknown reset type: {request.reset_reapply_type}")
        for operation in request.post_reset_operations:
            if not operation.HasField("update_workflow_options"):
                _refuse_operation(operation.WhichOneof("variant"))
            check_change(operation.update_workflow_options)
        return await self._history.reset_workflow_execution(call, request)


def _refuse_operation(kind: str | None) -> NoReturn:
    """In the words of the reference, which names the type of its own message."""
    name = "*workflow.PostResetOperation_SignalWorkflow_" if kind else "<nil>"
    raise InvalidArgument(f"unsupported post reset operation: {name}")
