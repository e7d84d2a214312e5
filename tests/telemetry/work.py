"""A workload that touches what is counted: ends of every kind, retries, time-outs, timers, children, a backlog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "metrics-queue"
LATER = "backlog-queue"
ENDS = ("plain", "activities", "fail", "again", "timer", "child")


@activity.defn
async def good(number: int) -> int:
    return number


@activity.defn
async def bad() -> None:
    raise RuntimeError("as it was told to")


@activity.defn
async def slow() -> None:
    await asyncio.sleep(30)


@activity.defn
async def beating() -> None:
    activity.heartbeat("still here")
    await asyncio.sleep(0.2)


@workflow.defn
class Work:
    def __init__(self) -> None:
        self.signals = 0
        self.waiting = False

    @workflow.run
    async def run(self, kind: str) -> str:
        await workflow.execute_activity(good, 1, start_to_close_timeout=timedelta(seconds=10))
        if kind == "activities":
            await self._activities()
        elif kind == "fail":
            raise ApplicationError("as it was told to")
        elif kind == "again":
            workflow.continue_as_new("plain")
        elif kind == "timer":
            await asyncio.sleep(0.1)
            workflow.upsert_memo({"slept": True})
        elif kind == "child":
            await workflow.execute_child_workflow(Work.run, "plain", id=f"{workflow.info().workflow_id}-child")
        elif kind == "wait":
            self.waiting = True
            await workflow.wait_condition(lambda: self.signals > 0)
        return kind

    async def _activities(self) -> None:
        quick = {"start_to_close_timeout": timedelta(seconds=5), "heartbeat_timeout": timedelta(seconds=5)}
        await workflow.execute_activity(beating, **quick)  # type: ignore[call-overload]  # options by name
        twice = RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=10))
        once = RetryPolicy(maximum_attempts=1)
        for doomed, options in (
            (bad, {"start_to_close_timeout": timedelta(seconds=5), "retry_policy": twice}),
            (slow, {"start_to_close_timeout": timedelta(seconds=1), "retry_policy": once}),
        ):
            try:
                await workflow.execute_activity(doomed, **options)  # type: ignore[call-overload]  # options by name
            except ActivityError:
                continue

    @workflow.signal
    def go_on(self) -> None:
        self.signals += 1

    @workflow.query
    def count(self) -> int:
        return self.signals

    @workflow.update
    async def waits(self) -> None:
        await workflow.wait_condition(lambda: self.waiting)

    @workflow.update
    def touch(self) -> int:
        return self.signals


ACTIVITIES: Sequence[Callable[..., Any]] = (good, bad, slow, beating)


@asynccontextmanager
async def worker(client: Client, queue: str) -> AsyncIterator[None]:
    options: dict[str, Any] = {"workflows": [Work], "activities": ACTIVITIES}
    async with Worker(client, task_queue=queue, workflow_runner=UnsandboxedWorkflowRunner(), **options):
        yield


async def do_all(address: str) -> None:
    """Everything, against a server that serves."""
    client = await Client.connect(address)
    waiting = await client.start_workflow(Work.run, "plain", id="later", task_queue=LATER)
    async with worker(client, QUEUE):
        await asyncio.gather(*(_end(client, kind) for kind in ENDS), _talk(client), _stop(client))
        assert [found.id async for found in client.list_workflows("WorkflowType = 'Work'")]
        with suppress(RPCError):
            await client.get_workflow_handle("nobody").describe()
    await asyncio.sleep(0.5)  # longer than a task waits before it is stored
    async with worker(client, LATER):
        await waiting.result()


async def _end(client: Client, kind: str, **options: Any) -> None:
    try:
        await client.execute_workflow(Work.run, kind, id=kind, task_queue=QUEUE, **options)
    except WorkflowFailureError:
        assert kind == "fail"


async def _talk(client: Client) -> None:
    handle = await client.start_workflow(Work.run, "wait", id="talk", task_queue=QUEUE, memo={"a": 1})
    assert await handle.query(Work.count) == 0
    assert await handle.execute_update(Work.touch) == 0
    await handle.signal(Work.go_on)
    await handle.result()


async def _stop(client: Client) -> None:
    cancelled = await client.start_workflow(Work.run, "wait", id="cancelled", task_queue=QUEUE)
    terminated = await client.start_workflow(Work.run, "wait", id="terminated", task_queue=QUEUE)
    limit = timedelta(seconds=3)
    late = await client.start_workflow(Work.run, "wait", id="late", task_queue=QUEUE, execution_timeout=limit)
    for handle in (cancelled, terminated, late):
        await handle.execute_update(Work.waits)
    await cancelled.cancel()
    await terminated.terminate()
    for handle in (cancelled, terminated, late):
        try:
            await handle.result()
        except WorkflowFailureError:
            continue
