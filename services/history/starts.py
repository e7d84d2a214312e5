"""Starting runs: by clients, with a signal, and as children of other runs. (events_commands.md section 7)"""

from collections.abc import Callable

from temporalio.api.common.v1 import Link, Payload, Payloads
from temporalio.api.enums.v1 import (
    EventType,
    ResourceExhaustedCause,
    WorkflowExecutionStatus,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.history.v1 import WorkflowExecutionOptionsUpdatedEventAttributes
from temporalio.api.workflowservice import v1 as api

from services import cron
from services.config import limits
from services.errors import NotFound, ResourceExhausted, WorkflowExecutionAlreadyStarted
from services.history.cache import RunEntry, WorkflowEntry
from services.history.core.callbacks import require_room
from services.history.core.close import SERVICE_IDENTITY, terminate_run
from services.history.core.decision import Decision
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.options import refuse_pinned
from services.history.core.rejection import Rejection
from services.history.core.run import RUNNING
from services.history.core.signals import signal_run
from services.history.core.start import begin_run, started_attributes
from services.history.core.workflow_task import schedule_task, start_task
from services.history.engine import current_record, service_error
from services.history.links import request_link, signal_link, started_link
from services.history.replies import workflow_task_reply
from services.history.room import Room
from services.persistence import CurrentRecord, CurrentWrite
from services.protos.history_pb2 import ScheduleFirstWorkflowTaskRequest, StartChildRequest, StartChildResponse
from services.protos.run_pb2 import Parent
from services.rpc import Call

Conflict, Reuse, Status = WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowExecutionStatus

FAILED_STATUSES = frozenset(
    {
        Status.WORKFLOW_EXECUTION_STATUS_FAILED,
        Status.WORKFLOW_EXECUTION_STATUS_CANCELED,
        Status.WORKFLOW_EXECUTION_STATUS_TERMINATED,
        Status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    }
)

Extend = Callable[[Draft], None]


class Starts(Room):
    """StartWorkflowExecution, SignalWithStartWorkflowExecution, and the start of children."""

    async def start_workflow_execution(
        self, call: Call, request: api.StartWorkflowExecutionRequest
    ) -> api.StartWorkflowExecutionResponse:
        workflow = self.engine.workflow(call.namespace_id, request.workflow_id)
        async with workflow.lock:
            return await self.start_locked(workflow, call, request)

    async def start_locked(
        self, workflow: WorkflowEntry, call: Call, request: api.StartWorkflowExecutionRequest
    ) -> api.StartWorkflowExecutionResponse:
        """The same for a caller that holds the workflow's lock."""
        _refuse_pinned(request)
        current = await self.engine.current(workflow)
        if current is not None:
            repeated = await self._repeated(workflow, current, request.request_id)
            if repeated is not None:
                created = current.create_request_id == request.request_id
                return await self._started_reply(call, workflow, repeated, request, started=created)
            if current.status == RUNNING and self._uses_existing(request):
                entry = await self.engine.run(workflow, current.run_id)
                await self._attach(workflow, entry, request)
                # (a run that is paused is said to run, as the reference does)
                return await self._started_reply(call, workflow, entry, request, started=False, status=RUNNING)
        entry = await self._create(workflow, call, request, current)
        return await self._started_reply(call, workflow, entry, request, started=True)

    async def _repeated(self, workflow: WorkflowEntry, current: CurrentRecord, request_id: str) -> RunEntry | None:
        """The current run, if it was created by this very request, or the request was attached to it."""
        if current.create_request_id == request_id:
            return await self.engine.run(workflow, current.run_id)
        entry = await self.engine.run(workflow, current.run_id)
        known = any(attached.request_id == request_id for attached in entry.run.info.attached_requests)
        return entry if known else None

    async def _attach(
        self, workflow: WorkflowEntry, entry: RunEntry, request: api.StartWorkflowExecutionRequest
    ) -> None:
        """What the caller wants of a run that is there already: to be known to it, and called back by it."""
        wanted = request.on_conflict_options
        if not request.HasField("on_conflict_options"):
            return

        def attach(draft: Draft) -> None:
            require_room(draft, len(request.completion_callbacks) if wanted.attach_completion_callbacks else 0)
            draft.add(
                WorkflowExecutionOptionsUpdatedEventAttributes(
                    attached_request_id=request.request_id if wanted.attach_request_id else "",
                    attached_completion_callbacks=request.completion_callbacks
                    if wanted.attach_completion_callbacks
                    else (),
                ),
                links=request.links if wanted.attach_links else (),
            )

        await self.engine.decide(workflow, entry, attach)

    @staticmethod
    def _uses_existing(request: api.StartWorkflowExecutionRequest) -> bool:
        return request.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING

    async def _create(
        self,
        workflow: WorkflowEntry,
        call: Call,
        request: api.StartWorkflowExecutionRequest,
        current: CurrentRecord | None,
        extend: Extend | None = None,
    ) -> RunEntry:
        """Creates a run, ending the current one first when the policies say so. Raises when they forbid it."""
        terminates = current is not None and await self._may_replace(workflow, current, request)
        if current is not None:
            self._refuse_haste(call, current, request.workflow_id)
        run_id = self.engine.chance.run_id()
        given = self.engine.given(call.namespace_id)
        started = started_attributes(
            request,
            run_id=run_id,
            now_ns=given.now_ns,
            limits=given.limits,
            cron_backoff_ns=_first_slot_ns(request, given.now_ns),
        )
        draft = begin_run(
            given,
            namespace_id=call.namespace_id,
            workflow_id=request.workflow_id,
            run_id=run_id,
            create_request_id=request.request_id,
            started=started,
            user_metadata=request.user_metadata if request.HasField("user_metadata") else None,
            links=request.links,
            schedule_first_task=extend is None,
        )
        if extend is not None:
            extend(draft)
        if request.request_eager_execution and self._takes_eagerly(draft, call, request):
            self._start_eagerly(draft, request)
        decision = finish(draft)
        entry = RunEntry(decision.run, 0)
        entry.started = started
        parts = [(entry, decision)]
        if terminates and current is not None:
            parts.insert(0, await self._terminated(workflow, current, run_id))
        pointer = CurrentWrite(
            expected_run_id=current.run_id if current is not None else None, record=current_record(decision.run)
        )
        await self.engine.write(workflow, parts, pointer)
        return entry

    async def _terminated(
        self, workflow: WorkflowEntry, current: CurrentRecord, new_run_id: str
    ) -> tuple[RunEntry, Decision]:
        entry = await self.engine.run(workflow, current.run_id)
        draft = Draft(entry.run, self.engine.given(workflow.namespace_id))
        details = Payloads(
            payloads=[
                Payload(metadata={"encoding": b"json/plain"}, data=f'"terminated by new runID: {new_run_id}"'.encode())
            ]
        )
        terminate_run(draft, "TerminateIfRunning WorkflowIdReusePolicy", details, SERVICE_IDENTITY)
        return entry, finish(draft)

    def _takes_eagerly(self, draft: Draft, call: Call, request: api.StartWorkflowExecutionRequest) -> bool:
        enabled: bool = self.engine.config.get(limits.ENABLE_EAGER_WORKFLOW_START, call.namespace)
        return enabled and draft.info.HasField("task") and not request.cron_schedule

    @staticmethod
    def _start_eagerly(draft: Draft, request: api.StartWorkflowExecutionRequest) -> None:
        task = draft.info.task
        draft.mark_eager_start()
        start_task(
            draft,
            scheduled_event_id=task.scheduled_event_id,
            stamp=task.attempt,
            request_id=request.request_id,
            identity=request.identity,
        )

    async def _started_reply(
        self,
        call: Call,
        workflow: WorkflowEntry,
        entry: RunEntry,
        request: api.StartWorkflowExecutionRequest,
        *,
        started: bool,
        status: WorkflowExecutionStatus.ValueType = Status.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED,
    ) -> api.StartWorkflowExecutionResponse:
        info = entry.run.info
        reply = api.StartWorkflowExecutionResponse(
            run_id=info.run_id,
            first_execution_run_id=info.first_execution_run_id,
            started=started,
            status=status or info.status,
            link=self._link(call, entry, request),
        )
        task = info.task
        if request.request_eager_execution and started and task.request_id == request.request_id and task.attempt == 1:
            blob = await workflow_task_reply(self.engine, workflow, entry, call.namespace, sticky=False)
            reply.eager_workflow_task.ParseFromString(blob)
        return reply

    @staticmethod
    def _link(call: Call, entry: RunEntry, request: api.StartWorkflowExecutionRequest) -> Link:
        if any(attached.request_id == request.request_id for attached in entry.run.info.attached_requests):
            attached = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED
            return request_link(call.namespace, entry.run, request.request_id, attached)
        return started_link(call.namespace, entry.run)

    async def signal_with_start_workflow_execution(
        self, call: Call, request: api.SignalWithStartWorkflowExecutionRequest
    ) -> api.SignalWithStartWorkflowExecutionResponse:
        """Signals the running workflow, or starts it with the signal as its second event: one transaction."""

        def signal(draft: Draft) -> None:
            signal_run(
                draft,
                name=request.signal_name,
                input=request.signal_input if request.HasField("signal_input") else None,
                identity=request.identity,
                header=request.header if request.HasField("header") else None,
                request_id=request.request_id,
                links=request.links,
            )
            draft.info.backoff_deadline_ns = draft.info.backoff_deadline_ns if draft.is_new else 0
            if not draft.info.backoff_deadline_ns:
                schedule_task(draft)

        _refuse_pinned(request)
        workflow = self.engine.workflow(call.namespace_id, request.workflow_id)
        start = _start_part(request)
        async with workflow.lock:
            current = await self.engine.current(workflow)
            replaces = request.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
            if current is not None and current.status == RUNNING and not replaces:
                entry = await self.engine.run(workflow, current.run_id)
                await self.engine.decide(workflow, entry, signal)
                return self._signaled_reply(call, entry, request, started=False)
            if current is not None and current.create_request_id == request.request_id:
                entry = await self.engine.run(workflow, current.run_id)
                return self._signaled_reply(call, entry, request, started=True)
            entry = await self._create(workflow, call, start, current, signal)
            return self._signaled_reply(call, entry, request, started=True)

    @staticmethod
    def _signaled_reply(
        call: Call, entry: RunEntry, request: api.SignalWithStartWorkflowExecutionRequest, *, started: bool
    ) -> api.SignalWithStartWorkflowExecutionResponse:
        info = entry.run.info
        return api.SignalWithStartWorkflowExecutionResponse(
            run_id=info.run_id,
            first_execution_run_id=info.first_execution_run_id,
            started=started,
            signal_link=signal_link(call.namespace, entry.run, request.request_id),
        )

    # Children.

    async def start_child(self, call: Call, request: StartChildRequest) -> StartChildResponse:
        """Creates the child without a first workflow task; asked again for the same initiated event, finds it."""
        start = request.start
        workflow = self.engine.workflow(request.namespace_id, start.workflow_id)
        async with workflow.lock:
            current = await self.engine.current(workflow)
            if current is not None and current.create_request_id == start.request_id:
                return StartChildResponse(run_id=current.run_id)
            terminates = current is not None and await self._may_replace(workflow, current, start)
            if terminates and current is not None and current.run_id == request.parent.run_id:
                raise already_started(current, start.workflow_id)  # no run replaces itself by its child
            entry = await self._create_child(workflow, request, current, terminates=terminates)
            return StartChildResponse(run_id=entry.run.info.run_id)

    def _refuse_haste(self, call: Call, current: CurrentRecord, workflow_id: str) -> None:
        """Where that is watched, an id is not used again at once: whoever does so is likely to be in a loop."""
        if not self.engine.config.get(limits.ENABLE_WORKFLOW_ID_REUSE_VALIDATION, call.namespace):
            return
        interval = self.engine.config.get(limits.WORKFLOW_ID_REUSE_MIN_INTERVAL, call.namespace)
        age_ms = (self.engine.clock.now_ns() - current.start_time_ns) // 1_000_000
        if age_ms < interval.total_seconds() * 1000:
            what = "restarts" if current.status == RUNNING else "starts"
            raise ResourceExhausted(
                f"Too many {what} for workflow {workflow_id}. Time since last start: {age_ms} ms",
                ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
            )

    async def _may_replace(
        self, workflow: WorkflowEntry, current: CurrentRecord, request: api.StartWorkflowExecutionRequest
    ) -> bool:
        try:
            return _may_replace(current, request)
        except WorkflowExecutionAlreadyStarted:
            await self.engine.confirm(workflow)
            raise

    async def _create_child(
        self, workflow: WorkflowEntry, request: StartChildRequest, current: CurrentRecord | None, *, terminates: bool
    ) -> RunEntry:
        run_id = self.engine.chance.run_id()
        given = self.engine.given(request.namespace_id)
        parent = Parent(
            namespace=request.parent_namespace,
            namespace_id=request.parent_namespace_id,
            workflow_id=request.parent.workflow_id,
            run_id=request.parent.run_id,
            initiated_event_id=request.parent_initiated_event_id,
        )
        started = started_attributes(
            request.start,
            run_id=run_id,
            now_ns=given.now_ns,
            limits=given.limits,
            cron_backoff_ns=_first_slot_ns(request.start, given.now_ns),
            parent=parent,
            root=request.root,
        )
        draft = begin_run(
            given,
            namespace_id=request.namespace_id,
            workflow_id=request.start.workflow_id,
            run_id=run_id,
            create_request_id=request.start.request_id,
            started=started,
            user_metadata=request.start.user_metadata if request.start.HasField("user_metadata") else None,
            schedule_first_task=False,
        )
        decision = finish(draft)
        entry = RunEntry(decision.run, 0)
        entry.started = started
        pointer = CurrentWrite(
            expected_run_id=current.run_id if current is not None else None, record=current_record(decision.run)
        )
        parts = [(entry, decision)]
        if terminates and current is not None:
            parts.insert(0, await self._terminated(workflow, current, run_id))
        await self.engine.write(workflow, parts, pointer)
        return entry

    async def schedule_first_workflow_task(self, call: Call, request: ScheduleFirstWorkflowTaskRequest) -> None:
        """The first workflow task of a child whose start its parent has recorded. Later ones are not its business."""

        def schedule(draft: Draft) -> None:
            info = draft.info
            waits = not info.HasField("task") and not info.completed_task_event_id and not info.backoff_deadline_ns
            if waits and not info.task_attempts_since_success:
                schedule_task(draft)

        try:
            await self.engine.change(request.namespace_id, request.workflow_id, request.run_id, schedule)
        except NotFound:
            return  # it was deleted meanwhile


def _refuse_pinned(
    request: api.StartWorkflowExecutionRequest | api.SignalWithStartWorkflowExecutionRequest,
) -> None:
    """Whatever becomes of the request otherwise."""
    try:
        refuse_pinned(request.versioning_override, request.workflow_id, request.task_queue.name)
    except Rejection as rejection:
        raise service_error(rejection) from None


def _first_slot_ns(request: api.StartWorkflowExecutionRequest, now_ns: int) -> int:
    return cron.next_backoff_ns(request.cron_schedule, now_ns, now_ns) or 0 if request.cron_schedule else 0


def _may_replace(current: CurrentRecord, request: api.StartWorkflowExecutionRequest) -> bool:
    """Whether the running current run is to be terminated for a new one; raises when no new run may be."""
    if current.status == RUNNING:
        if request.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
            return True
        raise already_started(current, request.workflow_id)
    reuse = request.workflow_id_reuse_policy
    if reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
        raise WorkflowExecutionAlreadyStarted(
            f"Workflow execution already finished. WorkflowId: {request.workflow_id}, RunId: {current.run_id}. "
            "Workflow Id reuse policy: reject duplicate workflow Id.",
            current.create_request_id,
            current.run_id,
            current.first_execution_run_id,
        )
    if reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY and current.status not in FAILED_STATUSES:
        raise WorkflowExecutionAlreadyStarted(
            f"Workflow execution already finished successfully. WorkflowId: {request.workflow_id}, "
            f"RunId: {current.run_id}. Workflow Id reuse policy: allow duplicate workflow Id if last run failed.",
            current.create_request_id,
            current.run_id,
            current.first_execution_run_id,
        )
    return False


def already_started(current: CurrentRecord, workflow_id: str) -> WorkflowExecutionAlreadyStarted:
    return WorkflowExecutionAlreadyStarted(
        f"Workflow execution is already running. WorkflowId: {workflow_id}, RunId: {current.run_id}.",
        current.create_request_id,
        current.run_id,
        current.first_execution_run_id,
    )


def _start_part(request: api.SignalWithStartWorkflowExecutionRequest) -> api.StartWorkflowExecutionRequest:
    """The start that a signal-with-start is when nothing is running."""
    start = api.StartWorkflowExecutionRequest()
    for field, value in request.ListFields():
        if field.name in ("signal_name", "signal_input", "control", "request_eager_execution"):
            continue
        target = start.DESCRIPTOR.fields_by_name[field.name]
        if target.is_repeated:
            getattr(start, field.name).extend(value)
        elif target.message_type is not None:
            getattr(start, field.name).CopyFrom(value)
        else:
            setattr(start, field.name, value)
    return start
