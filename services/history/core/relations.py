"""What comes back from other runs: a child's start and end, and the answers to external signals and cancellations.

Each is told at least once; an entry that is no longer pending makes a repetition a no-op.
"""

from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    CancelExternalWorkflowExecutionFailedCause,
    SignalExternalWorkflowExecutionFailedCause,
    StartChildWorkflowExecutionFailedCause,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import (
    ChildWorkflowExecutionCanceledEventAttributes,
    ChildWorkflowExecutionCompletedEventAttributes,
    ChildWorkflowExecutionFailedEventAttributes,
    ChildWorkflowExecutionStartedEventAttributes,
    ChildWorkflowExecutionTerminatedEventAttributes,
    ChildWorkflowExecutionTimedOutEventAttributes,
    ExternalWorkflowExecutionCancelRequestedEventAttributes,
    ExternalWorkflowExecutionSignaledEventAttributes,
    RequestCancelExternalWorkflowExecutionFailedEventAttributes,
    SignalExternalWorkflowExecutionFailedEventAttributes,
    StartChildWorkflowExecutionFailedEventAttributes,
    StartChildWorkflowExecutionInitiatedEventAttributes,
)

from services.history.core.draft import Draft
from services.history.core.rejection import completed
from services.history.core.run import Run
from services.history.core.workflow_task import schedule_task
from services.protos.history_pb2 import RecordChildClosedRequest
from services.protos.run_pb2 import Child, External


def child_started(draft: Draft, initiated_event_id: int, run_id: str, header: Header | None) -> None:
    child = draft.run.children.get(initiated_event_id)
    if not draft.run.is_open:
        raise completed()
    if child is None or child.started_event_id:
        return
    draft.add(
        ChildWorkflowExecutionStartedEventAttributes(
            namespace=child.namespace,
            namespace_id=child.namespace_id,
            initiated_event_id=initiated_event_id,
            workflow_execution=WorkflowExecution(workflow_id=child.workflow_id, run_id=run_id),
            workflow_type=WorkflowType(name=child.workflow_type),
            header=header,
        )
    )
    schedule_task(draft)


def child_start_failed(
    draft: Draft,
    initiated_event_id: int,
    initiated: StartChildWorkflowExecutionInitiatedEventAttributes,
    cause: StartChildWorkflowExecutionFailedCause.ValueType,
) -> None:
    if not draft.run.is_open:
        raise completed()
    if initiated_event_id not in draft.run.children:
        return
    draft.add(
        StartChildWorkflowExecutionFailedEventAttributes(
            namespace=initiated.namespace,
            namespace_id=initiated.namespace_id,
            workflow_id=initiated.workflow_id,
            workflow_type=initiated.workflow_type,
            cause=cause,
            control=initiated.control,
            initiated_event_id=initiated_event_id,
        )
    )
    schedule_task(draft)


def is_pending_child(run: Run, closed: RecordChildClosedRequest) -> bool:
    """Whether that child is what the run waits for: after a reset, another one may have been initiated in its place."""
    child = run.children.get(closed.initiated_event_id)
    if child is None or child.workflow_id != closed.child.workflow_id:
        return False
    return not child.run_id or not closed.first_execution_run_id or child.run_id == closed.first_execution_run_id


def child_closed(draft: Draft, closed: RecordChildClosedRequest) -> None:
    """The child's chain of runs is over. A child whose start was not recorded yet is recorded first."""
    if not draft.run.is_open:
        raise completed()
    child = draft.run.children.get(closed.initiated_event_id)
    if child is None:
        return
    if not child.started_event_id:
        child_started(draft, closed.initiated_event_id, closed.child.run_id, None)
        child = draft.run.children[closed.initiated_event_id]
    draft.add(_child_ending(child, closed))
    schedule_task(draft)


def _child_ending(child: Child, closed: RecordChildClosedRequest) -> Message:
    status = WorkflowExecutionStatus
    endings: dict[int, type[Message]] = {
        status.WORKFLOW_EXECUTION_STATUS_COMPLETED: ChildWorkflowExecutionCompletedEventAttributes,
        status.WORKFLOW_EXECUTION_STATUS_FAILED: ChildWorkflowExecutionFailedEventAttributes,
        status.WORKFLOW_EXECUTION_STATUS_CANCELED: ChildWorkflowExecutionCanceledEventAttributes,
        status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: ChildWorkflowExecutionTimedOutEventAttributes,
        status.WORKFLOW_EXECUTION_STATUS_TERMINATED: ChildWorkflowExecutionTerminatedEventAttributes,
    }
    ending = endings[closed.status](
        namespace=child.namespace,
        namespace_id=child.namespace_id,
        workflow_execution=WorkflowExecution(workflow_id=child.workflow_id, run_id=closed.child.run_id),
        workflow_type=WorkflowType(name=child.workflow_type),
        initiated_event_id=child.initiated_event_id,
        started_event_id=child.started_event_id,
    )
    if isinstance(ending, ChildWorkflowExecutionCompletedEventAttributes) and closed.HasField("result"):
        ending.result.CopyFrom(closed.result)
    elif isinstance(ending, ChildWorkflowExecutionCanceledEventAttributes) and closed.HasField("result"):
        ending.details.CopyFrom(closed.result)
    elif isinstance(ending, ChildWorkflowExecutionFailedEventAttributes):
        ending.failure.CopyFrom(closed.failure)
        ending.retry_state = closed.retry_state
    elif isinstance(ending, ChildWorkflowExecutionTimedOutEventAttributes):
        ending.retry_state = closed.retry_state
    return ending


def signal_answered(
    draft: Draft,
    initiated_event_id: int,
    cause: SignalExternalWorkflowExecutionFailedCause.ValueType | None,
    namespace: str,
    control: str = "",
) -> None:
    """The external signal was delivered (`cause` None) or could not be."""
    sent = draft.run.signals.get(initiated_event_id)
    if cause is None:
        _answer(draft, sent, ExternalWorkflowExecutionSignaledEventAttributes(control=control), namespace)
    else:
        failed = SignalExternalWorkflowExecutionFailedEventAttributes(cause=cause, control=control)
        _answer(draft, sent, failed, namespace)


def cancel_answered(
    draft: Draft,
    initiated_event_id: int,
    cause: CancelExternalWorkflowExecutionFailedCause.ValueType | None,
    namespace: str,
) -> None:
    """The external cancel request was delivered (`cause` None) or could not be."""
    sent = draft.run.cancels.get(initiated_event_id)
    if cause is None:
        _answer(draft, sent, ExternalWorkflowExecutionCancelRequestedEventAttributes(), namespace)
    else:
        failed = RequestCancelExternalWorkflowExecutionFailedEventAttributes(cause=cause)
        _answer(draft, sent, failed, namespace)


Answer = (
    ExternalWorkflowExecutionSignaledEventAttributes
    | ExternalWorkflowExecutionCancelRequestedEventAttributes
    | SignalExternalWorkflowExecutionFailedEventAttributes
    | RequestCancelExternalWorkflowExecutionFailedEventAttributes
)


def _answer(draft: Draft, sent: External | None, answer: Answer, namespace: str) -> None:
    if not draft.run.is_open:
        raise completed()
    if sent is None:
        return
    answer.initiated_event_id = sent.initiated_event_id
    answer.namespace = namespace
    answer.namespace_id = sent.namespace_id
    answer.workflow_execution.CopyFrom(WorkflowExecution(workflow_id=sent.workflow_id, run_id=sent.run_id))
    draft.add(answer)
    schedule_task(draft)
