"""A reset: a new run is forked off the history of another one at the end of a workflow task, and goes on from there.

The forked events are the base run's own. What follows them is the failure of that task, what of the later events is
taken along (reset_reapply), and the next workflow task. (events_commands.md section 9)
"""

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure, ResetWorkflowFailureInfo
from temporalio.api.history.v1 import (
    History,
    HistoryEvent,
    WorkflowTaskFailedEventAttributes,
    WorkflowTaskStartedEventAttributes,
)

from services.history.core.apply import Changes, Item, apply
from services.history.core.close import SERVICE_IDENTITY, terminate_run
from services.history.core.decision import Batch, Given
from services.history.core.draft import Draft
from services.history.core.indexed import index_problem
from services.history.core.rejection import invalid
from services.history.core.run import Run, copy_of
from services.history.core.sizes import entries_of
from services.history.core.workflow_task import schedule_task
from services.protos.run_pb2 import Child, RunInfo, Task, WorkflowTask

RESETTER_IDENTITY = "history-resetter"
ATTEMPTS = frozenset(
    (
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    )
)
ATTEMPT_AFTER_FAILURE = 2  # however many attempts have failed: events speak of the first alone
NO_REQUEST = "emptyUuid"  # what the reference writes of the poll that never was


def known_events_end(info: RunInfo) -> int:
    """The id after the last event of a run; the start of a workflow task may be in memory only."""
    task = info.task
    unwritten = task.kind == WorkflowTask.NORMAL and task.started_event_id and not task.started_written
    return info.next_event_id + (1 if unwritten else 0)


def refuse_finish(base: RunInfo, finish_event_id: int) -> None:
    """Raises unless the event is one that the base run has, and not its first."""
    if not 1 < finish_event_id < known_events_end(base):
        raise invalid("Workflow task finish ID must be > 1 && <= workflow last event ID.")


def end_by_reset(draft: Draft, reason: str) -> None:
    """Terminates the current run."""
    terminate_run(draft, reason, None, RESETTER_IDENTITY)


class Fork:
    """The run that is made of a base run's events before `finish_event_id`, batch by batch."""

    def __init__(self, base: RunInfo, run_id: str, finish_event_id: int) -> None:
        self.finish_event_id = finish_event_id
        self.is_after_failure = False
        self.base_run_id = base.run_id
        self.run = Run(
            RunInfo(
                namespace_id=base.namespace_id,
                workflow_id=base.workflow_id,
                run_id=run_id,
                create_request_id=base.create_request_id,
                next_event_id=1,
            )
        )

    @property
    def is_complete(self) -> bool:
        return self.run.info.next_event_id == self.finish_event_id

    def extend(self, batch: Batch) -> None:
        """Folds the next batch. Raises when it reaches beyond the point of the reset."""
        if batch.next_event_id > self.finish_event_id:
            raise invalid(
                f"StateRebuilder unable to Rebuild mutable state to event ID: {self.finish_event_id - 1}, version: 0, "
                "this event must be at the boundary"
            )
        info, changes = self.run.info, Changes()
        assert batch.first_event_id == info.next_event_id, f"a batch from {batch.first_event_id} is out of place"
        for event in History.FromString(batch.blob).events:
            info.next_event_id += 1
            apply(self.run, event, changes)
            if event.event_type in ATTEMPTS:
                self.is_after_failure = _has_another_attempt(event)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                info.ClearField("task_problem")
        info.history_bytes += len(batch.blob)


def _has_another_attempt(event: HistoryEvent) -> bool:
    """Whether a workflow task's failure leaves the next attempt pending, of which no event speaks."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        return event.workflow_task_timed_out_event_attributes.timeout_type == TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
    return event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED


def begin_reset(fork: Fork, given: Given, request_id: str, reason: str) -> Draft:
    """A draft of the forked run in which its workflow task has failed. Raises when it has none there."""
    draft = Draft(fork.run, given)
    for item, keys in entries(draft.run).items():  # to the store, all of the run is new
        draft.changes.update((item, key) for key in keys)
    if 0 < given.limits.task_problems_reported_from <= ATTEMPT_AFTER_FAILURE and draft.info.HasField("task_problem"):
        index_problem(draft.run)
    if fork.is_after_failure:
        schedule_task(draft)
    if not draft.info.HasField("task"):
        raise invalid(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: "
            f"{fork.finish_event_id}"
        )
    _fail_forked_task(draft, fork.base_run_id, reason)
    draft.info.reset_origin.request_id = request_id
    return draft


def entries(run: Run) -> dict[Item, Iterable[int | str]]:
    """The keys of all that is stored entry by entry."""
    return {**entries_of(run), Item.SIGNAL_REQUEST: run.signal_requests}


def _fail_forked_task(draft: Draft, base_run_id: str, reason: str) -> None:
    scheduled_event_id = draft.info.task.scheduled_event_id
    if not draft.info.task.started_event_id:
        draft.add(
            WorkflowTaskStartedEventAttributes(
                scheduled_event_id=scheduled_event_id, identity=SERVICE_IDENTITY, request_id=NO_REQUEST
            )
        )
        draft.end_batch()
    draft.add(
        WorkflowTaskFailedEventAttributes(
            scheduled_event_id=scheduled_event_id,
            started_event_id=draft.info.task.started_event_id,
            cause=WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
            failure=Failure(message=reason, reset_workflow_failure_info=ResetWorkflowFailureInfo()),
            identity=SERVICE_IDENTITY,
            base_run_id=base_run_id,
            new_run_id=draft.info.run_id,
        )
    )


def finish_reset(draft: Draft, base: Run) -> None:
    """What is pending is taken up anew, and the workflow is told to go on."""
    run = draft.run
    for activity in run.activities.values():
        if not activity.held:
            draft.push(Task.PUSH_ACTIVITY_TASK, activity.scheduled_event_id, activity.stamp)
    for child in list(run.children.values()):
        if not child.started_event_id:
            _share_start(draft, child, base)
            draft.push(Task.START_CHILD, child.initiated_event_id)
    for initiated_event_id in run.signals:
        draft.push(Task.SIGNAL_EXTERNAL, initiated_event_id)
    for initiated_event_id in run.cancels:
        draft.push(Task.CANCEL_EXTERNAL, initiated_event_id)
    draft.push(Task.UPDATE_VISIBILITY)
    schedule_task(draft)
    draft.rearm()


def _share_start(draft: Draft, child: Child, base: Run) -> None:
    """The base run may be about to start the child, or may just have: asked by both, it is started once."""
    known = base.children.get(child.initiated_event_id)
    if known is not None:
        shared = copy_of(child)
        shared.start_request_id = start_request_id(base.info.run_id, known)
        draft.run.children[child.initiated_event_id] = shared
        draft.changes.add((Item.CHILD, child.initiated_event_id))


def start_request_id(run_id: str, child: Child) -> str:
    """By which a child's start is known, however often it is asked for."""
    return child.start_request_id or f"{run_id}:{child.initiated_event_id}:0"


def is_of_base(info: RunInfo, initiated_event_id: int) -> bool:
    """Whether a child was initiated before the run was forked: it names another run as its parent."""
    return initiated_event_id < info.reset_origin.fork_event_id
