"""How a command of a workflow task is refused: the whole task fails with a cause, or the run ends."""

import re
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Priority, SearchAttributes
from temporalio.api.enums.v1 import TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.taskqueue.v1 import TaskQueue

from services.history.core.draft import Draft
from services.history.core.times import ns_of, why_invalid_duration

Cause = WorkflowTaskFailedCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The workflow task completion that commands belong to."""

    event_id: int  # of WorkflowTaskCompleted
    namespace: str
    identity: str
    eager_request_id: str = ""  # set when activities may be started within the completion
    children: set[str] = field(default_factory=set)  # workflow ids of the children that it has initiated so far


class BadCommand(Exception):
    """The task fails with `cause`; the run goes on with a new attempt. Nothing of the completion is kept."""

    def __init__(self, cause: WorkflowTaskFailedCause.ValueType, message: str, *, terminates: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.terminates = terminates  # a size limit: the run is terminated as well


def require(condition: object, cause: WorkflowTaskFailedCause.ValueType, message: str | None) -> None:
    if not condition:
        raise BadCommand(cause, message or "")


def require_blob(draft: Draft, size: int, cause: WorkflowTaskFailedCause.ValueType, what: str) -> None:
    """A payload above the limit ends the run. (limits_errors.md section 1)"""
    if size > draft.given.limits.blob_bytes_max:
        raise BadCommand(cause, f"{what} exceeds size limit.", terminates=True)


RESERVED_QUEUE_PREFIX = "/_sys/"
FAIRNESS_KEY_BYTES_MAX = 64


def why_invalid_task_queue(name: str, length_max: int) -> str | None:
    """What is wrong with the name of a task queue, in the reference's words."""
    if not name:
        return "missing task queue name"
    if len(name.encode()) > length_max:
        return "taskQueue length exceeds limit"
    if name.startswith(RESERVED_QUEUE_PREFIX):
        return f"task queue name cannot start with reserved prefix {RESERVED_QUEUE_PREFIX}"
    return None


def why_invalid_priority(priority: Priority) -> str | None:
    if priority.priority_key < 0:
        return "priority key can't be negative"
    if len(priority.fairness_key.encode()) > FAIRNESS_KEY_BYTES_MAX:
        return "fairness key length exceeds limit"
    if priority.fairness_weight < 0:
        return "must be greater than zero"
    return None


def require_length(
    text: str, limit: int, cause: WorkflowTaskFailedCause.ValueType, what: str, where: str, rest: str = ""
) -> None:
    """An id of at most `limit` bytes. `what` names it as in the texts: its name, and what is told before its value."""
    length = len(text.encode())
    name = what.rpartition(" ")[2]
    told = f"{what.rpartition(' ')[0]} " if " " in what else ""
    require(
        length <= limit,
        cause,
        f"{name} on {where} exceeds length limit. {told}{name}={text} Length={length} Limit={limit}{rest}",
    )


def queue_asked(asked: TaskQueue, otherwise: str = "") -> TaskQueue:
    """The task queue as events show it: of a normal kind unless another is said."""
    kind = asked.kind or TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    return TaskQueue(name=asked.name or otherwise, kind=kind, normal_name=asked.normal_name)


def told_queue(name: str) -> str:
    """A task queue as the reference's texts show it."""
    return f'TaskQueue=name:"{name}"  kind:TASK_QUEUE_KIND_NORMAL'


def checked_ns(value: Duration, cause: WorkflowTaskFailedCause.ValueType, name: str, where: str, which: str) -> int:
    """A duration that must not be negative, in ns."""
    why = why_invalid_duration(value)
    require(why is None, cause, f"Invalid {name} on {where}: {why}. {which}")
    return ns_of(value)


def require_search_attributes(draft: Draft, attributes: SearchAttributes, where: str = "", which: str = "") -> None:
    """Names and values as the namespace knows them; too large a value ends the run."""
    refused = draft.given.refuse_search_attributes(attributes)
    if refused is not None:
        why, oversized = refused
        if where and "has no mapping defined" not in why:
            why = f"invalid SearchAttributes on {where}: {why}. {which}"
        raise BadCommand(Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES, why, terminates=oversized)


def is_uuid(text: str) -> bool:
    return UUID.fullmatch(text) is not None


UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
