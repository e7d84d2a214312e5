"""The life of a workflow task: scheduled, started, then completed, failed or timed out.

A start is not written by itself: it stays in memory until the next write, as the events of transient attempts (attempt
2 and later) and of speculative tasks (made for an update) do until their task completes. After a crash such a task is
simply dispatched again, and the old worker's completion is refused. (design section 9; events_commands.md section 4)
"""

from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import SuggestContinueAsNewReason, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import WorkflowTaskFailedEventAttributes, WorkflowTaskTimedOutEventAttributes

from services.history.core.draft import Draft, task_scheduled_attributes
from services.history.core.indexed import index_problem
from services.history.core.rejection import task_not_found
from services.history.core.run import AdmittedUpdate, copy_of
from services.history.core.times import SECOND
from services.protos.run_pb2 import Task, WorkflowTask

RETRY_BACKOFF_FROM_ATTEMPT = 4
RETRY_BACKOFF_INITIAL_NS = 5 * SECOND
RETRY_BACKOFF_JITTER = 0.2  # the share of a back-off that chance decides


def schedule_task(
    draft: Draft, *, new_events: bool = False, heartbeat_since_ns: int = 0, speculative: bool = False
) -> None:
    """Schedules a workflow task unless one is there. `new_events`: something came since the last attempt failed."""
    info = draft.info
    if info.HasField("task") or not draft.run.is_open or draft.run.is_paused:
        return
    if new_events:
        info.task_attempts_since_success = 0
    attempt = info.task_attempts_since_success + 1
    sticky = info.HasField("sticky")
    kind = WorkflowTask.SPECULATIVE if speculative else WorkflowTask.NORMAL
    if attempt > 1:
        kind = WorkflowTask.TRANSIENT
    task = WorkflowTask(
        kind=kind,
        scheduled_event_id=info.next_event_id,
        attempt=attempt,
        scheduled_time_ns=draft.now_ns,
        original_scheduled_time_ns=heartbeat_since_ns or draft.now_ns,
        timeout_ns=_timeout_ns(draft, attempt),
        task_queue=info.sticky.task_queue if sticky else info.task_queue,
        sticky=sticky,
    )
    if sticky:
        task.schedule_to_start_deadline_ns = draft.now_ns + info.sticky.schedule_to_start_timeout_ns
    elif speculative:
        task.schedule_to_start_deadline_ns = draft.now_ns + 5 * SECOND
    if kind == WorkflowTask.NORMAL:
        draft.add(task_scheduled_attributes(info, task))
        task.scheduled_written = True
    info.task.CopyFrom(task)
    if kind != WorkflowTask.SPECULATIVE:
        draft.push(Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, attempt)


def _timeout_ns(draft: Draft, attempt: int) -> int:
    timeout_ns = draft.info.task_timeout_ns
    if attempt < RETRY_BACKOFF_FROM_ATTEMPT:
        return timeout_ns
    backoff_ns = RETRY_BACKOFF_INITIAL_NS << min(attempt - RETRY_BACKOFF_FROM_ATTEMPT, 20)
    backoff_ns = min(backoff_ns, draft.given.limits.task_retry_interval_max_ns)
    return timeout_ns + backoff_ns - int(backoff_ns * RETRY_BACKOFF_JITTER * draft.given.jitter)


def start_task(
    draft: Draft,
    *,
    scheduled_event_id: int,
    stamp: int,
    request_id: str,
    identity: str,
    worker_version: WorkerVersionStamp | None = None,
    durable: bool = False,
    carries_updates: bool = True,
    repeats_updates: bool = True,
) -> None:
    """A worker takes the task. Asked again with the same request id it is taken already, and nothing changes.

    `carries_updates` is False for a task that was given out before the updates were known here; `repeats_updates` for
    one whose worker has had them with its last task.
    """
    info = draft.info
    if not draft.run.is_open or not info.HasField("task"):
        raise task_not_found()
    task = info.task
    if task.scheduled_event_id != scheduled_event_id or task.attempt != stamp:
        raise task_not_found()
    if task.started_event_id:
        if task.request_id != request_id:
            raise task_not_found()
        if durable:
            draft.touch()  # it may have been taken without that first, and whoever kept the task now forgets it
        return
    if task.kind == WorkflowTask.TRANSIENT and task.scheduled_event_id != info.next_event_id:
        _make_normal(draft)
        task = info.task
    task.started_event_id = info.next_event_id if task.scheduled_written else task.scheduled_event_id + 1
    task.started_time_ns = draft.now_ns
    task.start_to_close_deadline_ns = draft.now_ns + task.timeout_ns
    task.request_id = request_id
    task.identity = identity
    task.history_bytes = info.history_bytes
    if worker_version is not None:
        task.worker_version.CopyFrom(worker_version)
    _suggest_continue_as_new(draft)
    if carries_updates:
        for update_id, update in draft.run.admitted.items():
            if repeats_updates or not update.sent_event_id:
                draft.run.admitted[update_id] = AdmittedUpdate(update.request, task.started_event_id)
    if durable:
        draft.touch()


def _make_normal(draft: Draft) -> None:
    """New events came since the transient attempt was scheduled: it becomes a first attempt."""
    info = draft.info
    info.task_attempts_since_success = 0
    task = copy_of(info.task)
    task.kind = WorkflowTask.NORMAL
    task.attempt = 1
    task.scheduled_event_id = info.next_event_id
    task.timeout_ns = _timeout_ns(draft, 1)
    task.scheduled_time_ns = draft.now_ns  # as the reference: its event may not be older than those before it
    draft.add(task_scheduled_attributes(info, task))
    task.scheduled_written = True
    info.task.CopyFrom(task)


def _suggest_continue_as_new(draft: Draft) -> None:
    info, limits = draft.info, draft.given.limits
    reasons = SuggestContinueAsNewReason
    task = info.task
    if info.history_bytes >= limits.history_bytes_suggest:
        task.suggest_continue_as_new_reasons.append(reasons.SUGGEST_CONTINUE_AS_NEW_REASON_HISTORY_SIZE_TOO_LARGE)
    if info.next_event_id > limits.history_events_suggest:
        task.suggest_continue_as_new_reasons.append(reasons.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS)
    if info.update_count >= limits.updates_max * 9 // 10:
        task.suggest_continue_as_new_reasons.append(reasons.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES)
    task.suggest_continue_as_new = bool(task.suggest_continue_as_new_reasons)


def fail_task(
    draft: Draft,
    cause: WorkflowTaskFailedCause.ValueType,
    failure: Failure | None = None,
    identity: str = "",
    *,
    count_attempt: bool = True,
) -> bool:
    """Ends a started workflow task as failed and writes what was buffered. True when that was anything.

    Only the first of a row of failures is an event. The caller schedules the next task, or closes the run.
    """
    info = draft.info
    task = copy_of(info.task)
    draft.run.closing = cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    if task.attempt == 1:
        draft.write_owed_task_events()
        draft.add(
            WorkflowTaskFailedEventAttributes(
                scheduled_event_id=info.task.scheduled_event_id,
                started_event_id=info.task.started_event_id,
                cause=cause,
                failure=failure,
                identity=identity,
                worker_version=task.worker_version if task.HasField("worker_version") else None,
            )
        )
    return _end_attempt(draft, task, count_attempt)


def time_out_task(draft: Draft) -> None:
    """The task was not started, or not completed, in time; the next attempt is scheduled."""
    info = draft.info
    task = copy_of(info.task)
    started = bool(task.started_event_id)
    draft.run.closing = False
    if task.attempt == 1:
        if task.kind == WorkflowTask.SPECULATIVE:
            info.task.identity = ""  # as any start of a speculative task that is written before its completion
        draft.write_owed_task_events()
        kind = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE if started else TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
        draft.add(
            WorkflowTaskTimedOutEventAttributes(
                scheduled_event_id=task.scheduled_event_id,
                started_event_id=task.started_event_id,
                timeout_type=kind,
            )
        )
    flushed = _end_attempt(draft, task, count_attempt=started)
    schedule_task(draft, new_events=flushed)


def _report_problem(draft: Draft, attempt: int) -> None:
    """After a few attempts in a row that came to nothing, lists find the run by what was wrong with the first."""
    reported_from = draft.given.limits.task_problems_reported_from
    if reported_from and attempt >= reported_from and draft.info.HasField("task_problem"):
        index_problem(draft.run)
        draft.push(Task.UPDATE_VISIBILITY)


def _end_attempt(draft: Draft, task: WorkflowTask, count_attempt: bool) -> bool:
    """A failure on a sticky queue only ends the stickiness: the attempt on the normal queue is a first one again."""
    info = draft.info
    info.ClearField("task")
    draft.touch()
    for update_id, update in draft.run.admitted.items():
        draft.run.admitted[update_id] = AdmittedUpdate(update.request)
    if info.HasField("sticky"):
        info.ClearField("sticky")
    else:
        info.task_attempts_since_success = task.attempt if count_attempt else 0
        _report_problem(draft, info.task_attempts_since_success)
    return draft.flush()
