"""Checks that many requests share, in the reference's words. Each raises InvalidArgument, or returns."""

import re
from collections.abc import Sequence
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.common.v1 import Link, Priority, RetryPolicy, WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue

from services.config import limits
from services.errors import InvalidArgument

RESERVED_PREFIX = "/_sys/"
CENTURY_S = 100 * 365 * 24 * 3600
FAIRNESS_KEY_BYTES_MAX = 64
_TIMEOUT_PREFIX = "TemporalTimeout:"
_TIMEOUT_TYPES = ("StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    if _UUID.fullmatch(text):
        return True
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def execution(request: Message, field: str = "workflow_execution") -> WorkflowExecution:
    """The execution a request is about."""
    if not request.HasField(field):
        raise InvalidArgument("Execution is not set on request.")
    found: WorkflowExecution = getattr(request, field)
    if not found.workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    if found.run_id and not is_uuid(found.run_id):
        raise InvalidArgument("Invalid RunId.")
    return found


def length(value: str, length_max: int, what: str) -> None:
    """Lengths are in bytes of UTF-8."""
    if len(value) > length_max // 4 and len(value.encode()) > length_max:
        raise InvalidArgument(f"{what} length exceeds limit.")


def task_queue(request: Message, length_max: int, *, reserved: bool = False) -> TaskQueue:
    """The task queue of a request, its kind filled in. Only where `reserved`, it may be one of the system's."""
    if not request.HasField("task_queue"):
        raise InvalidArgument("taskQueue is not set")
    queue: TaskQueue = request.task_queue  # type: ignore[attr-defined]  # every caller's request has one
    if not queue.name:
        raise InvalidArgument("missing task queue name")
    if len(queue.name.encode()) > length_max:
        raise InvalidArgument("taskQueue length exceeds limit")
    if queue.name.startswith(RESERVED_PREFIX) and not reserved:
        raise InvalidArgument(f"task queue name cannot start with reserved prefix {RESERVED_PREFIX}")
    if not queue.kind:
        queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    return queue


def blob_size(blob: Message, size_max: int, text: str = "Blob data size exceeds limit.") -> None:
    if blob.ByteSize() > size_max:
        raise InvalidArgument(text)


def why_bad_duration(value: Duration) -> str | None:
    """What is wrong with a duration; None when nothing is. One longer than a century is cut to it."""
    seconds, nanos = value.seconds, value.nanos
    if (seconds > 0 > nanos) or (seconds < 0 < nanos):
        return "duration has seconds and nanos with different signs"
    if seconds < 0 or nanos < 0:
        return "negative duration"
    if seconds >= CENTURY_S:
        value.seconds, value.nanos = CENTURY_S, 0
    return None


def duration(request: Message, field: str, name: str) -> None:
    if request.HasField(field):
        wrong = why_bad_duration(getattr(request, field))
        if wrong:
            raise InvalidArgument(f"An invalid {name} is set on request. cause: {wrong}")


def retry_policy(policy: RetryPolicy, defaults: limits.RetryDefaults) -> None:
    """Fills in what the policy leaves open, then checks it."""
    if not policy.initial_interval.seconds and not policy.initial_interval.nanos:
        policy.initial_interval.FromTimedelta(defaults.initial_interval)
    if not policy.backoff_coefficient:
        policy.backoff_coefficient = defaults.backoff_coefficient
    initial, maximum = policy.initial_interval, policy.maximum_interval
    if not maximum.seconds and not maximum.nanos:
        initial_ns = initial.seconds * 1_000_000_000 + initial.nanos
        seconds, nanos = divmod(int(initial_ns * defaults.maximum_interval_coefficient), 1_000_000_000)
        maximum.seconds, maximum.nanos = seconds, nanos
    if not policy.maximum_attempts:
        policy.maximum_attempts = defaults.maximum_attempts
    if policy.maximum_attempts != 1:  # else there are no retries to be wrong about
        _check_retries(policy)


def _check_retries(policy: RetryPolicy) -> None:
    for name, interval in (("InitialInterval", policy.initial_interval), ("MaximumInterval", policy.maximum_interval)):
        wrong = why_bad_duration(interval)
        if wrong:
            raise InvalidArgument(f"invalid {name} set on retry policy: {wrong}")
        if name == "InitialInterval" and policy.backoff_coefficient < 1:
            raise InvalidArgument("BackoffCoefficient cannot be less than 1 on retry policy.")
    if policy.maximum_interval.ToNanoseconds() < policy.initial_interval.ToNanoseconds():
        raise InvalidArgument("MaximumInterval cannot be less than InitialInterval on retry policy.")
    if policy.maximum_attempts < 0:
        raise InvalidArgument("MaximumAttempts cannot be negative on retry policy.")
    for error_type in policy.non_retryable_error_types:
        name = error_type.removeprefix(_TIMEOUT_PREFIX)
        if name != error_type and name not in _TIMEOUT_TYPES:
            raise InvalidArgument(f"Invalid timeout type value: {name}.")


def priority(given: Priority) -> None:
    if given.priority_key < 0:
        raise InvalidArgument("priority key can't be negative")
    if len(given.fairness_key.encode()) > FAIRNESS_KEY_BYTES_MAX:
        raise InvalidArgument("fairness key length exceeds limit")
    if given.fairness_weight < 0:
        raise InvalidArgument("must be greater than zero")


def links(given: Sequence[Link], number_max: int, size_max: int) -> None:
    if len(given) > number_max:
        raise InvalidArgument(f"cannot attach more than {number_max} links per request, got {len(given)}")
    for link in given:
        size = link.ByteSize()
        if size > size_max:
            raise InvalidArgument(f"link exceeds allowed size of {size_max}, got {size}")
        variant = link.WhichOneof("variant")
        if variant not in _LINK_FIELDS:
            raise InvalidArgument("unsupported link variant")
        for field, name in _LINK_FIELDS[variant].items():
            if not getattr(getattr(link, variant), field):
                raise InvalidArgument(f"{variant.replace('_', ' ')} link must not have an empty {name}")
        event = link.workflow_event.event_ref
        if event.event_id and not event.event_type:
            raise InvalidArgument(
                "workflow event link ref cannot have an unspecified event type and a non-zero event ID"
            )


# What a link must say, and what the reference calls it.
_LINK_FIELDS = {
    "workflow_event": {"namespace": "namespace field", "workflow_id": "workflow ID field", "run_id": "run ID field"},
    "batch_job": {"job_id": "job ID"},
    "activity": {"namespace": "namespace field", "activity_id": "activity ID field", "run_id": "run ID field"},
    "nexus_operation": {"namespace": "namespace field", "operation_id": "operation ID field", "run_id": "run ID field"},
}
