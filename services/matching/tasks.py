"""What pollers wait for, and the pollers that wait."""

import asyncio

from temporalio.api.workflowservice import v1 as api

from services.protos.matching_pb2 import QueuedTask


class Task:
    """A workflow or activity task on its way to a poller.

    `task_id` is its place in the backlog, 0 while it was never stored. `added` is the adder that still waits to hear
    who answers for it. `request_id` stays the same over attempts, so that history knows a repeated start.
    """

    __slots__ = ("added", "attempts", "due", "queued", "request_id", "task_id")

    def __init__(self, queued: QueuedTask, task_id: int = 0) -> None:
        self.queued = queued
        self.task_id = task_id
        self.added: asyncio.Future[bool] | None = None  # True: matched, False: stored
        self.due = 0.0  # when it stops waiting in memory, on the monotonic clock
        self.request_id = ""
        self.attempts = 0

    def answer(self, *, matched: bool) -> None:
        """Tells the adder, once. An adder that has gone does not matter: the task is ours either way."""
        if self.added is not None and not self.added.done():
            self.added.set_result(matched)
        self.added = None

    def refuse(self, error: Exception) -> bool:
        """Gives the task back to an adder that still waits; False when there is none."""
        added, self.added = self.added, None
        if added is None or added.done():
            return False
        added.set_exception(error)
        return True


class QueryTask:
    """A query on its way to a poller, and the answer on its way back. It lives in memory only."""

    __slots__ = ("answer", "poll_response", "query_id")

    def __init__(
        self, query_id: str, poll_response: bytes, answer: "asyncio.Future[api.RespondQueryTaskCompletedRequest]"
    ) -> None:
        self.query_id = query_id
        self.poll_response = poll_response
        self.answer = answer


class Poller:
    """One poll that waits. `handed` is resolved once: with a task, or with None when the wait is over."""

    __slots__ = ("handed", "worker_instance_key")

    def __init__(self, handed: "asyncio.Future[Task | QueryTask | None]", worker_instance_key: str) -> None:
        self.handed = handed
        self.worker_instance_key = worker_instance_key

    def release(self) -> None:
        """Ends the wait without a task."""
        if not self.handed.done():
            self.handed.set_result(None)
