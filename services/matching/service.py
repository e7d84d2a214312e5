"""The face of matching: every call finds its queue and says what came of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound, ServiceError, StickyWorkerUnavailable, Unimplemented
from services.matching.describe import describe
from services.matching.hints import activity_hints, workflow_hints
from services.matching.pollers import PollRequest, requested_rate
from services.matching.queries import Queries, query_poll_response
from services.matching.queue import QueuePartition
from services.matching.settings import MatchingSettings
from services.matching.tasks import QueryTask, Task
from services.matching.workers import Workers
from services.persistence import QueueKey, QueueStore
from services.protos.history_pb2 import RecordActivityTaskStartedRequest, RecordWorkflowTaskStartedRequest
from services.protos.matching_pb2 import AddTaskRequest, QueryTaskRequest, UnloadRequest
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, HistoryClient
from services.runtime import Chance, Clock

WORKFLOW = int(TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
ACTIVITY = int(TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
STICKY = int(TaskQueueKind.TASK_QUEUE_KIND_STICKY)
SWEEP_S = 60.0

logger = logging.getLogger(__name__)

Start = Callable[[Task], Awaitable[bytes]]
Hints = Callable[[QueuePartition, MatchingSettings, float, float], bytes]


class MatchingService:
    """A MatchingClient. Queues live in memory while they are used; `drain` before the end loses nothing."""

    def __init__(
        self, store: QueueStore, history: HistoryClient, clock: Clock, chance: Chance, settings: MatchingSettings
    ) -> None:
        self._store, self._history, self._clock = store, history, clock
        self._settings = settings
        self._queues: dict[tuple[str, str, int], QueuePartition] = {}
        self._queries = Queries(clock, chance, settings)
        self._workers = Workers(clock, settings)
        self._closing: set[asyncio.Task[None]] = set()
        self._request_id_prefix = chance.unique_id()[:24]  # a UUID but for its last part, which counts
        self._starts = 0
        self._sweeping = False
        self._draining = False

    # Tasks.
    async def add_task(self, call: Call, request: AddTaskRequest) -> AddTaskOutcome:
        namespace_id, name, kind = request.task.namespace_id, request.task_queue, cast(int, request.task_queue_type)
        queue = self._queues.get((namespace_id, name, kind))
        if cast(int, request.task_queue_kind) == STICKY and (
            queue is None or not queue.polled_within(self._settings.sticky_poller_gone_s)
        ):
            return AddTaskOutcome.STICKY_WORKER_UNAVAILABLE
        if queue is None:
            queue = self._load(namespace_id, name, kind, sticky=False)
        try:
            return AddTaskOutcome.MATCHED if await queue.add(request.task) else AddTaskOutcome.STORED
        except StickyWorkerUnavailable:  # it shut down while the task waited
            return AddTaskOutcome.STICKY_WORKER_UNAVAILABLE

    # Polls.
    async def poll_workflow_task_queue(self, call: Call, request: api.PollWorkflowTaskQueueRequest) -> bytes:
        def start(task: Task) -> Awaitable[bytes]:
            queued = task.queued
            return self._history.record_workflow_task_started(
                call,
                RecordWorkflowTaskStartedRequest(
                    namespace_id=queued.namespace_id,
                    workflow_id=queued.workflow_id,
                    run_id=queued.run_id,
                    scheduled_event_id=queued.scheduled_event_id,
                    stamp=queued.stamp,
                    request_id=task.request_id,
                    durable=task.task_id != 0,
                    poll_request=request,
                ),
            )

        return await self._poll(call, request, WORKFLOW, start, workflow_hints)

    async def poll_activity_task_queue(self, call: Call, request: api.PollActivityTaskQueueRequest) -> bytes:
        def start(task: Task) -> Awaitable[bytes]:
            queued = task.queued
            return self._history.record_activity_task_started(
                call,
                RecordActivityTaskStartedRequest(
                    namespace_id=queued.namespace_id,
                    workflow_id=queued.workflow_id,
                    run_id=queued.run_id,
                    scheduled_event_id=queued.scheduled_event_id,
                    stamp=queued.stamp,
                    request_id=task.request_id,
                    poll_request=request,
                ),
            )

        return await self._poll(call, request, ACTIVITY, start, activity_hints)

    async def _poll(self, call: Call, request: PollRequest, kind: int, start: Start, hints: Hints) -> bytes:
        worker = request.worker_instance_key
        if self._draining or self._workers.has_shut_down(worker):
            return b""
        sticky = request.task_queue.kind == STICKY
        queue = self._queue(call.namespace_id, request.task_queue.name, kind, sticky=sticky)
        began = self._clock.monotonic()
        until = began + self._settings.long_poll_s_max
        if call.deadline is not None:
            until = min(until, call.deadline - self._settings.long_poll_margin_s)
        queue.history.saw(request, self._clock.now_ns())
        if kind == ACTIVITY:
            queue.limit_dispatch(requested_rate(request))
        queue.poll_begins()
        try:
            while (task := await queue.poll(worker, until)) is not None:
                now = self._clock.monotonic()
                if isinstance(task, QueryTask):
                    return query_poll_response(queue, task) + hints(queue, self._settings, now - began, now)
                reply = await self._start(queue, task, start)
                if reply is not None:
                    reply += hints(queue, self._settings, now - began, now)
                    queue.done(task)
                    return reply
            return b""
        finally:
            queue.poll_ends()

    async def _start(self, queue: QueuePartition, task: Task, start: Start) -> bytes | None:
        """History's poll response; None when the task came to nothing or has to wait, so that the poller waits on."""
        if not task.request_id:
            self._starts += 1
            task.request_id = f"{self._request_id_prefix}{self._starts:012x}"
        try:
            return await start(task)
        except NotFound:  # it is over, or another poll started it
            queue.done(task)
        except asyncio.CancelledError:  # the poller left; the next one repeats the start under the same request id
            queue.put_back(task)
            raise
        except Exception as error:
            known = isinstance(error, ServiceError)
            logger.log(logging.INFO if known else logging.ERROR, "a task could not be started", exc_info=not known)
            queue.retry(task)
        return None

    # Queries.
    async def query_workflow(self, call: Call, request: QueryTaskRequest) -> api.RespondQueryTaskCompletedRequest:
        task_queue = request.task_queue
        sticky = task_queue.kind == STICKY
        if sticky:
            known = self._queues.get((call.namespace_id, task_queue.name, WORKFLOW))
            if known is None or not known.polled_within(self._settings.sticky_poller_gone_s):
                raise StickyWorkerUnavailable()
        queue = self._queue(call.namespace_id, task_queue.name, WORKFLOW, sticky=sticky)
        return await self._queries.ask(queue, request.poll_response, call.deadline)

    async def respond_query_task_completed(
        self,
        call: Call,
        request: api.RespondQueryTaskCompletedRequest,
    ) -> None:
        self._queries.answer(request)

    # What operators ask.
    async def describe_task_queue(
        self, call: Call, request: api.DescribeTaskQueueRequest
    ) -> api.DescribeTaskQueueResponse:
        if request.api_mode:
            raise Unimplemented("describing a task queue in enhanced mode is not supported")
        sticky = request.task_queue.kind == STICKY
        kind = request.task_queue_type or WORKFLOW
        queue = self._queue(call.namespace_id, request.task_queue.name, kind, sticky=sticky)
        await queue.backlog.wait_for_first_read()
        return describe(queue, request, self._settings, self._clock)

    async def shutdown_worker(self, call: Call, request: api.ShutdownWorkerRequest) -> None:
        self._workers.shut_down(call.namespace_id, request)
        sticky = self._queues.get((call.namespace_id, request.sticky_task_queue, WORKFLOW))
        if request.sticky_task_queue and sticky is not None:
            sticky.forget_worker()
        for kind in request.task_queue_types or (WORKFLOW, ACTIVITY):
            queue = self._queues.get((call.namespace_id, request.task_queue, kind))
            if queue is not None and request.worker_instance_key:
                queue.release_pollers(request.worker_instance_key)

    async def record_worker_heartbeat(self, call: Call, request: api.RecordWorkerHeartbeatRequest) -> None:
        self._workers.record(call.namespace_id, request.worker_heartbeat)

    async def list_workers(self, call: Call, request: api.ListWorkersRequest) -> api.ListWorkersResponse:
        return self._workers.list(call.namespace_id, request)

    async def describe_worker(self, call: Call, request: api.DescribeWorkerRequest) -> api.DescribeWorkerResponse:
        return self._workers.describe(call.namespace_id, request.worker_instance_key)

    # Queues come and go.
    def _queue(self, namespace_id: str, name: str, kind: int, *, sticky: bool) -> QueuePartition:
        queue = self._queues.get((namespace_id, name, kind))
        return queue if queue is not None else self._load(namespace_id, name, kind, sticky=sticky)

    def _load(self, namespace_id: str, name: str, kind: int, *, sticky: bool) -> QueuePartition:
        key = QueueKey(namespace_id=namespace_id, name=name, task_queue_type=kind)

        def lose() -> None:
            if self._queues.get((namespace_id, name, kind)) is queue and not self._draining:
                self._unload_soon([queue])

        queue = QueuePartition(self._store, key, self._clock, self._settings, sticky=sticky, on_lost=lose)
        self._queues[namespace_id, name, kind] = queue
        if self._draining:
            queue.stop()
        elif not self._sweeping:
            self._sweeping = True
            self._clock.call_later(SWEEP_S, self._sweep)
        return queue

    def _sweep(self) -> None:
        self._sweeping = False
        self._workers.forget_silent()
        self._unload_soon([queue for queue in self._queues.values() if queue.is_idle()])
        if self._queues and not self._draining:
            self._sweeping = True
            self._clock.call_later(SWEEP_S, self._sweep)

    def _unload_soon(self, queues: Sequence[QueuePartition]) -> None:
        for queue in queues:
            del self._queues[queue.key.namespace_id, queue.key.name, queue.key.task_queue_type]
            closing = asyncio.create_task(queue.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def unload(self, call: Call, request: UnloadRequest) -> None:
        mine = [queue for queue in self._queues.values() if queue.key.namespace_id == request.namespace_id]
        named = request.task_queues
        self._unload_soon([queue for queue in mine if not named or queue.key.name in named])
        await self._wait_for_closing()

    async def drain(self) -> None:
        """Ends all polls politely and stores what waits in memory. Later polls end at once, later tasks are stored."""
        self._draining = True
        await asyncio.gather(*(queue.close() for queue in self._queues.values()))
        await self._wait_for_closing()

    async def _wait_for_closing(self) -> None:
        if self._closing:
            await asyncio.wait(list(self._closing))
