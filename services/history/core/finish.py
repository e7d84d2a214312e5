"""The one exit of a decision: limits that no single input can know of are enforced here."""

from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from services.history.core.close import SERVICE_IDENTITY, terminate_run
from services.history.core.decision import Decision
from services.history.core.draft import Draft
from services.history.core.workflow_task import fail_task, schedule_task


def finish(draft: Draft) -> Decision:
    """The decision, after a full buffer was written and a history that grew too large was ended."""
    if draft.run.is_open:
        _relieve_buffer(draft)
        _end_oversized(draft)
    return draft.decision()


def _relieve_buffer(draft: Draft) -> None:
    """Too many events wait for the workflow task: it fails, so that they get their place. (section 3)"""
    limits, buffered = draft.given.limits, draft.run.buffered
    if len(buffered) <= limits.buffered_events_max:
        oversized = len(buffered) > 1 and sum(e.ByteSize() for e in buffered.values()) > limits.buffered_bytes_max
        if not oversized:
            return
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
    fail_task(draft, cause, identity=SERVICE_IDENTITY)
    schedule_task(draft)  # an attempt after a failure, though there are events that no attempt has seen


def _end_oversized(draft: Draft) -> None:
    limits, info = draft.given.limits, draft.info
    if info.next_event_id - 1 > limits.history_events_max:
        terminate_run(draft, "Workflow history count exceeds limit.", None, SERVICE_IDENTITY)
    elif info.history_bytes > limits.history_bytes_max:
        terminate_run(draft, "Workflow history size exceeds limit.", None, SERVICE_IDENTITY)
