"""The life of an activity: attempts that are started, heartbeat, retried, and an end that the workflow sees.

Attempts leave no events. The start of the last one is written together with the end. (events_commands.md section 8)
"""

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payloads, WorkerVersionStamp
from temporalio.api.enums.v1 import ActivityTaskFailedCause, RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure, ServerFailureInfo, TimeoutFailureInfo
from temporalio.api.history.v1 import (
    ActivityTaskCanceledEventAttributes,
    ActivityTaskCompletedEventAttributes,
    ActivityTaskFailedEventAttributes,
    ActivityTaskStartedEventAttributes,
    ActivityTaskTimedOutEventAttributes,
)

from services.history.core.apply import Item
from services.history.core.deadlines import (
    activity_deadline,
    after,
    expiry,
    heartbeat_deadline,
    start_to_close_deadline,
)
from services.history.core.draft import Draft
from services.history.core.rejection import activity_not_found, completed, invalid
from services.history.core.retry import Retry, is_retryable, next_retry
from services.history.core.run import copy_of
from services.history.core.workflow_task import schedule_task
from services.protos.run_pb2 import Activity, Task, TaskToken

TIMEOUT_NAMES = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "StartToClose",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START: "ScheduleToStart",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "ScheduleToClose",
    TimeoutType.TIMEOUT_TYPE_HEARTBEAT: "Heartbeat",
}


def put(draft: Draft, activity: Activity) -> None:
    """Replaces a pending activity's entry."""
    draft.run.activities[activity.scheduled_event_id] = activity
    draft.changes.add((Item.ACTIVITY, activity.scheduled_event_id))


def start_activity(
    draft: Draft,
    *,
    scheduled_event_id: int,
    stamp: int,
    request_id: str,
    identity: str,
    worker_version: WorkerVersionStamp | None = None,
) -> Activity:
    """A worker takes the activity's task. Asked again with the same request id it is taken already, nothing changes."""
    activity = draft.run.activities.get(scheduled_event_id)
    if not draft.run.is_open or activity is None or activity.stamp != stamp or activity.backing_off:
        raise activity_not_found()
    if activity.started_time_ns:
        if activity.request_id != request_id:
            raise activity_not_found()
        return activity
    activity = copy_of(activity)
    activity.started_time_ns = activity.last_started_time_ns = draft.now_ns
    activity.request_id = request_id
    activity.identity = activity.last_worker_identity = identity
    if worker_version is not None:
        activity.worker_version.CopyFrom(worker_version)
    put(draft, activity)
    return activity


def started_activity(draft: Draft, token: TaskToken) -> Activity:
    """The activity a worker's token speaks of. A token by id has no attempt, and may speak of one not started yet."""
    if not draft.run.is_open:
        raise completed()
    activity = draft.run.activities.get(token.scheduled_event_id)
    if activity is None or (token.attempt and activity.attempt != token.attempt):
        raise activity_not_found()
    if token.attempt and not activity.started_time_ns:
        raise activity_not_found()
    return activity


def heartbeat(draft: Draft, token: TaskToken, details: Payloads | None) -> Activity:
    """The activity lives; its details survive into the next attempt."""
    activity = started_activity(draft, token)
    if not activity.started_time_ns:
        raise activity_not_found()
    activity = copy_of(activity)
    activity.last_heartbeat_time_ns = draft.now_ns
    activity.ClearField("heartbeat_details")
    if details is not None:
        activity.heartbeat_details.CopyFrom(details)
    put(draft, activity)
    return activity


def complete_activity(draft: Draft, token: TaskToken, result: Payloads | None, identity: str) -> None:
    activity = started_activity(draft, token)
    end_activity(
        draft,
        activity,
        ActivityTaskCompletedEventAttributes(result=result, identity=identity),
        identity=identity,
    )


def fail_activity(
    draft: Draft,
    token: TaskToken,
    failure: Failure | None,
    identity: str,
    last_heartbeat_details: Payloads | None = None,
    cause: ActivityTaskFailedCause.ValueType = ActivityTaskFailedCause.ACTIVITY_TASK_FAILED_CAUSE_UNSPECIFIED,
) -> None:
    """The attempt failed: another one is made, or the workflow sees the failure."""
    activity = started_activity(draft, token)
    if not activity.started_time_ns:
        raise activity_not_found()
    if last_heartbeat_details is not None:
        activity = copy_of(activity)
        activity.last_heartbeat_time_ns = draft.now_ns
        activity.heartbeat_details.CopyFrom(last_heartbeat_details)
    retry = _retry(draft, activity, failure or Failure())
    if retry.state == RetryState.RETRY_STATE_IN_PROGRESS:
        _back_off(draft, activity, failure or Failure(), retry.backoff_ns)
        return
    end_activity(
        draft,
        activity,
        ActivityTaskFailedEventAttributes(failure=failure, identity=identity, retry_state=retry.state, cause=cause),
        identity=identity,
    )


def cancel_activity(draft: Draft, token: TaskToken, details: Payloads | None, identity: str) -> None:
    """The worker gave in to a cancellation. Refused when none was asked for."""
    activity = started_activity(draft, token)
    if not activity.cancel_requested:
        raise invalid("unable to mark activity as canceled without activity being request canceled first")
    end_activity(
        draft,
        activity,
        ActivityTaskCanceledEventAttributes(
            details=details,
            latest_cancel_requested_event_id=activity.cancel_requested_event_id,
            identity=identity,
        ),
        identity=identity,
    )


def end_activity(
    draft: Draft, activity: Activity, ending: Message, *, identity: str = "", started: bool = True
) -> None:
    """Writes the last attempt's start and the end, and has the workflow told.

    `started`: an attempt that nobody took counts as started now (it is completed by id).
    """
    started_event_id = 0
    if activity.started_time_ns or started:
        started_event_id = _write_start(draft, activity, identity)
    _write_end(draft, activity, ending, started_event_id)
    schedule_task(draft)


def cancel_unstarted(draft: Draft, activity: Activity, ending: Message) -> None:
    """Ends an activity that a command cancels before any attempt: the event follows those of the commands."""
    _write_end(draft, activity, ending, 0, buffer=True)


def _write_end(
    draft: Draft, activity: Activity, ending: Message, started_event_id: int, *, buffer: bool = False
) -> None:
    ending.scheduled_event_id = activity.scheduled_event_id  # type: ignore[attr-defined]  # all endings have both
    ending.started_event_id = started_event_id  # type: ignore[attr-defined]  # as above
    if activity.HasField("worker_version") and "worker_version" in ending.DESCRIPTOR.fields_by_name:
        ending.worker_version.CopyFrom(activity.worker_version)  # type: ignore[attr-defined]  # it has the field
    draft.add(ending, buffer=buffer)


def _write_start(draft: Draft, activity: Activity, identity: str) -> int:
    event = draft.add(
        ActivityTaskStartedEventAttributes(
            scheduled_event_id=activity.scheduled_event_id,
            identity=activity.identity or identity,
            request_id=activity.request_id,
            attempt=activity.attempt,
            last_failure=activity.last_failure if activity.HasField("last_failure") else None,
            worker_version=activity.worker_version if activity.HasField("worker_version") else None,
        ),
        at_ns=activity.started_time_ns,
    )
    return event.event_id


def _retry(draft: Draft, activity: Activity, failure: Failure) -> Retry:
    if activity.cancel_requested:
        return Retry(RetryState.RETRY_STATE_CANCEL_REQUESTED)
    if activity.HasField("pause") and is_retryable(failure, activity.retry_policy):
        return Retry(RetryState.RETRY_STATE_IN_PROGRESS)
    return next_retry(
        policy=activity.retry_policy if activity.HasField("retry_policy") else None,
        attempt=activity.attempt,
        now_ns=draft.now_ns,
        expires_ns=expiry(activity),
        failure=failure,
    )


def _back_off(draft: Draft, activity: Activity, failure: Failure, backoff_ns: int) -> None:
    """The next attempt is waited for: for a time, or until an operator unpauses the activity."""
    activity = copy_of(activity)
    activity.attempt += 1
    if not failure.HasField("timeout_failure_info"):
        activity.last_attempt_complete_time_ns = draft.now_ns
    activity.started_time_ns = 0
    activity.request_id = activity.identity = ""
    activity.last_failure.CopyFrom(truncated(failure, draft.given.limits.activity_failure_bytes_max))
    if not activity.HasField("pause"):
        activity.stamp += 1
        activity.backing_off = True
        activity.scheduled_time_ns = draft.now_ns + backoff_ns
        # The reference tells the time since the last answer, even where there was none but time-outs.
        activity.current_retry_interval_ns = activity.scheduled_time_ns - activity.last_attempt_complete_time_ns
        _end_reset(activity)
    put(draft, activity)


def begin_again(draft: Draft, activity: Activity, at_ns: int) -> None:
    """An operator has the activity (a copy; no worker has it) dispatched at that time, whatever it waited for."""
    activity.stamp += 1
    activity.ClearField("last_failure")
    activity.scheduled_time_ns = at_ns
    activity.backing_off = at_ns > draft.now_ns
    activity.current_retry_interval_ns = 0
    if activity.backing_off:
        activity.current_retry_interval_ns = at_ns - activity.last_attempt_complete_time_ns
    activity.held = False  # a pause of the run does not matter either
    _end_reset(activity)
    put(draft, activity)
    if not activity.backing_off:
        draft.push(Task.PUSH_ACTIVITY_TASK, activity.scheduled_event_id, activity.stamp)


def _end_reset(activity: Activity) -> None:
    """The attempt that an operator's reset was about is over."""
    if activity.reset_heartbeat:
        forget_heartbeat(activity)
    activity.reset = activity.reset_heartbeat = False


def forget_heartbeat(activity: Activity) -> None:
    activity.ClearField("heartbeat_details")
    activity.last_heartbeat_time_ns = 0


def truncated(failure: Failure, bytes_max: int) -> Failure:
    """What a pending activity keeps of its last failure: a long one is cut. (limits_errors.md section 1)"""
    if failure.ByteSize() <= bytes_max:
        return failure
    return Failure(
        message="Failure exceeds size limit.",
        server_failure_info=ServerFailureInfo(),
        cause=_cut(failure, bytes_max),
    )


HEADER_BYTES = 4  # what the reference counts for each part that is kept


def _cut(failure: Failure, room: int) -> Failure:
    """As much of it as there is room for, the most important first."""
    kept = Failure()
    if failure.HasField("server_failure_info"):
        kept.server_failure_info.CopyFrom(failure.server_failure_info)
        room -= HEADER_BYTES
    elif failure.HasField("application_failure_info"):
        info = failure.application_failure_info
        kept.application_failure_info.non_retryable = info.non_retryable
        kept.application_failure_info.type, room = _cut_text(info.type, room - HEADER_BYTES)
    if failure.HasField("cause"):
        room -= HEADER_BYTES
    kept.source, room = _cut_text(failure.source, room)
    kept.message, room = _cut_text(failure.message, room)
    kept.stack_trace, room = _cut_text(failure.stack_trace, room)
    if failure.HasField("cause") and room > 0:
        kept.cause.CopyFrom(_cut(failure.cause, room))
    return kept


def _cut_text(text: str, room: int) -> tuple[str, int]:
    """Whole letters only."""
    kept = text.encode()[: max(room - HEADER_BYTES, 0)].decode(errors="ignore")
    return kept, room - len(kept.encode()) - HEADER_BYTES if kept else room


def advance_activity(draft: Draft, activity: Activity) -> None:
    """Time has come to one of the activity's deadlines: it is dispatched again, or it times out."""
    now_ns = draft.now_ns
    assert activity_deadline(activity) <= now_ns, f"activity {activity.activity_id} is not due"
    schedule_to_close_ns = after(activity.first_scheduled_time_ns, activity.schedule_to_close_timeout_ns)
    waits = not activity.backing_off and not activity.started_time_ns
    if waits and 0 < after(activity.scheduled_time_ns, activity.schedule_to_start_timeout_ns) <= now_ns:
        _time_out(draft, activity, TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START)
    elif 0 < schedule_to_close_ns <= now_ns:
        _time_out(draft, activity, TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
    elif activity.backing_off:
        _dispatch_again(draft, activity)
    elif 0 < start_to_close_deadline(activity) <= now_ns:
        _time_out(draft, activity, TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE)
    elif 0 < heartbeat_deadline(activity) <= now_ns:
        _time_out(draft, activity, TimeoutType.TIMEOUT_TYPE_HEARTBEAT)


def _dispatch_again(draft: Draft, activity: Activity) -> None:
    activity = copy_of(activity)
    activity.backing_off = False
    put(draft, activity)
    draft.push(Task.PUSH_ACTIVITY_TASK, activity.scheduled_event_id, activity.stamp)


def _time_out(draft: Draft, activity: Activity, kind: TimeoutType.ValueType) -> None:
    """An attempt, or the whole activity, has taken too long: another attempt is made, or the workflow sees it."""
    failure = _timeout_failure(kind, f"activity {TIMEOUT_NAMES[kind]} timeout")
    state = RetryState.RETRY_STATE_TIMEOUT
    if kind in (TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE, TimeoutType.TIMEOUT_TYPE_HEARTBEAT):
        retry = _retry(draft, activity, failure)
        if retry.state == RetryState.RETRY_STATE_IN_PROGRESS:
            _back_off(draft, activity, failure, retry.backoff_ns)
            return
        state = retry.state
    if state == RetryState.RETRY_STATE_TIMEOUT and kind != TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
        failure = _timeout_failure(TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, NO_TIME_LEFT)
    if activity.HasField("heartbeat_details"):
        failure.timeout_failure_info.last_heartbeat_details.CopyFrom(activity.heartbeat_details)
    if activity.HasField("last_failure"):
        failure.cause.CopyFrom(activity.last_failure)
    end_activity(
        draft, activity, ActivityTaskTimedOutEventAttributes(failure=failure, retry_state=state), started=False
    )


NO_TIME_LEFT = "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"


def _timeout_failure(kind: TimeoutType.ValueType, message: str) -> Failure:
    return Failure(message=message, source="Server", timeout_failure_info=TimeoutFailureInfo(timeout_type=kind))
