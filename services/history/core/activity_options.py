"""The options of a pending activity, changed by operators and restored. No event speaks of it."""

from collections.abc import Collection

from google.protobuf.message import Message
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes
from temporalio.api.common.v1 import ActivityType, RetryPolicy
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue

from services.history.core.activities import begin_again, put
from services.history.core.commands.refusal import BadCommand, why_invalid_priority
from services.history.core.commands.schedule_activity_task import timeouts
from services.history.core.draft import Draft
from services.history.core.rejection import invalid
from services.history.core.retry import interval_ns
from services.history.core.retry_policy import normalised, why_invalid
from services.history.core.run import copy_fields, copy_of
from services.history.core.times import duration, ns_of
from services.protos.run_pb2 import Activity

WHOLE = (
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
    "retry_policy",
    "priority",
    "start_delay",  # of no consequence to a workflow's activity
)
PARTS = (
    "task_queue.name",
    "retry_policy.initial_interval",
    "retry_policy.backoff_coefficient",
    "retry_policy.maximum_interval",
    "retry_policy.maximum_attempts",
    "priority.priority_key",
    "priority.fairness_key",
    "priority.fairness_weight",
)
NAMES = {"task_queue": "TaskQueue", "retry_policy": "RetryPolicy", "priority": "Priority"}


def options_of(activity: Activity) -> ActivityOptions:
    """The options that count for an activity now."""
    options = ActivityOptions(
        task_queue=TaskQueue(name=activity.task_queue),
        schedule_to_close_timeout=duration(activity.schedule_to_close_timeout_ns),
        schedule_to_start_timeout=duration(activity.schedule_to_start_timeout_ns),
        start_to_close_timeout=duration(activity.start_to_close_timeout_ns),
        heartbeat_timeout=duration(activity.heartbeat_timeout_ns),
    )
    copy_fields(activity, options, ("retry_policy", "priority"))
    return options


def _set_options(activity: Activity, options: ActivityOptions) -> None:
    activity.task_queue = options.task_queue.name
    activity.schedule_to_close_timeout_ns = ns_of(options.schedule_to_close_timeout)
    activity.schedule_to_start_timeout_ns = ns_of(options.schedule_to_start_timeout)
    activity.start_to_close_timeout_ns = ns_of(options.start_to_close_timeout)
    activity.heartbeat_timeout_ns = ns_of(options.heartbeat_timeout)
    activity.ClearField("retry_policy")
    activity.ClearField("priority")
    copy_fields(options, activity, ("retry_policy", "priority"))


def update_options(
    draft: Draft, activity: Activity, asked: ActivityOptions, paths: Collection[str], *, strict: bool
) -> ActivityOptions:
    """Changes what `paths` name, and returns all options as they are now. Other paths are ignored.

    Raises a rejection when the outcome could not be scheduled. What is not retried stays what it was. (the reference's)
    """
    original = options_of(activity)
    options = copy_of(original)
    options.retry_policy.ClearField("non_retryable_error_types")
    _merge(options, asked, paths, strict=strict)
    _judge(draft, activity, options, paths, strict=strict)
    activity = copy_of(activity)
    if not activity.HasField("original_options"):
        activity.original_options.CopyFrom(original)
    _set_options(activity, options)
    del activity.retry_policy.non_retryable_error_types[:]
    activity.retry_policy.non_retryable_error_types.extend(original.retry_policy.non_retryable_error_types)
    _go_on(draft, activity)
    options.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    return options


def restore_options(draft: Draft, activity: Activity) -> ActivityOptions:
    """All options are those of the command that scheduled the activity, and are returned."""
    activity = copy_of(activity)
    set_original(activity)
    _go_on(draft, activity)
    return options_of(activity)


def set_original(activity: Activity) -> None:
    """Undoes whatever operators have changed."""
    if activity.HasField("original_options"):
        _set_options(activity, activity.original_options)
        activity.ClearField("original_options")


def _merge(options: ActivityOptions, asked: ActivityOptions, paths: Collection[str], *, strict: bool) -> None:
    for path in WHOLE:
        if path in paths:
            if path == "retry_policy" and not strict:
                _require(asked, path, strict=strict)
            options.ClearField(path)  # type: ignore[arg-type]  # the stubs know literals only
            copy_fields(asked, options, (path,))
    for path in PARTS:
        if path in paths:
            field, _, part = path.partition(".")
            if not (strict and part == "backoff_coefficient"):  # nothing is refused there in other words
                _require(asked, field, strict=strict)
            _copy_part(getattr(asked, field), getattr(options, field), part)


def _require(asked: ActivityOptions, field: str, *, strict: bool) -> None:
    if not asked.HasField(field):  # type: ignore[arg-type]  # the stubs know literals only
        queue_unset = strict and field == "task_queue"
        raise invalid("taskQueue is not set" if queue_unset else f"{NAMES[field]} is not provided")


def _copy_part(source: Message, target: Message, name: str) -> None:
    target.SetInParent()
    if source.DESCRIPTOR.fields_by_name[name].message_type is None:
        setattr(target, name, getattr(source, name))
        return
    target.ClearField(name)
    copy_fields(source, target, (name,))


def _judge(draft: Draft, activity: Activity, options: ActivityOptions, paths: Collection[str], *, strict: bool) -> None:
    """Fills in the times as those of a command; raises what a command would be refused for. Unless `strict`, a retry
    policy that comes as a whole is taken as it is.
    """
    attributes = ScheduleActivityTaskCommandAttributes(
        activity_id=activity.activity_id,
        activity_type=ActivityType(name=activity.activity_type),
        task_queue=options.task_queue,
    )
    copy_fields(options, attributes, WHOLE[:4])
    limits = draft.given.limits
    if strict and "retry_policy" in paths:
        options.retry_policy.CopyFrom(normalised(options.retry_policy, limits))
    why = why_invalid_priority(options.priority)
    if any(path.startswith("retry_policy" if strict else "retry_policy.") for path in paths):
        policy = RetryPolicy(backoff_coefficient=-1)  # no coefficient is no reason to fill one in
        policy.MergeFrom(options.retry_policy)
        why = why or why_invalid(policy, limits)
    if why is not None:
        raise invalid(why)
    try:
        filled = timeouts(draft, attributes)
    except BadCommand as bad:
        raise invalid(bad.message) from None
    for field, value in zip(WHOLE[:4], filled, strict=True):
        getattr(options, field).CopyFrom(value)


def _go_on(draft: Draft, activity: Activity) -> None:
    """The attempt that a worker has goes on under the new options; one that waits is dispatched anew."""
    if activity.started_time_ns or activity.HasField("pause"):
        activity.stamp += 1
        put(draft, activity)
        return
    at_ns = activity.scheduled_time_ns
    if activity.attempt > 1:
        backoff_ns = interval_ns(activity.retry_policy, activity.attempt)
        at_ns = activity.last_attempt_complete_time_ns + backoff_ns if backoff_ns > 0 else at_ns
    begin_again(draft, activity, at_ns)
