"""How a command of a workflow task is refused: the whole task fails with a cause, or the run ends."""

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from services.history.core.draft import Draft
from services.history.core.times import ns_of

Cause = WorkflowTaskFailedCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The workflow task completion that commands belong to."""

    event_id: int  # of WorkflowTaskCompleted
    namespace: str
    identity: str
    eager_request_id: str = ""  # set when activities may be started within the completion


class BadCommand(Exception):
    """The task fails with `cause`; the run goes on with a new attempt. Nothing of the completion is kept."""

    def __init__(self, cause: WorkflowTaskFailedCause.ValueType, message: str, *, terminates: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.terminates = terminates  # a size limit: the run is terminated as well


def require(condition: object, cause: WorkflowTaskFailedCause.ValueType, message: str) -> None:
    if not condition:
        raise BadCommand(cause, message)


def require_blob(draft: Draft, size: int, cause: WorkflowTaskFailedCause.ValueType, what: str) -> None:
    """A payload above the limit ends the run. (limits_errors.md section 1)"""
    if size > draft.given.limits.blob_bytes_max:
        raise BadCommand(cause, f"{what} exceeds size limit.", terminates=True)


def checked_ns(value: Duration, cause: WorkflowTaskFailedCause.ValueType, name: str, where: str) -> int:
    """A duration that must not be negative, in ns."""
    ns = ns_of(value)
    require(ns >= 0, cause, f"Invalid {name} for {where}: negative duration")
    return ns
