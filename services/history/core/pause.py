"""A paused run: its workflow tasks and activities wait; all else that happens to it is recorded as ever.

A workflow task or an attempt that a worker has in hand is finished. (events_commands.md section 10)
"""

from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import (
    WorkflowExecutionPausedEventAttributes,
    WorkflowExecutionUnpausedEventAttributes,
)

from services.history.core.activities import put
from services.history.core.close import SERVICE_IDENTITY
from services.history.core.draft import Draft
from services.history.core.rejection import Reason, Rejection, completed
from services.history.core.run import copy_of
from services.history.core.workflow_task import fail_task, schedule_task
from services.protos.run_pb2 import Activity, Task, WorkflowTask

NOBODYS_REQUEST_ID = "emptyUuid"
WITHDRAWN = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED


def pause_run(draft: Draft, *, identity: str, reason: str, request_id: str) -> None:
    """Pauses the run; a repetition of the request that did so changes nothing."""
    if not draft.run.is_open:
        raise completed()
    if draft.run.is_paused:
        if request_id and draft.info.pause.request_id == request_id:
            return
        raise Rejection(Reason.FAILED_PRECONDITION, "workflow is already paused.")
    if draft.info.HasField("task") and not draft.info.task.started_event_id:
        _withdraw_task(draft)
    draft.add(WorkflowExecutionPausedEventAttributes(identity=identity, reason=reason, request_id=request_id))
    for activity in list(draft.run.activities.values()):
        if not activity.started_time_ns:
            hold_activity(draft, activity)
    draft.push(Task.UPDATE_VISIBILITY)


def _withdraw_task(draft: Draft) -> None:
    """Nobody has the task. A speculative one is written as if the service had taken it. (the reference's way)"""
    task = draft.info.task
    if task.kind == WorkflowTask.SPECULATIVE:
        task.started_event_id, task.started_time_ns = task.scheduled_event_id + 1, draft.now_ns
        task.request_id, task.identity = NOBODYS_REQUEST_ID, SERVICE_IDENTITY
    fail_task(draft, WITHDRAWN, identity=SERVICE_IDENTITY)


def unpause_run(draft: Draft, *, identity: str, reason: str, request_id: str) -> None:
    """The run goes on: what waited is dispatched, and the workflow hears of it in any case."""
    if not draft.run.is_open:
        raise completed()
    if not draft.run.is_paused:
        raise Rejection(Reason.FAILED_PRECONDITION, "workflow is not paused.")
    draft.add(WorkflowExecutionUnpausedEventAttributes(identity=identity, reason=reason, request_id=request_id))
    for activity in list(draft.run.activities.values()):
        if activity.held:
            _release_activity(draft, activity)
    if draft.info.backoff_deadline_ns <= draft.now_ns:
        schedule_task(draft, new_events=True)
    draft.push(Task.UPDATE_VISIBILITY)


def hold_activity(draft: Draft, activity: Activity) -> None:
    """Takes the activity back from whoever was to dispatch it."""
    held = copy_of(activity)
    held.held = True
    held.stamp += 1
    put(draft, held)


def _release_activity(draft: Draft, activity: Activity) -> None:
    released = copy_of(activity)
    released.held = False
    put(draft, released)
    if not released.backing_off and not released.HasField("pause"):
        draft.push(Task.PUSH_ACTIVITY_TASK, released.scheduled_event_id, released.stamp)
