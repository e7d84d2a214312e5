"""Updates: admitted in memory, sent to the worker with a workflow task, accepted and completed as events.

A rejected update leaves nothing behind. (events_commands.md section 6)
"""

from google.protobuf.any_pb2 import Any as AnyProto
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import (
    WorkflowExecutionUpdateAcceptedEventAttributes,
    WorkflowExecutionUpdateCompletedEventAttributes,
)
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Acceptance, Outcome, Response
from temporalio.api.update.v1 import Rejection as UpdateRejection
from temporalio.api.update.v1 import Request as UpdateRequest

from services.history.core.admitted import answered_now, is_answered_now, is_forgotten, is_known
from services.history.core.commands.refusal import BadCommand
from services.history.core.draft import Draft
from services.history.core.protocol import BAD, require_response, require_state, unpack
from services.history.core.rejection import Reason, Rejection, closing, completed
from services.history.core.run import AdmittedUpdate, Run
from services.history.core.workflow_task import schedule_task
from services.protos.run_pb2 import Update

FAILING_FROM_ATTEMPT = 3


def admit_update(draft: Draft, request: UpdateRequest) -> None:
    """Takes an update in. One that is known by its id, at whatever stage, is not taken in again."""
    run, info, limits = draft.run, draft.info, draft.given.limits
    update_id = request.meta.update_id
    if run.is_paused:
        raise Rejection(Reason.FAILED_PRECONDITION, "Workflow is paused. Cannot update the workflow.")
    if is_known(run, update_id):
        return
    if not run.is_open:
        raise completed()
    if run.is_closing:
        raise closing()
    if info.task_attempts_since_success + 1 >= FAILING_FROM_ATTEMPT:
        raise Rejection(
            Reason.NOT_READY, "Unable to perform workflow execution update due to Workflow Task in failed state."
        )
    in_flight = len(run.admitted) + sum(1 for update_id in run.open_updates if _is_open(run.updates[update_id]))
    if in_flight >= limits.updates_in_flight_max:
        raise Rejection(
            Reason.CONCURRENT_LIMIT,
            f"limit on number of concurrent in-flight updates has been reached ({limits.updates_in_flight_max})",
        )
    waiting_bytes = sum(update.request.ByteSize() for update in run.admitted.values())
    if waiting_bytes + request.ByteSize() > limits.updates_bytes_max:
        raise Rejection(
            Reason.CONCURRENT_LIMIT,
            f"limit on total payload size of in-flight updates has been reached ({limits.updates_bytes_max} bytes)",
        )
    if info.update_count >= limits.updates_max:
        raise Rejection(
            Reason.FAILED_PRECONDITION,
            f"The limit on the total number of distinct updates in this workflow has been reached "
            f"({limits.updates_max}). Make sure any duplicate updates share an Update ID so the server can deduplicate "
            "them, and consider rejecting updates that you aren't going to process. You can also Continue-as-New to "
            "avoid this; we recommend you check Continue-as-New Suggested in your Workflow.",
        )
    run.admitted[update_id] = AdmittedUpdate(request)
    schedule_task(draft, speculative=True)  # also during a back-off, which ends when the task is written


def _is_open(update: Update) -> bool:
    return not update.completed_event_id and not is_forgotten(update)


def outgoing_messages(run: Run) -> list[ProtocolMessage]:
    """The requests that the started workflow task carries."""
    task = run.info.task
    messages = []
    for update_id, update in run.admitted.items():
        if update.sent_event_id == task.started_event_id:
            body = AnyProto()
            body.Pack(update.request)
            messages.append(
                ProtocolMessage(
                    id=f"{update_id}/request",
                    protocol_instance_id=update_id,
                    event_id=task.started_event_id - 1,
                    body=body,
                )
            )
    return messages


def take_message(draft: Draft, message: ProtocolMessage) -> None:
    """One answer of the worker: accepts, rejects or completes an update.

    An update that was given out by an owner that is gone, and forgotten, is known from what the worker says of it.
    """
    update_id, answer = message.protocol_instance_id, unpack(draft, message)
    match answer:
        case Acceptance():
            require_state(draft, update_id, answer, "Sent")
            _accept(draft, update_id, answer)
        case UpdateRejection():
            require_state(draft, update_id, answer, "Sent")
            _reject(draft, update_id, answer)
        case Response():
            require_state(draft, update_id, answer, "Accepted", "ProvisionallyAccepted")
            _complete(draft, update_id, answer)


def _accept(draft: Draft, update_id: str, acceptance: Acceptance) -> None:
    admitted = draft.run.admitted.get(update_id)
    lost = admitted is None and update_id not in draft.run.updates
    by_event = is_answered_now(draft.run, update_id)
    if admitted is None and not by_event and not (lost and acceptance.HasField("accepted_request")):
        raise _unknown(update_id)
    if not acceptance.accepted_request_sequencing_event_id:
        raise BadCommand(BAD, "invalid *update.Acceptance: accepted_request_sequencing_event_id is not set")
    draft.add(
        WorkflowExecutionUpdateAcceptedEventAttributes(
            protocol_instance_id=update_id,
            accepted_request_message_id=f"{update_id}/request",
            accepted_request_sequencing_event_id=acceptance.accepted_request_sequencing_event_id,
            accepted_request=None if by_event else admitted.request if admitted else acceptance.accepted_request,
        )
    )
    draft.outcomes[update_id] = None


def _unknown(update_id: str) -> BadCommand:
    return BadCommand(
        BAD,
        f"update {update_id} wasn't found on the server. This is most likely a transient error which will be resolved "
        "automatically by retries",
    )


def _reject(draft: Draft, update_id: str, rejection: UpdateRejection) -> None:
    lost = update_id not in draft.run.admitted and update_id not in draft.run.updates
    known = is_answered_now(draft.run, update_id) or draft.run.admitted.pop(update_id, None) is not None
    if not known and not (lost and rejection.HasField("rejected_request")):
        raise _unknown(update_id)
    draft.outcomes[update_id] = Outcome(failure=rejection.failure)


def _complete(draft: Draft, update_id: str, response: Response) -> None:
    update = draft.run.updates.get(update_id)
    if update is None or not update.accepted_event_id or update.completed_event_id:
        raise _unknown(update_id)
    require_response(update_id, response)
    draft.add(
        WorkflowExecutionUpdateCompletedEventAttributes(
            meta=response.meta, accepted_event_id=update.accepted_event_id, outcome=response.outcome
        )
    )
    draft.outcomes[update_id] = response.outcome


def reject_at_close(draft: Draft, message: ProtocolMessage) -> None:
    """An answer that no command ordered before the close of the run: only a rejection, which needs no event, is one."""
    rejection = UpdateRejection()
    if message.body.Unpack(rejection):
        draft.outcomes[message.protocol_instance_id] = Outcome(failure=rejection.failure)


def reject_unanswered(draft: Draft, *, may_come_later: bool = False) -> None:
    """Updates that a worker has had, and said nothing of; unless it asks for another task to do so."""
    for update_id, update in list(draft.run.admitted.items()):
        if update.sent_event_id and not may_come_later:
            del draft.run.admitted[update_id]
            draft.outcomes[update_id] = _unprocessed_outcome()
    for update_id in answered_now(draft.run):
        draft.outcomes.setdefault(update_id, _unprocessed_outcome())


def _unprocessed_outcome() -> Outcome:
    return Outcome(
        failure=Failure(
            message="Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is "
            "not supported by the worker.",
            source="Server",
            application_failure_info=ApplicationFailureInfo(type="UnprocessedUpdate", non_retryable=True),
        )
    )


def closed_outcome() -> Outcome:
    """The outcome of an accepted update whose workflow completed before it did."""
    return Outcome(
        failure=Failure(
            message="Workflow Update failed because the Workflow completed before the Update completed.",
            source="Server",
            application_failure_info=ApplicationFailureInfo(type="AcceptedUpdateCompletedWorkflow", non_retryable=True),
        )
    )
