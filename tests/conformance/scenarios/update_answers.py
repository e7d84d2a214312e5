"""What workers say of updates: its order, and what cannot be said."""

import asyncio

from google.protobuf.any_pb2 import Any as AnyMessage
from temporalio.api.common.v1 import Payloads
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Rejection, Response

from tests.conformance.commands import (
    complete_workflow,
    failure,
    oversize,
    payloads,
    seconds,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.update_fates import asked_together, order
from tests.conformance.scenarios.updates import (
    Completed,
    Task,
    accept,
    admitted,
    ask,
    idle_workflow,
    message,
    reject,
    respond,
    say,
    update,
)
from tests.conformance.scenarios.workflow_task import Start
from tests.conformance.wire import Wire


@scenario
async def updates_when_their_task_is_refused(w: Wire) -> None:
    """A bad command fails the task: updates that were not accepted before are over, and may be asked for anew."""
    await idle_workflow(w)
    accepted = ask(w, update(w, "accepted"))
    task = await w.workflow_task()
    await say(w, task, accept(task))
    sent = ask(w, update(w, "sent"))
    task = await w.workflow_task()
    asked = await asked_together(w, "admitted")
    change = Completed(messages=[accept(task), respond("sent")])
    bad = w.completion(task, *order(*change.messages), start_timer("", 1), change=change)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, bad)
    await sent
    await admitted(w, "admitted")
    task = await w.workflow_task()
    again = await asked_together(w, "sent")
    await say(w, task, respond("accepted"))
    await asyncio.gather(accepted, *asked)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond("sent"))
    await asyncio.gather(*again)


@scenario
async def updates_when_their_close_is_refused(w: Wire) -> None:
    """UnhandledCommand is no different."""
    await idle_workflow(w)
    asked = [ask(w)]
    task = await w.workflow_task()
    await w.signal()
    asked += await asked_together(w, "admitted")
    change = Completed(messages=[accept(task), respond()])
    request = w.completion(task, *order(*change.messages), complete_workflow(), change=change)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await asked[0]
    await admitted(w, "admitted")
    await w.turn(complete_workflow())
    await asyncio.gather(*asked)


@scenario
async def updates_when_their_task_is_refused_again(w: Wire) -> None:
    """Nor is a bad command of a later attempt, which leaves no event."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.fail_workflow_task(await w.workflow_task())
    asked = await asked_together(w, "u")
    task = await w.workflow_task()
    asked += await asked_together(w, "admitted")
    bad = w.completion(task, start_timer("", 1), change=Completed(messages=[accept(task), respond()]))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, bad)
    await asked[0]
    await admitted(w, "admitted")
    await w.turn(complete_workflow())
    await asyncio.gather(*asked)


@scenario
async def update_messages_ordered_by_commands(w: Wire) -> None:
    """Events stand where the commands say; messages without a command come last, but before a close."""
    await w.start()
    asked = await asked_together(w, "one", "two")
    task = await w.workflow_task()
    messages = [accept(task, 0), respond("one"), accept(task, 1), respond("two")]
    commands = [
        start_timer("before", 60),
        *order(messages[2]),
        start_timer("between", 60),
        *order(messages[3]),
        complete_workflow(),
    ]
    await w.complete(task, *commands, change=Completed(messages=messages))
    await asyncio.gather(*asked)


@scenario
async def update_messages_without_commands(w: Wire) -> None:
    """Without commands the messages take effect after all commands."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await w.complete(task, start_timer("more", 60), change=Completed(messages=[accept(task), respond()]))
    await asked


@scenario
async def update_message_ordered_twice(w: Wire) -> None:
    """A message can be ordered once, and by its id."""
    for index in range(2):
        other = w.other(str(index))
        await idle_workflow(other)
        asked = ask(other)
        task = await other.workflow_task()
        said = accept(task)
        commands = order(said, said) if index else order("")
        request = other.completion(task, *commands, change=Completed(messages=[said]))
        await other.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
        await asked


def oddities(task: Task) -> dict[str, list[Message]]:
    """Answers to an update that make no sense."""
    unpacked = Message(id="m", protocol_instance_id="u", body=AnyMessage(type_url="type.googleapis.com/no.such.Thing"))
    no_instance, no_id = accept(task), accept(task)
    no_instance.protocol_instance_id, no_id.id = "", ""
    other = message("u", "complete", Response(meta=Meta(update_id="other"), outcome=Outcome(success=payloads("out"))))
    return {
        "accepted twice": [accept(task), message("u", "again", Acceptance(accepted_request_message_id="u/request"))],
        "accepted by the same message twice": [accept(task), accept(task)],
        "completed, not accepted": [respond()],
        "completed twice": [accept(task), respond(), message("u", "more", Response(meta=Meta(update_id="u")))],
        "rejected after it was accepted": [accept(task), reject(task)],
        "accepted after it was rejected": [reject(task), accept(task)],
        "of an unknown type": [unpacked],
        "of no update": [no_instance],
        "without an id": [no_id],
        "no outcome": [accept(task), message("u", "complete", Response(meta=Meta(update_id="u")))],
        "empty outcome": [
            accept(task),
            message("u", "complete", Response(meta=Meta(update_id="u"), outcome=Outcome())),
        ],
        "no meta": [accept(task), message("u", "complete", Response(outcome=Outcome(success=payloads("out"))))],
        "another update's outcome": [accept(task), other],
        "bare acceptance": [message("u", "accept", Acceptance())],
        "bare rejection": [message("u", "reject", Rejection())],
        "an answer to a request": [task.messages[0]],
    }


@scenario
async def update_answers_that_make_no_sense(w: Wire) -> None:
    """Each fails its task, and says why."""
    count = 16
    for index in range(count):
        other = w.other(str(index))
        await idle_workflow(other)
        asked = ask(other)
        task = await other.workflow_task()
        note, messages = list(oddities(task).items())[index]
        request = other.completion(task, change=Completed(messages=messages))
        reply = await other.attempt(w.rpc.RespondWorkflowTaskCompleted, request, note=note)
        if reply is not None:
            await other.terminate()
        await asked


@scenario
async def update_message_of_no_type(w: Wire) -> None:
    """A message that does not say what it is is the call's fault, not the task's."""
    await w.start()
    task = await w.workflow_task()
    said = Message(id="m", protocol_instance_id="u", body=AnyMessage())
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, change=Completed(messages=[said])))
    await w.complete(task, complete_workflow())


@scenario
async def update_outcome_too_large(w: Wire) -> None:
    """An outcome over the limit of a blob."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    big = message("u", "complete", Response(meta=Meta(update_id="u"), outcome=Outcome(success=oversize())))
    request = w.completion(task, change=Completed(messages=[accept(task), big]))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.describe()
    await asked


@scenario
async def update_of_nothing_much(w: Wire) -> None:
    """No arguments, an empty outcome, no header."""
    await idle_workflow(w)
    request = update(w)
    request.request.input.ClearField("args")
    request.request.input.ClearField("header")
    request.request.meta.identity = ""
    asked = ask(w, request)
    task = await w.workflow_task()
    outcome = Outcome(success=Payloads())
    await say(w, task, accept(task), message("u", "complete", Response(meta=Meta(update_id="u"), outcome=outcome)))
    await asked


@scenario
async def update_failure_of_any_kind(w: Wire) -> None:
    """A rejection without a failure, and a failure without a message."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(why=failure("", "")))
    await asked
