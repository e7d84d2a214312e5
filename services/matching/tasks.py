"""What pollers wait for, and the pollers that wait."""

import asyncio
from typing import Final

from temporalio.api.workflowservice import v1 as api

from services.protos.matching_pb2 import QueuedTask
from services.rpc.clients import AddTaskOutcome


class Task:
    """A workflow or activity task on its way to a poller.

    `task_id` is its place in the backlog, 0 while it was never stored; such a task lives only in memory, and its adder
    waits to hear who answers for it. A guest is another partition's: it is never stored here. `request_id` stays the
    same over attempts, so that history knows a repeated start.
    """

    __slots__ = ("added", "attempts", "due", "durable", "guest", "queued", "request_id", "task_id")

    def __init__(self, queued: QueuedTask, task_id: int = 0, *, guest: bool = False, durable: bool = False) -> None:
        self.queued = queued
        self.task_id = task_id
        self.guest = guest
        self.durable = durable  # it is in some backlog, so its start must be written
        self.added: asyncio.Future[AddTaskOutcome] | None = None
        self.due = 0.0  # when it stops waiting in memory, on the monotonic clock
        self.request_id = ""
        self.attempts = 0

    def answer(self, outcome: AddTaskOutcome) -> None:
        """Tells the adder, once. One that has gone tries again by itself."""
        if self.added is not None and not self.added.done():
            self.added.set_result(outcome)
        self.added = None

    def refuse(self, error: Exception) -> None:
        """Gives the task back to its adder."""
        if self.added is not None and not self.added.done():
            self.added.set_exception(error)
        self.added = None

    def is_wanted(self) -> bool:
        """Whether somebody still waits for what comes of it."""
        return self.added is not None and not self.added.done()


class QueryTask:
    """A query on its way to a poller, and the answer on its way back. It lives in memory only."""

    __slots__ = ("answer", "poll_response", "query_id")

    def __init__(
        self, query_id: str, poll_response: bytes, answer: "asyncio.Future[api.RespondQueryTaskCompletedRequest]"
    ) -> None:
        self.query_id = query_id
        self.poll_response = poll_response
        self.answer = answer


class ForwardPoll:
    """What a poller gets that shall wait at the parent partition from now on."""


FORWARD_POLL: Final = ForwardPoll()
Handed = Task | QueryTask | ForwardPoll | None


class Poller:
    """One poll that waits. `handed` is resolved once: with a task, or with None when the wait is over."""

    __slots__ = ("forwarded_from", "handed", "worker_instance_key")

    def __init__(self, handed: "asyncio.Future[Handed]", worker_instance_key: str, forwarded_from: str) -> None:
        self.handed = handed
        self.worker_instance_key = worker_instance_key
        self.forwarded_from = forwarded_from  # the partition it came from, if not from a worker

    def release(self) -> None:
        """Ends the wait without a task."""
        if not self.handed.done():
            self.handed.set_result(None)

    def refuse(self, error: Exception) -> None:
        """Ends the wait: the queue is elsewhere."""
        if not self.handed.done():
            self.handed.set_exception(error)
