"""ExecuteMultiOperation: a start and an update of one workflow, together."""

from temporalio.api.workflowservice import v1 as api

from services.errors import (
    Aborted,
    InvalidArgument,
    MultiOperationFailed,
    NamespaceNotFound,
    ServiceError,
    WorkflowExecutionAlreadyStarted,
)
from services.frontend.backends import Backends
from services.frontend.starts import StartRules
from services.frontend.workflows import Workflows
from services.rpc import Call

FAILED = "Update-with-Start could not be executed."
ABORTED = "Operation was aborted."
_FORBIDDEN_IN_START = (
    ("cron_schedule", "CronSchedule is not allowed."),
    ("request_eager_execution", "RequestEagerExecution is not supported."),
    ("workflow_start_delay", "WorkflowStartDelay is not supported."),
)


class UpdateWithStart:
    """ExecuteMultiOperation."""

    def __init__(self, backends: Backends) -> None:
        self._history = backends.history
        self._rules, self._workflows = StartRules(backends), Workflows(backends)

    async def execute_multi_operation(
        self, call: Call, request: api.ExecuteMultiOperationRequest
    ) -> api.ExecuteMultiOperationResponse:
        kinds = [operation.WhichOneof("operation") for operation in request.operations]
        if kinds != ["start_workflow", "update_workflow"]:
            raise InvalidArgument("Operations have to be exactly [Start, Update].")
        start, update = request.operations[0].start_workflow, request.operations[1].update_workflow
        errors = [await self._why_not_start(call, start), self._why_not_update(call, start, update)]
        if any(errors):
            raise MultiOperationFailed(FAILED, [error or Aborted(ABORTED) for error in errors])
        try:
            return await self._history.execute_multi_operation(call, request)
        except WorkflowExecutionAlreadyStarted as error:
            raise MultiOperationFailed(FAILED, [error, Aborted(ABORTED)]) from error

    async def _why_not_start(self, call: Call, start: api.StartWorkflowExecutionRequest) -> ServiceError | None:
        try:
            _check_namespace(call, start.namespace)
            present = {field.name for field, _ in start.ListFields()}
            await self._rules.start(start, call.namespace_id)
            for field, text in _FORBIDDEN_IN_START:
                if field in present:
                    raise InvalidArgument(text)
        except ServiceError as error:
            return error
        return None

    def _why_not_update(
        self, call: Call, start: api.StartWorkflowExecutionRequest, update: api.UpdateWorkflowExecutionRequest
    ) -> ServiceError | None:
        try:
            if update.namespace:
                _check_namespace(call, update.namespace)
            self._workflows.check_update(update)
            if update.workflow_execution.workflow_id != start.workflow_id:
                raise InvalidArgument("WorkflowId is not consistent with previous operation(s).")
            if update.workflow_execution.run_id:
                raise InvalidArgument("RunId is not allowed.")
            if update.first_execution_run_id:
                raise InvalidArgument("FirstExecutionRunId is not allowed.")
        except ServiceError as error:
            return error
        return None


def _check_namespace(call: Call, namespace: str) -> None:
    if not namespace:
        raise NamespaceNotFound(namespace)
    if namespace != call.namespace:
        raise InvalidArgument("Operation namespace did not match request's namespace.")
