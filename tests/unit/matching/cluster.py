"""Matching hosts over one store in one process: a ring that tests turn, hosts that die, and a history that judges."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.errors import NotFound, ServiceError, Unreachable
from services.host.settings import matching_settings
from services.matching import MatchingService
from services.protos.history_pb2 import RecordActivityTaskStartedRequest, RecordWorkflowTaskStartedRequest
from services.protos.matching_pb2 import AddTaskRequest, QueuedTask
from services.rpc import MATCHING, Call, HistoryClient, MatchingClient, Router, Wire, ask, matching_keys, stand_in
from services.rpc.clients import AddTaskOutcome
from services.rpc.partitions import PartitionCounts, Partitioned, name_of
from services.runtime import Chance
from tests.unit.matching.conftest import NAMESPACE_ID, NORMAL, WORKFLOW, HandClock, MemoryQueues

STEP_S = 0.05
READ, WRITE = "matching.numTaskqueueReadPartitions", "matching.numTaskqueueWritePartitions"


class Dice:
    """A Chance that repeats itself by seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        return self._random.random()

    def run_id(self) -> str:
        return self.unique_id()

    def unique_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


class StrictHistory:
    """Starts each task once: again only for the same request id, as history does. `failures` may come after the act."""

    def __init__(self) -> None:
        self.starts: dict[str, str] = {}  # request id by workflow id
        self.durable: dict[str, bool] = {}
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.unanswered: set[str] = set()  # started at least once without an answer
        self.hold: asyncio.Event | None = None  # starts wait for it

    async def record_workflow_task_started(self, call: Call, request: RecordWorkflowTaskStartedRequest) -> bytes:
        self.durable[request.workflow_id] = request.durable
        await self._start(request.workflow_id, request.request_id)
        return api.PollWorkflowTaskQueueResponse(task_token=request.workflow_id.encode()).SerializeToString()

    async def record_activity_task_started(self, call: Call, request: RecordActivityTaskStartedRequest) -> bytes:
        await self._start(request.workflow_id, request.request_id)
        return api.PollActivityTaskQueueResponse(task_token=request.workflow_id.encode()).SerializeToString()

    async def _start(self, workflow_id: str, request_id: str) -> None:
        await asyncio.sleep(0)
        if self.hold is not None:
            await self.hold.wait()
        if self.before:
            raise self.before.pop(0)
        if self.starts.setdefault(workflow_id, request_id) != request_id:
            raise NotFound("another poll started it")
        if self.after:
            self.unanswered.add(workflow_id)
            raise self.after.pop(0)


class Alive:
    """What a host reaches, until it dies: then nothing it does has an effect, and nothing answers it."""

    def __init__(self, reached: object) -> None:
        self._reached = reached
        self.dead = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._reached, name)

        async def call(*args: object) -> object:
            if not self.dead:
                answer = await method(*args)
                if not self.dead:
                    return answer
            await asyncio.get_running_loop().create_future()
            raise AssertionError("the dead do not wake")

        return call


class Host:
    def __init__(self, cluster: "Cluster", address: str, seed: int) -> None:
        self.address = address
        self.store, self.history, self.peers = (Alive(it) for it in (cluster.queues, cluster.history, cluster.routed))
        self.died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.service = MatchingService(
            cast(Any, self.store),
            cast(HistoryClient, self.history),
            cluster.clock,
            Dice(seed),
            matching_settings(cluster.config, cluster.counts),
            peers=cast(MatchingClient, self.peers),
            owners=cluster,
            address=address,
        )
        self._ask = ask(self.service)

    def kill(self) -> None:
        self.store.dead = self.history.dead = self.peers.dead = True
        if not self.died.done():
            self.died.set_result(None)

    async def send(self, wire: Wire, call: Call, request: Any) -> Any:
        """As the network: the request is copied, and a host that dies leaves its callers without an answer."""
        if self.died.done():
            raise Unreachable("connection refused", sent=False)
        copied = type(request)()
        copied.CopyFrom(request)
        answering = asyncio.ensure_future(self._ask(wire, call, copied))
        try:
            await asyncio.wait([answering, self.died], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            answering.cancel()
            raise
        if self.died.done():
            raise Unreachable("connection reset", sent=True)
        return await answering


clusters: list["Cluster"] = []  # those of the test that runs


class Cluster:
    """Also the `Owners` of everyone: keys belong to the member with the highest hash of both."""

    def __init__(self, hosts: int = 2, *, values: dict[str, Any] | None = None, seed: int = 1) -> None:
        self.clock, self.queues, self.history = HandClock(), MemoryQueues(), StrictHistory()
        clusters.append(self)
        self.config = DynamicConfig(overrides={READ: 4, WRITE: 4, **(values or {})})
        self.counts = PartitionCounts(self.config, lambda: len(self.members))
        self.hosts: dict[str, Host] = {}
        self.members: list[str] = []
        self.placed: dict[str, str] = {}  # keys whose owner a test has chosen
        router = Router(self, matching_keys, lambda address: self.hosts[address].send, self.clock)
        self.routed: MatchingClient = stand_in(MATCHING, router.send)
        self.partitioned = Partitioned(router.send, self.counts, cast(Chance, Dice(seed)))
        self.client: MatchingClient = stand_in(MATCHING, self.partitioned.send)
        for number in range(hosts):
            self.join(f"host-{number}")

    # The ring.
    def owner(self, key: str) -> str:
        if self.placed.get(key) in self.members:
            return self.placed[key]
        return max(self.members, key=lambda address: random.Random(f"{address} {key}").random(), default="")

    def everyone(self) -> tuple[str, ...]:
        return tuple(self.members)

    def place(self, name: str, address: str, type_: int = WORKFLOW) -> None:
        """Which host a partition shall be on, from the next turn of the ring."""
        self.placed[matching_keys((NAMESPACE_ID, str(int(type_)), name))] = address

    def turn(self) -> None:
        for address in self.members:
            self.hosts[address].service.rebalance()

    def join(self, address: str) -> Host:
        host = self.hosts[address] = Host(self, address, len(self.hosts))
        self.members.append(address)
        self.turn()
        return host

    async def leave(self, address: str) -> None:
        """As a host that drains: the ring forgets it first."""
        self.members.remove(address)
        self.turn()
        self.hosts[address].service.rebalance()
        await self.hosts[address].service.drain()

    def kill(self, address: str) -> None:
        self.members.remove(address)
        self.hosts[address].kill()
        self.turn()

    async def end(self) -> None:
        """Nothing stays behind in the loop that would go on by itself."""
        self.queues.gate = None
        self.queues.failures.clear()
        drains = {host: asyncio.create_task(host.service.drain()) for host in self.hosts.values()}
        ending = [drain for host, drain in drains.items() if not host.died.done()]
        while not all(drain.done() for drain in ending):
            await self.clock.advance(1)
        for drain in ending:
            await drain

    async def run(self, seconds: float) -> None:
        """In small steps, for what goes on without waiting for time."""
        for _ in range(round(seconds / STEP_S)):
            await self.clock.advance(STEP_S)

    # Calls.
    def call(self, wait_s: float = 70.0) -> Call:
        return Call(namespace="default", namespace_id=NAMESPACE_ID, deadline=self.clock.monotonic() + wait_s)

    def _way(self, queue: str, at: int | None) -> tuple[str, MatchingClient]:
        return (queue, self.client) if at is None else (name_of(queue, at), self.routed)

    def add(
        self, workflow_id: str, queue: str = "q", *, at: int | None = None, type_: TaskQueueType.ValueType = WORKFLOW
    ) -> "asyncio.Task[AddTaskOutcome]":
        """To a partition of one's choice, or of the client's."""
        queue, client = self._way(queue, at)
        task = QueuedTask(namespace_id=NAMESPACE_ID, workflow_id=workflow_id, create_time_ns=self.clock.now_ns())
        request = AddTaskRequest(task_queue_type=type_, task_queue=queue, task_queue_kind=NORMAL, task=task)

        async def add() -> AddTaskOutcome:
            return await client.add_task(self.call(), request)

        return asyncio.create_task(add())

    async def add_until_accepted(self, workflow_id: str, queue: str = "q") -> AddTaskOutcome:
        """As history's outbox does."""
        while True:
            try:
                return await self.add(workflow_id, queue)
            except ServiceError:
                await self.clock.sleep(0.05)

    def poll(
        self,
        queue: str = "q",
        wait_s: float = 70.0,
        *,
        at: int | None = None,
        identity: str = "me",
        worker: str = "",
        kind: TaskQueueKind.ValueType = NORMAL,
    ) -> "asyncio.Task[str]":
        """The workflow id of the task; "" for none."""
        queue, client = self._way(queue, at)
        request = api.PollWorkflowTaskQueueRequest(
            task_queue=TaskQueue(name=queue, kind=kind), identity=identity, worker_instance_key=worker
        )

        async def poll() -> str:
            reply = await client.poll_workflow_task_queue(self.call(wait_s), request)
            return api.PollWorkflowTaskQueueResponse.FromString(reply).task_token.decode(errors="replace")

        return asyncio.create_task(poll())

    def poll_activity(self, *, at: int | None = None, rate: float | None = None) -> "asyncio.Task[str]":
        queue, client = self._way("q", at)
        request = api.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=queue), identity="me")
        if rate is not None:
            request.task_queue_metadata.max_tasks_per_second.value = rate

        async def poll() -> str:
            reply = await client.poll_activity_task_queue(self.call(), request)
            return api.PollActivityTaskQueueResponse.FromString(reply).task_token.decode()

        return asyncio.create_task(poll())

    async def describe(
        self, queue: str = "q", type_: int = WORKFLOW, *, report_stats: bool = True
    ) -> api.DescribeTaskQueueResponse:
        request = api.DescribeTaskQueueRequest(
            task_queue=TaskQueue(name=queue), report_stats=report_stats, include_task_queue_status=True
        )
        request.task_queue_type = cast(TaskQueueType.ValueType, type_)
        return await self.client.describe_task_queue(self.call(), request)


class Workers:
    """Pollers that poll again and again; what they get is counted."""

    def __init__(self, cluster: Cluster, pollers: int, *, at: int | None = None, wait_s: float = 20.0) -> None:
        self._cluster, self._at, self._wait_s = cluster, at, wait_s
        self.got: Counter[str] = Counter()
        self._polls = [asyncio.create_task(self._poll(number)) for number in range(pollers)]

    async def _poll(self, number: int) -> None:
        while True:
            try:
                task = await self._cluster.poll(wait_s=self._wait_s, at=self._at, identity=f"worker-{number}")
            except ServiceError:
                await self._cluster.clock.sleep(0.1)
            else:
                self.got.update([task] if task else [])

    async def stop(self) -> None:
        for poll in self._polls:
            poll.cancel()
        await asyncio.wait(self._polls)
