"""Lists and counts of workflows."""

from collections.abc import Callable

import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import Memo

from tests.conformance.commands import complete_workflow, fail_workflow, payload, shade
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire


def listing(w: Wire, query: str, page_size: int = 0) -> api.ListWorkflowExecutionsRequest:
    """A list by query."""
    return api.ListWorkflowExecutionsRequest(namespace=w.namespace, query=query, page_size=page_size)


def has(count: int) -> Callable[[api.ListWorkflowExecutionsResponse], bool]:
    """Whether a list has come to this length: it follows the workflows with a delay."""
    return lambda reply: len(reply.executions) == count


@scenario
async def list_by_workflow_id(w: Wire) -> None:
    """A workflow is listed while it runs and after it closed."""
    query = f"WorkflowId = '{w.name}'"
    await w.start(
        api.StartWorkflowExecutionRequest(search_attributes=shade("green"), memo=Memo(fields={"one": payload("1")}))
    )
    await w.until(w.rpc.ListWorkflowExecutions, listing(w, query), has(1))
    await w.turn(complete_workflow())
    await w.until(w.rpc.ListWorkflowExecutions, listing(w, f"{query} AND ExecutionStatus = 'Completed'"), has(1))
    await w.call(w.rpc.ListWorkflowExecutions, listing(w, f"{query} AND ExecutionStatus = 'Running'"))


@scenario
async def list_in_pages(w: Wire) -> None:
    """Newest first, in pages."""
    query = f"TaskQueue = '{w.name}'"
    for number in range(3):
        await w.start(api.StartWorkflowExecutionRequest(workflow_id=w.id(str(number))))
    await w.until(w.rpc.ListWorkflowExecutions, listing(w, query), has(3))
    request = listing(w, query, 2)
    page = await w.call(w.rpc.ListWorkflowExecutions, request)
    request.next_page_token = page.next_page_token
    await w.call(w.rpc.ListWorkflowExecutions, request)


@scenario
async def list_by_search_attribute(w: Wire) -> None:
    """Custom attributes can be asked for."""
    await w.start(api.StartWorkflowExecutionRequest(search_attributes=shade(w.name)))
    query = listing(w, f"Shade = '{w.name}'")
    await w.until(w.rpc.ListWorkflowExecutions, query, has(1))


@scenario
async def count_workflows(w: Wire) -> None:
    """Counts, also grouped by status."""
    for number in range(4):
        other = w.other(str(number))
        other.queue = w.queue
        await other.start()
        if number:
            await other.turn(complete_workflow() if number < 3 else fail_workflow())
        else:
            await other.turn()
    query = f"TaskQueue = '{w.name}'"
    closed = listing(w, f"{query} AND ExecutionStatus != 'Running'")
    await w.until(w.rpc.ListWorkflowExecutions, closed, has(3))
    counts = [
        api.CountWorkflowExecutionsRequest(namespace=w.namespace, query=text)
        for text in (query, f"{query} AND ExecutionStatus = 'Running'", f"{query} GROUP BY ExecutionStatus")
    ]
    # On Cassandra a run that has just been closed may be counted as an open one, too.
    await w.until(w.rpc.CountWorkflowExecutions, counts[0], lambda reply: reply.count == 4)
    for count in counts:
        await w.call(w.rpc.CountWorkflowExecutions, count, note=count.query)


@scenario
async def list_bad_queries(w: Wire) -> None:
    """Queries that make no sense, or that are not supported."""
    for query in (
        "tea time",
        "Unheard = 'x'",
        "WorkflowId = ",
        "WorkflowId = x",
        "ExecutionStatus = 'Tired'",
        "StartTime > 'tea time'",
        "WorkflowId LIKE 'x%'",
        "WorkflowId = 'x' ORDER BY StartTime",
    ):
        await w.attempt(w.rpc.ListWorkflowExecutions, listing(w, query), note=query)
    bad_group = api.CountWorkflowExecutionsRequest(namespace=w.namespace, query="GROUP BY WorkflowType")
    await w.attempt(w.rpc.CountWorkflowExecutions, bad_group, note="GROUP BY WorkflowType")
    request = listing(w, "WorkflowId = 'nobody'")
    request.namespace = ""
    await w.attempt(w.rpc.ListWorkflowExecutions, request, note="no namespace")
    request.namespace = "nowhere"
    await w.attempt(w.rpc.ListWorkflowExecutions, request, note="unknown namespace")
    negative = listing(w, "WorkflowId = 'nobody'", -1)
    await w.attempt(w.rpc.ListWorkflowExecutions, negative, note="negative page size")
