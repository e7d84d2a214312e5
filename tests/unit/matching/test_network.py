"""Two matching hosts over real gRPC: what goes between partitions goes between processes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.host.settings import matching_settings
from services.matching import MatchingService
from services.protos.matching_pb2 import AddTaskRequest, QueuedTask
from services.rpc import MATCHING, MATCHING_SERVICE, Call, MatchingClient, Router, ask, matching_keys, stand_in
from services.rpc.clients import AddTaskOutcome
from services.rpc.network import Network
from services.rpc.partitions import PartitionCounts, name_of
from services.rpc.server import InternalServer, served
from services.runtime import SystemChance, SystemClock
from tests.unit.matching.cluster import READ, WRITE, StrictHistory
from tests.unit.matching.conftest import NAMESPACE_ID, NORMAL, WORKFLOW, MemoryQueues


class Pair:
    """The root is on the first host, all other partitions are on the second."""

    def __init__(self) -> None:
        self.clock, self.history, self.queues = SystemClock(), StrictHistory(), MemoryQueues()
        self.config = DynamicConfig(overrides={READ: 4, WRITE: 4})
        self.network = Network(self.clock)
        self.addresses: list[str] = []
        router = Router(self, matching_keys, self._to, self.clock)
        self.client: MatchingClient = stand_in(MATCHING, router.send)
        self.servers: list[InternalServer] = []
        self.services: list[MatchingService] = []

    def owner(self, key: str) -> str:
        return self.addresses["/_sys/" in key]

    def everyone(self) -> tuple[str, ...]:
        return tuple(self.addresses)

    def _to(self, address: str) -> Any:
        return self.network.to(address, MATCHING_SERVICE, "matching")

    async def start_one(self) -> None:
        server = InternalServer(self.clock, self.config, "matching")
        address = f"127.0.0.1:{server.listen('127.0.0.1', 0)}"
        settings = matching_settings(self.config, PartitionCounts(self.config))
        service = MatchingService(
            self.queues,
            cast(Any, self.history),
            self.clock,
            SystemChance(),
            settings,
            peers=self.client,
            owners=self,
            address=address,
        )
        await server.start([MATCHING_SERVICE])
        server.serve(served(MATCHING, MATCHING_SERVICE, ask(service)))
        self.addresses.append(address)
        self.servers.append(server)
        self.services.append(service)

    async def stop(self) -> None:
        for service in self.services:
            await service.drain()
        await self.network.close()
        for server in self.servers:
            await server.stop(0)

    def call(self, wait_s: float = 20.0) -> Call:
        deadline = self.clock.monotonic() + wait_s
        return Call(namespace="default", namespace_id=NAMESPACE_ID, deadline=deadline)

    async def poll(self, partition: int, wait_s: float = 20.0) -> str:
        request = api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name=name_of("q", partition)))
        reply = await self.client.poll_workflow_task_queue(self.call(wait_s), request)
        return api.PollWorkflowTaskQueueResponse.FromString(reply).task_token.decode()

    async def add(self, workflow_id: str, partition: int) -> AddTaskOutcome:
        request = AddTaskRequest(task_queue_type=WORKFLOW, task_queue=name_of("q", partition), task_queue_kind=NORMAL)
        task = QueuedTask(namespace_id=NAMESPACE_ID, workflow_id=workflow_id, create_time_ns=self.clock.now_ns())
        request.task.CopyFrom(task)
        return await self.client.add_task(self.call(), request)

    async def until_polls_at_the_root(self, count: int) -> None:
        """Or for ever."""
        while True:
            root = self.services[0]._loaded.get(NAMESPACE_ID, "q", WORKFLOW)
            if (0 if root is None else len(root._pollers)) == count:
                return
            await self.clock.sleep(0.01)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    both = Pair()
    for _ in range(2):
        await both.start_one()
    yield both
    await both.stop()


@pytest.mark.parametrize(("added", "polled"), [(0, 1), (1, 0), (1, 2)])
@pytest.mark.parametrize("stored", [False, True])
async def test_tasks_and_polls_meet_between_hosts(pair: Pair, added: int, polled: int, stored: bool) -> None:
    if stored:
        assert await pair.add("w1", added) is AddTaskOutcome.STORED
        assert await pair.poll(polled) == "w1"
    else:
        poll = asyncio.create_task(pair.poll(polled))
        assert await pair.add("w1", added) in (AddTaskOutcome.MATCHED, AddTaskOutcome.STORED)
        assert await poll == "w1"


async def test_a_forwarded_poll_ends_with_its_own_deadline(pair: Pair) -> None:
    began = pair.clock.monotonic()
    assert await pair.poll(1, 2.0) == ""
    assert 0.9 < pair.clock.monotonic() - began < 1.9


async def test_a_poller_that_goes_is_gone_from_the_parent_too(pair: Pair) -> None:
    leaving = asyncio.create_task(pair.poll(1))
    await pair.until_polls_at_the_root(1)
    leaving.cancel()
    await pair.until_polls_at_the_root(0)
    assert await pair.add("w1", 0) is AddTaskOutcome.STORED


async def test_a_host_that_drains_calls_its_polls_back(pair: Pair) -> None:
    poll = asyncio.create_task(pair.poll(1))
    await pair.until_polls_at_the_root(1)
    await pair.services[1].drain()
    assert await poll == ""
    await pair.until_polls_at_the_root(0)
