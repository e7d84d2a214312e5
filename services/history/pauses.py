"""PauseWorkflowExecution and UnpauseWorkflowExecution."""

from temporalio.api.workflowservice import v1 as api

from services.history.core.draft import Draft
from services.history.core.pause import pause_run, unpause_run
from services.history.room import Room
from services.rpc import Call


class Pauses(Room):
    """Runs are paused and go on; how, is the core's."""

    async def pause_workflow_execution(self, call: Call, request: api.PauseWorkflowExecutionRequest) -> None:
        def pause(draft: Draft) -> None:
            pause_run(draft, identity=request.identity, reason=request.reason, request_id=request.request_id)

        await self.engine.change(call.namespace_id, request.workflow_id, request.run_id, pause)

    async def unpause_workflow_execution(self, call: Call, request: api.UnpauseWorkflowExecutionRequest) -> None:
        def unpause(draft: Draft) -> None:
            unpause_run(draft, identity=request.identity, reason=request.reason, request_id=request.request_id)

        await self.engine.change(call.namespace_id, request.workflow_id, request.run_id, unpause)
