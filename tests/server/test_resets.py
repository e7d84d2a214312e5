"""Resets by the official CLI of workflows that the official SDK's workers do."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateHandle

from tests.parts.deployed import Serving
from tests.server.cli import cli_fails, cli_json
from tests.server.sdk import Handle, Stage, event_names, serve
from tests.server.waiting import until

priced: Counter[str] = Counter()


@activity.defn
async def price(item: str) -> int:
    priced[item] += 1
    return 10 * priced[item]


@workflow.defn
class Order:
    """Asks for a price, then takes what it is told by signals and updates until it is told to end."""

    def __init__(self) -> None:
        self._items: list[str] = []
        self._ended = False

    @workflow.run
    async def run(self, item: str) -> str:
        cost = await workflow.execute_activity(price, item, start_to_close_timeout=timedelta(seconds=5))
        await workflow.wait_condition(lambda: self._ended)
        return f"{cost}: {', '.join(self._items)}"

    @workflow.signal
    def add(self, item: str) -> None:
        self._items.append(item)

    @workflow.signal
    def end(self) -> None:
        self._ended = True

    @workflow.update
    def insert(self, item: str) -> int:
        self._items.append(f"{item}!")
        return len(self._items)

    @workflow.query
    def items(self) -> list[str]:
        return self._items


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(tmp_path_factory)


@pytest.fixture
async def stage(server: Serving) -> AsyncIterator[Stage]:
    stage = await Stage.on(server)
    async with stage.worker(Order, activities=[price]):
        yield stage


async def order(stage: Stage) -> Handle:
    """An order that knows its price, and was told of three items."""
    handle = await stage.start(Order, stage.queue)
    await handle.signal(Order.add, "one")
    await handle.execute_update(Order.insert, "two", id="two")
    await handle.signal(Order.add, "three")

    async def has_a_price() -> bool:
        return "ActivityTaskCompleted" in await event_names(handle)

    await until(has_a_price, True)
    return handle


async def reset(server: Serving, handle: Handle, *arguments: str) -> str:
    reply = await cli_json(server, "workflow", "reset", "--workflow-id", handle.id, "--reason", "once more", *arguments)
    run_id: str = reply["runId"]
    return run_id


async def test_a_workflow_begins_again_with_all_that_it_was_told(server: Serving, stage: Stage) -> None:
    handle = await order(stage)
    run_id = await reset(server, handle, "--type", "FirstWorkflowTask")
    current = stage.client.get_workflow_handle(handle.id)
    again: WorkflowUpdateHandle[int] = current.get_update_handle_for(Order.insert, "two")
    assert await again.result() == 2
    assert await current.query(Order.items) == ["one", "two!", "three"]
    await current.signal(Order.end)
    assert await current.result() == "20: one, two!, three"
    assert (await current.describe()).run_id == run_id
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED
    first = stage.client.get_workflow_handle(handle.id, run_id=handle.result_run_id)
    assert (await first.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_a_workflow_goes_back_to_its_last_task_only(server: Serving, stage: Stage) -> None:
    handle = await order(stage)
    await handle.signal(Order.end)
    assert await handle.result() == "10: one, two!, three"
    await reset(server, handle, "--type", "LastWorkflowTask")
    current = stage.client.get_workflow_handle(handle.id)
    assert await current.result() == "10: one, two!, three"
    assert priced[stage.queue] == 1
    assert (await event_names(current)).count("WorkflowTaskFailed") == 1


async def test_what_was_told_since_can_be_left_behind(server: Serving, stage: Stage) -> None:
    handle = await order(stage)
    await reset(server, handle, "--event-id", "4", "--reapply-exclude", "All")
    current = stage.client.get_workflow_handle(handle.id)
    await current.signal(Order.end)
    assert (await current.result()).startswith("20: ")
    assert "two!" not in await current.result()


async def test_a_point_that_is_none_is_refused_in_words(server: Serving, stage: Stage) -> None:
    handle = await order(stage)
    arguments = ("workflow", "reset", "--workflow-id", handle.id, "--reason", "why", "--event-id", "1000")
    assert "Workflow task finish ID must be > 1" in await cli_fails(server, *arguments)
    await handle.signal(Order.end)
    assert await handle.result() == "10: one, two!, three"
