"""What the tour of the official SDK's features stands on: a server for a module, a task queue of its own for a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.parts.deployed import Serving, deployed, is_ours

Handle = WorkflowHandle[Any, Any]
LIMIT = timedelta(seconds=20)
THREADS = ThreadPoolExecutor(8, thread_name_prefix="activity")


def serve(directories: pytest.TempPathFactory, **search_attributes: str) -> Iterator[Serving]:
    """A running server; when it is ours, nothing of all it was asked may have been worth a warning to it."""
    with deployed(directories.mktemp("sdk"), search_attributes=search_attributes) as running:
        before = complaints(running)  # of parts that it had to wait for
        yield running
        running.check_alive()
        if is_ours():
            assert complaints(running)[len(before) :] == []


def complaints(server: Serving) -> list[str]:
    """What the server logged, which is JSON from the level of warnings on; its greeting is text."""
    return [line for line in server.output().splitlines() if line.startswith("{")]


class Stage:
    """A client, and a task queue that nobody else uses."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.queue = f"queue-{uuid.uuid4()}"

    @classmethod
    async def on(cls, server: Serving, **options: Any) -> Stage:
        return cls(await Client.connect(server.address, **options))

    def worker(
        self, *workflows: type, activities: Sequence[Callable[..., Any]] = (), client: Client | None = None, **more: Any
    ) -> Worker:
        """A worker on the queue, without the sandbox, which is slow and not the server's business."""
        options = {
            "task_queue": self.queue,
            "workflow_runner": UnsandboxedWorkflowRunner(),
            "activity_executor": THREADS,
            **more,
        }
        return Worker(client or self.client, workflows=workflows, activities=activities, **options)

    async def start(self, workflow: Any, *args: Any, **options: Any) -> Handle:
        """A workflow that fails, and its test with it, when it takes much too long."""
        common = {"id": f"workflow-{uuid.uuid4()}", "task_queue": self.queue, "execution_timeout": LIMIT}
        options = {**common, **options}
        handle: Handle = await self.client.start_workflow(workflow, args=args, **options)
        return handle

    async def run(self, workflow: Any, *args: Any, **options: Any) -> Any:
        """The workflow's result."""
        return await (await self.start(workflow, *args, **options)).result()


async def event_names(handle: Handle) -> list[str]:
    """The types of a run's events as the CLI shows them: WorkflowExecutionStarted, ..."""
    history = await handle.fetch_history()
    return [_name(event.event_type) for event in history.events]


def _name(event_type: int) -> str:
    words = EventType.Name(event_type).removeprefix("EVENT_TYPE_").split("_")  # type: ignore[arg-type]  # an int is one
    return "".join(word.title() for word in words)
