"""What random programs found: small differences that no scenario had thought of, each mended since."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as ScheduleActivity
from temporalio.api.common.v1 import Priority

from tests.conformance.commands import complete_workflow, record_marker, schedule_activity, start_child
from tests.conformance.registry import scenario
from tests.conformance.scenarios.queries import answer
from tests.conformance.scenarios.queries import ask as ask_query
from tests.conformance.scenarios.signals import signal_with_start
from tests.conformance.scenarios.updates import Completed, admitted, ask, reject
from tests.conformance.scenarios.visibility import has, listing
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest


@scenario
async def found_while_closing(w: Wire) -> None:
    """Once a workflow has tried to complete over a signal, nothing more comes in while its next task runs."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.signal()
    task = await w.workflow_task()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(), note="closing")
    await w.attempt(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w), note="closing")
    await ask(w)
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(), note="closing")
    await w.complete(task)
    task = await w.workflow_task()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(), note="it went on")
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def found_list_of_a_child(w: Wire) -> None:
    """Lists tell less than descriptions do."""
    await w.start(Start(priority=Priority(priority_key=2)))
    await w.turn(start_child(w.id("child"), w.id("child")))
    await w.turn()
    for name in (w.name, w.id("child")):
        await w.until(w.rpc.ListWorkflowExecutions, listing(w, f"WorkflowId = '{name}'"), has(1))
        await w.describe(name)


@scenario
async def found_update_aborted_before_its_task(w: Wire) -> None:
    """Termination aborts updates, whether a worker has been told of them or not."""
    waiting, idle = w.other("waiting"), w.other("idle")
    await waiting.start()
    asked = ask(waiting)
    await admitted(waiting)
    await waiting.terminate()
    await asked
    await idle.start()
    await idle.turn()
    asked = ask(idle)
    await admitted(idle)
    await idle.terminate()
    await asked


@scenario
async def found_updates_over_a_forced_task(w: Wire) -> None:
    """A worker that asks for another task may answer updates there; a poll brings them again, a reply does not."""
    await w.start()
    asked = ask(w)
    await admitted(w)
    task = await w.workflow_task()
    await w.complete(task, record_marker("m"), change=Completed(force_create_new_workflow_task=True))
    task = await w.workflow_task()
    forced = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(task, record_marker("m"), change=forced)
    await w.complete(reply.workflow_task)
    await asked


@scenario
async def found_transient_task_overtaken(w: Wire) -> None:
    """The second attempt at a task shows in history until something comes before it; its worker is not told there."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    await show(w)
    await w.signal()
    await show(w)
    await w.fail_workflow_task(await w.workflow_task())
    task = await w.workflow_task()
    await show(w)
    await w.complete(task, complete_workflow())


async def show(w: Wire) -> None:
    """Tell the history as it is now, from both ends."""
    forth = api.GetWorkflowExecutionHistoryRequest(namespace=w.namespace, execution=w.execution())
    await w.call(w.rpc.GetWorkflowExecutionHistory, forth)
    back = api.GetWorkflowExecutionHistoryReverseRequest(namespace=w.namespace, execution=w.execution())
    await w.call(w.rpc.GetWorkflowExecutionHistoryReverse, back)


@scenario
async def found_reverse_pages(w: Wire) -> None:
    """The page that ends with the first event is the last."""
    await w.start()
    await w.workflow_task()
    for size in (1, 2, 3):
        back = api.GetWorkflowExecutionHistoryReverseRequest(
            namespace=w.namespace, execution=w.execution(), maximum_page_size=size
        )
        while True:
            page = await w.call(w.rpc.GetWorkflowExecutionHistoryReverse, back)
            back.next_page_token = page.next_page_token
            if not back.next_page_token:
                break


@scenario
async def found_eager_activities(w: Wire) -> None:
    """An activity that comes with the reply tells no priority but its own; none comes from a workflow that closes."""
    for index, own in enumerate((None, Priority(), Priority(priority_key=1), Priority(fairness_key="x"))):
        other = w.other(str(index))
        await other.start(Start(priority=Priority(priority_key=2)))
        change = ScheduleActivity(request_eager_execution=True, priority=own)
        await other.complete(await other.workflow_task(), schedule_activity("a", other.queue, change))
    closing = w.other("closing")
    await closing.start()
    eager = schedule_activity("a", closing.queue, ScheduleActivity(request_eager_execution=True))
    await closing.turn(eager, complete_workflow())
    await closing.describe()


@scenario
async def found_update_rejected_with_the_close(w: Wire) -> None:
    """A worker may reject an update with the very task that closes the workflow."""
    await w.start()
    asked = ask(w)
    await admitted(w)
    task = await w.workflow_task()
    await w.complete(task, complete_workflow(), change=Completed(messages=[reject(task)]))
    await asked


@scenario
async def found_query_after_failed_tasks(w: Wire) -> None:
    """A closed workflow whose last tasks failed is not asked either: three attempts count, the one in hand too."""
    for attempts, in_hand in ((1, True), (2, False), (2, True)):
        other = w.other(f"{attempts}-{in_hand}")
        await other.start()
        await other.turn()
        await other.signal()
        for _ in range(attempts):
            task = await other.workflow_task()
            if in_hand and attempts == task.attempt:
                break
            await other.fail_workflow_task(task)
        await other.terminate()
        asked = ask_query(other)
        if attempts == 1:
            await other.call(w.rpc.RespondQueryTaskCompleted, answer(other, await other.workflow_task()))
        await asked
