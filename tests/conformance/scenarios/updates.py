"""Updates: accepted, rejected, awaited, repeated, and on closed runs."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message as AnyProto
from temporalio.api.command.v1 import Command, ProtocolMessageCommandAttributes
from temporalio.api.common.v1 import Header
from temporalio.api.enums.v1 import CommandType, UpdateWorkflowExecutionLifecycleStage
from temporalio.api.failure.v1 import Failure
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import (
    Acceptance,
    Input,
    Meta,
    Outcome,
    Rejection,
    Request,
    Response,
    UpdateRef,
    WaitPolicy,
)

from tests.conformance.commands import complete_workflow, continue_in_a_second, failure, payload, payloads, start_timer
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Completed = api.RespondWorkflowTaskCompletedRequest
Task = api.PollWorkflowTaskQueueResponse
Asked = asyncio.Task[api.UpdateWorkflowExecutionResponse | None]


def update(
    w: Wire, update_id: str = "u", stage: str = "COMPLETED", run_id: str = ""
) -> api.UpdateWorkflowExecutionRequest:
    """An update named `change`."""
    return api.UpdateWorkflowExecutionRequest(
        namespace=w.namespace,
        workflow_execution=w.execution(run_id=run_id),
        wait_policy=wait(stage),
        request=Request(
            meta=Meta(update_id=update_id, identity="client"),
            input=Input(name="change", args=payloads("in"), header=Header(fields={"trace": payload("on")})),
        ),
    )


def wait(stage: str) -> WaitPolicy:
    """How far the caller wants to see an update come."""
    return WaitPolicy(
        lifecycle_stage=UpdateWorkflowExecutionLifecycleStage.Value(
            f"UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_{stage}"
        )
    )


def poll(w: Wire, update_id: str = "u", stage: str = "COMPLETED") -> api.PollWorkflowExecutionUpdateRequest:
    """A wait for an update that was sent before."""
    return api.PollWorkflowExecutionUpdateRequest(
        namespace=w.namespace,
        update_ref=UpdateRef(workflow_execution=w.execution(), update_id=update_id),
        identity="client",
        wait_policy=wait(stage),
    )


def ask(w: Wire, request: api.UpdateWorkflowExecutionRequest | None = None) -> Asked:
    """An update on its way, while the scenario plays the worker."""
    return asyncio.create_task(w.attempt(w.rpc.UpdateWorkflowExecution, request or update(w)))


async def admitted(w: Wire, update_id: str = "u") -> None:
    """Wait until the server has an update that is on its way."""
    await w.until(w.rpc.PollWorkflowExecutionUpdate, poll(w, update_id, "UNSPECIFIED"))


def message(update_id: str, suffix: str, body: AnyProto) -> Message:
    """What the worker says of an update."""
    packed = AnyMessage()
    packed.Pack(body)
    return Message(id=f"{update_id}/{suffix}", protocol_instance_id=update_id, body=packed)


def accept(task: Task, index: int = 0) -> Message:
    """The worker accepts an update of the task."""
    asked = task.messages[index]
    request = Request()
    asked.body.Unpack(request)
    acceptance = Acceptance(
        accepted_request_message_id=asked.id,
        accepted_request_sequencing_event_id=asked.event_id,
        accepted_request=request,
    )
    return message(asked.protocol_instance_id, "accept", acceptance)


def reject(task: Task, index: int = 0) -> Message:
    """The worker rejects an update of the task."""
    asked = task.messages[index]
    request = Request()
    asked.body.Unpack(request)
    rejection = Rejection(
        rejected_request_message_id=asked.id,
        rejected_request_sequencing_event_id=asked.event_id,
        rejected_request=request,
        failure=failure("no"),
    )
    return message(asked.protocol_instance_id, "reject", rejection)


def respond(update_id: str = "u", why: Failure | None = None) -> Message:
    """The worker's outcome of an update."""
    outcome = Outcome(failure=why) if why else Outcome(success=payloads("out"))
    return message(update_id, "complete", Response(meta=Meta(update_id=update_id, identity="client"), outcome=outcome))


async def say(w: Wire, task: Task, *messages: Message, then: Command | None = None) -> None:
    """Complete a task with messages, each ordered by a command, as SDKs do."""
    commands = [
        Command(
            command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE,
            protocol_message_command_attributes=ProtocolMessageCommandAttributes(message_id=each.id),
        )
        for each in messages
    ]
    await w.complete(task, *commands, *([then] if then else []), change=Completed(messages=messages))


async def idle_workflow(w: Wire) -> None:
    """A workflow that has seen its first task."""
    await w.start()
    await w.turn(start_timer("t", 60))


@scenario
async def update_accepted_and_completed(w: Wire) -> None:
    """The whole way in one task."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def update_with_the_first_task(w: Wire) -> None:
    """An update to a workflow that no worker has seen yet."""
    await w.start()
    asked = ask(w)
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked


@scenario
async def update_accepted_then_completed(w: Wire) -> None:
    """The caller waits for acceptance, then polls for the outcome."""
    await idle_workflow(w)
    asked = ask(w, update(w, stage="ACCEPTED"))
    task = await w.workflow_task()
    await say(w, task, accept(task))
    await asked
    polled = asyncio.create_task(w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w)))
    await w.signal()
    await say(w, await w.workflow_task(), respond())
    await polled
    await w.call(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="again")


@scenario
async def update_fails(w: Wire) -> None:
    """An accepted update may fail."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(why=failure("sorry")))
    await asked


@scenario
async def update_rejected(w: Wire) -> None:
    """A rejected update leaves nothing in history, not even its task."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w))
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def update_rejected_with_a_command(w: Wire) -> None:
    """A task that does something else is kept, though its update was rejected."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await w.complete(task, start_timer("more", 60), change=Completed(messages=[reject(task)]))
    await asked


@scenario
async def update_rejected_with_a_signal_between(w: Wire) -> None:
    """A signal during a speculative task makes it real."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await w.signal()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked
    await w.turn(complete_workflow())


@scenario
async def update_unanswered(w: Wire) -> None:
    """A worker that says nothing of an update has rejected it."""
    await idle_workflow(w)
    asked = ask(w)
    await w.turn()
    await asked


@scenario
async def update_same_id(w: Wire) -> None:
    """A repeated update gives the outcome it had, without a new task."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked
    await w.call(w.rpc.UpdateWorkflowExecution, update(w), note="repeated")
    await w.signal()
    await w.turn(complete_workflow())
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w), note="repeated after the close")
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, "other"), note="another one after the close")
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="after the close")


@scenario
async def update_without_an_id(w: Wire) -> None:
    """The server draws an id."""
    await idle_workflow(w)
    asked = ask(w, update(w, ""))
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(task.messages[0].protocol_instance_id))
    await asked


@scenario
async def update_two_in_one_task(w: Wire) -> None:
    """Two updates that wait share a task, in their order."""
    await w.start()
    asked = [ask(w, update(w, "one"))]
    await admitted(w, "one")
    asked.append(ask(w, update(w, "two")))
    await admitted(w, "two")
    task = await w.workflow_task()
    await say(w, task, accept(task, 0), respond("one"), accept(task, 1), respond("two"))
    await asyncio.gather(*asked)


@scenario
async def update_open_at_the_close(w: Wire) -> None:
    """A workflow that completes over an accepted update fails it."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), then=complete_workflow())
    await asked


@scenario
async def update_unaccepted_at_the_close(w: Wire) -> None:
    """A workflow that completes over an update it never saw aborts it."""
    await w.start()
    task = await w.workflow_task()
    asked = ask(w)
    await admitted(w)
    await w.complete(task, complete_workflow())
    await asked


@scenario
async def update_open_at_the_termination(w: Wire) -> None:
    """Termination aborts what waits."""
    await w.start()
    await w.workflow_task()
    asked = ask(w)
    await admitted(w)
    await w.terminate()
    await asked


@scenario
async def update_open_at_continue_as_new(w: Wire) -> None:
    """An update that was accepted ends with its run."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), then=continue_in_a_second())
    await asked


@scenario
async def update_where_nobody_is(w: Wire) -> None:
    """Unknown workflows, closed runs, unknown updates, stages that cannot be awaited."""
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w), note="unknown workflow")
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="unknown workflow")
    await idle_workflow(w)
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="unknown update")
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, stage="ADMITTED"), note="admitted")
    unknown_run = update(w, run_id="11111111-1111-1111-1111-111111111111")
    await w.attempt(w.rpc.UpdateWorkflowExecution, unknown_run, note="unknown run")
    await w.terminate()
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w), note="closed")
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="closed")


@scenario
async def update_bad_messages(w: Wire) -> None:
    """Messages that make no sense fail the workflow task."""
    unheard = message("unheard", "complete", Response(meta=Meta(update_id="unheard")))
    for index, (note, body) in enumerate({"unknown update": unheard, "no body": Message(id="m")}.items()):
        other = w.other(str(index))
        await other.start()
        request = other.completion(await other.workflow_task(), change=Completed(messages=[body]))
        await other.attempt(w.rpc.RespondWorkflowTaskCompleted, request, note=note)
    missing = Command(
        command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE,
        protocol_message_command_attributes=ProtocolMessageCommandAttributes(message_id="missing"),
    )
    await w.other("command").each_alone({"a command without its message": missing})
