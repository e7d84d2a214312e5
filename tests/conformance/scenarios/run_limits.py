"""Limits of one run, on servers whose limits are low: what refuses a call, fails a task, or ends the run."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Memo, Payload, Payloads, WorkflowExecution
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.update.v1 import Input

from tests.conformance.commands import (
    cancel_external,
    complete_workflow,
    continue_as_new,
    failure,
    modify_properties,
    record_marker,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.listener import listening
from tests.conformance.registry import tight_scenario
from tests.conformance.scenarios.activities import start_activity
from tests.conformance.scenarios.callbacks import attach, attaching, calling
from tests.conformance.scenarios.updates import admitted, ask, update
from tests.conformance.wire import Wire

Signal = api.SignalWorkflowExecutionRequest


def sized(count: int) -> Payloads:
    """A payload of so many bytes."""
    return Payloads(payloads=[Payload(data=b"x" * count)])


def memo(count: int, name: str = "name") -> Memo:
    """A memo with a value of so many bytes."""
    return Memo(fields={name: Payload(data=b"x" * count)})


async def two_then_three(w: Wire, commands: list[Command]) -> None:
    """Two of a kind are taken, a third is not; and three at once are not."""
    await w.start()
    await w.turn(*commands[:2])
    await w.signal()
    task = await w.workflow_task()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, commands[2]))
    other = w.other("at-once")
    await other.start()
    task = await other.workflow_task()
    await other.attempt(w.rpc.RespondWorkflowTaskCompleted, other.completion(task, *commands))


@tight_scenario
async def pending_activities_too_many(w: Wire) -> None:
    """A third pending activity fails the task."""
    await two_then_three(w, [schedule_activity(str(number), w.id("nobody")) for number in range(3)])


@tight_scenario
async def pending_children_too_many(w: Wire) -> None:
    """So does a third child."""
    await w.start()
    task = await w.workflow_task()
    children = [start_child(w.id(str(number)), w.id("nobody")) for number in range(3)]
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, *children))


@tight_scenario
async def pending_signals_too_many(w: Wire) -> None:
    """So does a third signal to others that is under way."""
    await w.start()
    task = await w.workflow_task()
    someone = SignalExternal(execution=w.execution("someone"), signal_name="s")
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, *[signal_external(someone)] * 3))


@tight_scenario
async def pending_cancels_too_many(w: Wire) -> None:
    """So does a third request to cancel others."""
    await w.start()
    task = await w.workflow_task()
    cancel = cancel_external(CancelExternal(workflow_id="someone"))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, *[cancel] * 3))


@tight_scenario
async def signals_too_many_for_a_run(w: Wire) -> None:
    """A run takes so many signals, however they come; the next run takes as many again."""
    await w.start()
    await w.turn()
    for _ in range(8):
        await w.signal()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(), note="one more")
    with_start = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace,
        workflow_id=w.id(),
        workflow_type=w.start_request().workflow_type,
        task_queue=w.start_request().task_queue,
        identity="client",
        request_id="with-start",
        signal_name="s",
    )
    await w.attempt(w.rpc.SignalWithStartWorkflowExecution, with_start)
    other = w.other("sender")
    await other.start()
    await other.turn(signal_external(SignalExternal(execution=WorkflowExecution(workflow_id=w.id()), signal_name="s")))
    await other.turn(complete_workflow())


@tight_scenario
async def signals_too_many_while_a_task_is_started(w: Wire) -> None:
    """Events that wait for the task are too many: it fails, they get their place, and a new one is scheduled."""
    await w.start()
    task = await w.workflow_task()
    for _ in range(7):
        await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.describe()
    await w.turn(complete_workflow())


@tight_scenario
async def signals_too_large_while_a_task_is_started(w: Wire) -> None:
    """The same when they are too large."""
    await w.start()
    task = await w.workflow_task()
    for _ in range(4):
        await w.signal(Signal(input=sized(900)))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@tight_scenario
async def history_too_long_by_signals(w: Wire) -> None:
    """The call that finds the history too long ends the run."""
    await w.start()
    for number in range(11):
        await w.turn(record_marker(str(number)), start_timer(str(number), 100))
        reply = await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())
        if reply is None:
            break
        if (await w.describe()).workflow_execution_info.HasField("close_time"):
            break


@tight_scenario
async def history_too_long_by_commands(w: Wire) -> None:
    """A completion that makes the history too long."""
    await w.start()
    task = await w.workflow_task()
    markers = [record_marker(str(number)) for number in range(30)]
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, *markers))
    await w.describe()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())


@tight_scenario
async def history_too_large(w: Wire) -> None:
    """The same by its size."""
    await w.start()
    await w.turn(*[record_marker(str(number), details="x" * 800) for number in range(4)])
    await w.signal(Signal(input=sized(900)))
    await w.turn(*[record_marker(str(number), details="x" * 800) for number in range(4)])
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(input=sized(900))))
    await w.describe()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())
    await w.describe()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(), note="once more")


@tight_scenario
async def blobs_of_calls_too_large(w: Wire) -> None:
    """Calls with a payload over the limit are refused."""
    big = sized(1000)
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(api.StartWorkflowExecutionRequest(input=big)))
    await w.attempt(
        w.rpc.StartWorkflowExecution, w.start_request(api.StartWorkflowExecutionRequest(memo=memo(600))), note="memo"
    )
    await w.start()
    await w.turn()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(input=big)))
    query = api.QueryWorkflowRequest(
        namespace=w.namespace, execution=w.execution(), query=WorkflowQuery(query_type="q", query_args=big)
    )
    await w.attempt(w.rpc.QueryWorkflow, query)
    await w.attempt(
        w.rpc.TerminateWorkflowExecution, w.terminate_request(api.TerminateWorkflowExecutionRequest(details=big))
    )


@tight_scenario
async def activity_answers_too_large(w: Wire) -> None:
    """A result, or the details of a heartbeat, over the limit fails the activity."""
    task = await start_activity(w)
    await w.complete_activity(task, sized(1000))
    await w.turn(complete_workflow())
    other = w.other("heartbeat")
    task = await start_activity(other)
    beat = api.RecordActivityTaskHeartbeatRequest(
        namespace=w.namespace, task_token=task.task_token, identity="worker", details=sized(1000)
    )
    await other.attempt(w.rpc.RecordActivityTaskHeartbeat, beat)
    await other.turn(complete_workflow())


@tight_scenario
async def task_failure_too_large(w: Wire) -> None:
    """The failure of a workflow task is cut to the limit."""
    await w.start()
    task = await w.workflow_task()
    why = failure("x" * 1500)
    why.cause.CopyFrom(failure("because"))
    await w.fail_workflow_task(task, failure=why)


@tight_scenario
async def memos_of_commands_too_large(w: Wire) -> None:
    """A memo over its limit ends the run, whoever's it is."""
    await w.each_alone(
        {
            "modify": modify_properties(Modify(upserted_memo=memo(600))),
            "child": start_child(w.id("child"), w.queue, StartChild(memo=memo(600))),
            "continue": continue_as_new(Continue(memo=memo(600))),
        }
    )


@tight_scenario
async def memo_grows_too_large(w: Wire) -> None:
    """Each change of the memo is below its limit, and their sum is not."""
    await w.start(api.StartWorkflowExecutionRequest(memo=memo(400, "first")))
    task = await w.workflow_task()
    change = modify_properties(Modify(upserted_memo=memo(400, "second")))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, change))


@tight_scenario
async def updates_too_large_at_once(w: Wire) -> None:
    """The payloads of updates that wait are limited together. (What becomes of them then is not the same twice.)"""
    await w.start()
    first, second = update(w, "first"), update(w, "second")
    for request in (first, second):
        request.request.input.CopyFrom(Input(name="update", args=sized(900)))
    asked = ask(w, first)
    await admitted(w, "first")
    await w.attempt(w.rpc.UpdateWorkflowExecution, second)
    asked.cancel()


@tight_scenario
async def callbacks_too_many(w: Wire) -> None:
    """A run has so many callbacks, whether from its start or attached."""
    async with listening() as listener:
        a, b, c = (listener.address(path) for path in ("/a", "/b", "/c"))
        await attach(w, calling(a, b, c), "three")
        await w.start(calling(a))
        await attach(w, attaching("second", b, c), "one and two")
        await attach(w, attaching("third", b), "one and one")
        await attach(w, attaching("fourth", c), "two and one")
        await w.terminate()


@tight_scenario
async def request_ids_too_many(w: Wire) -> None:
    """Of the requests that were attached to a run only so many are remembered."""
    await w.start()
    await w.turn()
    for number in range(4):
        await attach(w, attaching(str(number)))
    await w.describe()
    await attach(w, attaching("0"), "the first again")
    await w.describe()


@tight_scenario
async def state_too_large(w: Wire) -> None:
    """What the run holds is too large: details of heartbeats, and signals that wait for a task to end."""
    await w.start(api.StartWorkflowExecutionRequest(memo=memo(500)))
    await w.turn(schedule_activity("a", w.id("a")), schedule_activity("b", w.id("b")))
    for name in "ab":
        task = await w.activity_task(w.id(name))
        beat = api.RecordActivityTaskHeartbeatRequest(
            namespace=w.namespace, task_token=task.task_token, identity="worker", details=sized(900)
        )
        await w.attempt(w.rpc.RecordActivityTaskHeartbeat, beat)
    await w.signal()
    await w.workflow_task()
    for number in range(3):
        await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(input=sized(900))), note=str(number))
    await w.describe()


@tight_scenario
async def transaction_too_large(w: Wire) -> None:
    """What is written at once is too large."""
    await w.start()
    task = await w.workflow_task()
    markers = [record_marker(str(number), details="x" * 800) for number in range(7)]
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, *markers))
    await w.describe()
