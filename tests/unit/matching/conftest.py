"""A matching service on a clock that tests turn by hand, with a history that records and obeys."""

import asyncio
import heapq
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.matching import MatchingService, MatchingSettings
from services.persistence import BacklogTask, Outcome, QueueKey, QueueLease, UnknownOutcome
from services.protos.history_pb2 import RecordActivityTaskStartedRequest, RecordWorkflowTaskStartedRequest
from services.protos.matching_pb2 import AddTaskRequest, QueuedTask
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, HistoryClient

WORKFLOW, ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
NORMAL, STICKY = TaskQueueKind.TASK_QUEUE_KIND_NORMAL, TaskQueueKind.TASK_QUEUE_KIND_STICKY
NAMESPACE_ID = "namespace-1"
HANG_SECONDS = 20
LOOP_TURNS = 30  # enough for everything that is ready, and everything that makes ready, to run


@dataclass(order=True)
class Timer:
    due: float
    number: int
    callback: Callable[[], None] = field(compare=False)
    canceled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.canceled = True


class HandClock:
    """Time stands still until a test advances it."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[Timer] = []
        self._numbers = 0

    def now_ns(self) -> int:
        return int(self._now * 1e9)

    def monotonic(self) -> float:
        return self._now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        self._numbers += 1
        timer = Timer(self._now + delay_s, self._numbers, callback)
        heapq.heappush(self._timers, timer)
        return timer

    async def sleep(self, delay_s: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.call_later(delay_s, lambda: None if woken.done() else woken.set_result(None))
        await woken

    async def advance(self, seconds: float) -> None:
        """Runs every timer that comes due, in order, and all that follows from each."""
        await settle()
        until = self._now + seconds
        while self._timers and self._timers[0].due <= until:
            timer = heapq.heappop(self._timers)
            if not timer.canceled:
                self._now = max(self._now, timer.due)
                timer.callback()
                await settle()
        self._now = until
        await settle()

    def pending(self) -> int:
        return sum(not timer.canceled for timer in self._timers)


async def settle() -> None:
    """Lets the loop run until nothing is ready any more."""
    for _ in range(LOOP_TURNS):
        await asyncio.sleep(0)


class CountedChance:
    def __init__(self) -> None:
        self._ids = 0

    def random(self) -> float:
        return 0.5

    def run_id(self) -> str:
        return self.unique_id()

    def unique_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"


class MemoryQueues:
    """A QueueStore in memory: fenced like the real ones, and failing on demand."""

    def __init__(self) -> None:
        self.range_ids: dict[QueueKey, int] = {}
        self.ack_levels: dict[QueueKey, int] = {}
        self.rows: dict[QueueKey, dict[int, bytes]] = {}
        self.calls: list[str] = []
        self.failures: list[Exception] = []
        self.lose_answers = 0  # so many appends are done and then time out
        self.gate: asyncio.Event | None = None  # when set, calls wait for it
        self.append_gate: asyncio.Event | None = None  # the same, for appends

    async def _enter(self, name: str) -> None:
        self.calls.append(name)
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)

    async def lease_queue(self, key: QueueKey) -> QueueLease:
        await self._enter("lease")
        self.range_ids[key] = self.range_ids.get(key, 0) + 1
        return QueueLease(range_id=self.range_ids[key], ack_level=self.ack_levels.get(key, 0))

    async def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        await self._enter(f"append {len(tasks)}")
        if self.append_gate is not None:
            await self.append_gate.wait()
        if self.range_ids.get(key) != range_id:
            return Outcome.FENCED
        rows = self.rows.setdefault(key, {})
        for task in tasks:
            assert task.task_id not in rows, f"task id {task.task_id} used twice"
            rows[task.task_id] = task.blob
        if self.lose_answers:
            self.lose_answers -= 1
            raise UnknownOutcome("timeout")
        return Outcome.COMMITTED

    async def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        await self._enter("read")
        ids = sorted(i for i in self.rows.get(key, {}) if i > after_task_id)[:limit]
        return [BacklogTask(task_id=i, blob=self.rows[key][i]) for i in ids]

    async def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        await self._enter("acknowledge")
        if self.range_ids.get(key) != range_id:
            return Outcome.FENCED
        self.ack_levels[key] = ack_level
        self.rows[key] = {i: blob for i, blob in self.rows.get(key, {}).items() if i > ack_level}
        return Outcome.COMMITTED

    async def backlog_count(self, key: QueueKey) -> int:
        await self._enter("count")
        return len(self.rows.get(key, {}))

    def stored(self) -> list[str]:
        """The workflow ids of all stored tasks, in order."""
        return [
            QueuedTask.FromString(blob).workflow_id for rows in self.rows.values() for _, blob in sorted(rows.items())
        ]


Started = RecordWorkflowTaskStartedRequest | RecordActivityTaskStartedRequest


class FakeHistory:
    """Starts every task, once; answers its workflow id as the token. `failures` are raised first."""

    def __init__(self) -> None:
        self.started: list[Started] = []  # asked for
        self.delivered: list[str] = []  # workflow ids whose start was answered
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None

    async def record_workflow_task_started(self, call: Call, request: RecordWorkflowTaskStartedRequest) -> bytes:
        await self._start(request)
        return api.PollWorkflowTaskQueueResponse(task_token=request.workflow_id.encode()).SerializeToString()

    async def record_activity_task_started(self, call: Call, request: RecordActivityTaskStartedRequest) -> bytes:
        await self._start(request)
        return api.PollActivityTaskQueueResponse(task_token=request.workflow_id.encode()).SerializeToString()

    async def _start(self, request: Started) -> None:
        self.started.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.delivered.append(request.workflow_id)


class Matching:
    """The service under test and short names for its calls."""

    def __init__(
        self,
        settings: MatchingSettings | None = None,
    ) -> None:
        self.clock, self.history = HandClock(), FakeHistory()
        self.queues = MemoryQueues()
        self.settings = settings or MatchingSettings()
        self.service = self.new_service()

    def new_service(self) -> MatchingService:
        return MatchingService(
            self.queues, cast(HistoryClient, self.history), self.clock, CountedChance(), self.settings
        )

    def restart(self) -> None:
        """Another life on the same store; the old service is as dead as after SIGKILL."""
        self.service = self.new_service()

    def call(self, wait_s: float = 70.0) -> Call:
        return Call(namespace="default", namespace_id=NAMESPACE_ID, deadline=self.clock.monotonic() + wait_s)

    def add(
        self,
        workflow_id: str,
        queue: str = "q",
        *,
        type_: TaskQueueType.ValueType = WORKFLOW,
        kind: TaskQueueKind.ValueType = NORMAL,
        expire_in_s: float = 0,
    ) -> "asyncio.Task[AddTaskOutcome]":
        """Adds as history does, in the background: the outcome may take a while."""
        now_ns = self.clock.now_ns()
        task = QueuedTask(
            namespace_id=NAMESPACE_ID,
            workflow_id=workflow_id,
            run_id="r",
            scheduled_event_id=2,
            stamp=1,
            create_time_ns=now_ns,
            expire_time_ns=now_ns + int(expire_in_s * 1e9) if expire_in_s else 0,
        )
        request = AddTaskRequest(task_queue_type=type_, task_queue=queue, task_queue_kind=kind, task=task)

        async def add() -> AddTaskOutcome:
            return await self.service.add_task(self.call(), request)

        return asyncio.create_task(add())

    async def hand_over(self, workflow_id: str) -> "asyncio.Task[AddTaskOutcome]":
        """Adds with one turn of the loop: the task is handed to a waiting poller, which has not woken up yet."""
        add = self.add(workflow_id)
        await asyncio.sleep(0)
        return add

    def poll(
        self,
        queue: str = "q",
        wait_s: float = 70.0,
        *,
        kind: TaskQueueKind.ValueType = NORMAL,
        worker: str = "",
        identity: str = "me",
    ) -> "asyncio.Task[api.PollWorkflowTaskQueueResponse]":
        request = api.PollWorkflowTaskQueueRequest(
            task_queue=TaskQueue(name=queue, kind=kind), identity=identity, worker_instance_key=worker
        )

        async def poll() -> api.PollWorkflowTaskQueueResponse:
            reply = await self.service.poll_workflow_task_queue(self.call(wait_s), request)
            return api.PollWorkflowTaskQueueResponse.FromString(reply)

        return asyncio.create_task(poll())

    def poll_activity(
        self, queue: str = "q", rate: float | None = None, wait_s: float = 70.0
    ) -> "asyncio.Task[api.PollActivityTaskQueueResponse]":
        request = api.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=queue), identity="me")
        if rate is not None:
            request.task_queue_metadata.max_tasks_per_second.value = rate

        async def poll() -> api.PollActivityTaskQueueResponse:
            reply = await self.service.poll_activity_task_queue(self.call(wait_s), request)
            return api.PollActivityTaskQueueResponse.FromString(reply)

        return asyncio.create_task(poll())


@pytest.fixture(autouse=True)
def _hang_is_failure() -> Iterator[None]:
    """A lost wake-up would make a test wait for ever."""

    def fail(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"the test hung for {HANG_SECONDS} s")

    signal.signal(signal.SIGALRM, fail)
    signal.alarm(HANG_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture
async def matching() -> Matching:
    return Matching()


@pytest.fixture(autouse=True)
async def _clusters_end() -> AsyncIterator[None]:
    yield
    from tests.unit.matching.cluster import clusters

    while clusters:
        await clusters.pop().end()
