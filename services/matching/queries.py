"""Queries that wait for a worker's answer."""

import asyncio

from google.protobuf.message import DecodeError
from temporalio.api.workflowservice import v1 as api

from services.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, ServiceError
from services.matching.queue import QueuePartition
from services.matching.settings import LiveSettings
from services.matching.tasks import QueryTask
from services.protos.run_pb2 import QueryTaskToken
from services.runtime import Chance, Clock

POLLER_CHECK_S = 1.0  # so long before its deadline a query that no poller can have seen is given up
TIMED_OUT = "query timed out before a worker could process it"
NO_POLLER = "no poller seen for task queue recently, worker may be down"


class Queries:
    """Asks pollers of a queue and brings their answers back, as long as this process lives."""

    def __init__(self, clock: Clock, chance: Chance, settings: LiveSettings) -> None:
        self._clock, self._chance, self._settings = clock, chance, settings
        self._asked: dict[str, tuple[QueuePartition, QueryTask]] = {}

    async def ask(
        self, queue: QueuePartition, poll_response: bytes, deadline: float | None
    ) -> api.RespondQueryTaskCompletedRequest:
        """Waits for the answer; DeadlineExceeded, or FailedPrecondition when nobody has polled the queue lately."""
        now = self._clock.monotonic()
        until = now + self._settings.now.long_poll_s_max if deadline is None else deadline
        query = QueryTask(self._chance.unique_id(), poll_response, asyncio.get_running_loop().create_future())

        def check_pollers() -> None:
            if not query.answer.done() and not queue.polled_within(self._settings.now.query_poller_gone_s):
                query.answer.set_exception(FailedPrecondition(NO_POLLER))

        def time_out() -> None:
            if not query.answer.done():
                query.answer.set_exception(DeadlineExceeded(TIMED_OUT))

        timers = (
            self._clock.call_later(max(0.0, until - POLLER_CHECK_S - now), check_pollers),
            self._clock.call_later(max(0.0, until - now), time_out),
        )
        self._asked[query.query_id] = queue, query
        try:
            queue.add_query(query)
            return await query.answer
        finally:
            del self._asked[query.query_id]
            for timer in timers:
                timer.cancel()

    def answer(self, request: api.RespondQueryTaskCompletedRequest) -> None:
        """Raises InvalidArgument for a token that is none, NotFound when nobody waits any more."""
        if not request.task_token:
            raise InvalidArgument("Task token not set on request.")
        try:
            token = QueryTaskToken.FromString(request.task_token)
        except DecodeError as error:
            raise InvalidArgument("Error deserializing task token.") from error
        _, query = self._asked.get(token.query_id, (None, None))
        if query is None or query.answer.done():
            raise NotFound("query task not found, or already expired")
        query.answer.set_result(request)

    def refuse(self, queue: QueuePartition, error: ServiceError) -> None:
        """The queue has moved, and answers go where it is now: the askers must ask there."""
        for asked, query in self._asked.values():
            if asked is queue and not query.answer.done():
                query.answer.set_exception(error)


def query_poll_response(queue: QueuePartition, query: QueryTask) -> bytes:
    """What the poller gets: the asker's poll response and the token to answer with."""
    token = QueryTaskToken(
        namespace_id=queue.key.namespace_id, task_queue=queue.name, query_id=query.query_id
    ).SerializeToString()
    return query.poll_response + api.PollWorkflowTaskQueueResponse(task_token=token).SerializeToString()
