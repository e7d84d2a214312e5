"""Three hundred workflows of mixed kinds at once on one worker: all finish, and nothing is left behind."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from services.persistence import TaskCategory
from tests.processes import BIN, Server
from tests.server.sdk import THREADS, Handle, complaints
from tests.server.waiting import until

SECOND = timedelta(seconds=1)
WORKFLOWS = 300
FINISH_S_MAX = 60.0
KINDS = ("activities", "timer", "children", "signals", "updates", "chain", "retries", "local", "fails")


@activity.defn
async def work(value: int) -> int:
    return value


@activity.defn
def work_in_a_thread(value: int) -> int:
    return value


@activity.defn
async def fails_once(value: int) -> int:
    if activity.info().attempt == 1:
        raise ApplicationError("once")
    return value


@workflow.defn
class Mixed:
    """Does what its kind says and returns three."""

    def __init__(self) -> None:
        self._heard = 0

    @workflow.signal
    def hear(self) -> None:
        self._heard += 1

    @workflow.update
    async def change(self) -> int:
        await workflow.execute_activity(work, 1, start_to_close_timeout=30 * SECOND)
        self._heard += 1
        return self._heard

    @workflow.run
    async def run(self, kind: str, generation: int = 0) -> int:
        if kind == "activities":
            results: list[int] = await asyncio.gather(
                *(
                    workflow.execute_activity(each, args=[1], start_to_close_timeout=30 * SECOND)
                    for each in ("work", "work_in_a_thread", "work")
                )
            )
            return sum(results)
        if kind == "timer":
            await workflow.sleep(0.2)
            return 3
        if kind == "children":
            children = [workflow.execute_child_workflow(Mixed.run, "timer") for _ in range(2)]
            return sum(await asyncio.gather(*children)) // 2
        if kind in ("signals", "updates"):
            await workflow.wait_condition(lambda: self._heard == 3 and workflow.all_handlers_finished())
            return self._heard
        if kind == "chain" and generation < 3:
            workflow.continue_as_new(args=[kind, generation + 1])
        return await self._with_failures(kind, generation)

    async def _with_failures(self, kind: str, generation: int) -> int:
        retry = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_attempts=1 if kind == "fails" else 3)
        if kind == "retries":
            return await workflow.execute_activity(
                fails_once, 3, start_to_close_timeout=30 * SECOND, retry_policy=retry
            )
        if kind == "local":
            return await workflow.execute_local_activity(work, 3, start_to_close_timeout=30 * SECOND)
        if kind == "fails":
            await workflow.execute_activity(fails_once, 3, start_to_close_timeout=30 * SECOND, retry_policy=retry)
        return generation


async def drive(client: Client, number: int) -> None:
    """One workflow from its start to its result."""
    kind = KINDS[number % len(KINDS)]
    handle: Handle = await client.start_workflow(Mixed.run, args=[kind], id=f"mixed-{number}", task_queue="stress")
    if kind == "signals":
        await asyncio.gather(*(handle.signal(Mixed.hear) for _ in range(3)))
    if kind == "updates":
        assert sorted(await asyncio.gather(*(handle.execute_update(Mixed.change) for _ in range(3)))) == [1, 2, 3]
    if kind == "fails":
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, ActivityError)
    else:
        assert await handle.result() == 3, kind


def left_behind(database: Path) -> tuple[set[int], int]:
    """What a stopped server still has to do: categories of tasks in its outbox, and the number of tasks in queues."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        categories = {category for (category,) in connection.execute("SELECT DISTINCT category FROM tasks")}
        (waiting,) = connection.execute("SELECT COUNT(*) FROM backlog").fetchone()
    return categories, waiting


async def test_three_hundred_workflows_at_once(tmp_path: Path) -> None:
    flags = ("--log-level", "warn", "--log-format", "json")
    with Server(tmp_path, executable=BIN / "perdure", flags=flags) as server:
        client = await Client.connect(server.address)
        worker = Worker(
            client,
            task_queue="stress",
            workflows=[Mixed],
            activities=[work, work_in_a_thread, fails_once],
            activity_executor=THREADS,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with worker, asyncio.timeout(FINISH_S_MAX):
            await asyncio.gather(*(drive(client, number) for number in range(WORKFLOWS)))

        async def still_running() -> int:
            return (await client.count_workflows("ExecutionStatus = 'Running'")).count

        await until(still_running, 0)
        await asyncio.to_thread(server.stop)
        assert complaints(server) == []
        categories, waiting = left_behind(server.database)
        assert categories <= {TaskCategory.TIMER}
        assert waiting == 0
