"""Signals and cancel requests that reach a run."""

from collections.abc import Iterable

from temporalio.api.common.v1 import Header, Link, Payloads, WorkflowExecution
from temporalio.api.history.v1 import (
    WorkflowExecutionCancelRequestedEventAttributes,
    WorkflowExecutionSignaledEventAttributes,
)

from services.history.core.draft import Draft
from services.history.core.rejection import closing, completed, invalid
from services.history.core.workflow_task import schedule_task

TOO_MANY_SIGNALS = "exceeded workflow execution limit for signal events"


def signal_run(
    draft: Draft,
    *,
    name: str,
    input: Payloads | None,
    identity: str,
    header: Header | None,
    request_id: str,
    source: WorkflowExecution | None = None,
    links: Iterable[Link] = (),
) -> None:
    """Records a signal once per request id. While the run's start is delayed it makes no workflow task."""
    if request_id and request_id in draft.run.signal_requests:
        return  # even if the run has closed since: it was taken, and only the answer was lost
    if not draft.run.is_open:
        raise completed()
    if draft.run.is_closing:
        raise closing()
    if draft.info.signal_count >= draft.given.limits.signals_max:
        raise invalid(TOO_MANY_SIGNALS)
    draft.add(
        WorkflowExecutionSignaledEventAttributes(
            signal_name=name,
            input=input,
            identity=identity,
            header=header,
            external_workflow_execution=source,
            request_id=request_id,
        ),
        links=links,
    )
    if not draft.info.backoff_deadline_ns:
        schedule_task(draft)


def request_cancel(
    draft: Draft,
    *,
    reason: str,
    identity: str,
    request_id: str,
    source: WorkflowExecution | None = None,
    source_initiated_event_id: int = 0,
    links: Iterable[Link] = (),
) -> None:
    """Records a wish to cancel, once. A closed run raises `completed`."""
    if not draft.run.is_open:
        raise completed()
    if draft.info.cancel_requested:
        return
    draft.add(
        WorkflowExecutionCancelRequestedEventAttributes(
            cause=reason,
            identity=identity,
            external_workflow_execution=source,
            external_initiated_event_id=source_initiated_event_id,
        ),
        links=links,
    )
    draft.info.cancel_request_id = request_id
    schedule_task(draft)  # also during a back-off: unlike a signal, this is told at once
