"""The face of matching: every call finds its queue and says what came of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.workflowservice import v1 as api

from services.errors import (
    InvalidArgument,
    NotFound,
    ServiceError,
    StickyWorkerUnavailable,
    TaskQueueOwnershipLost,
    Unimplemented,
)
from services.matching.describe import add_others, describe
from services.matching.hints import activity_hints, workflow_hints
from services.matching.loaded import LoadedPartitions
from services.matching.peers import Peers, guest_wait_s
from services.matching.pollers import PollRequest, requested_rate
from services.matching.queries import Queries, query_poll_response
from services.matching.queue import QueuePartition
from services.matching.settings import LiveSettings, SettingsSource
from services.matching.tasks import ForwardPoll, QueryTask, Task
from services.matching.workers import Workers
from services.persistence import QueueStore
from services.protos.history_pb2 import RecordActivityTaskStartedRequest, RecordWorkflowTaskStartedRequest
from services.protos.matching_pb2 import AddTaskRequest, QueryTaskRequest, ReleasePollsRequest, UnloadRequest
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, HistoryClient, MatchingClient
from services.rpc.partitions import name_of, parse
from services.rpc.routing import Owners
from services.rpc.wire import queue_key
from services.runtime import Chance, Clock

WORKFLOW = int(TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
ACTIVITY = int(TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
STICKY = int(TaskQueueKind.TASK_QUEUE_KIND_STICKY)

logger = logging.getLogger(__name__)

Start = Callable[[Task], Awaitable[bytes]]
Hints = Callable[[QueuePartition, float, float], bytes]


class MatchingService:
    """A MatchingClient. Queues live in memory while they are used; `drain` before the end loses nothing.

    In a cluster: `peers` leads to the owners of partitions, `owners` says who they are, `address` which one this is.
    """

    def __init__(
        self,
        store: QueueStore,
        history: HistoryClient,
        clock: Clock,
        chance: Chance,
        settings: SettingsSource,
        *,
        peers: MatchingClient | None = None,
        owners: Owners | None = None,
        address: str = "",
    ) -> None:
        self._history, self._clock, self._source = history, clock, settings
        self._settings = LiveSettings(settings)
        self._peers = Peers(peers or self, clock)
        self._queries = Queries(clock, chance, self._settings)
        self._workers = Workers(clock, self._settings)
        self._loaded = LoadedPartitions(
            store,
            self._peers,
            clock,
            settings,
            owners=owners,
            address=address,
            send_up=self._send_up,
            lost=lambda queue, owner: self._queries.refuse(queue, TaskQueueOwnershipLost(owner)),
        )
        self._request_id_prefix = chance.unique_id()[:24]  # a UUID but for its last part, which counts
        self._starts = 0

    # Tasks.
    async def add_task(self, call: Call, request: AddTaskRequest) -> AddTaskOutcome:
        name, kind = request.task_queue, cast(int, request.task_queue_type)
        queue = self._loaded.get(call.namespace_id, name, kind)
        if cast(int, request.task_queue_kind) == STICKY and not self._sticky_worker_polls(call, name, queue):
            return AddTaskOutcome.STICKY_WORKER_UNAVAILABLE
        if queue is None:
            queue = await self._loaded.open(call, name, kind)
        began = self._clock.monotonic()
        try:
            outcome = await queue.add(request.task)
            queue.metrics.added(outcome, self._clock.monotonic() - began, forwarded=False)
            return outcome
        except StickyWorkerUnavailable:  # it shut down while the task waited
            return AddTaskOutcome.STICKY_WORKER_UNAVAILABLE

    def _sticky_worker_polls(self, call: Call, name: str, queue: QueuePartition | None) -> bool:
        """Raises TaskQueueOwnershipLost when another host would know."""
        if queue is None:
            self._loaded.check_owner(queue_key(call.namespace_id, WORKFLOW, name))
        return queue is not None and queue.polled_within(queue.settings.now.sticky_poller_gone_s)

    async def forward_task(self, call: Call, request: AddTaskRequest) -> AddTaskOutcome:
        name, kind = request.task_queue, cast(int, request.task_queue_type)
        queue = self._loaded.get(call.namespace_id, name, kind) or await self._loaded.open(call, name, kind)
        task = Task(request.task, guest=True, durable=request.durable)
        task.request_id = request.request_id
        queue.metrics.forwarded(poll=False)
        began = self._clock.monotonic()
        outcome = await queue.add_guest(task, guest_wait_s(queue, durable=task.durable))
        queue.metrics.added(outcome, self._clock.monotonic() - began, forwarded=True)
        return outcome

    async def _send_up(self, queue: QueuePartition, task: Task) -> AddTaskOutcome:
        self._name_start(task)
        return await self._peers.forward_task(queue, task)

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
                    durable=task.durable,
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
        task_queue, worker = request.task_queue, request.worker_instance_key
        queue = self._loaded.get(call.namespace_id, task_queue.name, kind)
        if queue is None:
            sticky, normal_name = task_queue.kind == STICKY, task_queue.normal_name
            queue = await self._loaded.open(call, task_queue.name, kind, sticky=sticky, normal_name=normal_name)
        if self._loaded.draining:
            return b""
        self._loaded.before_poll(queue)
        if call.forwarded_from:
            queue.metrics.forwarded(poll=True)
        else:
            queue.history.saw(request, self._clock.now_ns())
        if kind == ACTIVITY:
            queue.limit_dispatch(requested_rate(request))
        queue.poll_begins()
        queue.metrics.poll_begins()
        try:
            return await self._poll_until_served(queue, call, request, start, hints, worker)
        finally:
            queue.metrics.poll_ends()
            queue.poll_ends()

    async def _poll_until_served(
        self, queue: QueuePartition, call: Call, request: PollRequest, start: Start, hints: Hints, worker: str
    ) -> bytes:
        began, settings, metrics = self._clock.monotonic(), queue.settings.now, queue.metrics
        until = began + settings.long_poll_s_max
        if call.deadline is not None:
            until = min(until, call.deadline - settings.long_poll_margin_s)
        while not self._workers.has_shut_down(worker):
            handed = await queue.poll(worker, until, call.forwarded_from)
            if handed is None:
                break
            if isinstance(handed, ForwardPoll):
                reply = await self._forward_poll(queue, call, request, until)
                if reply:
                    metrics.polled(self._clock.monotonic() - began, got_task=True, forwarded=True)
                    return reply
                continue
            now = self._clock.monotonic()
            if isinstance(handed, QueryTask):
                metrics.polled(now - began, got_task=True)
                return query_poll_response(queue, handed) + hints(queue, now - began, now)
            started = await self._start(queue, handed, start)
            if started is not None:
                started += hints(queue, now - began, now)
                queue.done(handed)
                metrics.polled(now - began, got_task=True)
                metrics.dispatched(
                    (self._clock.now_ns() - handed.queued.create_time_ns) / 1e9,
                    stored=bool(handed.task_id),
                    forwarded=handed.guest,
                    poll_forwarded=bool(call.forwarded_from),
                )
                return started
        metrics.polled(self._clock.monotonic() - began, got_task=False)
        return b""

    async def _forward_poll(self, queue: QueuePartition, call: Call, request: PollRequest, until: float) -> bytes:
        """The parent's answer; b"" when there was none, so that the poller waits here again."""
        reply, failure = b"", None
        try:
            reply = await self._peers.forward_poll(queue, call, request, until)
        except ServiceError as error:
            failure = error
        finally:
            queue.forwarded_poll_is_back(in_vain=not reply, error=failure)
        return reply

    async def _start(self, queue: QueuePartition, task: Task, start: Start) -> bytes | None:
        """History's poll response; None when the task came to nothing or has to wait, so that the poller waits on."""
        self._name_start(task)
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

    def _name_start(self, task: Task) -> None:
        """History knows a start that is repeated by its request id."""
        if not task.request_id:
            self._starts += 1
            task.request_id = f"{self._request_id_prefix}{self._starts:012x}"

    async def release_polls(self, call: Call, request: ReleasePollsRequest) -> None:
        queue = self._loaded.get(call.namespace_id, request.task_queue, cast(int, request.task_queue_type))
        if queue is None:
            self._loaded.check_owner(
                queue_key(call.namespace_id, cast(int, request.task_queue_type), request.task_queue)
            )
        else:
            queue.release_pollers(forwarded_from=request.forwarded_from)

    # Queries.
    async def query_workflow(self, call: Call, request: QueryTaskRequest) -> api.RespondQueryTaskCompletedRequest:
        name, sticky = request.task_queue.name, request.task_queue.kind == STICKY
        queue = self._loaded.get(call.namespace_id, name, WORKFLOW)
        if sticky and not self._sticky_worker_polls(call, name, queue):
            raise StickyWorkerUnavailable()
        if queue is None:
            queue = await self._loaded.open(call, name, WORKFLOW)
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
        """Asked of the root, the whole queue; asked of another partition, that one."""
        if request.api_mode:
            raise Unimplemented("describing a task queue in enhanced mode is not supported")
        task_queue, kind = request.task_queue, request.task_queue_type or WORKFLOW
        if request.report_stats and not call.forwarded_from and parse(task_queue.name).partition:
            raise InvalidArgument("DescribeTaskQueue stats are only supported for the root partition")
        queue = self._loaded.get(call.namespace_id, task_queue.name, kind)
        if queue is None:
            queue = await self._loaded.open(call, task_queue.name, kind, sticky=task_queue.kind == STICKY)
        await queue.backlog.wait_for_first_read()
        response = describe(queue, request, self._clock)
        if not queue.key.partition and not call.forwarded_from:
            add_others(response, await self._peers.describe_others(queue, request))
        return response

    async def list_task_queue_partitions(
        self, call: Call, request: api.ListTaskQueuePartitionsRequest
    ) -> api.ListTaskQueuePartitionsResponse:
        response = api.ListTaskQueuePartitionsResponse()
        for kind, partitions in (
            (WORKFLOW, response.workflow_task_queue_partitions),
            (ACTIVITY, response.activity_task_queue_partitions),
        ):
            for number in range(self._source.partitions_read(call.namespace, request.task_queue.name, kind)):
                name = name_of(request.task_queue.name, number)
                owner = self._loaded.owner(queue_key(call.namespace_id, kind, name))
                partitions.add(key=name, owner_host_name=owner)
        return response

    async def shutdown_worker(self, call: Call, request: api.ShutdownWorkerRequest) -> None:
        self._workers.shut_down(call.namespace_id, request)
        sticky = self._loaded.get(call.namespace_id, request.sticky_task_queue, WORKFLOW)
        if request.sticky_task_queue and sticky is not None:
            sticky.forget_worker()
        if not request.worker_instance_key:
            return
        for kind in request.task_queue_types or (WORKFLOW, ACTIVITY):
            for partition in range(self._source.partitions_all(call.namespace, request.task_queue, kind)):
                queue = self._loaded.get(call.namespace_id, name_of(request.task_queue, partition), kind)
                if queue is not None:
                    queue.release_pollers(worker_instance_key=request.worker_instance_key)

    # One host knows the workers of a namespace.
    async def record_worker_heartbeat(self, call: Call, request: api.RecordWorkerHeartbeatRequest) -> None:
        self._loaded.check_owner((call.namespace_id,))
        self._workers.record(call.namespace_id, request.worker_heartbeat)

    async def list_workers(self, call: Call, request: api.ListWorkersRequest) -> api.ListWorkersResponse:
        self._loaded.check_owner((call.namespace_id,))
        return self._workers.list(call.namespace_id, request)

    async def describe_worker(self, call: Call, request: api.DescribeWorkerRequest) -> api.DescribeWorkerResponse:
        self._loaded.check_owner((call.namespace_id,))
        return self._workers.describe(call.namespace_id, request.worker_instance_key)

    # Queues come and go.
    def rebalance(self) -> None:
        """To be called at each change of the ring of matching hosts, and of this host's authority."""
        self._loaded.rebalance()

    async def unload(self, call: Call, request: UnloadRequest) -> None:
        await self._loaded.unload(request.namespace_id, request.task_queues)

    async def hand_over(self) -> None:
        """Nothing: what waits in memory for a worker has its row elsewhere until it is stored."""

    async def drain(self) -> None:
        """Ends all polls politely and stores what waits in memory. Later polls end at once, later tasks are stored."""
        await self._loaded.drain()
