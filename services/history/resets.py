"""ResetWorkflowExecution: forks a run, ends the current one and makes the new one current, in one transaction.

The forked events are copied. Those that are too many for one transaction are written before it, into a run that has not
begun: nobody is told of it, and if it never begins a task that came with its first events deletes it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.history.v1 import History
from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound
from services.history.cache import RunEntry, WorkflowEntry
from services.history.core.decision import Batch, Decision
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.options import update_options
from services.history.core.rejection import Rejection
from services.history.core.reset import Fork, begin_reset, end_by_reset, finish_reset, refuse_finish
from services.history.core.reset_reapply import Wanted, reapply, wanted
from services.history.core.run import Run
from services.history.engine import UNLESS_BEGUN, current_record, service_error
from services.history.room import Room
from services.persistence import CurrentWrite
from services.protos.run_pb2 import RunInfo, Task
from services.rpc import Call

PAGE_BATCHES = 256
COPIED_BYTES_MAX = 1 << 20  # of forked events in one transaction
COPIED_BATCHES_MAX = 256
CONTINUED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
UNBEGUN_NS = 10 * 60 * 1_000_000_000  # after which a run that was not begun is deleted


@dataclass(slots=True)
class Ended:
    """What a reset does to the runs before it: the last events of the current one are part of the transaction."""

    parts: list[tuple[RunEntry, Decision]]
    current_run_id: str
    last_batches: Sequence[Batch] = ()


class Resets(Room):
    """Resets of one workflow's runs."""

    async def reset_workflow_execution(
        self, call: Call, request: api.ResetWorkflowExecutionRequest
    ) -> api.ResetWorkflowExecutionResponse:
        execution = request.workflow_execution
        workflow = self.engine.workflow(call.namespace_id, execution.workflow_id)
        async with workflow.lock:
            base = await self.engine.run(workflow, execution.run_id)
            current = await self.engine.run(workflow)
            try:
                run_id = await self._reset(workflow, base, current, request)
            except Rejection as rejection:
                await self.engine.confirm(workflow)
                raise service_error(rejection) from None
        return api.ResetWorkflowExecutionResponse(run_id=run_id)

    async def _reset(
        self,
        workflow: WorkflowEntry,
        base: RunEntry,
        current: RunEntry,
        request: api.ResetWorkflowExecutionRequest,
    ) -> str:
        before = current.run.info
        if before.reset_origin.request_id == request.request_id:
            return before.run_id
        refuse_finish(base.run.info, request.workflow_task_finish_event_id)
        if before.create_request_id == request.request_id:
            return before.run_id
        run_id = self.engine.chance.run_id()
        fork = Fork(base.run.info, run_id, request.workflow_task_finish_event_id)
        entry = RunEntry(Run(RunInfo(run_id=run_id)), 0)
        copied = await self._copy(workflow, base, fork, entry)
        given = self.engine.given(workflow.namespace_id)
        draft = begin_reset(fork, given, request.request_id, request.reason)
        ended = self._end_current(workflow, base, current, run_id, request.reason)
        await self._reapply(workflow, base, draft, ended, request)
        for operation in request.post_reset_operations:
            change = operation.update_workflow_options
            update_options(draft, change.workflow_execution_options, list(change.update_mask.paths), "")
        finish_reset(draft, base.run)
        decision = finish(draft)
        parts = [*ended.parts, (entry, replace(decision, batches=(*copied, *decision.batches)))]
        pointer = CurrentWrite(expected_run_id=before.run_id, record=current_record(decision.run))
        await self.engine.write(workflow, parts, pointer)
        return run_id

    # The events before the point.

    async def _copy(self, workflow: WorkflowEntry, base: RunEntry, fork: Fork, entry: RunEntry) -> tuple[Batch, ...]:
        """Folds the forked batches. Returns those that are left for the transaction that begins the run."""
        copied: list[Batch] = []
        size = 0
        async for batch in self._stored(workflow, base, 1, fork.finish_event_id):
            fork.extend(batch)
            copied.append(batch)
            size += len(batch.blob)
            full = size >= COPIED_BYTES_MAX or len(copied) >= COPIED_BATCHES_MAX
            if full and not fork.is_complete:
                await self._write_ahead(workflow, fork, entry, copied)
                copied, size = [], 0
        return tuple(copied)

    async def _write_ahead(
        self, workflow: WorkflowEntry, fork: Fork, entry: RunEntry, batches: Sequence[Batch]
    ) -> None:
        """Writes events of the run that has not begun."""
        info = fork.run.info
        bare = RunInfo(
            namespace_id=info.namespace_id,
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            next_event_id=info.next_event_id,
        )
        tasks = () if entry.version else (_deletion_unless_begun(bare, self.engine.clock.now_ns() + UNBEGUN_NS),)
        ahead = Decision(run=Run(bare), durable=True, batches=tuple(batches), tasks=tasks)
        await self.engine.write(workflow, [(entry, ahead)], None)

    async def _stored(
        self, workflow: WorkflowEntry, entry: RunEntry, from_event_id: int, to_event_id: int
    ) -> AsyncIterator[Batch]:
        position = from_event_id
        while position < to_event_id:
            page = await self.engine.batches(workflow, entry, position, to_event_id, PAGE_BATCHES)
            for batch in page:
                yield batch
                position = batch.next_event_id

    # The runs before.

    def _end_current(
        self, workflow: WorkflowEntry, base: RunEntry, current: RunEntry, run_id: str, reason: str
    ) -> Ended:
        """The current run is terminated if it is open, and the base run learns what was made of it."""
        ended = Ended([], current.run.info.run_id)
        for entry in (base,) if base is current else (base, current):
            draft = Draft(entry.run, self.engine.given(workflow.namespace_id))
            ends = entry is current and draft.run.is_open
            if entry is base:
                draft.info.reset_run_id = run_id
                draft.touch()
            if ends:
                end_by_reset(draft, reason)
            if entry is base or ends:
                decision = finish(draft)
                ended.parts.append((entry, decision))
                ended.last_batches = decision.batches if ends else ()
        return ended

    # The events after the point.

    async def _reapply(
        self,
        workflow: WorkflowEntry,
        base: RunEntry,
        draft: Draft,
        ended: Ended,
        request: api.ResetWorkflowExecutionRequest,
    ) -> None:
        """From the base run, and from the runs that have continued it as new."""
        want = wanted(request.reset_reapply_type, request.reset_reapply_exclude_types)
        entry, from_event_id = base, request.workflow_task_finish_event_id
        while True:
            async for batch in self._stored(workflow, entry, from_event_id, entry.run.info.next_event_id):
                _reapply_batch(draft, batch, from_event_id, want)
            if entry.run.info.run_id == ended.current_run_id:
                for batch in ended.last_batches:
                    _reapply_batch(draft, batch, from_event_id, want)
                return
            following = await self._continued_as(workflow, entry)
            if following is None:
                return
            entry, from_event_id, want = following, 1, replace(want, children=False)

    async def _continued_as(self, workflow: WorkflowEntry, entry: RunEntry) -> RunEntry | None:
        info = entry.run.info
        if info.status != CONTINUED:
            return None
        try:
            return await self.engine.run(workflow, info.new_execution_run_id)
        except NotFound:  # deleted meanwhile
            return None


def _reapply_batch(draft: Draft, batch: Batch, from_event_id: int, want: Wanted) -> None:
    for event in History.FromString(batch.blob).events:
        if event.event_id >= from_event_id:
            reapply(draft, event, want)


def _deletion_unless_begun(info: RunInfo, at_ns: int) -> Task:
    return Task(
        kind=Task.DELETE_RUN,
        namespace_id=info.namespace_id,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        stamp=UNLESS_BEGUN,
        fire_time_ns=at_ns,
    )
