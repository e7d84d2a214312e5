"""What a reset takes along of the events after its point: signals, updates, options, and what children did.

Requests to cancel and terminations stay behind, and so does all that the workflow itself has caused.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.protobuf.message import Message
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType, ResetReapplyType, UpdateAdmittedEventOrigin
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionUpdateAdmittedEventAttributes
from temporalio.api.update.v1 import Request as UpdateRequest

from services.history.core.draft import Draft
from services.history.core.run import copy_of

BATCH_EVENTS = 100  # as many as are written together: readers take a batch whole
REAPPLIED = UpdateAdmittedEventOrigin.UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the caller lets be taken along."""

    signals: bool = True
    updates: bool = True
    children: bool = True


def wanted(reapply_type: int, excluded: Iterable[int]) -> Wanted:
    """By the older choice of one type and the newer list of what to leave out: both must let it pass."""
    types, without = ResetReapplyType, ResetReapplyExcludeType
    left_out = set(excluded)
    if reapply_type == types.RESET_REAPPLY_TYPE_NONE:
        left_out |= {without.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL, without.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE}
    elif reapply_type == types.RESET_REAPPLY_TYPE_SIGNAL:
        left_out.add(without.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE)
    return Wanted(
        signals=without.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL not in left_out,
        updates=without.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE not in left_out,
    )


def reapply(draft: Draft, event: HistoryEvent, want: Wanted) -> None:
    """Adds what is to be taken along of one event; of most it is nothing."""
    take = TAKE.get(event.event_type)
    if take is None:
        return
    known = draft.info.next_event_id
    take(draft, event, want)
    if draft.info.next_event_id > known and (known - draft.info.reset_origin.fork_event_id) % BATCH_EVENTS == 0:
        draft.end_batch()


def _again(draft: Draft, event: HistoryEvent, attributes: Message) -> HistoryEvent:
    added = draft.add(attributes, links=event.links)
    added.worker_may_ignore = event.worker_may_ignore
    return added


def _signaled(draft: Draft, event: HistoryEvent, want: Wanted) -> None:
    if want.signals:
        _again(draft, event, event.workflow_execution_signaled_event_attributes)


def _update_admitted(draft: Draft, event: HistoryEvent, want: Wanted) -> None:
    _admit(draft, event.workflow_execution_update_admitted_event_attributes.request, want)


def _update_accepted(draft: Draft, event: HistoryEvent, want: Wanted) -> None:
    """Without its request it was admitted by an event, too, which is taken along itself."""
    accepted = event.workflow_execution_update_accepted_event_attributes
    if accepted.HasField("accepted_request"):
        _admit(draft, accepted.accepted_request, want)


def _admit(draft: Draft, request: UpdateRequest, want: Wanted) -> None:
    if want.updates and request.meta.update_id not in draft.run.updates:
        draft.add(WorkflowExecutionUpdateAdmittedEventAttributes(request=request, origin=REAPPLIED))


def _options_updated(draft: Draft, event: HistoryEvent, _: Wanted) -> None:
    _again(draft, event, event.workflow_execution_options_updated_event_attributes)


def _of_child(draft: Draft, event: HistoryEvent, want: Wanted) -> None:
    """Of a child that is pending here, too. The ids of its events are those of the new run."""
    if not want.children:
        return
    attributes = copy_of(getattr(event, event.WhichOneof("attributes") or ""))
    child = draft.run.children.get(attributes.initiated_event_id)
    if child is None or child.workflow_id != _workflow_id(attributes):
        return
    if hasattr(attributes, "started_event_id"):
        attributes.started_event_id = child.started_event_id
    elif child.started_event_id:
        return
    _again(draft, event, attributes)


def _workflow_id(attributes: Message) -> str:
    """The failure of a child's start says it without a run."""
    found: str = getattr(attributes, "workflow_id", "")
    return found or attributes.workflow_execution.workflow_id  # type: ignore[attr-defined]  # all others have it


_E = EventType

TAKE: dict[int, Callable[[Draft, HistoryEvent, Wanted], None]] = {
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: _signaled,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: _update_admitted,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: _update_accepted,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: _options_updated,
    _E.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: _of_child,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: _of_child,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: _of_child,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: _of_child,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: _of_child,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: _of_child,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: _of_child,
}
