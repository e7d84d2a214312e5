"""PauseWorkflowExecution and UnpauseWorkflowExecution, where the namespace has them."""

from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument, Unimplemented
from services.frontend import checks
from services.frontend.backends import Backends
from services.rpc import Call


class Pauses:
    """The calls that pause a workflow and let it go on."""

    def __init__(self, backends: Backends) -> None:
        self._history, self._config = backends.history, backends.config

    async def pause_workflow_execution(
        self, call: Call, request: api.PauseWorkflowExecutionRequest
    ) -> api.PauseWorkflowExecutionResponse:
        if not self._config.get(limits.ENABLE_WORKFLOW_PAUSE, call.namespace):
            raise Unimplemented(f"workflow pause is not enabled for namespace: {call.namespace}")
        self._check(request)
        await self._history.pause_workflow_execution(call, request)
        return api.PauseWorkflowExecutionResponse()

    async def unpause_workflow_execution(
        self, call: Call, request: api.UnpauseWorkflowExecutionRequest
    ) -> api.UnpauseWorkflowExecutionResponse:
        self._check(request)  # (what was paused may go on where that is not enabled any more)
        await self._history.unpause_workflow_execution(call, request)
        return api.UnpauseWorkflowExecutionResponse()

    def _check(self, request: api.PauseWorkflowExecutionRequest | api.UnpauseWorkflowExecutionRequest) -> None:
        id_max = self._config.get(limits.MAX_ID_LENGTH)
        for value, what in (
            (request.reason, "reason"),
            (request.request_id, "request id"),
            (request.identity, "identity"),
        ):
            if len(value.encode()) > id_max:
                raise InvalidArgument(f"{what} is too long.")
        if not request.workflow_id:
            raise InvalidArgument("Can't load workflow execution.  WorkflowId not set.")
        if request.run_id and not checks.is_uuid(request.run_id):
            raise InvalidArgument("RunId is not valid UUID.")
