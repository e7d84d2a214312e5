"""What random programs found: small differences that no scenario had thought of, each mended since."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import Priority

from tests.conformance.commands import complete_workflow, start_child
from tests.conformance.registry import scenario
from tests.conformance.scenarios.signals import signal_with_start
from tests.conformance.scenarios.updates import admitted, ask
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
