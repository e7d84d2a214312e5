"""What can be read of a workflow: descriptions and histories."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.common.v1 import Memo, Payload
from temporalio.api.enums.v1 import HistoryEventFilterType

from tests.conformance.commands import (
    complete_workflow,
    modify_properties,
    payload,
    schedule_activity,
    shade,
    start_child,
    start_timer,
    upsert_search_attributes,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import HistoryReply, HistoryRequest, Wire

CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


def history(w: Wire, change: HistoryRequest | None = None, workflow_id: str = "", run_id: str = "") -> HistoryRequest:
    """A page of a history, with the fields of `change` laid over it."""
    request = HistoryRequest(namespace=w.namespace, execution=w.execution(workflow_id, run_id))
    if change is not None:
        request.MergeFrom(change)
    return request


async def page_through(w: Wire, request: HistoryRequest) -> None:
    """Read all pages; a page may be empty only at the end."""
    for number in range(20):
        page = await w.call(w.rpc.GetWorkflowExecutionHistory, request, note=f"page {number}")
        request.next_page_token = page.next_page_token
        if not page.next_page_token:
            return


@scenario
async def describe_pending_things(w: Wire) -> None:
    """A description shows what the workflow waits for."""
    await w.start()
    await w.describe()
    task = await w.workflow_task()
    await w.describe()
    await w.complete(
        task, schedule_activity("a", w.queue), start_child(w.id("child"), w.id("child")), start_timer("t", 60)
    )
    await w.turn()
    await w.describe()
    await w.activity_task()
    await w.describe()
    await w.describe(w.id("child"))


@scenario
async def describe_where_nobody_is(w: Wire) -> None:
    """Unknown workflows and runs."""
    request = api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution())
    await w.attempt(w.rpc.DescribeWorkflowExecution, request, note="unknown workflow")
    await w.start()
    request.execution.run_id = "11111111-1111-1111-1111-111111111111"
    await w.attempt(w.rpc.DescribeWorkflowExecution, request, note="unknown run")
    request.execution.run_id = "tea"
    await w.attempt(w.rpc.DescribeWorkflowExecution, request, note="no uuid")


@scenario
async def properties_change(w: Wire) -> None:
    """Memo and search attributes change by command; an empty payload deletes."""
    await w.start(api.StartWorkflowExecutionRequest(memo=Memo(fields={"one": payload("1"), "two": payload("2")})))
    gone = Payload(metadata={"encoding": b"binary/null"})
    changed = Memo(fields={"one": gone, "three": payload("3")})
    await w.turn(modify_properties(Modify(upserted_memo=changed)), upsert_search_attributes(shade("blue")))
    await w.describe()
    await w.signal()
    await w.turn(upsert_search_attributes(shade("red")), complete_workflow())
    await w.describe()


@scenario
async def properties_bad_commands(w: Wire) -> None:
    """Changes that make no sense."""
    unknown, wrong, system = shade("x"), shade("x"), shade("x")
    unknown.indexed_fields["Unheard"].CopyFrom(payload("x"))
    wrong.indexed_fields["Weight"].CopyFrom(payload("heavy"))
    system.indexed_fields["WorkflowId"].CopyFrom(payload("x"))
    long = shade("x" * 2049)
    await w.each_alone(
        {
            "no memo": modify_properties(Modify()),
            "empty memo": modify_properties(Modify(upserted_memo=Memo())),
            "unknown attribute": upsert_search_attributes(unknown),
            "attribute of another type": upsert_search_attributes(wrong),
            "system attribute": upsert_search_attributes(system),
            "long value": upsert_search_attributes(long),
        }
    )


@scenario
async def history_in_pages(w: Wire) -> None:
    """A history in pages of one to three events."""
    await w.start()
    await w.turn(start_timer("t", 60))
    await w.signal()
    await w.turn(complete_workflow())
    for size in (1, 2, 3, 100):
        w.note(f"pages of {size}")
        await page_through(w, history(w, HistoryRequest(maximum_page_size=size)))


@scenario
async def history_reversed(w: Wire) -> None:
    """A history from its end."""
    await w.start()
    await w.turn(start_timer("t", 60))
    await w.signal()
    await w.turn(complete_workflow())
    request = api.GetWorkflowExecutionHistoryReverseRequest(
        namespace=w.namespace, execution=w.execution(), maximum_page_size=4
    )
    for number in range(20):
        page = await w.call(w.rpc.GetWorkflowExecutionHistoryReverse, request, note=f"page {number}")
        request.next_page_token = page.next_page_token
        if not page.next_page_token:
            return


@scenario
async def history_awaited(w: Wire) -> None:
    """A reader that waits gets events as they come, until the end."""
    await w.start()
    request = history(w, HistoryRequest(wait_new_event=True))
    page = await w.call(w.rpc.GetWorkflowExecutionHistory, request, note="what is there")
    request.next_page_token = page.next_page_token
    waiting = asyncio.create_task(w.call(w.rpc.GetWorkflowExecutionHistory, request, note="waiting"))
    await w.let_time_pass(1)
    task = await w.workflow_task()
    page = await waiting
    request.next_page_token = page.next_page_token
    last = asyncio.create_task(w.call(w.rpc.GetWorkflowExecutionHistory, request, note="waiting for the end"))
    await w.let_time_pass(1)
    await w.complete(task, complete_workflow())
    await last


@scenario
async def history_close_event_awaited(w: Wire) -> None:
    """A reader that waits for the close gets the last event alone."""
    await w.start()
    request = history(w, HistoryRequest(wait_new_event=True, history_event_filter_type=CLOSE))
    waiting = asyncio.create_task(w.call(w.rpc.GetWorkflowExecutionHistory, request))
    await w.let_time_pass(1)
    await w.turn(complete_workflow("out"))
    reply: HistoryReply = await waiting
    request.next_page_token = reply.next_page_token
    await w.call(w.rpc.GetWorkflowExecutionHistory, request, note="again")


@scenario
async def history_close_event(w: Wire) -> None:
    """The filter on a running and on a closed workflow, without waiting."""
    await w.start()
    request = history(w, HistoryRequest(history_event_filter_type=CLOSE))
    await w.call(w.rpc.GetWorkflowExecutionHistory, request, note="running")
    await w.turn(complete_workflow())
    await w.call(w.rpc.GetWorkflowExecutionHistory, request, note="closed")
    request.wait_new_event = True
    await w.call(w.rpc.GetWorkflowExecutionHistory, request, note="closed, waiting")


@scenario
async def history_nothing_new(w: Wire) -> None:
    """A wait that ends by the caller's deadline is answered empty a moment before."""
    await w.start()
    request = history(w, HistoryRequest(wait_new_event=True))
    page = await w.call(w.rpc.GetWorkflowExecutionHistory, request)
    request.next_page_token = page.next_page_token
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, request, limit_s=3)


@scenario
async def history_where_nobody_is(w: Wire) -> None:
    """Unknown workflows and runs, tokens that are none or another run's."""
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, history(w), note="unknown workflow")
    await w.start()
    unknown = history(w, run_id="11111111-1111-1111-1111-111111111111")
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, unknown, note="unknown run")
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, history(w, run_id="tea"), note="no uuid")
    malformed = history(w, HistoryRequest(next_page_token=b"tea"))
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, malformed, note="malformed token")
    page = await w.call(w.rpc.GetWorkflowExecutionHistory, history(w, HistoryRequest(maximum_page_size=1)))
    run_id = await w.other("other").start()
    mixed = history(w, HistoryRequest(next_page_token=page.next_page_token), w.id("other"), run_id)
    await w.attempt(w.rpc.GetWorkflowExecutionHistory, mixed, note="token of another run")


@scenario
async def task_queue_described(w: Wire) -> None:
    """A queue that nobody ever used."""
    request = api.DescribeTaskQueueRequest(namespace=w.namespace)
    request.task_queue.name = w.queue
    await w.attempt(w.rpc.DescribeTaskQueue, request)
    request.task_queue.name = ""
    await w.attempt(w.rpc.DescribeTaskQueue, request, note="no name")
    request.ClearField("task_queue")
    await w.attempt(w.rpc.DescribeTaskQueue, request, note="no queue")
