"""Links that replies carry: where in a history what was asked can be found."""

from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import EventType
from temporalio.api.update.v1 import Outcome
from temporalio.api.update.v1 import Request as UpdateRequest

from services.history.core.run import Run


def started_link(namespace: str, run: Run) -> Link:
    """To event 1 of a run."""
    info = run.info
    return Link(
        workflow_event=Link.WorkflowEvent(
            namespace=namespace,
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            event_ref=Link.WorkflowEvent.EventReference(
                event_id=1, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
            ),
        )
    )


def request_link(namespace: str, run: Run, request_id: str, event_type: EventType.ValueType) -> Link:
    """To the event a request caused, by the request's id: the event may still be buffered and have no id."""
    info = run.info
    return Link(
        workflow_event=Link.WorkflowEvent(
            namespace=namespace,
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            request_id_ref=Link.WorkflowEvent.RequestIdReference(request_id=request_id, event_type=event_type),
        )
    )


def signal_link(namespace: str, run: Run, request_id: str) -> Link:
    return request_link(namespace, run, request_id, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)


def update_link(namespace: str, run: Run, request: UpdateRequest, outcome: Outcome | None) -> Link:
    """To the event that accepted an update; to the run alone when it failed (the reference calls that rejected)."""
    info = run.info
    if outcome is None or not outcome.failure.ByteSize():
        accepted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
        return request_link(namespace, run, request.request_id, accepted)
    return Link(
        workflow=Link.Workflow(
            namespace=namespace, workflow_id=info.workflow_id, run_id=info.run_id, reason="Update rejected"
        )
    )
