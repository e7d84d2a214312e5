"""The calls of clients about one workflow."""

from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument, PermissionDenied
from services.frontend import checks
from services.frontend.backends import Backends
from services.frontend.starts import StartRules
from services.rpc import Call


class Workflows:
    """Start, signal, query, update, cancel, terminate, delete, describe, and the history of a workflow."""

    def __init__(self, backends: Backends) -> None:
        self._history, self._config, self._chance = backends.history, backends.config, backends.chance
        self._rules = StartRules(backends)

    async def start_workflow_execution(
        self, call: Call, request: api.StartWorkflowExecutionRequest
    ) -> api.StartWorkflowExecutionResponse:
        await self._rules.start(request, call.namespace_id)
        return await self._history.start_workflow_execution(call, request)

    async def signal_with_start_workflow_execution(
        self, call: Call, request: api.SignalWithStartWorkflowExecutionRequest
    ) -> api.SignalWithStartWorkflowExecutionResponse:
        await self._rules.signal_with_start(request, call.namespace_id)
        return await self._history.signal_with_start_workflow_execution(call, request)

    async def signal_workflow_execution(
        self, call: Call, request: api.SignalWorkflowExecutionRequest
    ) -> api.SignalWorkflowExecutionResponse:
        checks.execution(request)
        if not request.signal_name:
            raise InvalidArgument("SignalName is not set on request.")
        checks.length(request.signal_name, self._id_max, "SignalName")
        checks.length(request.request_id, self._id_max, "RequestId")
        self._check_links(call, request)
        checks.blob_size(request.input, self._blob_max(call))
        return await self._history.signal_workflow_execution(call, request)

    async def request_cancel_workflow_execution(
        self, call: Call, request: api.RequestCancelWorkflowExecutionRequest
    ) -> None:
        checks.execution(request)
        self._check_links(call, request)
        await self._history.request_cancel_workflow_execution(call, request)

    async def terminate_workflow_execution(self, call: Call, request: api.TerminateWorkflowExecutionRequest) -> None:
        checks.execution(request)
        self._check_links(call, request)
        request.reason = request.reason or "terminated by user via frontend"
        request.identity = request.identity or "frontend-service"
        await self._history.terminate_workflow_execution(call, request)

    async def delete_workflow_execution(self, call: Call, request: api.DeleteWorkflowExecutionRequest) -> None:
        checks.execution(request)
        await self._history.delete_workflow_execution(call, request)

    async def describe_workflow_execution(
        self, call: Call, request: api.DescribeWorkflowExecutionRequest
    ) -> api.DescribeWorkflowExecutionResponse:
        checks.execution(request, "execution")
        return await self._history.describe_workflow_execution(call, request)

    async def reset_sticky_task_queue(self, call: Call, request: api.ResetStickyTaskQueueRequest) -> None:
        checks.execution(request, "execution")
        await self._history.reset_sticky_task_queue(call, request)

    async def query_workflow(self, call: Call, request: api.QueryWorkflowRequest) -> api.QueryWorkflowResponse:
        checks.execution(request, "execution")
        if not request.HasField("query"):
            raise InvalidArgument("WorkflowQuery is not set on request.")
        if not request.query.query_type:
            raise InvalidArgument("QueryType is not set on request.")
        checks.blob_size(request.query.query_args, self._blob_max(call))
        return await self._history.query_workflow(call, request)

    async def update_workflow_execution(
        self, call: Call, request: api.UpdateWorkflowExecutionRequest
    ) -> api.UpdateWorkflowExecutionResponse:
        self.check_update(request)
        return await self._history.update_workflow_execution(call, request)

    def check_update(self, request: api.UpdateWorkflowExecutionRequest) -> None:
        """Raises InvalidArgument or PermissionDenied, or leaves the request ready for history."""
        checks.execution(request)
        update = request.request
        if not request.HasField("request") or not update.HasField("meta"):
            raise InvalidArgument("Update meta is not set on request.")
        checks.length(update.meta.update_id, self._id_max, "UpdateId")
        if not update.meta.update_id:
            update.meta.update_id = self._chance.unique_id()
        if not update.HasField("input"):
            raise InvalidArgument("Update input is not set on request.")
        if not update.input.name:
            raise InvalidArgument("Update name is not set on request.")
        stage = request.wait_policy.lifecycle_stage
        if not stage:
            request.wait_policy.lifecycle_stage = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        if stage == Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED:
            raise PermissionDenied(
                "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported."
            )

    async def poll_workflow_execution_update(
        self, call: Call, request: api.PollWorkflowExecutionUpdateRequest
    ) -> api.PollWorkflowExecutionUpdateResponse:
        if not request.HasField("update_ref"):
            raise InvalidArgument("UpdateRef is not set on request.")
        execution = request.update_ref.workflow_execution
        if not execution.workflow_id:
            raise InvalidArgument("Can't load workflow execution.  WorkflowId not set.")
        if execution.run_id and not checks.is_uuid(execution.run_id):
            raise InvalidArgument("RunId is not valid UUID.")
        return await self._history.poll_workflow_execution_update(call, request)

    async def get_workflow_execution_history(
        self, call: Call, request: api.GetWorkflowExecutionHistoryRequest
    ) -> bytes:
        checks.execution(request, "execution")
        return await self._history.get_workflow_execution_history(call, request)

    async def get_workflow_execution_history_reverse(
        self, call: Call, request: api.GetWorkflowExecutionHistoryReverseRequest
    ) -> api.GetWorkflowExecutionHistoryReverseResponse:
        checks.execution(request, "execution")
        return await self._history.get_workflow_execution_history_reverse(call, request)

    @property
    def _id_max(self) -> int:
        return self._config.get(limits.MAX_ID_LENGTH)

    def _blob_max(self, call: Call) -> int:
        return self._config.get(limits.BLOB_SIZE_ERROR, call.namespace)

    def _check_links(
        self,
        call: Call,
        request: api.SignalWorkflowExecutionRequest
        | api.RequestCancelWorkflowExecutionRequest
        | api.TerminateWorkflowExecutionRequest,
    ) -> None:
        if request.links:
            links_max = self._config.get(limits.MAX_LINKS_PER_REQUEST, call.namespace)
            checks.links(request.links, links_max, self._config.get(limits.LINK_MAX_SIZE, call.namespace))
