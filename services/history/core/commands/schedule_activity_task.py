"""ScheduleActivityTask: an activity begins. Its time-outs and retry policy are written normalised."""

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import Command, ScheduleActivityTaskCommandAttributes
from temporalio.api.common.v1 import Priority, RetryPolicy
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes

from services.history.core.activities import start_activity
from services.history.core.commands.refusal import (
    BadCommand,
    Cause,
    Completion,
    queue_asked,
    require,
    require_blob,
    why_invalid_priority,
    why_invalid_task_queue,
)
from services.history.core.draft import Draft
from services.history.core.pause import hold_activity
from services.history.core.retry_policy import normalised, why_invalid
from services.history.core.times import duration, ns_of, why_invalid_duration
from services.protos.run_pb2 import Task

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES
WHERE = "ScheduleActivityTaskCommand"
TIMEOUT_FIELDS = {
    "ScheduleToClose": "schedule_to_close_timeout",
    "ScheduleToStart": "schedule_to_start_timeout",
    "StartToClose": "start_to_close_timeout",
    "Heartbeat": "heartbeat_timeout",
}


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    require(
        command.HasField("schedule_activity_task_command_attributes"), BAD, f"{WHERE}Attributes is not set on {WHERE}."
    )
    asked = command.schedule_activity_task_command_attributes
    normalised_timeouts = timeouts(draft, asked)
    require_blob(draft, asked.input.ByteSize(), BAD, f"{WHERE}Attributes.Input")
    limit = draft.given.limits.activities_pending_max
    require(
        len(draft.run.activities) < limit,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED,
        f"the number of pending activities, {len(draft.run.activities)}, has reached the per-workflow limit of {limit}",
    )
    require(
        asked.activity_id not in draft.run.activity_ids,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID,
        f"invalid history builder state for action: add-activitytask-scheduled-event, ActivityID: {asked.activity_id}",
    )
    queue = asked.task_queue.name
    event = draft.add(
        ActivityTaskScheduledEventAttributes(
            activity_id=asked.activity_id,
            activity_type=asked.activity_type,
            task_queue=queue_asked(asked.task_queue),
            header=asked.header if asked.HasField("header") else None,
            input=asked.input if asked.HasField("input") else None,
            schedule_to_close_timeout=normalised_timeouts[0],
            schedule_to_start_timeout=normalised_timeouts[1],
            start_to_close_timeout=normalised_timeouts[2],
            heartbeat_timeout=normalised_timeouts[3],
            workflow_task_completed_event_id=completion.event_id,
            retry_policy=_retry_policy(draft, asked),
            priority=_priority(draft, asked),
            use_workflow_build_id=asked.use_workflow_build_id,
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    activity = draft.run.activities[event.event_id]
    if draft.run.is_paused:
        hold_activity(draft, activity)
    elif completion.eager_request_id and asked.request_eager_execution and queue == draft.info.task_queue:
        start_activity(
            draft,
            scheduled_event_id=event.event_id,
            stamp=activity.stamp,
            request_id=completion.eager_request_id,
            identity=completion.identity,
        )
    else:
        draft.push(Task.PUSH_ACTIVITY_TASK, event.event_id, activity.stamp)


def timeouts(
    draft: Draft, asked: ScheduleActivityTaskCommandAttributes
) -> tuple[Duration, Duration, Duration, Duration]:
    """Schedule-to-close, schedule-to-start, start-to-close and heartbeat, each filled from the others.

    events_commands.md section 8: all at most the run's time-out; heartbeat at most start-to-close.
    """
    _check(draft, asked)
    to_close, to_start = ns_of(asked.schedule_to_close_timeout), ns_of(asked.schedule_to_start_timeout)
    start_to_close, heartbeat = ns_of(asked.start_to_close_timeout), ns_of(asked.heartbeat_timeout)
    run_ns = draft.info.run_timeout_ns
    if to_close:
        to_start = min(to_start or to_close, to_close)
        start_to_close = min(start_to_close or to_close, to_close)
    elif start_to_close:
        to_close = run_ns
        to_start = to_start or run_ns
    else:
        which = f"ActivityId={asked.activity_id} ActivityType={asked.activity_type.name}"
        why = "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity."
        raise BadCommand(BAD, f"{why} {which}")
    if run_ns:
        to_close, to_start, start_to_close = (min(ns, run_ns) for ns in (to_close, to_start, start_to_close))
        heartbeat = min(heartbeat, run_ns)
    heartbeat = min(heartbeat, start_to_close)
    return duration(to_close), duration(to_start), duration(start_to_close), duration(heartbeat)


def _check(draft: Draft, asked: ScheduleActivityTaskCommandAttributes) -> None:
    limit = draft.given.limits.id_length_max
    require(asked.HasField("task_queue"), BAD, "taskQueue is not set")
    why = why_invalid_task_queue(asked.task_queue.name, limit)
    require(why is None, BAD, why)
    for name, text in (("activityId", asked.activity_id), ("activityType", asked.activity_type.name)):
        require(text, BAD, f"{name} is not set")
    why = why_invalid(asked.retry_policy, draft.given.limits) if asked.HasField("retry_policy") else None
    require(why is None, BAD, why)
    for name, text in (("activityId", asked.activity_id), ("activityType", asked.activity_type.name)):
        length = len(text.encode())
        require(length <= limit, BAD, f"{name} exceeds length limit. Length={length} Limit={limit}")
    if asked.HasField("priority"):
        why = why_invalid_priority(asked.priority)
        require(why is None, BAD, f"invalid priorities: {why}")
    for name in ("ScheduleToClose", "ScheduleToStart", "StartToClose", "Heartbeat"):
        why = why_invalid_duration(getattr(asked, TIMEOUT_FIELDS[name]))
        require(why is None, BAD, f"invalid {name}Timeout: {why}")


def _retry_policy(draft: Draft, asked: ScheduleActivityTaskCommandAttributes) -> RetryPolicy:
    return normalised(asked.retry_policy, draft.given.limits)


def _priority(draft: Draft, asked: ScheduleActivityTaskCommandAttributes) -> Priority | None:
    return asked.priority if asked.HasField("priority") else None
