"""Completion callbacks: who is told how a chain of runs has ended, and what of that descriptions show."""

import asyncio
from collections.abc import Sequence

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Callback, Link, Payload, Payloads, RetryPolicy
from temporalio.api.enums.v1 import CallbackState, EventType, WorkflowIdConflictPolicy
from temporalio.api.workflow.v1 import CallbackInfo, OnConflictOptions

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    failure,
    payloads,
    seconds,
    start_child,
)
from tests.conformance.listener import Listener, listening
from tests.conformance.registry import scenario
from tests.conformance.resetting import reset
from tests.conformance.wire import Wire

State = CallbackState
SUCCEEDED, FAILED, BACKING_OFF = (
    State.CALLBACK_STATE_SUCCEEDED,
    State.CALLBACK_STATE_FAILED,
    State.CALLBACK_STATE_BACKING_OFF,
)
Start = api.StartWorkflowExecutionRequest
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
JOB = Link(batch_job=Link.BatchJob(job_id="job"))
LINK = Link(workflow_event=Link.WorkflowEvent(namespace="default", workflow_id="caller", run_id="caller-run"))


def calling(*callbacks: Callback) -> Start:
    """The part of a start that registers callbacks."""
    return Start(completion_callbacks=callbacks)


def attaching(request_id: str, *callbacks: Callback, links: Sequence[Link] = ()) -> Start:
    """The part of a start that attaches callbacks to a run that is there."""
    return Start(
        request_id=request_id,
        workflow_id_conflict_policy=USE_EXISTING,
        completion_callbacks=callbacks,
        links=links,
        on_conflict_options=OnConflictOptions(
            attach_request_id=True, attach_completion_callbacks=True, attach_links=True
        ),
    )


async def attach(w: Wire, change: Start, note: str = "") -> None:
    """Start a workflow that may be there already."""
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(change), note=note)


async def until_called(w: Wire, *states: CallbackState.ValueType, attempt: int = 1) -> Sequence[CallbackInfo]:
    """Wait until every callback is in one of the states after so many attempts, and tell the description."""
    request = api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution())
    described = await w.until(
        w.rpc.DescribeWorkflowExecution,
        request,
        lambda reply: all(each.state in states and each.attempt >= attempt for each in reply.callbacks),
    )
    return described.callbacks


async def told(w: Wire, listener: Listener, change: Start, *commands: Command) -> None:
    """Start a workflow that calls /end when it is closed by its first task; tell the call."""
    await w.start(over_callbacks(change, listener.address("/end")))
    await w.turn(*commands)
    w.note(await listener.request("/end"))


def over_callbacks(change: Start, *callbacks: Callback) -> Start:
    """A change of a start with callbacks on top."""
    change.completion_callbacks.extend(callbacks)
    return change


def returning(*results: Payload) -> Command:
    """A completion with these payloads as they are."""
    command = complete_workflow()
    command.complete_workflow_execution_command_attributes.result.CopyFrom(Payloads(payloads=results))
    return command


@scenario
async def callback_completed(w: Wire) -> None:
    """A callback stands by until the workflow completes; then it is told the result."""
    async with listening() as listener:
        await w.start(calling(listener.address("/end", **{"X-Custom": "a", "nexus-operation-token": "t"})))
        await w.describe()
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/end"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_results(w: Wire) -> None:
    """Results travel as HTTP has them; those it has no words for as they are, and of several the first."""
    results = {
        "none": (),
        "two": payloads("a", "b").payloads,
        "null": (Payload(metadata={"encoding": b"binary/null"}),),
        "bytes": (Payload(metadata={"encoding": b"binary/plain"}, data=b"\x00\x01"),),
        "protobuf": (Payload(metadata={"encoding": b"binary/protobuf", "messageType": b"some.Type"}, data=b"x"),),
        "json-protobuf": (Payload(metadata={"encoding": b"json/protobuf", "messageType": b"some.Type"}, data=b"{}"),),
        "bare": (Payload(data=b"x"),),
        "encrypted": (Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\xff"),),
    }
    async with listening() as listener:
        for name, result in results.items():
            other = w.other(name)
            await other.start(calling(listener.address(f"/{name}")))
            await other.turn(returning(*result))
            w.note(await listener.request(f"/{name}"))


@scenario
async def callback_failed(w: Wire) -> None:
    """A failure travels in Nexus's form, causes included."""
    why = failure(non_retryable=True)
    why.application_failure_info.details.CopyFrom(payloads("detail"))
    why.cause.CopyFrom(failure("because", "Cause"))
    async with listening() as listener:
        await told(w, listener, Start(), fail_workflow(why))


@scenario
async def callback_cancelled(w: Wire) -> None:
    """A cancelled workflow is a cancelled operation."""
    async with listening() as listener:
        await told(w, listener, Start(), cancel_workflow("detail"))


@scenario
async def callback_terminated(w: Wire) -> None:
    """A terminated workflow is a failed operation."""
    async with listening() as listener:
        await w.start(calling(listener.address("/end")))
        await w.terminate()
        w.note(await listener.request("/end"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_timed_out(w: Wire) -> None:
    """So is one whose time is over."""
    async with listening() as listener:
        await w.start(over_callbacks(Start(workflow_run_timeout=seconds(1)), listener.address("/end")))
        w.note(await listener.request("/end"))


@scenario
async def callback_own_content_type(w: Wire) -> None:
    """What a callback's own header says comes before what the server would say."""
    async with listening() as listener:
        await w.start(calling(listener.address("/end", **{"Content-Type": "text/x-own", "Nexus-Link": "<own>"})))
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/end"))


@scenario
async def callback_continued_as_new(w: Wire) -> None:
    """Callbacks move on to the run that follows, those attached later as well; only the last run calls."""
    async with listening() as listener:
        await w.start(calling(listener.address("/first")))
        await w.turn()
        await attach(w, attaching("another", listener.address("/attached")))
        await w.signal()
        await w.turn(continue_in_a_second())
        await w.describe()
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/first"))
        w.note(await listener.request("/attached"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_retried_workflow(w: Wire) -> None:
    """A run that a retry follows calls nobody; the chain's end does."""
    policy = RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)
    async with listening() as listener:
        await w.start(over_callbacks(Start(retry_policy=policy), listener.address("/end")))
        await w.turn(fail_workflow())
        await w.describe()
        await w.turn(fail_workflow())
        w.note(await listener.request("/end"))


@scenario
async def callback_cron(w: Wire) -> None:
    """A cron schedule's next run has no callbacks: the end of each chain that a schedule began is an end."""
    async with listening() as listener:
        await w.start(over_callbacks(Start(cron_schedule="@every 1s"), listener.address("/end")))
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/end"))
        await w.workflow_task()
        await w.describe()
        await w.terminate()


@scenario
async def callback_cron_failed(w: Wire) -> None:
    """A failure that the schedule follows is told as well."""
    async with listening() as listener:
        await w.start(over_callbacks(Start(cron_schedule="@every 1s"), listener.address("/end")))
        await w.turn(fail_workflow())
        w.note(await listener.request("/end"))
        await w.workflow_task()
        await w.terminate()


@scenario
async def callback_cron_retried(w: Wire) -> None:
    """One that a retry follows is not; the retry's end is."""
    policy = RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)
    async with listening() as listener:
        await w.start(over_callbacks(Start(cron_schedule="@every 1s", retry_policy=policy), listener.address("/end")))
        await w.turn(fail_workflow())
        await w.turn(fail_workflow())
        w.note(await listener.request("/end"))
        await w.workflow_task()
        await w.describe()
        await w.terminate()


@scenario
async def callback_attached(w: Wire) -> None:
    """A start that finds its workflow running attaches callbacks; asked again it attaches nothing."""
    async with listening() as listener:
        await w.start()
        await w.turn()
        change = attaching("another", listener.address("/a"), listener.address("/b"), links=[LINK])
        await attach(w, change)
        await attach(w, change, "again")
        await attach(w, Start(request_id="third", workflow_id_conflict_policy=USE_EXISTING), "nothing to attach")
        await w.describe()
        await w.signal()
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/a"))
        w.note(await listener.request("/b"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_attached_during_task(w: Wire) -> None:
    """Attached while a worker is at it, the event waits, and the worker's completion is unhandled."""
    async with listening() as listener:
        await w.start()
        task = await w.workflow_task()
        await attach(w, attaching("another", listener.address("/a")))
        await w.describe()
        await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/a"))


@scenario
async def callback_of_child_is_its_own(w: Wire) -> None:
    """A parent's callbacks are not its child's."""
    async with listening() as listener:
        await w.start(calling(listener.address("/end")))
        await w.turn(start_child(w.id("child"), w.id("child")))
        child = w.other("child")
        await child.turn(complete_workflow())
        await child.describe()
        await w.event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/end"))


@scenario
async def callback_refused(w: Wire) -> None:
    """Answers that say that nothing will help end it."""
    for status in (400, 401, 403, 404, 409, 501):
        async with listening() as listener:
            other = w.other(str(status))
            listener.statuses = [status]
            await other.start(calling(listener.address("/end")))
            await other.turn(complete_workflow("result"))
            await until_called(other, FAILED)


@scenario
async def callback_backs_off(w: Wire) -> None:
    """All other answers say that it may work later."""
    for status in (302, 307, 408, 410, 429, 500, 502, 503, 520):
        async with listening() as listener:
            other = w.other(str(status))
            listener.statuses = [status]
            await other.start(calling(listener.address("/end")))
            await other.turn(complete_workflow("result"))
            await until_called(other, BACKING_OFF)


@scenario
async def callback_told_whether_to_retry(w: Wire) -> None:
    """The answer's header decides whether there is another attempt."""
    for status, retryable, state in ((400, "true", BACKING_OFF), (500, "false", FAILED)):
        async with listening() as listener:
            other = w.other(str(status))
            listener.statuses, listener.header = [status], {"nexus-request-retryable": retryable}
            await other.start(calling(listener.address("/end")))
            await other.turn(complete_workflow("result"))
            await until_called(other, state)


@scenario
async def callback_retried(w: Wire) -> None:
    """It is called again, with the same words, until it succeeds."""
    async with listening() as listener:
        listener.statuses = [500, 429, 200]
        await w.start(calling(listener.address("/end")))
        await w.turn(complete_workflow("result"))
        for _ in range(3):
            w.note(await listener.request("/end"))
        await until_called(w, SUCCEEDED, attempt=3)


@scenario
async def callback_nobody_there(w: Wire) -> None:
    """Nobody listens: it is called again later."""
    await w.start(calling(Callback(nexus=Callback.Nexus(url="http://127.0.0.1:1/end"))))
    await w.turn(complete_workflow("result"))
    await until_called(w, BACKING_OFF)


@scenario
async def callback_header_unsendable(w: Wire) -> None:
    """A header that HTTP cannot send counts as a failed attempt."""
    async with listening() as listener:
        await w.start(calling(listener.address("/end", **{"no name": "x"})))
        await w.turn(complete_workflow("result"))
        await until_called(w, BACKING_OFF)


@scenario
async def callback_to_the_system(w: Wire) -> None:
    """The address of the cluster itself is for those who have its token."""
    await w.start(calling(Callback(nexus=Callback.Nexus(url="temporal://system"))))
    await w.turn(complete_workflow("result"))
    await until_called(w, FAILED)


@scenario
async def callback_links(w: Wire) -> None:
    """A callback's links are kept with it, count among those of its start, and are not told twice."""
    async with listening() as listener:
        callback = listener.address("/end")
        for note, links in {
            "empty": [Link()],
            "no namespace": [Link(workflow_event=Link.WorkflowEvent())],
            "many": [LINK] * 11,
            "large": [Link(batch_job=Link.BatchJob(job_id="x" * 4000))],
            "together many": [JOB] * 6,
        }.items():
            callback.ClearField("links")
            callback.links.extend(links)
            start = calling(callback)
            start.links.extend([LINK] * 5 + [Link(batch_job=Link.BatchJob(job_id=note))])
            await attach(w, start, note)
        callback.ClearField("links")
        callback.links.append(LINK)
        start = calling(callback)
        start.links.extend([LINK, JOB])
        await w.start(start)
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/end"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_bad_address(w: Wire) -> None:
    """Addresses that are none, or not allowed, are refused."""
    good = "http://127.0.0.1:80/"
    urls = {
        "empty": "",
        "no url": "nonsense",
        "bad escape": good + "%zz",
        "scheme": "ftp://127.0.0.1:80/",
        "no host": "http:///path",
        "another host": "http://example.com/",
        "no port": "http://127.0.0.1/",
        "insecure": "http://secure.example/",
        "system with path": "temporal://system/path",
        "bad port": "http://127.0.0.1:port/",
        "too long": good + "x" * 1000,
        "too long and not allowed": "http://example.com/" + "x" * 1000,
    }
    for note, url in urls.items():
        await attach(w, calling(Callback(nexus=Callback.Nexus(url=url))), note)
    secure = Callback(nexus=Callback.Nexus(url="https://secure.example/"))
    await w.other("secure").start(calling(secure), note="secure")


@scenario
async def callback_bad_kind(w: Wire) -> None:
    """Only callbacks of Nexus's kind are taken, with a header that is not too large."""
    await attach(w, calling(Callback()), "none")
    await attach(w, calling(Callback(internal=Callback.Internal(data=b"x"))), "internal")
    nexus = Callback.Nexus(url="http://127.0.0.1:80/", header={"a": "x" * 8192})
    await attach(w, calling(Callback(nexus=nexus)), "header")
    await attach(
        w, Start(on_conflict_options=OnConflictOptions(attach_completion_callbacks=True)), "attach without request id"
    )


@scenario
async def callback_many(w: Wire) -> None:
    """More callbacks than the reference pages say are taken, and all are called."""
    paths = [f"/{number}" for number in range(40)]
    async with listening() as listener:
        await w.start(calling(*(listener.address(path) for path in paths)))
        await w.turn(complete_workflow("result"))
        await asyncio.gather(*(listener.request(path) for path in paths))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_reset(w: Wire) -> None:
    """A reset run tells nobody; the run that is made of it has the callbacks, those attached later as well."""
    async with listening() as listener:
        run_id = await w.start(calling(listener.address("/end")))
        await w.turn()
        await attach(w, attaching("another", listener.address("/attached")))
        await reset(w, 4)
        await w.describe(run_id=run_id)
        await w.describe()
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/end"))
        w.note(await listener.request("/attached"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_of_closed_run_reset(w: Wire) -> None:
    """A run that is reset after its end has told it; the new run tells its own."""
    async with listening() as listener:
        await w.start(calling(listener.address("/end")))
        await w.turn(complete_workflow("first"))
        w.note(await listener.request("/end"))
        await until_called(w, SUCCEEDED)
        await reset(w, 4)
        await w.turn(complete_workflow("second"))
        w.note(await listener.request("/end"))
        await until_called(w, SUCCEEDED)


@scenario
async def callback_replaced_workflow(w: Wire) -> None:
    """A start that ends the running workflow makes that one tell."""
    async with listening() as listener:
        await w.start(calling(listener.address("/first")))
        change = calling(listener.address("/second"))
        change.workflow_id_conflict_policy = TERMINATE_EXISTING
        change.request_id = "another"
        await w.start(change)
        w.note(await listener.request("/first"))
        await w.turn(complete_workflow("result"))
        w.note(await listener.request("/second"))


@scenario
async def callback_attached_links_alone(w: Wire) -> None:
    """Links and callbacks are attached each for itself, with or without a request id."""
    async with listening() as listener:
        await w.start()
        await w.turn()
        for number, wanted in enumerate(
            (
                OnConflictOptions(attach_links=True),
                OnConflictOptions(attach_request_id=True),
                OnConflictOptions(attach_request_id=True, attach_links=True),
                OnConflictOptions(),
            )
        ):
            change = attaching(str(number), listener.address("/never"), links=[LINK])
            change.on_conflict_options.CopyFrom(wanted)
            await attach(w, change)
        await w.describe()
        await w.terminate()
