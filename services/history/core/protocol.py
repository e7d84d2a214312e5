"""What workers say of updates, unpacked and checked, in the reference's words."""

from google.protobuf.message import DecodeError
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Acceptance, Response
from temporalio.api.update.v1 import Rejection as UpdateRejection

from services.history.core.commands.refusal import BadCommand, Cause, require_blob
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE
PROTOCOL = "temporal.api.update.v1"
Answer = Acceptance | UpdateRejection | Response
ANSWERS: dict[str, type[Answer]] = {kind.DESCRIPTOR.full_name: kind for kind in (Acceptance, UpdateRejection, Response)}


def unpack(draft: Draft, message: ProtocolMessage) -> Answer:
    """One answer of the worker; what is none fails its task, and one that is too large ends the run."""
    name, blob = message.body.TypeName(), message.body.value
    require_blob(draft, len(blob), BAD, f"Message type {name}")
    protocol, _, short = name.rpartition(".")
    if protocol != PROTOCOL:
        raise BadCommand(BAD, f"unsupported protocol type {protocol}")
    kind = ANSWERS.get(name)
    if kind is None:
        raise BadCommand(BAD, f"Message type *update.{short} not supported")
    try:
        return kind.FromString(blob)
    except DecodeError:
        raise BadCommand(BAD, "unable to unmarshal request: proto: cannot parse invalid wire-format data") from None


def require_state(draft: Draft, update_id: str, answer: Answer, *states: str) -> None:
    """An update that is known here is answered step by step; what is told of others is for the caller to judge."""
    state = _state(draft, update_id)
    if state and state not in states:
        raise BadCommand(
            BAD,
            f"invalid state transition attempted for Update {update_id}: received *update.{type(answer).__name__} "
            f"message while in state {state}",
        )


def _state(draft: Draft, update_id: str) -> str:
    if update_id in draft.outcomes:
        return "ProvisionallyAccepted" if draft.outcomes[update_id] is None else "ProvisionallyCompleted"
    admitted = draft.run.admitted.get(update_id)
    if admitted is not None:
        return "Sent" if admitted.sent_event_id else "Admitted"
    update = draft.run.updates.get(update_id)
    return "Accepted" if update is not None and update.accepted_event_id and not update.completed_event_id else ""


def require_response(update_id: str, response: Response) -> None:
    """A response says of which update it is, and how that came out."""
    if not response.HasField("meta"):
        raise BadCommand(BAD, "invalid *update.Response: meta is not set")
    if response.meta.update_id != update_id:
        raise BadCommand(BAD, f"invalid *update.Response: meta.update_id != {update_id}")
    if not response.HasField("outcome"):
        raise BadCommand(BAD, "invalid *update.Response: outcome is not set")
