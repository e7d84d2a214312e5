"""A host whose shards go, or go and come back, in the middle of what it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.update.v1 import Input, Meta, Request
from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound, ShardOwnershipLost, Unavailable
from services.history.cache import RunEntry
from services.persistence import Outcome
from tests.unit.engine.house import COMPLETE, House, Misbehaving, eventually, live, open_store
from tests.unit.engine.test_shards import Members

EXECUTION = WorkflowExecution(workflow_id="w")
CLOSE_EVENT = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


class Gate:
    """Stands before a method of the store: what is read is held back until the test lets it through."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read
        self.arrived, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self, *args: object) -> object:
        found = await self._read(*args)
        self.arrived.set()
        await self.open.wait()
        return found


class Turning:
    """A house on a ring that a test turns."""

    def __init__(self, store: Misbehaving) -> None:
        self.house, self.members, self.store = House(store), Members("host"), store
        engine = self.house.history.engine
        engine.home = replace(engine.home, membership=self.members)

    def loses_all(self) -> None:
        self.members.turn("other")

    async def gets_all_back(self) -> None:
        self.members.turn("host")
        await self.house.history.engine.shards.settled()

    async def any_run(self, condition: Callable[[RunEntry], bool]) -> bool:
        """Of workflow w, in memory."""
        workflow = self.house.history.engine.workflow(self.house.call.namespace_id, "w")
        return any(condition(run) for run in workflow.runs.values())

    def gate(self, method: str) -> Gate:
        gate = Gate(getattr(self.store, method))
        setattr(self.store, method, gate)
        return gate


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Misbehaving]:
    async with open_store(tmp_path / "data.db") as store:
        yield store


@pytest.fixture
async def turning(store: Misbehaving) -> Turning:
    turning = Turning(store)
    await turning.house.start()
    return turning


async def update(house: House) -> api.UpdateWorkflowExecutionResponse:
    request = api.UpdateWorkflowExecutionRequest(
        workflow_execution=EXECUTION, request=Request(meta=Meta(update_id="u"), input=Input(name="change"))
    )
    return await house.history.update_workflow_execution(house.call, request)


def update_with_start() -> api.ExecuteMultiOperationRequest:
    request = api.ExecuteMultiOperationRequest()
    start = request.operations.add().start_workflow
    start.workflow_id, start.request_id, start.workflow_type.name, start.task_queue.name = "w", "start", "W", "queue"
    asked = request.operations.add().update_workflow
    asked.workflow_execution.CopyFrom(EXECUTION)
    asked.request.meta.update_id = "u"
    return request


async def test_what_is_read_of_a_shard_that_went_is_not_remembered(turning: Turning, store: Misbehaving) -> None:
    house = turning.house
    reading = turning.gate("read_current")
    asked = asyncio.create_task(house.events("w"))
    await reading.arrived.wait()
    turning.loses_all()
    reading.open.set()
    with pytest.raises(ShardOwnershipLost):
        await asked
    other = await live(store)
    await other.begin("w")
    await turning.gets_all_back()
    assert await house.event_names("w")


async def test_that_there_was_no_workflow_is_not_said_from_memory(turning: Turning, store: Misbehaving) -> None:
    """A run that signals another records for good that it is not there."""
    with pytest.raises(NotFound):
        await turning.house.signal("w", "too early")
    other = await live(store)
    await other.begin("w")
    with pytest.raises(ShardOwnershipLost):
        await turning.house.signal("w", "in time")  # by one who does not know yet that there is another owner


async def test_a_conflict_hands_out_again_what_only_memory_knew_to_be_taken(
    turning: Turning, store: Misbehaving
) -> None:
    house = turning.house
    await house.begin("w")
    await house.task()  # its start is not written

    async def conflict(_commit: Callable[[], Awaitable[Outcome]]) -> Outcome:
        return Outcome.RUN_CONFLICT

    store.faults = [conflict]
    with pytest.raises(Unavailable):
        await house.signal("w", "news")
    again = await asyncio.wait_for(house.task(), 5)
    await house.answer(again, COMPLETE)


async def test_a_decision_from_before_the_shard_went_does_not_bypass_those_who_wait_since(turning: Turning) -> None:
    house = turning.house
    await house.begin("w")
    turning.loses_all()
    await turning.gets_all_back()  # so that the first event has to be read
    task = await house.task()
    reading = turning.gate("read_history")
    answer = asyncio.create_task(house.answer(task, COMPLETE))
    await reading.arrived.wait()
    turning.loses_all()
    await turning.gets_all_back()
    request = api.GetWorkflowExecutionHistoryRequest(
        execution=EXECUTION, wait_new_event=True, history_event_filter_type=CLOSE_EVENT
    )
    waiting = asyncio.create_task(house.history.get_workflow_execution_history(house.call, request))
    await eventually(lambda: turning.any_run(lambda run: bool(run.watchers)))
    reading.open.set()
    with pytest.raises(ShardOwnershipLost):
        await answer
    await house.answer(await house.task(), COMPLETE)
    closed = api.GetWorkflowExecutionHistoryResponse.FromString(await asyncio.wait_for(waiting, 5))
    assert len(closed.history.events) == 1


async def test_who_waits_for_an_update_is_sent_to_the_next_owner(turning: Turning, store: Misbehaving) -> None:
    await turning.house.begin("w")
    waiting = asyncio.create_task(update(turning.house))
    await eventually(lambda: turning.any_run(lambda run: bool(run.updates)))
    turning.loses_all()
    with pytest.raises(ShardOwnershipLost):
        await asyncio.wait_for(waiting, 5)


async def test_an_update_with_start_follows_the_shard_too(turning: Turning, store: Misbehaving) -> None:
    await live(store)  # another owner, of whom nobody has told us
    with pytest.raises(ShardOwnershipLost):
        await turning.house.history.execute_multi_operation(turning.house.call, update_with_start())
