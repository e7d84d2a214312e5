"""Deletions: the run is terminated if it still runs, and then there is nothing of it any more."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ParentClosePolicy, WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.query.v1 import WorkflowQuery

from tests.conformance.commands import (
    complete_workflow,
    continue_in_a_second,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.resetting import reset
from tests.conformance.scenarios.children import start_with_child
from tests.conformance.scenarios.updates import admitted, ask
from tests.conformance.scenarios.visibility import has, listing
from tests.conformance.wire import CALL_LIMIT_S, Stopped, Wire

Start = api.StartWorkflowExecutionRequest
REPLACE = Start(workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING)


def delete_request(w: Wire, run_id: str = "", workflow_id: str = "") -> api.DeleteWorkflowExecutionRequest:
    """The deletion of a run of the scenario's workflow."""
    return api.DeleteWorkflowExecutionRequest(
        namespace=w.namespace, workflow_execution=w.execution(workflow_id, run_id)
    )


async def until_gone(w: Wire, run_id: str = "") -> None:
    """Wait until there is no such run."""
    request = api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution("", run_id))
    async with asyncio.timeout(CALL_LIMIT_S):
        while True:
            try:
                await w.unrecorded(w.rpc.DescribeWorkflowExecution, request)
            except Stopped:
                break
            await asyncio.sleep(0.05)


async def gone(w: Wire, run_id: str) -> None:
    """Wait until there is no such run, and tell what a description says then."""
    await until_gone(w, run_id)
    request = api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution("", run_id))
    await w.attempt(w.rpc.DescribeWorkflowExecution, request, note="gone")


async def delete(w: Wire, run_id: str, *, by_run_id: bool = False) -> None:
    """Delete the run, the current one unless said otherwise, and wait until it is gone."""
    await w.call(w.rpc.DeleteWorkflowExecution, delete_request(w, run_id if by_run_id else ""))
    await gone(w, run_id)


async def current(w: Wire, note: str) -> None:
    """Tell what the workflow id stands for by itself."""
    request = api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution())
    await w.attempt(w.rpc.DescribeWorkflowExecution, request, note=note)


@scenario
async def deletion_of_a_running_workflow(w: Wire) -> None:
    """Every call says that it is not there, and its id is free."""
    run_id = await w.start()
    listed = listing(w, f"WorkflowId = '{w.name}'")
    await w.until(w.rpc.ListWorkflowExecutions, listed, has(1))
    await delete(w, run_id)
    await current(w, "without a run id")
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request())
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.attempt(w.rpc.TerminateWorkflowExecution, w.terminate_request())
    history = api.GetWorkflowExecutionHistoryRequest(namespace=w.namespace, execution=w.execution())
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, history)
    history.execution.run_id = run_id
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, history, note="by run id")
    back = api.GetWorkflowExecutionHistoryReverseRequest(namespace=w.namespace, execution=history.execution)
    await w.attempt(w.rpc.GetWorkflowExecutionHistoryReverse, back)
    query = api.QueryWorkflowRequest(
        namespace=w.namespace, execution=w.execution(), query=WorkflowQuery(query_type="state")
    )
    await w.attempt(w.rpc.QueryWorkflow, query)
    await w.until(w.rpc.ListWorkflowExecutions, listed, has(0))
    await w.start(Start(request_id="again"))
    await w.turn(complete_workflow())


@scenario
async def deletion_of_a_closed_workflow(w: Wire) -> None:
    """A completed run is deleted; its id may be used again even by who wants no duplicates."""
    run_id = await w.start()
    await w.turn(complete_workflow())
    listed = listing(w, f"WorkflowId = '{w.name}' AND ExecutionStatus = 'Completed'")
    await w.until(w.rpc.ListWorkflowExecutions, listed, has(1))
    await delete(w, run_id)
    await w.until(w.rpc.ListWorkflowExecutions, listed, has(0))
    reject = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
    await w.start(Start(request_id="again", workflow_id_reuse_policy=reject))


@scenario
async def deletion_of_an_older_run(w: Wire) -> None:
    """The current run goes on."""
    first = await w.start()
    second = await w.start(Start(request_id="second", workflow_id_conflict_policy=REPLACE.workflow_id_conflict_policy))
    await delete(w, first, by_run_id=True)
    await current(w, "the second")
    await w.until(w.rpc.ListWorkflowExecutions, listing(w, f"WorkflowId = '{w.name}'"), has(1))
    await w.turn(complete_workflow())
    await delete(w, second, by_run_id=True)
    await current(w, "none")


@scenario
async def deletion_of_the_current_run(w: Wire) -> None:
    """No older run takes its place; they are found by their ids alone."""
    first = await w.start()
    second = await w.start(Start(request_id="second", workflow_id_conflict_policy=REPLACE.workflow_id_conflict_policy))
    await delete(w, second)
    await current(w, "none")
    await w.describe(run_id=first)
    await w.attempt(w.rpc.DeleteWorkflowExecution, delete_request(w), note="without a run id")
    await delete(w, first, by_run_id=True)
    await w.start(Start(request_id="third"))


@scenario
async def deletion_asked_again(w: Wire) -> None:
    """What is gone cannot be deleted."""
    run_id = await w.start()
    await delete(w, run_id, by_run_id=True)
    await w.attempt(w.rpc.DeleteWorkflowExecution, delete_request(w), note="without a run id")
    await w.attempt(w.rpc.DeleteWorkflowExecution, delete_request(w, run_id), note="by run id")


@scenario
async def deletion_refused(w: Wire) -> None:
    """Requests that name no run."""
    await w.start()
    delete_call = w.rpc.DeleteWorkflowExecution
    await w.attempt(delete_call, delete_request(w, workflow_id="nobody"), note="unknown workflow id")
    await w.attempt(delete_call, delete_request(w, "11111111-1111-1111-1111-111111111111"), note="unknown run id")
    await w.attempt(delete_call, delete_request(w, "tea"), note="no run id")
    bare = api.DeleteWorkflowExecutionRequest(namespace=w.namespace)
    await w.attempt(delete_call, bare, note="no execution")
    empty = api.DeleteWorkflowExecutionRequest(namespace=w.namespace, workflow_execution=WorkflowExecution())
    await w.attempt(delete_call, empty, note="no workflow id")
    nowhere = api.DeleteWorkflowExecutionRequest(namespace="nowhere", workflow_execution=w.execution())
    await w.attempt(delete_call, nowhere, note="no namespace")
    await w.attempt(delete_call, delete_request(w, workflow_id="x" * 1001), note="a long id")


@scenario
async def deletion_of_a_parent(w: Wire) -> None:
    """Its child is ended as its close policy says."""
    child = await start_with_child(w)
    run_id = (await w.describe()).workflow_execution_info.execution.run_id
    await delete(w, run_id)
    await child.closed()
    await child.describe()


@scenario
async def deletion_of_a_parent_that_abandons(w: Wire) -> None:
    """Its child goes on, and nobody hears of its end."""
    abandon = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
    child = await start_with_child(w, StartChild(parent_close_policy=abandon))
    run_id = (await w.describe()).workflow_execution_info.execution.run_id
    await delete(w, run_id)
    await child.turn(complete_workflow())


@scenario
async def deletion_of_a_parent_that_asks_to_cancel(w: Wire) -> None:
    """Its child is asked to cancel."""
    cancel = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL
    child = await start_with_child(w, StartChild(parent_close_policy=cancel))
    run_id = (await w.describe()).workflow_execution_info.execution.run_id
    await delete(w, run_id)
    await child.event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)


@scenario
async def deletion_of_a_running_child(w: Wire) -> None:
    """What its parent hears."""
    child = await start_with_child(w)
    run_id = (await child.describe()).workflow_execution_info.execution.run_id
    await delete(child, run_id)
    await w.turn(complete_workflow())


@scenario
async def deletion_of_a_closed_child(w: Wire) -> None:
    """Its parent has heard of its end already."""
    child = await start_with_child(w)
    run_id = (await child.describe()).workflow_execution_info.execution.run_id
    await child.turn(complete_workflow("out"))
    await w.turn()
    await delete(child, run_id)
    await w.signal()
    await w.turn(start_child(child.name, child.queue))
    await w.turn()
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def deletion_of_a_chain(w: Wire) -> None:
    """Runs of a chain are deleted one by one; the chain goes on without its first."""
    first = await w.start()
    await w.turn(continue_in_a_second())
    await delete(w, first, by_run_id=True)
    task = await w.workflow_task()
    await w.complete(task, continue_in_a_second())
    third = (await w.workflow_task()).workflow_execution.run_id
    await delete(w, third)
    await current(w, "none")
    await w.describe(run_id=task.workflow_execution.run_id)


@scenario
async def deletion_of_what_was_reset(w: Wire) -> None:
    """The base of a reset goes, and the run that the reset has made stays."""
    base = await w.start()
    await w.turn(start_timer("far", 100))
    fork = await reset(w, 3)
    await delete(w, base, by_run_id=True)
    await current(w, "the fork")
    await w.turn(complete_workflow())
    await delete(w, fork)
    await current(w, "none")


@scenario
async def deletion_of_a_reset_run(w: Wire) -> None:
    """The run that a reset has made goes, and its base stays, though no longer as the current one."""
    base = await w.start()
    await w.turn(complete_workflow())
    fork = await reset(w, 3)
    await delete(w, fork)
    await current(w, "none")
    await w.describe(run_id=base)


@scenario
async def deletion_while_workers_are_busy(w: Wire) -> None:
    """Workers that have tasks of a run that is gone are told so."""
    run_id = await w.start()
    commands = (schedule_activity("a", w.queue), schedule_activity("b", w.id("b")), start_timer("far", 100))
    await w.turn(*commands)
    activity = await w.activity_task()
    await w.signal()
    task = await w.workflow_task()
    await delete(w, run_id)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    failed = api.RespondWorkflowTaskFailedRequest(namespace=w.namespace, task_token=task.task_token)
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, failed)
    beat = api.RecordActivityTaskHeartbeatRequest(namespace=w.namespace, task_token=activity.task_token)
    await w.attempt(w.rpc.RecordActivityTaskHeartbeat, beat)
    done = api.RespondActivityTaskCompletedRequest(namespace=w.namespace, task_token=activity.task_token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, done)
    by_id = api.RespondActivityTaskCompletedByIdRequest(namespace=w.namespace, workflow_id=w.id(), activity_id="b")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, by_id)
    await w.no_activity_task()


@scenario
async def deletion_while_an_update_waits(w: Wire) -> None:
    """Its caller hears that there will be no answer."""
    run_id = await w.start()
    await w.turn()
    asked = ask(w)
    await admitted(w)
    await delete(w, run_id)
    await asked


@scenario
async def deletion_during_a_delay(w: Wire) -> None:
    """A run whose first workflow task waits is deleted, and never begins."""
    run_id = await w.start(Start(workflow_start_delay=seconds(1)))
    await delete(w, run_id)
    await w.no_workflow_task()


@scenario
async def deletion_before_a_signal_from_outside(w: Wire) -> None:
    """A workflow that signals one that is gone hears of it."""
    other = w.other("other")
    await delete(other, await other.start())
    await w.start()
    to = SignalExternal(execution=WorkflowExecution(workflow_id=other.name), signal_name="late")
    await w.turn(signal_external(to))
    await w.turn(complete_workflow())
