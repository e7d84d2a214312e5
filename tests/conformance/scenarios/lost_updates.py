"""Updates that only the worker still knows: the server that gave them out has forgotten them."""

from temporalio.api.failure.v1 import Failure
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Input, Meta, Rejection, Request

from tests.conformance.commands import complete_workflow, failure, payloads
from tests.conformance.registry import scenario
from tests.conformance.scenarios.updates import Completed, message, poll, respond, update
from tests.conformance.wire import Wire


def request(update_id: str = "u") -> Request:
    """What a client once asked."""
    meta = Meta(update_id=update_id, identity="client")
    return Request(meta=meta, input=Input(name="change", args=payloads("in")))


def accepted(asked: Request | None, update_id: str = "u", sequencing_event_id: int = 2) -> Message:
    """An acceptance, with the request it is about."""
    acceptance = Acceptance(
        accepted_request_message_id=f"{update_id}/request",
        accepted_request_sequencing_event_id=sequencing_event_id,
        accepted_request=asked,
    )
    return message(update_id, "accept", acceptance)


def rejected(asked: Request | None, update_id: str = "u", *, why: Failure | None = None) -> Message:
    """A rejection, with the request it is about."""
    rejection = Rejection(
        rejected_request_message_id=f"{update_id}/request",
        rejected_request_sequencing_event_id=2,
        rejected_request=asked,
        failure=why or failure("no"),
    )
    return message(update_id, "reject", rejection)


@scenario
async def lost_update_is_accepted(w: Wire) -> None:
    """An acceptance that brings its request is taken; clients find the outcome by the update's id."""
    await w.start()
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[accepted(request()), respond()]))
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w))
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w), note="asked again")
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def lost_update_is_completed_later(w: Wire) -> None:
    """Accepted in one task, completed in another."""
    await w.start()
    await w.complete(await w.workflow_task(), change=Completed(messages=[accepted(request())]))
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, stage="ACCEPTED"), note="accepted")
    await w.signal()
    await w.complete(await w.workflow_task(), change=Completed(messages=[respond()]))
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w))


@scenario
async def lost_update_is_rejected(w: Wire) -> None:
    """A rejection that brings its request leaves nothing."""
    await w.start()
    await w.complete(await w.workflow_task(), change=Completed(messages=[rejected(request())]))
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="nothing is known of it")
    await w.signal()
    await w.turn(complete_workflow())


async def refused(w: Wire, *messages: Message) -> None:
    """A completion that fails the task."""
    await w.start()
    answer = w.completion(await w.workflow_task(), change=Completed(messages=messages))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, answer)


@scenario
async def lost_update_without_its_request(w: Wire) -> None:
    """What does not say what was asked cannot be taken."""
    await refused(w.other("accepted"), accepted(None))
    await refused(w.other("rejected"), rejected(None))
    await refused(w.other("without id"), accepted(Request(input=Input(name="change"))))
    await refused(w.other("without input"), accepted(Request(meta=Meta(update_id="u"))))
    await refused(w.other("of another id"), accepted(request("other")))
    await refused(w.other("without sequence"), accepted(request(), sequencing_event_id=0))
    await refused(w.other("only an outcome"), respond())
