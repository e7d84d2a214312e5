"""Lists of commands that cannot be, and closing commands that meet what their worker has not seen."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.enums.v1 import CommandType

from tests.conformance.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    oversize,
    payloads,
    record_marker,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.command_corners import each_list_alone
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest


@scenario
async def command_lists_odd(w: Wire) -> None:
    """Nothing of a list is kept when one of its commands is bad; a close must come last."""
    await each_list_alone(
        w,
        {
            "continue, then timer": [continue_as_new(), start_timer("t", 60)],
            "cancel, then complete": [cancel_workflow(), complete_workflow()],
            "fail, then bad": [fail_workflow(), start_timer("", 1)],
            "bad, then complete": [start_timer("", 1), complete_workflow()],
            "good, bad, good": [start_timer("t", 60), cancel_timer("x"), record_marker("m")],
            "bad, then unknown type": [start_timer("", 1), Command(command_type=CommandType.ValueType(99))],
            "child and bad": [start_child(w.id("child"), w.queue), cancel_activity(99)],
            "complete with pending": [
                start_timer("t", 60),
                schedule_activity("a", w.queue),
                record_marker("m"),
                complete_workflow("done"),
            ],
            "oversize after good": [
                start_timer("t", 60),
                schedule_activity("a", w.queue, Schedule(input=oversize())),
                complete_workflow(),
            ],
        },
    )


@scenario
async def command_fails_without_failure(w: Wire) -> None:
    """Closing commands with attributes, but without what matters in them."""
    empty = fail_workflow()
    empty.fail_workflow_execution_command_attributes.ClearField("failure")
    await w.each_alone(
        {
            "no failure": empty,
            "no result": complete_workflow(),
            "empty result": complete_workflow(""),
            "no details": cancel_workflow(),
        }
    )


@scenario
async def command_close_over_news(w: Wire) -> None:
    """No way to close takes what the worker has not seen: signals, ends of activities, requests to cancel."""
    closes = {
        "complete": complete_workflow(),
        "fail": fail_workflow(),
        "cancel": cancel_workflow(),
        "continue": continue_as_new(Continue(backoff_start_interval=seconds(60))),
    }
    for index, (note, close) in enumerate(closes.items()):
        other = w.other(str(index))
        await other.start()
        await other.turn(schedule_activity("a", other.queue))
        activity = await other.activity_task()
        await other.signal()
        task = await other.workflow_task()
        await other.complete_activity(activity, payloads("done"))
        await w.attempt(w.rpc.RespondWorkflowTaskCompleted, other.completion(task, close), note=note)
        await other.turn(close)


@scenario
async def command_bad_over_news(w: Wire) -> None:
    """A bad command fails its task; what waited is written after the failure."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, start_timer("", 1)))
    await w.turn(complete_workflow())


@scenario
async def command_bad_twice_then_good(w: Wire) -> None:
    """After a second bad answer the task is still the worker's: a good answer is taken."""
    await w.start()
    await w.attempt(
        w.rpc.RespondWorkflowTaskCompleted, w.completion(await w.workflow_task(), start_timer("", 1)), note="first"
    )
    task = await w.workflow_task()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, start_timer("", 1)), note="second")
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()), note="good")


async def refused_to_close(w: Wire) -> api.PollWorkflowTaskQueueResponse:
    """The task after one whose closing command was refused."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.signal()
    task = await w.workflow_task()
    await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.signal()
    return await w.workflow_task()


@scenario
async def closing_refuses_news(w: Wire) -> None:
    """After a refused close nothing new is taken while the next task runs, so that it can close; then it is."""
    task = await refused_to_close(w)
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace, workflow_id=w.name, signal_name="hi", identity="client", request_id="signal"
    )
    request.workflow_type.name = "Workflow"
    request.task_queue.name = w.queue
    await w.attempt(w.rpc.SignalWithStartWorkflowExecution, request)
    await w.complete(task)
    await w.signal()
    task = await w.workflow_task()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.terminate()


@scenario
async def closing_takes_what_was_begun(w: Wire) -> None:
    """After a refused close the ends of activities are taken, and refuse the next close as well."""
    task = await refused_to_close(w)
    activity = await w.activity_task()
    await w.complete_activity(activity)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def closing_and_failing(w: Wire) -> None:
    """After a refused close, a task that fails."""
    task = await refused_to_close(w)
    await w.fail_workflow_task(task)
    task = await w.workflow_task()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.terminate()


@scenario
async def closing_and_signalled_by_another(w: Wire) -> None:
    """A signal and a request of another workflow, while a task runs that is about to close."""
    task = await refused_to_close(w)
    for index, command in enumerate(
        (
            signal_external(SignalExternal(execution=w.execution(), signal_name="hi")),
            cancel_external(CancelExternal(workflow_id=w.name)),
        )
    ):
        other = w.other(str(index))
        await other.start()
        await other.turn(command)
    await w.let_time_pass(1)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.other("0").turn(complete_workflow())
    await w.other("1").turn(complete_workflow())
