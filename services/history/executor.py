"""What follows from commits: outbox tasks, each done at least once, each idempotent."""

import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    CancelExternalWorkflowExecutionFailedCause,
    ParentClosePolicy,
    SignalExternalWorkflowExecutionFailedCause,
    StartChildWorkflowExecutionFailedCause,
    TaskQueueKind,
    TaskQueueType,
    WorkflowExecutionStatus,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument, NotFound, ShardOwnershipLost, Unavailable, WorkflowExecutionAlreadyStarted
from services.history.cache import RunEntry, WorkflowEntry
from services.history.callbacks import CallbackCaller, Post
from services.history.core.apply import Item
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.options import inherited
from services.history.core.rejection import Rejection
from services.history.core.relations import cancel_answered, child_start_failed, child_started, signal_answered
from services.history.core.reset import is_of_base, start_request_id
from services.history.core.run import RUNNING, Run, copy_fields
from services.history.core.signals import TOO_MANY_SIGNALS
from services.history.core.wake import wake
from services.history.engine import UNLESS_BEGUN, Engine
from services.history.metrics import operation_of, traced, woken
from services.history.outbox import Key
from services.history.shard import Shard
from services.persistence import Outcome
from services.protos.history_pb2 import (
    ExternalCancelRequest,
    ExternalSignalRequest,
    RecordChildClosedRequest,
    ScheduleFirstWorkflowTaskRequest,
    StartChildRequest,
)
from services.protos.matching_pb2 import AddTaskRequest, QueuedTask
from services.protos.run_pb2 import Child, Task
from services.rpc import AddTaskOutcome, Call, HistoryClient
from services.telemetry import tracer

logger = logging.getLogger(__name__)

SERVICE_IDENTITY = "history-service"
CHILDREN_ENDED_AT_ONCE_MAX = 10
CROWD_IDENTITY = "temporal-sys-parent-close-policy-workflow"  # who ends more of them in the reference


class OutboxExecutor:
    """Executes the outbox tasks of a host's shards. `history` is how runs reach each other, wherever they are.

    `hide` takes a run that was deleted off the lists: namespace id, run id.
    """

    def __init__(
        self, engine: Engine, history: HistoryClient, hide: Callable[[str, str], Awaitable[None]], post: Post
    ) -> None:
        self._engine, self._history, self._hide = engine, history, hide
        callbacks = CallbackCaller(engine, post)
        self._handlers = {
            Task.PUSH_WORKFLOW_TASK: self._push_workflow_task,
            Task.PUSH_ACTIVITY_TASK: self._push_activity_task,
            Task.START_CHILD: self._start_child,
            Task.SIGNAL_EXTERNAL: self._signal_external,
            Task.CANCEL_EXTERNAL: self._cancel_external,
            Task.REPORT_TO_PARENT: self._report_to_parent,
            Task.APPLY_PARENT_CLOSE_POLICY: self._apply_parent_close_policy,
            Task.WAKE: self._wake,
            Task.DELETE_RUN: self._delete_run,
            Task.CALL_BACK: callbacks.call,
            Task.RETRY_CALLBACK: callbacks.end_backoff,
        }
        self._spans = tracer("history")
        self._did: dict[int, str] = {}  # what wakes did, as an operation, by the identity of their tasks

    async def execute(self, shard: Shard, key: Key, task: Task) -> bool:
        """Does a task. False: a poller has it, and its row is held until the task is over."""
        clock, metrics, operation = self._engine.clock, self._engine.metrics.outbox, operation_of(task)
        began = clock.monotonic()
        work = self._execute(shard, key, task)
        try:
            done = await (work if self._spans is None else traced(self._spans, operation, task, key[1], work))
        except Exception:
            metrics.failed(operation, task, key[1], began, clock.monotonic())
            raise
        metrics.done(self._did.pop(id(task), operation), task, key[1], began, clock.monotonic())
        return done

    async def _execute(self, shard: Shard, key: Key, task: Task) -> bool:
        await self._engine.know(task.namespace_id)
        workflow = self._engine.workflow(task.namespace_id, task.workflow_id)
        try:
            entry = await self._engine.run(workflow, task.run_id)
        except NotFound:  # the run was deleted
            if task.kind == Task.DELETE_RUN:
                await self._hide(task.namespace_id, task.run_id)  # a crash may have come before that
            return True
        return await self._handlers[task.kind](shard, key, task, workflow, entry)

    def _call(self, task: Task) -> Call:
        namespace = self._engine.namespaces.by_id(task.namespace_id)
        return Call(namespace=namespace.name, namespace_id=namespace.id)

    # Tasks for workers.

    async def _push_workflow_task(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry
    ) -> bool:
        info = entry.run.info
        pending = info.task
        if not entry.run.is_open or pending.scheduled_event_id != task.event_id or pending.attempt != task.stamp:
            return True
        if pending.started_event_id:
            if not entry.stored_task_started:
                self._engine.hold(entry, shard, key, task)  # it was started within the decision
                return False
            return True
        kind, queue = TaskQueueKind.TASK_QUEUE_KIND_NORMAL, info.task_queue
        if pending.sticky:
            kind, queue = TaskQueueKind.TASK_QUEUE_KIND_STICKY, pending.task_queue
        outcome = await self._add(task, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, queue, kind)
        if outcome is AddTaskOutcome.STICKY_WORKER_UNAVAILABLE:
            kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
            outcome = await self._add(task, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, info.task_queue, kind)
        return self._handed_over(shard, key, task, workflow, outcome)

    async def _push_activity_task(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry
    ) -> bool:
        activity = entry.run.activities.get(task.event_id)
        if not entry.run.is_open or activity is None or activity.stamp != task.stamp or activity.started_time_ns:
            return True
        queue, kind = activity.task_queue, TaskQueueKind.TASK_QUEUE_KIND_NORMAL
        outcome = await self._add(task, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, queue, kind)
        return self._handed_over(shard, key, task, workflow, outcome)

    async def _add(
        self, task: Task, queue_type: TaskQueueType.ValueType, queue: str, kind: TaskQueueKind.ValueType
    ) -> AddTaskOutcome:
        request = AddTaskRequest(
            task_queue_type=queue_type,
            task_queue=queue,
            task_queue_kind=kind,
            task=QueuedTask(
                namespace_id=task.namespace_id,
                workflow_id=task.workflow_id,
                run_id=task.run_id,
                scheduled_event_id=task.event_id,
                stamp=task.stamp,
                create_time_ns=self._engine.clock.now_ns(),
            ),
        )
        return await self._engine.matching.add_task(self._call(task), request)

    def _handed_over(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, outcome: AddTaskOutcome
    ) -> bool:
        """A stored task is matching's business now. A matched one is nowhere but here until its start is written."""
        if outcome is AddTaskOutcome.STORED:
            return True
        entry = workflow.runs.get(task.run_id)
        if entry is None:
            return True
        if _is_unclaimed(entry.run, task):
            raise Unavailable("it was started in the memory of a host that owned the shard before")
        self._engine.hold(entry, shard, key, task)
        return False

    # Time.

    async def _wake(self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry) -> bool:
        async with workflow.lock:
            entry = await self._engine.run(workflow, task.run_id)
            if not entry.run.is_open:
                return True
            if entry.started is None:
                await self._engine.started(workflow, entry)
            given = self._engine.given(task.namespace_id, entry)
            before, draft = entry.run, Draft(entry.run, given)
            wake(draft, key[0])
            decision = finish(draft)
            await self._engine.commit(workflow, entry, decision)
            changed = sorted(int(key) for item, key in decision.changes if item == Item.ACTIVITY)
            self._did[id(task)] = woken(before, entry.run, changed)
            self._engine.metrics.workers.woken(before, entry.run, given.now_ns, changed)
        return True

    async def _delete_run(self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry) -> bool:
        if entry.run.is_open:
            return True
        await self._settle(shard, key, task, workflow, entry)
        async with workflow.lock:
            if task.stamp == UNLESS_BEGUN and (await self._engine.run(workflow, task.run_id)).run.info.status:
                return True
            outcome = await self._engine.store.delete_run(
                shard.shard_id, shard.range_id, task.namespace_id, task.workflow_id, task.run_id
            )
            if outcome is not Outcome.COMMITTED:
                self._engine.shards.drop(shard)
                raise ShardOwnershipLost(shard.shard_id)
            workflow.runs.pop(task.run_id, None)
            workflow.current_known = False
            workflow.generation += 1
        await self._hide(task.namespace_id, task.run_id)
        return True

    async def _settle(self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry) -> None:
        """Does what the close entailed once more: its own tasks may still wait, and would find nothing afterwards."""
        if entry.run.info.reset_run_id:
            return  # the run that a reset has made of it takes its place
        if entry.run.children:
            await self._apply_parent_close_policy(shard, key, task, workflow, entry)
        if entry.run.info.HasField("parent") and not entry.run.info.new_execution_run_id:
            await self._report_to_parent(shard, key, task, workflow, entry)

    # Children.

    async def _start_child(self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry) -> bool:
        child = entry.run.children.get(task.event_id)
        if child is None:
            return True
        if child.run_id:
            run_id: str | None = child.run_id
        elif entry.run.is_open:
            run_id = await self._create_child(task, workflow, entry, child)
        else:
            run_id = await self._created_child(task, entry, child)
        if run_id is None:
            return True
        first = ScheduleFirstWorkflowTaskRequest(
            namespace_id=child.namespace_id, workflow_id=child.workflow_id, run_id=run_id
        )
        await self._history.schedule_first_workflow_task(self._call(task), first)
        child = entry.run.children.get(task.event_id, child)
        if not entry.run.is_open and not child.run_id:  # the parent closed before it could record the child
            await self._apply_policy(task, entry, child, run_id)
        return True

    async def _created_child(self, task: Task, entry: RunEntry, child: Child) -> str | None:
        """The child of a closed parent that never recorded it: there is one only if a crash came in between.

        A child that was not started before its parent's close is not started any more, whatever the policy.
        """
        info = entry.run.info
        request = api.DescribeWorkflowExecutionRequest(execution=WorkflowExecution(workflow_id=child.workflow_id))
        try:
            found = await self._history.describe_workflow_execution(self._call(task), request)
        except NotFound:
            return None
        described = found.workflow_execution_info
        parent = described.parent_execution
        is_own = (parent.workflow_id, parent.run_id) == (info.workflow_id, info.run_id)
        return described.execution.run_id if is_own and described.status == RUNNING else None

    async def _create_child(self, task: Task, workflow: WorkflowEntry, entry: RunEntry, child: Child) -> str | None:
        """Starts the child and records it with the parent; None when it could not be started."""
        event = await self._engine.event(workflow, entry, task.event_id)
        initiated = event.start_child_workflow_execution_initiated_event_attributes
        try:
            started = await self._history.start_child(self._call(task), _start_child_request(entry, event, child))
        except WorkflowExecutionAlreadyStarted:
            causes = StartChildWorkflowExecutionFailedCause
            cause = causes.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
            await self._tell(task, lambda draft: child_start_failed(draft, task.event_id, initiated, cause))
            return None
        run_id = started.run_id
        header = initiated.header if initiated.HasField("header") else None
        await self._tell(task, lambda draft: child_started(draft, task.event_id, run_id, header))
        return run_id

    async def _tell(self, task: Task, decide: Callable[[Draft], None]) -> None:
        """Records an answer with the run that asked; one that is closed or gone does not need it."""

        def unless_closed(draft: Draft) -> None:
            try:
                decide(draft)
            except Rejection:
                return

        await self._engine.change(task.namespace_id, task.workflow_id, task.run_id, unless_closed)

    async def _report_to_parent(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry
    ) -> bool:
        info = entry.run.info
        close = await self._engine.event(workflow, entry, info.close_event_id)
        report = RecordChildClosedRequest(
            namespace_id=info.parent.namespace_id,
            workflow_id=info.parent.workflow_id,
            run_id=info.parent.run_id,
            initiated_event_id=info.parent.initiated_event_id,
            child=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
            first_execution_run_id=info.first_execution_run_id,
            status=info.status,
        )
        _fill_result(report, close)
        await self._history.record_child_closed(self._call(task), report)
        return True

    async def _apply_parent_close_policy(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry
    ) -> bool:
        for child in list(entry.run.children.values()):
            if not child.run_id:
                continue  # see to it in _start_child
            if is_of_base(entry.run.info, child.initiated_event_id):
                continue
            await self._apply_policy(task, entry, child, child.run_id)
        return True

    async def _apply_policy(self, task: Task, entry: RunEntry, child: Child, run_id: str) -> None:
        if child.parent_close_policy == ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON:
            return
        with suppress(NotFound):  # it has ended by itself
            await self._end_child(task, entry, child, run_id)

    async def _end_child(self, task: Task, entry: RunEntry, child: Child, run_id: str) -> None:
        execution = WorkflowExecution(workflow_id=child.workflow_id)
        call = self._call(task)
        info = entry.run.info
        crowd = len(entry.run.children) > CHILDREN_ENDED_AT_ONCE_MAX
        identity = CROWD_IDENTITY if crowd else SERVICE_IDENTITY
        if child.parent_close_policy == ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE:
            await self._history.terminate_workflow_execution(
                call,
                api.TerminateWorkflowExecutionRequest(
                    workflow_execution=execution,
                    first_execution_run_id=run_id,
                    reason="by parent close policy",
                    identity=identity,
                ),
            )
        else:
            await self._history.cancel_external(
                call,
                ExternalCancelRequest(
                    namespace_id=child.namespace_id,
                    cancel=api.RequestCancelWorkflowExecutionRequest(
                        workflow_execution=execution,
                        identity=identity,
                        request_id=f"{info.run_id}-close",
                    ),
                    source=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
                ),
            )

    # Other runs.

    async def _signal_external(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry
    ) -> bool:
        if not entry.run.is_open or task.event_id not in entry.run.signals:
            return True  # what a run sends in its last task is not delivered (the reference's)
        event = await self._engine.event(workflow, entry, task.event_id)
        initiated = event.signal_external_workflow_execution_initiated_event_attributes
        info, call = entry.run.info, self._call(task)
        request = ExternalSignalRequest(
            namespace_id=initiated.namespace_id,
            signal=api.SignalWorkflowExecutionRequest(
                workflow_execution=initiated.workflow_execution,
                signal_name=initiated.signal_name,
                input=initiated.input if initiated.HasField("input") else None,
                header=initiated.header if initiated.HasField("header") else None,
                identity=SERVICE_IDENTITY,
                request_id=_request_id(info.run_id, task.event_id),
            ),
            source=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
            source_initiated_event_id=task.event_id,
            child_workflow_only=initiated.child_workflow_only,
        )
        cause = None
        try:
            if initiated.workflow_execution.workflow_id == task.workflow_id:
                raise NotFound("a workflow cannot signal itself")  # the reference does not let it either
            await self._history.signal_external(call, request)
        except NotFound:
            causes = SignalExternalWorkflowExecutionFailedCause
            cause = causes.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
        except InvalidArgument as error:
            if error.message != TOO_MANY_SIGNALS:
                raise
            causes = SignalExternalWorkflowExecutionFailedCause
            cause = causes.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED
        await self._tell(
            task, lambda draft: signal_answered(draft, task.event_id, cause, call.namespace, initiated.control)
        )
        return True

    async def _cancel_external(
        self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry
    ) -> bool:
        if not entry.run.is_open or task.event_id not in entry.run.cancels:
            return True
        event = await self._engine.event(workflow, entry, task.event_id)
        initiated = event.request_cancel_external_workflow_execution_initiated_event_attributes
        info, call = entry.run.info, self._call(task)
        request = ExternalCancelRequest(
            namespace_id=initiated.namespace_id,
            cancel=api.RequestCancelWorkflowExecutionRequest(
                workflow_execution=initiated.workflow_execution,
                identity=SERVICE_IDENTITY,
                request_id=_request_id(info.run_id, task.event_id),
                reason=initiated.reason,
            ),
            source=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
            source_initiated_event_id=task.event_id,
            child_workflow_only=initiated.child_workflow_only,
        )
        cause = None
        try:
            if initiated.workflow_execution.workflow_id == task.workflow_id:
                raise NotFound("a workflow cannot cancel itself")
            await self._history.cancel_external(call, request)
        except NotFound:
            causes = CancelExternalWorkflowExecutionFailedCause
            cause = causes.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
        await self._tell(task, lambda draft: cancel_answered(draft, task.event_id, cause, call.namespace))
        return True


def _is_unclaimed(run: Run, task: Task) -> bool:
    """Whether a task that was handed to a worker still waits for one, as far as this host knows."""
    if not run.is_open:
        return False
    if task.kind == Task.PUSH_ACTIVITY_TASK:
        activity = run.activities.get(task.event_id)
        return activity is not None and activity.stamp == task.stamp and not activity.started_time_ns
    pending = run.info.task
    return (pending.scheduled_event_id, pending.attempt) == (task.event_id, task.stamp) and not pending.started_event_id


def _request_id(run_id: str, event_id: int) -> str:
    """The same at every repetition of the task, so that the other run takes it once."""
    return str(uuid.uuid5(uuid.UUID(run_id), str(event_id)))


def _start_child_request(entry: RunEntry, event: HistoryEvent, child: Child) -> StartChildRequest:
    info = entry.run.info
    initiated = event.start_child_workflow_execution_initiated_event_attributes
    start = api.StartWorkflowExecutionRequest(
        workflow_id=initiated.workflow_id,
        workflow_type=initiated.workflow_type,
        task_queue=initiated.task_queue,
        workflow_execution_timeout=initiated.workflow_execution_timeout
        if initiated.HasField("workflow_execution_timeout")
        else None,
        workflow_run_timeout=initiated.workflow_run_timeout,
        workflow_task_timeout=initiated.workflow_task_timeout,
        request_id=start_request_id(info.run_id, child),
        workflow_id_reuse_policy=initiated.workflow_id_reuse_policy,
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
        if initiated.workflow_id_reuse_policy == WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
        else WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
        cron_schedule=initiated.cron_schedule,
        user_metadata=event.user_metadata if event.HasField("user_metadata") else None,
    )
    copy_fields(initiated, start, ("input", "header", "memo", "search_attributes", "retry_policy"))
    if initiated.HasField("priority") or info.HasField("priority"):
        start.priority.CopyFrom(inherited(initiated.priority, info.priority))
    return StartChildRequest(
        namespace_id=child.namespace_id,
        start=start,
        parent_namespace=child.namespace,
        parent_namespace_id=info.namespace_id,
        parent=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
        parent_initiated_event_id=event.event_id,
        root=info.root,
    )


def _fill_result(report: RecordChildClosedRequest, close: HistoryEvent) -> None:
    status = WorkflowExecutionStatus
    if report.status == status.WORKFLOW_EXECUTION_STATUS_COMPLETED:
        completed = close.workflow_execution_completed_event_attributes
        if completed.HasField("result"):
            report.result.CopyFrom(completed.result)
    elif report.status == status.WORKFLOW_EXECUTION_STATUS_CANCELED:
        canceled = close.workflow_execution_canceled_event_attributes
        if canceled.HasField("details"):
            report.result.CopyFrom(canceled.details)
    elif report.status == status.WORKFLOW_EXECUTION_STATUS_FAILED:
        failed = close.workflow_execution_failed_event_attributes
        report.failure.CopyFrom(failed.failure)
        report.retry_state = failed.retry_state
    elif report.status == status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
        report.retry_state = close.workflow_execution_timed_out_event_attributes.retry_state
