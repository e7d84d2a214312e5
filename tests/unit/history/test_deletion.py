"""When runs are deleted, on a clock turned by hand: nothing of them stays, whatever was on its way to the lists."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    RegisterNamespaceRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
)

from services.config import DynamicConfig
from services.history import HistoryService, Home
from services.membership import StaticMembership
from services.namespaces import NamespaceRegistry
from services.persistence import Store, StoreError, TaskCategory, VisibilityRecord
from services.persistence.sqlite import open_sqlite
from services.protos.run_pb2 import Task
from services.rpc import AddTaskOutcome, Call
from tests.unit.matching.conftest import CountedChance, HandClock

HOUR_S = 3600
SECOND_NS = 1_000_000_000
HANG_S = 20.0


class WatchedStore:
    """A store whose writes to lists can be held up, made to fail, and waited for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.gate = asyncio.Event()
        self.gate.set()
        self.upserting, self.hiding, self.hidden = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.failures: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None:
        self.upserting.set()
        await self.gate.wait()
        await self._store.upsert_visibility(records)

    async def delete_visibility(self, namespace_id: str, run_id: str) -> None:
        self.hiding.set()
        if self.failures:
            raise self.failures.pop()
        await self._store.delete_visibility(namespace_id, run_id)
        self.hidden.set()


async def happened(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), HANG_S)


class Backlog:
    """A matching service that takes every task and has no workers."""

    async def add_task(self, _call: Call, _request: object) -> AddTaskOutcome:
        return AddTaskOutcome.STORED


class House:
    """One history service with its store, its namespace of one hour's retention, and its clock."""

    def __init__(self, store: WatchedStore, history: HistoryService, clock: HandClock, call: Call) -> None:
        self.store, self.history, self.clock, self.call = store, history, clock, call

    async def start(self, workflow_id: str) -> str:
        request = StartWorkflowExecutionRequest(
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name="Transfer"),
            task_queue=TaskQueue(name="queue"),
            request_id=workflow_id,
        )
        return (await self.history.start_workflow_execution(self.call, request)).run_id

    async def delete(self, workflow_id: str) -> None:
        execution = WorkflowExecution(workflow_id=workflow_id)
        await self.history.delete_workflow_execution(
            self.call, DeleteWorkflowExecutionRequest(workflow_execution=execution)
        )

    async def is_stored(self, workflow_id: str, run_id: str) -> bool:
        return await self.store.read_run(1, self.call.namespace_id, workflow_id, run_id) is not None

    async def listed(self) -> list[str]:
        records, _ = await self.store.list_visibility(self.call.namespace_id, "", {}, 100, b"")
        return [record.workflow_id for record in records]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    store, clock, chance, config = (
        WatchedStore(await open_sqlite(None)),
        HandClock(),
        CountedChance(),
        DynamicConfig(env={}),
    )
    namespaces = NamespaceRegistry(cast(Store, store), clock, chance, config)
    await namespaces.load()
    register = RegisterNamespaceRequest(namespace="short")
    register.workflow_execution_retention_period.seconds = HOUR_S
    namespace = await namespaces.register(register)
    history = HistoryService(
        cast(Store, store),
        cast(Any, Backlog()),
        namespaces,
        clock,
        chance,
        config,
        Home(shard_count=1, membership=StaticMembership({"history": "test"}), address="test"),
    )
    await history.start()
    yield House(store, history, clock, Call(namespace=namespace.name, namespace_id=namespace.id))
    store.gate.set()
    await history.stop()
    await store.close()


async def test_a_closed_run_is_deleted_when_its_retention_is_over(house: House) -> None:
    run_id = await house.start("wf")
    await house.clock.advance(60)
    closed_ns = house.clock.now_ns()
    execution = WorkflowExecution(workflow_id="wf")
    request = TerminateWorkflowExecutionRequest(workflow_execution=execution)
    await house.history.terminate_workflow_execution(house.call, request)

    rows = await house.store.read_tasks(1, TaskCategory.TIMER, (0, 0), 2**62, 100)
    due = [row.fire_time_ns for row in rows if Task.FromString(row.blob).kind == Task.DELETE_RUN]
    assert due == [closed_ns + HOUR_S * SECOND_NS]

    await house.clock.advance(HOUR_S - 1)
    assert await house.is_stored("wf", run_id)
    assert await house.listed() == ["wf"]
    await house.clock.advance(1)
    await happened(house.store.hidden)
    assert not await house.is_stored("wf", run_id)
    assert await house.store.read_current(1, house.call.namespace_id, "wf") is None
    assert await house.listed() == []


async def test_a_record_on_its_way_to_the_lists_does_not_bring_a_deleted_run_back(house: House) -> None:
    house.store.gate.clear()
    run_id = await house.start("wf")
    await house.clock.advance(1)
    await happened(house.store.upserting)
    await house.delete("wf")
    await house.clock.advance(1)
    assert not await house.is_stored("wf", run_id)
    assert not house.store.hiding.is_set()
    house.store.gate.set()
    await happened(house.store.hidden)
    await house.clock.advance(1)
    assert await house.listed() == []


async def test_a_deletion_that_was_interrupted_is_finished(house: House) -> None:
    await house.start("wf")
    await house.clock.advance(1)
    assert await house.listed() == ["wf"]
    house.store.failures.append(StoreError("not now"))
    await house.delete("wf")
    await house.clock.advance(0)
    await happened(house.store.hiding)
    await house.clock.advance(1)
    await happened(house.store.hidden)
    assert await house.listed() == []


async def test_a_workflow_id_can_be_used_anew_after_its_current_run_was_deleted(house: House) -> None:
    first = await house.start("wf")
    await house.delete("wf")
    await house.clock.advance(1)
    await happened(house.store.hidden)
    second = await house.start("wf")
    await house.clock.advance(1)
    current = await house.store.read_current(1, house.call.namespace_id, "wf")
    assert (current.run_id, first != second) == (second, True)
    assert await house.listed() == ["wf"]
