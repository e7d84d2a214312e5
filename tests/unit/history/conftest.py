"""One history service on a store that can be watched and a clock turned by hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import SearchAttributes, WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    RegisterNamespaceRequest,
    StartWorkflowExecutionRequest,
)

from services.config import DynamicConfig
from services.history import HistoryService, Home
from services.membership import StaticMembership
from services.namespaces import NamespaceRegistry
from services.persistence import Store, VisibilityRecord
from services.persistence.sqlite import open_sqlite
from services.rpc import AddTaskOutcome, Call
from tests.unit.matching.conftest import CountedChance, HandClock

HOUR_S = 3600
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

    async def start(self, workflow_id: str, search_attributes: SearchAttributes | None = None) -> str:
        request = StartWorkflowExecutionRequest(
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name="Transfer"),
            task_queue=TaskQueue(name="queue"),
            request_id=workflow_id,
            search_attributes=search_attributes,
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
