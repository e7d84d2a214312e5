"""Queries: direct, with a workflow task, failed, rejected."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Header
from temporalio.api.enums.v1 import QueryRejectCondition, QueryResultType
from temporalio.api.query.v1 import WorkflowQuery, WorkflowQueryResult

from tests.conformance.commands import complete_workflow, failure, oversize, payload, payloads
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

ANSWERED = QueryResultType.QUERY_RESULT_TYPE_ANSWERED
FAILED = QueryResultType.QUERY_RESULT_TYPE_FAILED


def query(w: Wire, reject: str = "UNSPECIFIED", workflow_id: str = "", run_id: str = "") -> api.QueryWorkflowRequest:
    """A query `state` with input."""
    return api.QueryWorkflowRequest(
        namespace=w.namespace,
        execution=w.execution(workflow_id, run_id),
        query=WorkflowQuery(
            query_type="state", query_args=payloads("in"), header=Header(fields={"trace": payload("on")})
        ),
        query_reject_condition=QueryRejectCondition.Value(
            "QUERY_REJECT_CONDITION_UNSPECIFIED" if reject == "UNSPECIFIED" else f"QUERY_REJECT_CONDITION_{reject}"
        ),
    )


def ask(w: Wire, request: api.QueryWorkflowRequest | None = None) -> asyncio.Task[api.QueryWorkflowResponse | None]:
    """A query on its way, while the scenario plays the worker."""
    return asyncio.create_task(w.attempt(w.rpc.QueryWorkflow, request or query(w)))


def answer(
    w: Wire, task: api.PollWorkflowTaskQueueResponse, change: api.RespondQueryTaskCompletedRequest | None = None
) -> api.RespondQueryTaskCompletedRequest:
    """The answer `out` to a query task, with the fields of `change` laid over it."""
    request = api.RespondQueryTaskCompletedRequest(
        namespace=w.namespace, task_token=task.task_token, completed_type=ANSWERED, query_result=payloads("out")
    )
    if change is not None:
        request.MergeFrom(change)
    return request


@scenario
async def query_idle_workflow(w: Wire) -> None:
    """A workflow that waits is asked by a task of its own, which leaves no event."""
    await w.start()
    await w.turn()
    asked = ask(w)
    await w.call(w.rpc.RespondQueryTaskCompleted, answer(w, await w.workflow_task()))
    await asked


@scenario
async def query_closed_workflow(w: Wire) -> None:
    """A closed workflow still answers."""
    await w.start()
    await w.turn(complete_workflow())
    asked = ask(w)
    await w.call(w.rpc.RespondQueryTaskCompleted, answer(w, await w.workflow_task()))
    await asked


@scenario
async def query_fails(w: Wire) -> None:
    """The worker's failure reaches the caller."""
    await w.start()
    await w.turn()
    asked = ask(w)
    task = await w.workflow_task()
    request = api.RespondQueryTaskCompletedRequest(
        namespace=w.namespace,
        task_token=task.task_token,
        completed_type=FAILED,
        error_message="no such query",
        failure=failure("no such query"),
    )
    await w.call(w.rpc.RespondQueryTaskCompleted, request)
    await asked


@scenario
async def query_rejected(w: Wire) -> None:
    """The caller may not want to hear from a closed, or an unhappily closed, workflow."""
    for index, close in enumerate((complete_workflow(), None)):
        other = w.other(str(index))
        await other.start()
        if close:
            await other.turn(close)
        else:
            await other.terminate()
        await w.attempt(w.rpc.QueryWorkflow, query(w, "NOT_OPEN", other.name), note=f"not open, {index}")
    unclean = query(w, "NOT_COMPLETED_CLEANLY", w.id("1"))
    await w.attempt(w.rpc.QueryWorkflow, unclean, note="not completed cleanly")


@scenario
async def query_with_a_task(w: Wire) -> None:
    """A query while a workflow task waits comes with it and is answered with it."""
    await w.start()
    await w.turn()
    await w.signal()
    asked = ask(w)
    await w.let_time_pass(1)  # nothing tells that a query has arrived
    task = await w.workflow_task()
    results = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads("out")) for key in task.queries}
    await w.complete(task, change=api.RespondWorkflowTaskCompletedRequest(query_results=results))
    await asked


@scenario
async def query_with_a_task_fails(w: Wire) -> None:
    """A failed answer with a workflow task."""
    await w.start()
    await w.turn()
    await w.signal()
    asked = ask(w)
    await w.let_time_pass(1)  # nothing tells that a query has arrived
    task = await w.workflow_task()
    results = {
        key: WorkflowQueryResult(result_type=FAILED, error_message="no", failure=failure("no")) for key in task.queries
    }
    await w.complete(task, change=api.RespondWorkflowTaskCompletedRequest(query_results=results))
    await asked


@scenario
async def query_before_the_first_task(w: Wire) -> None:
    """A query waits for a workflow's first task to complete, then gets a task of its own."""
    await w.start()
    asked = ask(w)
    await w.let_time_pass(1)
    await w.turn()
    await w.call(w.rpc.RespondQueryTaskCompleted, answer(w, await w.workflow_task()))
    await asked


@scenario
async def query_where_nobody_is(w: Wire) -> None:
    """Unknown workflows and runs."""
    await w.attempt(w.rpc.QueryWorkflow, query(w), note="unknown workflow")
    await w.start()
    unknown = query(w, run_id="11111111-1111-1111-1111-111111111111")
    await w.attempt(w.rpc.QueryWorkflow, unknown, note="unknown run")


@scenario
async def query_failing_workflow(w: Wire) -> None:
    """A workflow whose task keeps failing cannot be asked."""
    await w.start(api.StartWorkflowExecutionRequest())
    for _ in range(3):
        await w.fail_workflow_task(await w.workflow_task())
    await w.attempt(w.rpc.QueryWorkflow, query(w))


@scenario
async def query_answer_oversize(w: Wire) -> None:
    """An answer over the limit is a failure to the caller."""
    await w.start()
    await w.turn()
    asked = ask(w)
    task = await w.workflow_task()
    request = answer(w, task)
    request.query_result.CopyFrom(oversize())
    await w.attempt(w.rpc.RespondQueryTaskCompleted, request)
    await asked


@scenario
async def query_answered_twice(w: Wire) -> None:
    """The second answer finds nobody who waits."""
    await w.start()
    await w.turn()
    asked = ask(w)
    task = await w.workflow_task()
    await w.call(w.rpc.RespondQueryTaskCompleted, answer(w, task))
    await asked
    await w.attempt(w.rpc.RespondQueryTaskCompleted, answer(w, task), note="again")


def delayed() -> api.StartWorkflowExecutionRequest:
    """A start whose first task is far away."""
    return api.StartWorkflowExecutionRequest(workflow_start_delay=Duration(seconds=60))


@scenario
async def query_before_there_is_a_task(w: Wire) -> None:
    """A workflow whose first task is not scheduled yet has nobody who could answer."""
    await w.start(delayed())
    await w.attempt(w.rpc.QueryWorkflow, query(w))


@scenario
async def query_closed_before_there_was_a_task(w: Wire) -> None:
    """Nobody ever knew anything of it."""
    await w.start(delayed())
    await w.terminate()
    await w.attempt(w.rpc.QueryWorkflow, query(w))


@scenario
async def query_closed_with_its_first_task_in_hand(w: Wire) -> None:
    """A worker has it, but never completed anything."""
    await w.start()
    await w.workflow_task()
    await w.terminate()
    await w.attempt(w.rpc.QueryWorkflow, query(w))


@scenario
async def query_closed_with_its_first_task_waiting(w: Wire) -> None:
    await w.start()
    await w.terminate()
    await w.attempt(w.rpc.QueryWorkflow, query(w))
