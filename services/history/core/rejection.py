"""Why an input was refused. A rejection changes nothing; the shell turns it into the API's error."""

from enum import Enum


class Reason(Enum):
    """What kind of answer a refusal is (limits_errors.md section 3)."""

    NOT_FOUND = "not_found"
    INVALID_ARGUMENT = "invalid_argument"
    FAILED_PRECONDITION = "failed_precondition"
    NOT_READY = "not_ready"  # failed precondition with WorkflowNotReadyFailure
    BUSY = "busy"  # resource exhausted, cause BUSY_WORKFLOW
    CONCURRENT_LIMIT = "concurrent_limit"  # resource exhausted, cause CONCURRENT_LIMIT


class Rejection(Exception):
    """Raised by a decision that refuses its input; the draft it was building is dropped."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def completed() -> Rejection:
    return Rejection(Reason.NOT_FOUND, "workflow execution already completed")


def closing() -> Rejection:
    return Rejection(Reason.BUSY, "workflow operation can not be applied because workflow is closing")


def task_not_found() -> Rejection:
    return Rejection(Reason.NOT_FOUND, "Workflow task not found.")


def activity_not_found() -> Rejection:
    return Rejection(
        Reason.NOT_FOUND, "invalid activityID or activity already timed out or invoking workflow is completed"
    )


def invalid(message: str) -> Rejection:
    return Rejection(Reason.INVALID_ARGUMENT, message)
