"""Queries in their corners: with tasks that are lost, of runs that are over, with odd answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import grpc
import temporalio.api.workflowservice.v1 as api
from grpc import StatusCode
from temporalio.api.query.v1 import WorkflowQueryResult

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    failure,
    oversize,
    payloads,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.queries import ANSWERED, FAILED, answer, ask, query
from tests.conformance.scenarios.updates import admitted, idle_workflow, reject, update
from tests.conformance.scenarios.updates import ask as ask_update
from tests.conformance.scenarios.workflow_task import Completed, Start, start_and_stick, stick, sticky_task
from tests.conformance.transcript import Refusal
from tests.conformance.wire import CALL_LIMIT_S, Stopped, Wire

Task = api.PollWorkflowTaskQueueResponse
Answered = api.RespondQueryTaskCompletedRequest
Asked = asyncio.Task[None]


async def asked_of(w: Wire) -> Asked:
    """A query that waits for a workflow task. Of two that are alike one is refused: then the other is in."""
    entry = w.transcript.enter("QueryWorkflow")
    pair = {asyncio.create_task(_ask_quietly(w)) for _ in range(2)}
    done, waiting = await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
    if not isinstance(refusal := done.pop().result(), Refusal) or refusal.code != StatusCode.RESOURCE_EXHAUSTED:
        raise Stopped(f"no second query was expected to wait: {refusal}")

    async def told() -> None:
        w.transcript.settle(entry, await waiting.pop())

    return asyncio.create_task(told())


async def _ask_quietly(w: Wire) -> api.QueryWorkflowResponse | Refusal:
    """A query that is no part of the story yet."""
    send = cast(Callable[..., Awaitable[api.QueryWorkflowResponse]], w.rpc.QueryWorkflow)
    try:
        return await send(query(w), timeout=CALL_LIMIT_S)
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)


async def answered(w: Wire, task: Task | None = None) -> None:
    """Answer the query task of an idle workflow."""
    await w.call(w.rpc.RespondQueryTaskCompleted, answer(w, task or await w.workflow_task()))


def results(task: Task) -> Completed:
    """The answer `out` to every query that came with a task."""
    return Completed(
        query_results={
            key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads("out")) for key in sorted(task.queries)
        }
    )


@scenario
async def query_while_a_task_is_in_hand(w: Wire) -> None:
    """It waits for the task to end, then is asked by a task of its own."""
    await w.start()
    await w.turn()
    await w.signal()
    task = await w.workflow_task()
    asked = await asked_of(w)
    await w.complete(task)
    await answered(w)
    await asked


@scenario
async def query_while_a_task_with_news_is_in_hand(w: Wire) -> None:
    """A task follows: it travels with that one."""
    await w.start()
    await w.turn()
    await w.signal()
    task = await w.workflow_task()
    asked = await asked_of(w)
    await w.signal()
    await w.complete(task)
    task = await w.workflow_task()
    await w.complete(task, change=results(task))
    await asked


@scenario
async def query_while_a_task_is_in_hand_that_closes(w: Wire) -> None:
    """The closed workflow is asked."""
    await w.start()
    await w.turn()
    await w.signal()
    task = await w.workflow_task()
    asked = await asked_of(w)
    await w.complete(task, complete_workflow())
    await answered(w)
    await asked


@scenario
async def query_answered_with_the_close(w: Wire) -> None:
    """A task may answer and close."""
    await w.start()
    await w.turn()
    await w.signal()
    asked = await asked_of(w)
    task = await w.workflow_task()
    await w.complete(task, complete_workflow(), change=results(task))
    await asked


@scenario
async def query_not_answered_with_its_task(w: Wire) -> None:
    """A worker that says nothing of a query."""
    await w.start()
    await w.turn()
    await w.signal()
    asked = await asked_of(w)
    await w.turn()
    await answered(w)
    await asked


@scenario
async def query_with_a_task_that_fails(w: Wire) -> None:
    """It comes with the next attempt."""
    await w.start()
    await w.turn()
    await w.signal()
    asked = await asked_of(w)
    await w.fail_workflow_task(await w.workflow_task())
    task = await w.workflow_task()
    await w.complete(task, change=results(task))
    await asked


@scenario
async def query_with_a_task_that_times_out(w: Wire) -> None:
    """The same after a time-out."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.turn()
    await w.signal()
    asked = await asked_of(w)
    await w.workflow_task()
    task = await w.workflow_task()
    await w.complete(task, change=results(task))
    await asked


@scenario
async def query_when_its_workflow_continues(w: Wire) -> None:
    """The run that it was asked of answers, though another has followed."""
    await w.start()
    await w.turn()
    await w.signal()
    task = await w.workflow_task()
    asked = await asked_of(w)
    await w.complete(task, continue_in_a_second())
    await answered(w)
    await asked
    await w.turn(complete_workflow())


@scenario
async def query_of_the_run_before(w: Wire) -> None:
    """A run is asked by its id; the workflow's latest run without one."""
    run_id = await w.start()
    await w.turn(continue_in_a_second())
    await w.turn(complete_workflow())
    asked = ask(w, query(w, run_id=run_id))
    await answered(w)
    await asked
    asked = ask(w)
    await answered(w)
    await asked
    await w.attempt(w.rpc.QueryWorkflow, query(w, "NOT_OPEN", run_id=run_id), note="not open")
    await w.attempt(w.rpc.QueryWorkflow, query(w, "NOT_COMPLETED_CLEANLY", run_id=run_id), note="not clean")


@scenario
async def query_rejected_by_status(w: Wire) -> None:
    """Each way to close, and the open workflow."""
    closes = {"cancelled": cancel_workflow(), "failed": fail_workflow(), "completed": complete_workflow(), "open": None}
    for name, close in closes.items():
        other = w.other(name)
        await other.start()
        await other.turn(*([close] if close else []))
        for condition in ("NOT_OPEN", "NOT_COMPLETED_CLEANLY", "NONE"):
            asked = ask(w, query(w, condition, other.id()))
            if name == "open" or condition == "NONE" or (name, condition) == ("completed", "NOT_COMPLETED_CLEANLY"):
                await answered(other)
            await asked


@scenario
async def query_nobody_answers(w: Wire) -> None:
    """Nobody polls; somebody polls and says nothing; a caller with little patience."""
    await w.start()
    await w.turn()
    await w.attempt(w.rpc.QueryWorkflow, query(w), note="nobody polls", limit_s=2)
    await w.signal()
    await w.attempt(w.rpc.QueryWorkflow, query(w), note="with a task nobody takes", limit_s=2)
    task = await w.workflow_task()
    await w.attempt(w.rpc.QueryWorkflow, query(w), note="with a task in hand", limit_s=2)
    await w.complete(task, complete_workflow())


@scenario
async def query_task_nobody_answers(w: Wire) -> None:
    """A worker that takes the task of a query and keeps it."""
    await w.start()
    await w.turn()
    asked = asyncio.create_task(w.attempt(w.rpc.QueryWorkflow, query(w), limit_s=2))
    await w.workflow_task()
    await asked


@scenario
async def query_results_that_are_odd(w: Wire) -> None:
    """Results without content, and with too much of it."""
    types = {
        "no answer": WorkflowQueryResult(result_type=ANSWERED),
        "answer with an error": WorkflowQueryResult(
            result_type=ANSWERED, answer=payloads("out"), error_message="no", failure=failure("no")
        ),
        "no error": WorkflowQueryResult(result_type=FAILED),
        "error with an answer": WorkflowQueryResult(result_type=FAILED, answer=payloads("out"), error_message="no"),
        "only an error": WorkflowQueryResult(result_type=FAILED, error_message="no"),
        "failure": WorkflowQueryResult(result_type=FAILED, failure=failure("no")),
        "too large": WorkflowQueryResult(result_type=ANSWERED, answer=oversize()),
    }
    others = {note: w.other(str(index)) for index, note in enumerate(types)}
    asked = []
    for other in others.values():
        await other.start()
        await other.turn()
        await other.signal()
        asked.append(await asked_of(other))
    for note, other in others.items():
        task = await other.workflow_task()
        change = Completed(query_results=dict.fromkeys(task.queries, types[note]))
        await w.attempt(w.rpc.RespondWorkflowTaskCompleted, other.completion(task, change=change), note=note)
    await asyncio.gather(*asked)


@scenario
async def query_results_nobody_asked_for(w: Wire) -> None:
    """A result of a query that is not known is nothing."""
    await w.start()
    task = await w.workflow_task()
    result = WorkflowQueryResult(result_type=ANSWERED, answer=payloads("out"))
    await w.complete(task, change=Completed(query_results={"unknown": result}))


@scenario
async def query_task_answers_that_are_odd(w: Wire) -> None:
    """Answers without content, and with an answer and an error."""
    changes = {
        "no answer": Answered(completed_type=ANSWERED),
        "answer with an error": Answered(completed_type=ANSWERED, query_result=payloads("out"), error_message="no"),
        "no error": Answered(completed_type=FAILED),
        "error with an answer": Answered(completed_type=FAILED, query_result=payloads("out"), error_message="no"),
        "failure": Answered(completed_type=FAILED, failure=failure("no")),
    }
    for index, (note, change) in enumerate(changes.items()):
        other = w.other(str(index))
        await other.start()
        await other.turn()
        asked = asyncio.create_task(w.attempt(w.rpc.QueryWorkflow, query(other), note=note, limit_s=5))
        change.namespace = w.namespace
        change.task_token = (await other.workflow_task()).task_token
        await w.attempt(w.rpc.RespondQueryTaskCompleted, change, note=note)
        await asked


@scenario
async def query_task_answered_elsewhere(w: Wire) -> None:
    """The token of a query task in other calls, in another namespace, and that of a workflow task."""
    await w.start()
    await w.turn()
    asked = ask(w)
    task = await w.workflow_task()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task), note="as a workflow task")
    failed = api.RespondWorkflowTaskFailedRequest(namespace=w.namespace, task_token=task.task_token)
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, failed, note="as a failed workflow task")
    elsewhere = answer(w, task)
    elsewhere.namespace = "temporal-system"
    await w.attempt(w.rpc.RespondQueryTaskCompleted, elsewhere, note="in another namespace")
    await answered(w, task)
    await asked
    await w.signal()
    task = await w.workflow_task()
    await w.attempt(w.rpc.RespondQueryTaskCompleted, answer(w, task), note="of a workflow task")
    await w.complete(task, complete_workflow())


@scenario
async def query_while_the_sticky_queue_is_gone(w: Wire) -> None:
    """A sticky worker that shut down is not asked."""
    await start_and_stick(w)
    await w.signal()
    await w.complete(await sticky_task(w), change=stick(w))
    request = api.ShutdownWorkerRequest(
        namespace=w.namespace, sticky_task_queue=w.id("sticky"), identity="worker", reason="done"
    )
    await w.call(w.rpc.ShutdownWorker, request)
    asked = ask(w)
    await answered(w)
    await asked
    await w.describe()


@scenario
async def query_with_a_sticky_task(w: Wire) -> None:
    """A query travels with the task on the sticky queue."""
    await start_and_stick(w)
    await w.signal()
    asked = await asked_of(w)
    task = await sticky_task(w)
    change = results(task)
    change.MergeFrom(stick(w))
    await w.complete(task, change=change)
    await asked


@scenario
async def query_of_a_closed_sticky_workflow(w: Wire) -> None:
    """A workflow that closed on its sticky queue."""
    await start_and_stick(w)
    await w.signal()
    await w.complete(await sticky_task(w), complete_workflow(), change=stick(w))
    asked = ask(w)
    await answered(w)
    await asked


@scenario
async def query_of_a_terminated_sticky_workflow(w: Wire) -> None:
    """One that was terminated has events which the sticky worker has not seen."""
    await start_and_stick(w)
    await w.terminate()
    asked = ask(w)
    await answered(w)
    await asked


@scenario
async def query_on_a_second_attempt(w: Wire) -> None:
    """A workflow whose task failed once is asked with the next attempt; after three it is not asked."""
    await w.start()
    await w.turn()
    await w.signal()
    await w.fail_workflow_task(await w.workflow_task())
    asked = await asked_of(w)
    task = await w.workflow_task()
    await w.complete(task, change=results(task))
    await asked


@scenario
async def query_that_waits_while_attempts_fail(w: Wire) -> None:
    """A query that came in time waits through attempts that fail; one that comes late is refused."""
    await w.start()
    await w.turn()
    await w.signal()
    asked = await asked_of(w)
    for _ in range(3):
        await w.fail_workflow_task(await w.workflow_task())
    await w.attempt(w.rpc.QueryWorkflow, query(w), note="late")
    task = await w.workflow_task()
    await w.complete(task, change=results(task))
    await asked


@scenario
async def query_with_the_task_of_an_update(w: Wire) -> None:
    """An update waits for a worker; the query travels with it, though the task is dropped."""
    await idle_workflow(w)
    updated = ask_update(w, update(w))
    await admitted(w)
    asked = await asked_of(w)
    task = await w.workflow_task()
    change = results(task)
    change.messages.append(reject(task))
    await w.complete(task, change=change)
    if not task.queries:
        await answered(w)
    await asked
    await updated


@scenario
async def query_with_the_reply(w: Wire) -> None:
    """A query that waits comes with the task in the reply."""
    await w.start()
    task = await w.workflow_task()
    await w.complete(task)
    await w.signal()
    task = await w.workflow_task()
    asked = await asked_of(w)
    await w.signal()
    reply = await w.complete(task, change=Completed(return_new_workflow_task=True))
    await w.complete(reply.workflow_task, change=results(reply.workflow_task))
    await asked


@scenario
async def query_of_several_at_once(w: Wire) -> None:
    """Queries of an idle workflow are tasks of their own."""
    await w.start()
    await w.turn()
    first, second = ask(w), ask(w)
    await answered(w)
    await answered(w)
    await asyncio.gather(first, second)


@scenario
async def query_too_large(w: Wire) -> None:
    """The arguments are over the limit of a blob."""
    await w.start()
    await w.turn()
    request = query(w)
    request.query.query_args.CopyFrom(oversize())
    await w.attempt(w.rpc.QueryWorkflow, request)
