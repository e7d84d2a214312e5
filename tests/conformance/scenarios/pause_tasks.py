"""Workflow tasks, updates and queries of paused workflows."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import (
    QueryRejectCondition,
    QueryResultType,
    TaskQueueKind,
    WorkflowIdConflictPolicy,
)
from temporalio.api.query.v1 import WorkflowQuery, WorkflowQueryResult
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue
from temporalio.api.update.v1 import UpdateRef

from tests.conformance.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    payloads,
    schedule_activity,
    seconds,
    start_timer,
)
from tests.conformance.pausing import (
    pause,
    pause_attempt,
    unpause,
    unpause_attempt,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.updates import accept, admitted, ask, respond, say, update
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING


@scenario
async def pause_before_first_task(w: Wire) -> None:
    """A workflow task that was scheduled before is not given out until the run goes on."""
    await w.start()
    await pause(w)
    await w.describe()
    await w.no_workflow_task()
    await unpause(w)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def pause_with_task_started(w: Wire) -> None:
    """The answer to a workflow task that a worker has already is taken."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    await w.describe()
    await w.complete(task, start_timer("t", 1), schedule_activity("a", w.queue))
    await w.describe()
    await w.no_activity_task()
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def pause_with_task_started_that_completes_run(w: Wire) -> None:
    """A paused run can complete."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.describe()
    await unpause_attempt(w, "after the task's answer")
    await w.turn(complete_workflow())


@scenario
async def pause_with_task_started_that_continues(w: Wire) -> None:
    """The next run is not paused."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, continue_as_new()))
    await unpause_attempt(w, "?")


@scenario
async def pause_with_task_started_that_fails_run(w: Wire) -> None:
    """The retry is not paused."""
    await w.start(Start(retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=seconds(0.1))))
    task = await w.workflow_task()
    await pause(w)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, fail_workflow()))
    await unpause_attempt(w, "?")


@scenario
async def pause_with_task_started_that_fails(w: Wire) -> None:
    """A failed workflow task is not tried again while the run is paused."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    await w.fail_workflow_task(task)
    await w.describe()
    await unpause(w)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def pause_with_task_started_that_times_out(w: Wire) -> None:
    """A workflow task's time runs on."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.workflow_task()
    await pause(w)
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.describe()
    await w.terminate()


@scenario
async def pause_asks_for_next_task(w: Wire) -> None:
    """A worker that asks for the next workflow task at once gets none; one that insists is refused."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    change = api.RespondWorkflowTaskCompletedRequest(force_create_new_workflow_task=True)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, change=change))
    await w.describe()
    change = api.RespondWorkflowTaskCompletedRequest(return_new_workflow_task=True)
    await w.signal()
    await w.complete(task, change=change)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_second_attempt(w: Wire) -> None:
    """A second attempt of a workflow task that waits is taken back."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    await pause(w)
    await w.describe()
    await unpause(w)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def pause_sticky(w: Wire) -> None:
    """A workflow task that waits on a sticky queue is taken back; afterwards it comes on the normal one."""
    await w.start()
    sticky = api.RespondWorkflowTaskCompletedRequest(
        sticky_attributes=StickyExecutionAttributes(
            worker_task_queue=TaskQueue(name=w.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY),
            schedule_to_start_timeout=seconds(10),
        )
    )
    await w.complete(await w.workflow_task(), change=sticky)
    await w.signal()
    await pause(w)
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_ended_with_task_started(w: Wire) -> None:
    """Both ends of a pause while a worker has a workflow task."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    await pause_attempt(w, "again")
    await unpause(w)
    await unpause_attempt(w, "again")
    await w.describe()
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def pause_refuses_updates(w: Wire) -> None:
    """A paused run takes no updates."""
    await w.start()
    await w.turn()
    await pause(w)
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w))
    await unpause(w)


@scenario
async def pause_waiting_update(w: Wire) -> None:
    """An update that waits for a worker when the run is paused comes to one afterwards."""
    await w.start()
    await w.turn()
    waits = asyncio.ensure_future(w.unrecorded(w.rpc.UpdateWorkflowExecution, update(w)))
    await admitted(w)
    await pause(w)
    await w.describe()
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w), note="the same again")
    await unpause(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await waits


@scenario
async def pause_known_update(w: Wire) -> None:
    """An update that is completed can be asked for while the run is paused."""
    await w.start()
    await w.turn()
    waits = asyncio.ensure_future(w.unrecorded(w.rpc.UpdateWorkflowExecution, update(w)))
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await waits
    await pause(w)
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w), note="the same again")
    request = api.PollWorkflowExecutionUpdateRequest(
        namespace=w.namespace,
        update_ref=UpdateRef(workflow_execution=w.execution(), update_id="u"),
        wait_policy=update(w).wait_policy,
    )
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, request)


@scenario
async def pause_with_update_at_worker(w: Wire) -> None:
    """A worker that has the update when the run is paused may answer it."""
    await w.start()
    await w.turn()
    waits = ask(w, update(w))
    task = await w.workflow_task()
    await pause(w)
    await say(w, task, accept(task), respond())
    await waits
    await unpause(w)


@scenario
async def pause_update_with_start(w: Wire) -> None:
    """An update-with-start that finds the run paused."""
    await w.start()
    await w.turn()
    await pause(w)
    start = w.start_request(Start(request_id="again", workflow_id_conflict_policy=USE_EXISTING))
    operations = [
        api.ExecuteMultiOperationRequest.Operation(start_workflow=start),
        api.ExecuteMultiOperationRequest.Operation(update_workflow=update(w)),
    ]
    await w.attempt(
        w.rpc.ExecuteMultiOperation, api.ExecuteMultiOperationRequest(namespace=w.namespace, operations=operations)
    )


@scenario
async def pause_queries(w: Wire) -> None:
    """A paused run rejects queries with its status."""
    await w.start()
    await w.turn()
    await pause(w)
    for condition in QueryRejectCondition.values():
        await w.attempt(
            w.rpc.QueryWorkflow,
            api.QueryWorkflowRequest(
                namespace=w.namespace,
                execution=w.execution(),
                query=WorkflowQuery(query_type="q"),
                query_reject_condition=condition,
            ),
            note=QueryRejectCondition.Name(condition),
            limit_s=3,
        )
    await unpause(w)


@scenario
async def pause_with_query_on_its_way(w: Wire) -> None:
    """A query that travels with a workflow task is answered by it, if a worker has it already."""
    await w.start()
    await w.turn()
    await w.signal()
    query = api.QueryWorkflowRequest(
        namespace=w.namespace, execution=w.execution(), query=WorkflowQuery(query_type="q")
    )
    waits = asyncio.ensure_future(w.attempt(w.rpc.QueryWorkflow, query, limit_s=4))
    await w.let_time_pass(1)
    task = await w.workflow_task()
    await pause(w)
    answer = WorkflowQueryResult(result_type=QueryResultType.QUERY_RESULT_TYPE_ANSWERED, answer=payloads("fine"))
    answers = dict.fromkeys(task.queries, answer)
    await w.complete(task, change=api.RespondWorkflowTaskCompletedRequest(query_results=answers))
    await waits
