"""Requests to cancel, terminations and deletions."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal

from tests.conformance.commands import cancel_external, cancel_workflow, complete_workflow, payloads
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Cancel = api.RequestCancelWorkflowExecutionRequest
Terminate = api.TerminateWorkflowExecutionRequest
UNKNOWN_RUN = "11111111-1111-1111-1111-111111111111"


@scenario
async def cancel_workflow_that_agrees(w: Wire) -> None:
    """The request is an event; the workflow closes as cancelled."""
    await w.start()
    await w.turn()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn(cancel_workflow("gone"))
    await w.describe()


@scenario
async def cancel_twice(w: Wire) -> None:
    """Further requests change nothing, also after the close."""
    await w.start()
    for request_id in ("one", "one", "two", ""):
        await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(Cancel(request_id=request_id)))
    await w.turn(complete_workflow())
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(), note="closed")


@scenario
async def cancel_before_the_first_task(w: Wire) -> None:
    """A request before any task is taken shares the first one."""
    await w.start()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn(cancel_workflow())


@scenario
async def cancel_while_a_task_runs(w: Wire) -> None:
    """The request waits for the task to end, and the workflow cannot complete over it."""
    await w.start()
    task = await w.workflow_task()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.describe()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(cancel_workflow())


@scenario
async def cancel_where_nobody_is(w: Wire) -> None:
    """Unknown workflows and runs; a run id that belongs to another chain."""
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(), note="unknown workflow")
    await w.start()
    request = w.cancel_request(Cancel(workflow_execution=w.execution(run_id=UNKNOWN_RUN)))
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, request, note="unknown run")
    request = w.cancel_request(Cancel(first_execution_run_id=UNKNOWN_RUN))
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, request, note="other chain")


@scenario
async def cancel_another_workflow(w: Wire) -> None:
    """One workflow asks another to stop, and learns that it was told."""
    target = w.other("target")
    await target.start()
    await target.turn()
    await w.start()
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name, reason="enough", control="mine")))
    await target.turn(cancel_workflow())
    await w.turn(complete_workflow())


@scenario
async def cancel_another_workflow_that_is_not_there(w: Wire) -> None:
    """Unknown ones fail by event; closed ones count as told."""
    target = w.other("target")
    await target.start()
    await target.turn(complete_workflow())
    await w.start()
    await w.turn(cancel_external(CancelExternal(workflow_id=w.id("nobody"))))
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name)))
    await w.turn(complete_workflow())


@scenario
async def cancel_another_workflow_bad_commands(w: Wire) -> None:
    """Commands to cancel that make no sense."""
    await w.each_alone(
        {
            "no id": cancel_external(CancelExternal()),
            "no uuid": cancel_external(CancelExternal(workflow_id="someone", run_id="tea")),
            "long id": cancel_external(CancelExternal(workflow_id="x" * 1001)),
            "child with run": cancel_external(
                CancelExternal(workflow_id="someone", run_id=UNKNOWN_RUN, child_workflow_only=True)
            ),
            "no child": cancel_external(CancelExternal(workflow_id="someone", child_workflow_only=True)),
            "other namespace": cancel_external(CancelExternal(workflow_id="someone", namespace="temporal-system")),
        }
    )


@scenario
async def terminate_workflow(w: Wire) -> None:
    """Reason and details are in the last event; a second time there is nothing to terminate."""
    await w.start()
    request = w.terminate_request(Terminate(details=payloads("because")))
    await w.call(w.rpc.TerminateWorkflowExecution, request)
    await w.attempt(w.rpc.TerminateWorkflowExecution, request, note="again")
    await w.describe()


@scenario
async def terminate_while_a_task_runs(w: Wire) -> None:
    """The running task fails first; events that waited for it are written before the end."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.terminate()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))


@scenario
async def terminate_where_nobody_is(w: Wire) -> None:
    """Unknown workflows and runs; a run id that belongs to another chain."""
    await w.attempt(w.rpc.TerminateWorkflowExecution, w.terminate_request(), note="unknown workflow")
    run_id = await w.start()
    request = w.terminate_request(Terminate(workflow_execution=w.execution(run_id=UNKNOWN_RUN)))
    await w.attempt(w.rpc.TerminateWorkflowExecution, request, note="unknown run")
    request = w.terminate_request(Terminate(first_execution_run_id=UNKNOWN_RUN))
    await w.attempt(w.rpc.TerminateWorkflowExecution, request, note="other chain")
    request = w.terminate_request(Terminate(first_execution_run_id=run_id))
    await w.call(w.rpc.TerminateWorkflowExecution, request, note="this chain")


@scenario
async def terminate_run_before_its_first_task_is_due(w: Wire) -> None:
    """A workflow that waits for its start delay ends without a task."""
    request = api.StartWorkflowExecutionRequest()
    request.workflow_start_delay.FromSeconds(60)
    await w.start(request)
    await w.terminate()
    await w.no_workflow_task()
