"""Children whose ends come from elsewhere, or meet what they are doing, and chains that meet new starts."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import EventType, ParentClosePolicy, WorkflowIdConflictPolicy, WorkflowIdReusePolicy

from tests.conformance.commands import (
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    failure,
    payloads,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.children import start_with_child
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
CANCEL = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED


@scenario
async def child_at_work_is_ended_with_its_parent(w: Wire) -> None:
    """The task of a child that is terminated with its parent fails; what waited is written."""
    child = await start_with_child(w)
    task = await child.workflow_task()
    await child.signal()
    await w.terminate()
    await child.closed()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, child.completion(task, complete_workflow()))


@scenario
async def child_at_work_is_asked_to_stop_with_its_parent(w: Wire) -> None:
    """The request waits for the child's task, and refuses its completion."""
    child = await start_with_child(w, StartChild(parent_close_policy=CANCEL))
    task = await child.workflow_task()
    await w.terminate()
    await w.let_time_pass(1)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, child.completion(task, complete_workflow()))
    await child.turn(cancel_workflow())


@scenario
async def child_replaced_by_a_client(w: Wire) -> None:
    """A start that terminates the child: the parent hears of a termination."""
    child = await start_with_child(w)
    await child.turn()
    policy = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    await child.start(Start(workflow_id_conflict_policy=policy))
    await w.turn(complete_workflow())
    await child.turn(complete_workflow())


@scenario
async def child_replaced_by_another_child(w: Wire) -> None:
    """A second parent takes over the child's id; the first one hears of a termination."""
    child = await start_with_child(w)
    await child.turn()
    other = w.other("other")
    await other.start()
    terminate = StartChild(workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING)
    await other.turn(start_child(child.name, child.queue, terminate))
    await w.turn(complete_workflow())
    await other.turn()
    await child.turn(complete_workflow())
    await other.turn(complete_workflow())


@scenario
async def child_deleted(w: Wire) -> None:
    """A child that is deleted while it runs: the parent hears of a termination."""
    child = await start_with_child(w)
    await child.turn()
    request = api.DeleteWorkflowExecutionRequest(namespace=w.namespace, workflow_execution=w.execution(child.name))
    await w.call(w.rpc.DeleteWorkflowExecution, request)
    await w.turn(complete_workflow())


@scenario
async def child_of_a_deleted_parent(w: Wire) -> None:
    """A parent that is deleted while it runs takes its child with it."""
    child = await start_with_child(w)
    await child.turn()
    request = api.DeleteWorkflowExecutionRequest(namespace=w.namespace, workflow_execution=w.execution())
    await w.call(w.rpc.DeleteWorkflowExecution, request)
    await child.closed()


@scenario
async def child_second_run_ends_with_its_parent(w: Wire) -> None:
    """The policy reaches the run that the child is in by now."""
    child = await start_with_child(w)
    await child.turn(continue_in_a_second())
    await child.turn()
    await w.signal()
    await w.turn(complete_workflow())
    await child.closed()


@scenario
async def child_waiting_to_be_retried_ends_with_its_parent(w: Wire) -> None:
    """A child between two attempts is terminated, or asked to stop."""
    retry = RetryPolicy(initial_interval=seconds(60))
    for policy in (ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE, CANCEL):
        other = w.other(str(policy))
        child = await start_with_child(other, StartChild(retry_policy=retry, parent_close_policy=policy))
        await child.turn(fail_workflow())
        await other.terminate()
        if policy == CANCEL:
            await child.event(CANCEL_REQUESTED)
        else:
            await child.closed()


@scenario
async def child_that_ended_is_left_alone(w: Wire) -> None:
    """A stranger that took the child's id after its end is not ended with the parent."""
    child = await start_with_child(w)
    await child.turn(complete_workflow())
    await w.turn()
    await child.start()
    await w.terminate()
    await w.let_time_pass(1)
    await child.turn(complete_workflow())


@scenario
async def child_cancelled_twice_by_its_parent(w: Wire) -> None:
    """Two commands, one request; the parent hears of both."""
    child = await start_with_child(w)
    await child.turn()
    await w.signal()
    for reason in ("one", "two"):
        attributes = CancelExternal(workflow_id=child.name, child_workflow_only=True, reason=reason)
        await w.turn(cancel_external(attributes))
    await w.turn()
    await child.turn(cancel_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_signals_its_parent(w: Wire) -> None:
    """From child to parent, and an answer back; the child's end comes after."""
    child = await start_with_child(w)
    up = SignalExternal(execution=w.execution(), signal_name="up", input=payloads("x"))
    await child.turn(signal_external(up))
    await w.turn(signal_external(SignalExternal(execution=w.execution(child.name), signal_name="down")))
    await child.event(SIGNALED)
    await child.turn()
    await w.turn()


@scenario
async def child_failure_is_truncated_nowhere(w: Wire) -> None:
    """A long failure with causes and details reaches the parent whole."""
    why = failure("x" * 1500, "Long")
    why.application_failure_info.details.CopyFrom(payloads("y" * 1500))
    inner = why.cause
    for depth in range(3):
        inner.CopyFrom(failure(f"cause {depth}"))
        inner = inner.cause
    child = await start_with_child(w)
    await child.turn(fail_workflow(why))
    await w.turn(complete_workflow())


@scenario
async def chain_and_new_starts(w: Wire) -> None:
    """A chain that waits counts as running; the status of its last run is what reuse policies look at."""
    await w.start()
    await w.turn(continue_in_a_second())
    again = Start(request_id="again")
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(again), note="waiting")
    await w.turn(complete_workflow())
    failed_only = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
    again.workflow_id_reuse_policy = failed_only
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(again), note="completed")
    again = Start(
        request_id="once more",
        workflow_id_reuse_policy=WorkflowIdReusePolicy.Value("WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"),
    )
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(again), note="rejected")


@scenario
async def chain_replaced_while_it_waits(w: Wire) -> None:
    """A new start terminates a cron workflow that waits for its slot, and one that waits to be retried."""
    terminate = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    cron, retried = w.other("cron"), w.other("retried")
    await cron.start(Start(cron_schedule="0 0 1 1 *"))
    await cron.start(Start(workflow_id_conflict_policy=terminate, request_id="again"))
    await cron.turn(complete_workflow())
    await retried.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await retried.turn(fail_workflow())
    await retried.start(Start(workflow_id_conflict_policy=terminate, request_id="again"))
    await retried.turn(complete_workflow())


@scenario
async def chain_over_a_signal(w: Wire) -> None:
    """A run with a retry policy or a schedule cannot fail over a signal it has not seen; its next attempt sees none."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(1))))
    task = await w.workflow_task()
    await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, fail_workflow()))
    await w.turn(fail_workflow())
    await w.turn(complete_workflow())


@scenario
async def chain_worker_answers_the_old_run(w: Wire) -> None:
    """Heartbeats and answers of activities of a run that was followed find nothing."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(1))))
    await w.turn(schedule_activity("a", w.queue), start_timer("t", 60))
    activity = await w.activity_task()
    await w.signal()
    await w.turn(cancel_timer("t"), fail_workflow())
    by_token = api.RespondActivityTaskCompletedRequest(namespace=w.namespace, task_token=activity.task_token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, by_token, note="by token")
    by_id = api.RespondActivityTaskCompletedByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, by_id, note="by id")
    await w.turn(complete_workflow())


@scenario
async def chain_terminated_by_its_first_run(w: Wire) -> None:
    """Requests that name the first run end the run that the chain is in; details and identity are told."""
    first = await w.start(Start(cron_schedule="@every 1s"))
    await w.turn(complete_workflow())
    request = w.terminate_request(
        api.TerminateWorkflowExecutionRequest(first_execution_run_id=first, details=payloads("one", "two"))
    )
    request.reason = request.identity = ""
    await w.call(w.rpc.TerminateWorkflowExecution, request)
    await w.attempt(w.rpc.TerminateWorkflowExecution, request, note="again")
    await w.attempt(
        w.rpc.RequestCancelWorkflowExecution,
        w.cancel_request(api.RequestCancelWorkflowExecutionRequest(first_execution_run_id=first)),
        note="closed",
    )
    await w.describe()


@scenario
async def child_runs_twice_at_once_never(w: Wire) -> None:
    """The end of a child and the start of the next one of its id, in each order of reuse policies."""
    child = await start_with_child(w)
    await child.turn(fail_workflow())
    failed_only = StartChild(
        workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
    )
    await w.turn(start_child(child.name, child.queue, failed_only))
    await w.turn()
    await child.turn(complete_workflow())
    await w.turn(start_child(child.name, child.queue, failed_only))
    await w.turn(complete_workflow())
