"""UpdateWorkflowExecution and its polls: admitted in memory, waited for until the stage the caller asked for."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Outcome, UpdateRef
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import (
    Aborted,
    DeadlineExceeded,
    MultiOperationFailed,
    NotFound,
    OwnershipLost,
    ResourceExhausted,
    ServiceError,
    ShardOwnershipLost,
    Unavailable,
)
from services.history.cache import RunEntry, Stage, UpdateProgress, WorkflowEntry
from services.history.core.admitted import is_forgotten, is_known
from services.history.core.updates import admit_update, closed_outcome
from services.history.engine import service_error
from services.history.links import started_link, update_link
from services.history.progress import ABORTED
from services.history.room import Room
from services.history.starts import Starts
from services.history.waits import wait_for
from services.rpc import Call

ACCEPTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
ADMITTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
COMPLETED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED


class Updates(Room):
    """Updates of one run, by id: an id is taken in once, and everyone who asks for it waits for the same one."""

    async def update_workflow_execution(
        self, call: Call, request: api.UpdateWorkflowExecutionRequest
    ) -> api.UpdateWorkflowExecutionResponse:
        execution = request.workflow_execution
        workflow = self.engine.workflow(call.namespace_id, execution.workflow_id)
        async with workflow.lock:
            entry = await self.engine.run(workflow, execution.run_id)
            first = request.first_execution_run_id
            if first and entry.run.info.first_execution_run_id != first:
                raise NotFound("workflow execution not found")
            await self.admit(workflow, entry, request)
        return await self.wait(call, workflow, entry, request)

    async def admit(
        self, workflow: WorkflowEntry, entry: RunEntry, request: api.UpdateWorkflowExecutionRequest
    ) -> None:
        """Takes the update in (under the workflow's lock) and makes its progress known to waiters."""
        update_id = request.request.meta.update_id
        await self.engine.decide(workflow, entry, lambda draft: admit_update(draft, request.request))
        if update_id not in entry.updates:
            entry.updates[update_id] = await self._progress(workflow, entry, update_id)

    async def _progress(self, workflow: WorkflowEntry, entry: RunEntry, update_id: str) -> UpdateProgress:
        update = entry.run.updates.get(update_id)
        if update is None or is_forgotten(update):
            return UpdateProgress()
        if not update.accepted_event_id and entry.run.is_open:
            return UpdateProgress()
        if not update.accepted_event_id:
            return UpdateProgress(aborted=ABORTED)
        if not update.completed_event_id:
            if entry.run.is_open:
                return UpdateProgress(stage=ACCEPTED)
            return UpdateProgress(stage=COMPLETED, outcome=closed_outcome())
        event = await self.engine.event(workflow, entry, update.completed_event_id)
        return UpdateProgress(stage=COMPLETED, outcome=_outcome(event))

    async def wait(
        self,
        call: Call,
        workflow: WorkflowEntry,
        entry: RunEntry,
        request: api.UpdateWorkflowExecutionRequest,
    ) -> api.UpdateWorkflowExecutionResponse:
        """Waits until the update has come as far as the caller asked, or the server's long-poll time is over."""
        update_id = request.request.meta.update_id
        progress = entry.updates.get(update_id) or await self._progress(workflow, entry, update_id)
        wanted = max(request.wait_policy.lifecycle_stage, ACCEPTED)
        await self._until(call, workflow, progress, wanted)
        self._forget(entry, update_id, progress)
        if progress.aborted:
            raise service_error(progress.aborted)
        info = entry.run.info
        return api.UpdateWorkflowExecutionResponse(
            update_ref=UpdateRef(
                workflow_execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
                update_id=update_id,
            ),
            outcome=progress.outcome,
            stage=progress.stage,
            link=update_link(call.namespace, entry.run, request.request, progress.outcome)
            if progress.stage >= ACCEPTED
            else None,
        )

    async def poll_workflow_execution_update(
        self, call: Call, request: api.PollWorkflowExecutionUpdateRequest
    ) -> api.PollWorkflowExecutionUpdateResponse:
        ref = request.update_ref
        workflow = self.engine.workflow(call.namespace_id, ref.workflow_execution.workflow_id)
        entry = await self.engine.run(workflow, ref.workflow_execution.run_id)
        progress = entry.updates.get(ref.update_id)
        if progress is None:
            if not is_known(entry.run, ref.update_id):
                raise NotFound(f'update "{ref.update_id}" not found')
            progress = entry.updates[ref.update_id] = await self._progress(workflow, entry, ref.update_id)
        if request.HasField("wait_policy"):
            await self._until(call, workflow, progress, request.wait_policy.lifecycle_stage)
        self._forget(entry, ref.update_id, progress)
        if progress.aborted:
            raise service_error(progress.aborted)
        info = entry.run.info
        return api.PollWorkflowExecutionUpdateResponse(
            outcome=progress.outcome,
            stage=progress.stage,
            update_ref=UpdateRef(
                workflow_execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
                update_id=ref.update_id,
            ),
        )

    async def _until(self, call: Call, workflow: WorkflowEntry, progress: UpdateProgress, wanted: int) -> None:
        """Returns early when the server's time for a long poll is over; raises DeadlineExceeded when the caller's is.

        ShardOwnershipLost: the shard went meanwhile, and the update may be asked for again, by its id.
        """
        interval_s = self.engine.config.get(limits.HISTORY_LONG_POLL, call.namespace).total_seconds()
        until = self.engine.clock.monotonic() + interval_s
        impatient = call.deadline is not None and call.deadline < until
        if call.deadline is not None:
            until = min(until, call.deadline)
        while progress.stage < wanted and not (progress.aborted or progress.given_up or self.engine.draining):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            progress.waiters.add(waiter)
            try:
                if not await wait_for(self.engine.clock, waiter, until):
                    if impatient:
                        raise DeadlineExceeded("context deadline exceeded")
                    return
            finally:
                progress.waiters.discard(waiter)
            if progress.lost:
                raise ShardOwnershipLost(workflow.shard_id)

    @staticmethod
    def _forget(entry: RunEntry, update_id: str, progress: UpdateProgress) -> None:
        over = progress.outcome is not None or progress.aborted is not None
        if over and not progress.waiters and entry.updates.get(update_id) is progress:
            del entry.updates[update_id]


def _outcome(event: HistoryEvent) -> Outcome:
    return event.workflow_execution_update_completed_event_attributes.outcome


class UpdateWithStart(Starts, Updates):
    """ExecuteMultiOperation: a start and an update, taken in under one lock; each failure aborts the other."""

    async def execute_multi_operation(
        self, call: Call, request: api.ExecuteMultiOperationRequest
    ) -> api.ExecuteMultiOperationResponse:
        while True:
            response = await self._start_and_update(call, request)
            if response is not None:
                return response

    async def _start_and_update(
        self, call: Call, request: api.ExecuteMultiOperationRequest
    ) -> api.ExecuteMultiOperationResponse | None:
        """None when the run that was there has closed over the update: then the workflow is to be started after all."""
        start = request.operations[0].start_workflow
        update = request.operations[1].update_workflow
        workflow = self.engine.workflow(call.namespace_id, start.workflow_id)
        async with workflow.lock:
            entry = await self._run_that_knows(workflow, update.request.meta.update_id)
            if entry is not None:
                started = self._known_reply(call, entry, update.request.meta.update_id)
            else:
                started, entry = await self._start(workflow, call, start)
            was_open = entry.run.is_open
            await _or_failed(self.admit(workflow, entry, update), failed=1)
        try:
            updated = await self.wait(call, workflow, entry, update)
        except (NotFound, ResourceExhausted) as error:
            if was_open and not started.started and not entry.run.is_open:
                return None
            raise _failed(error, 1, None) from error
        except OwnershipLost:
            raise
        except ServiceError as error:
            raise _failed(error, 1, None) from error
        if not started.HasField("link"):
            updated.ClearField("link")
        response = api.ExecuteMultiOperationResponse()
        response.responses.add().start_workflow.CopyFrom(started)
        response.responses.add().update_workflow.CopyFrom(updated)
        return response

    async def _start(
        self, workflow: WorkflowEntry, call: Call, start: api.StartWorkflowExecutionRequest
    ) -> tuple[api.StartWorkflowExecutionResponse, RunEntry]:
        """Starts the workflow unless it is there. A start that was made before, and whose run is over, fails."""
        before = await self.engine.current(workflow)
        started = await _or_failed(self.start_locked(workflow, call, start), failed=0)
        entry = await self.engine.run(workflow, started.run_id)
        if before is not None and before.run_id == started.run_id:
            if not entry.run.is_open:
                raise _failed(Unavailable("Workflow was not started: StartDeduped"), 0)
            started.started, started.first_execution_run_id = False, ""
        return started, entry

    @staticmethod
    def _known_reply(call: Call, entry: RunEntry, update_id: str) -> api.StartWorkflowExecutionResponse:
        """Of the run that knows the update. Links are for those who are told how it goes on."""
        info, update = entry.run.info, entry.run.updates.get(update_id)
        reply = api.StartWorkflowExecutionResponse(run_id=info.run_id, status=info.status)
        if entry.run.is_open and (update is None or not update.completed_event_id):
            reply.link.CopyFrom(started_link(call.namespace, entry.run))
        return reply

    async def _run_that_knows(self, workflow: WorkflowEntry, update_id: str) -> RunEntry | None:
        """The current run if the update was asked for before: then nothing is started."""
        current = await self.engine.current(workflow)
        if current is None:
            return None
        entry = await self.engine.run(workflow, current.run_id)
        return entry if is_known(entry.run, update_id) else None


T = TypeVar("T")

NOT_DONE = Aborted("Operation was aborted.")


async def _or_failed(operation: Awaitable[T], *, failed: int) -> T:
    """Tells a failure of operation number `failed` as that of the whole, unless another host has to be asked."""
    try:
        return await operation
    except OwnershipLost:
        raise
    except ServiceError as error:
        raise _failed(error, failed) from error


def _failed(error: ServiceError, failed: int, other: ServiceError | None = NOT_DONE) -> MultiOperationFailed:
    errors = [other, other]
    errors[failed] = error
    return MultiOperationFailed("Update-with-Start could not be executed.", errors)
