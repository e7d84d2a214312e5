"""What the partitions of one queue say to one another, wherever they are."""

import asyncio
import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.errors import ServiceError
from services.matching.pollers import PollRequest
from services.matching.queue import QueuePartition
from services.matching.tasks import Task
from services.protos.matching_pb2 import AddTaskRequest, ReleasePollsRequest
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, MatchingClient
from services.rpc.partitions import name_of, parent_of
from services.runtime import Clock

ANSWER_S = 10.0  # so much longer than a task may wait elsewhere does its partition wait for the answer
WAKE_RETRY_S = 5.0

logger = logging.getLogger(__name__)


class Peers:
    """Calls to other partitions. `matching` leads to whichever host has them."""

    def __init__(self, matching: MatchingClient, clock: Clock) -> None:
        self._matching, self._clock = matching, clock

    async def forward_task(self, queue: QueuePartition, task: Task) -> AddTaskOutcome:
        """Raises services.errors.ServiceError."""
        wait_s = guest_wait_s(queue, durable=task.durable)
        request = AddTaskRequest(
            task_queue_type=queue.key.task_queue_type,  # type: ignore[arg-type]  # keys hold enums as plain numbers
            task_queue=_parent(queue),
            task=task.queued,
            request_id=task.request_id,
            durable=task.durable,
        )
        return await self._matching.forward_task(self._call(queue, wait_s + ANSWER_S), request)

    async def forward_poll(self, queue: QueuePartition, call: Call, request: PollRequest, until: float) -> bytes:
        """The parent's answer to a poll. Raises services.errors.ServiceError."""
        asked = copy.copy(request)
        asked.task_queue.name = _parent(queue)
        margin_s = queue.settings.now.long_poll_margin_s
        up = replace(call, forwarded_from=queue.name, deadline=until + margin_s)
        if isinstance(asked, api.PollWorkflowTaskQueueRequest):
            return await self._matching.poll_workflow_task_queue(up, asked)
        return await self._matching.poll_activity_task_queue(up, asked)

    async def release_polls(self, queue: QueuePartition) -> None:
        """Calls back the polls that this partition has at its parent. One that cannot be reached has lost them."""
        request = ReleasePollsRequest(
            task_queue_type=queue.key.task_queue_type,  # type: ignore[arg-type]  # as above
            task_queue=_parent(queue),
            forwarded_from=queue.name,
        )
        try:
            await self._matching.release_polls(self._call(queue, ANSWER_S), request)
        except ServiceError as error:
            logger.info("polls of %s were not called back: %s", queue.name, error)

    async def describe_others(
        self, queue: QueuePartition, request: api.DescribeTaskQueueRequest
    ) -> Sequence[api.DescribeTaskQueueResponse]:
        """What the other partitions say of themselves. Raises services.errors.ServiceError."""
        return await asyncio.gather(*(self._describe(queue, n, request) for n in _others(queue)))

    async def _describe(
        self, queue: QueuePartition, partition: int, request: api.DescribeTaskQueueRequest
    ) -> api.DescribeTaskQueueResponse:
        asked = api.DescribeTaskQueueRequest()
        asked.CopyFrom(request)
        asked.task_queue.name = name_of(queue.key.name, partition)
        return await self._matching.describe_task_queue(self._call(queue, ANSWER_S), asked)

    async def wake(self, queue: QueuePartition, partitions: Sequence[int] = ()) -> None:
        """Has the other partitions, or those named, loaded by their owners: their backlogs come here to the pollers."""
        for partition in partitions or _others(queue):
            request = api.DescribeTaskQueueRequest(
                task_queue=TaskQueue(),
                task_queue_type=queue.key.task_queue_type,  # type: ignore[arg-type]  # as above
            )
            while True:
                try:
                    await self._describe(queue, partition, request)
                    break
                except ServiceError as error:
                    logger.info("partition %d of %s could not be woken: %s", partition, queue.key.name, error)
                    await self._clock.sleep(WAKE_RETRY_S)

    def _call(self, queue: QueuePartition, seconds: float) -> Call:
        return Call(
            namespace=queue.namespace,
            namespace_id=queue.key.namespace_id,
            deadline=self._clock.monotonic() + seconds,
            forwarded_from=queue.name,
        )


def guest_wait_s(queue: QueuePartition, *, durable: bool) -> float:
    """How long a task waits for a poller of another partition: a stored one has time."""
    settings = queue.settings.now
    return settings.backlog_forward_s_max if durable else settings.sync_match_wait_s_max


def _parent(queue: QueuePartition) -> str:
    return name_of(queue.key.name, parent_of(queue.key.partition, queue.settings.now.forwarder_children_max))


def _others(queue: QueuePartition) -> range:
    return range(1, queue.settings.partitions_all())
