"""UpdateWorkflowExecutionOptions."""

from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api

from services.history.core.draft import Draft
from services.history.core.options import update_options
from services.history.room import Room
from services.rpc import Call


class Options(Room):
    """Options of open runs, changed by callers. The frontend has checked what the mask names."""

    async def update_workflow_execution_options(
        self, call: Call, request: api.UpdateWorkflowExecutionOptionsRequest
    ) -> api.UpdateWorkflowExecutionOptionsResponse:
        execution = request.workflow_execution
        given, paths = request.workflow_execution_options, list(request.update_mask.paths)
        options = WorkflowExecutionOptions()

        def update(draft: Draft) -> None:
            options.CopyFrom(update_options(draft, given, paths, request.identity))

        await self.engine.change(call.namespace_id, execution.workflow_id, execution.run_id, update)
        return api.UpdateWorkflowExecutionOptionsResponse(workflow_execution_options=options)
