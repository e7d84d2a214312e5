"""The one exit of a decision: limits that no single input can know of are enforced here."""

from dataclasses import replace

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from services.history.core.close import SERVICE_IDENTITY, terminate_run
from services.history.core.decision import Decision
from services.history.core.draft import Draft
from services.history.core.rejection import invalid
from services.history.core.workflow_task import fail_task, schedule_task


def finish(draft: Draft) -> Decision:
    """The decision, after a full buffer was written; one that is too much for the run ends it instead."""
    if not draft.run.is_open:
        return draft.decision()
    why = _why_too_much(draft)
    if why is None or draft.is_new:
        _relieve_buffer(draft)
        decision = draft.decision()
        written = sum(len(batch.blob) for batch in decision.batches)
        most = draft.given.limits.transaction_bytes_max
        if written <= most or draft.is_new:
            return decision
        told = f"transaction size of {written} bytes exceeds limit of {most} bytes"
        return _end_instead(draft, "Transaction size exceeds limit.", told, _text(told))
    return _end_instead(draft, why, why)


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


def _why_too_much(draft: Draft) -> str | None:
    """What of a run that goes on exceeds its limit. Of its history counts the size before this decision."""
    limits, info = draft.given.limits, draft.info
    if draft.base.info.history_bytes > limits.history_bytes_max:
        return "Workflow history size exceeds limit."
    if info.next_event_id - 1 > limits.history_events_max:
        return "Workflow history count exceeds limit."
    if info.ByteSize() + draft.entries_bytes > limits.state_bytes_max:
        return "Workflow mutable state size exceeds limit."
    return None


def _end_instead(draft: Draft, why: str, told: str, details: Payloads | None = None) -> Decision:
    """Nothing of the input is taken: the run, as it was, is terminated."""
    end = Draft(draft.base, draft.given)
    terminate_run(end, why, details, SERVICE_IDENTITY)
    return replace(end.decision(), refused=invalid(told))


def _text(text: str) -> Payloads:
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=f'"{text}"'.encode())])
