"""PauseActivity, UnpauseActivity, ResetActivity, UpdateActivityOptions."""

from collections.abc import Callable

from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice import v1 as api

from services.history.core.activity_operations import (
    chosen,
    pause_activities,
    reset_activities,
    unpause_activities,
)
from services.history.core.activity_options import restore_options, update_options
from services.history.core.draft import Draft
from services.history.room import Room
from services.protos.history_pb2 import PauseActivityRequest, UpdateActivityOptionsRequest
from services.rpc import Call


class ActivityOperations(Room):
    """What operators do to pending activities; how, is the core's."""

    async def pause_activity(self, call: Call, request: PauseActivityRequest) -> None:
        await self._operate(call, request.pause.execution, lambda draft: pause_activities(draft, request))

    async def unpause_activity(self, call: Call, request: api.UnpauseActivityRequest) -> None:
        await self._operate(call, request.execution, lambda draft: unpause_activities(draft, request))

    async def reset_activity(self, call: Call, request: api.ResetActivityRequest) -> None:
        await self._operate(call, request.execution, lambda draft: reset_activities(draft, request))

    async def update_activity_options(
        self, call: Call, request: UpdateActivityOptionsRequest
    ) -> api.UpdateActivityOptionsResponse:
        """Answers with the options of the last activity that was changed."""
        update = request.update
        changed: list[ActivityOptions] = []

        def decide(draft: Draft) -> None:
            for activity in chosen(draft, update):
                if update.restore_original:
                    changed.append(restore_options(draft, activity))
                else:
                    paths = update.update_mask.paths
                    changed.append(
                        update_options(draft, activity, update.activity_options, paths, strict=request.strict)
                    )

        await self._operate(call, update.execution, decide)
        return api.UpdateActivityOptionsResponse(activity_options=changed[-1] if changed else None)

    async def _operate(self, call: Call, execution: WorkflowExecution, decide: Callable[[Draft], None]) -> None:
        """Where nothing changes, that must not come from the memory of an old owner."""
        workflow = self.engine.workflow(call.namespace_id, execution.workflow_id)
        async with workflow.lock:
            entry = await self.engine.run(workflow, execution.run_id)
            version = entry.version
            await self.engine.decide(workflow, entry, decide)
            if entry.version == version:
                await self.engine.confirm(workflow)
