"""Signals, queries and updates by the official SDK, alone, in crowds, early, late and refused."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import QueryRejectCondition, RawValue, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import HandlerUnfinishedPolicy

from tests.parts.deployed import Serving
from tests.server.sdk import LIMIT, Handle, Stage, event_names, serve
from tests.server.waiting import until

ACCEPTED = WorkflowUpdateStage.ACCEPTED
NO_ANSWER = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(tmp_path_factory)


@pytest.fixture
async def stage(server: Serving) -> Stage:
    return await Stage.on(server)


@workflow.defn
class Counter:
    """Adds up what it is told, and ends when told to, with all its handlers or without."""

    def __init__(self) -> None:
        self._total = 0
        self._open = False
        self._ends = ""

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: bool(self._ends))
        if self._ends == "fail":
            raise ApplicationError("as told")
        if self._ends == "finished":
            await workflow.wait_condition(workflow.all_handlers_finished)
        return self._total

    @workflow.signal
    def add(self, number: int) -> None:
        self._total += number

    @workflow.signal
    def open(self) -> None:
        self._open = True

    @workflow.signal
    def end(self, how: str = "finished") -> None:
        self._ends = how

    @workflow.query
    def total(self) -> int:
        return self._total

    @workflow.query
    def impossible(self) -> int:
        raise ApplicationError("no answer", type="Impossible")

    @workflow.update
    def plus(self, number: int) -> int:
        self._total += number
        return self._total

    @plus.validator
    def check_plus(self, number: int) -> None:
        if number < 0:
            raise ApplicationError("only up", type="Negative")

    @workflow.update
    async def plus_later(self, number: int) -> int:
        """Waits until it is opened, by a timer of its own too."""
        await workflow.wait_condition(lambda: self._open)
        await workflow.sleep(timedelta(milliseconds=10))
        self._total += number
        return self._total

    @workflow.update(unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    async def never(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def fails(self) -> None:
        raise ApplicationError("tried in vain", {"why": 1}, type="Vain")


async def test_three_hundred_signals(stage: Stage) -> None:
    async with stage.worker(Counter):
        handle = await stage.start(Counter.run)
        await asyncio.gather(*(handle.signal(Counter.add, each) for each in range(300)))
        await handle.signal(Counter.end)
        assert await handle.result() == 299 * 150
    assert (await event_names(handle)).count("WorkflowExecutionSignaled") == 301


async def test_signals_before_any_worker_and_with_the_start(stage: Stage) -> None:
    handle = await stage.start(Counter.run, start_signal="add", start_signal_args=[5])
    again = await stage.start(Counter.run, id=handle.id, start_signal="add", start_signal_args=[6])
    assert again.id == handle.id
    await handle.signal(Counter.add, 7)
    await handle.signal(Counter.end)
    async with stage.worker(Counter):
        assert await handle.result() == 18
    with pytest.raises(RPCError) as refused:
        await handle.signal(Counter.add, 1)
    assert refused.value.status == RPCStatusCode.NOT_FOUND


async def test_queries_of_running_closed_and_failed_workflows(stage: Stage) -> None:
    async with stage.worker(Counter):
        handle = await stage.start(Counter.run)
        await handle.signal(Counter.add, 3)
        assert await handle.query(Counter.total) == 3
        assert await asyncio.gather(*(handle.query(Counter.total) for _ in range(20))) == [3] * 20
        with pytest.raises(WorkflowQueryFailedError, match="no answer"):
            await handle.query(Counter.impossible)
        with pytest.raises(WorkflowQueryFailedError, match="unheard of"):
            await handle.query("unheard of")
        await handle.signal(Counter.end)
        assert await handle.result() == 3
        assert await handle.query(Counter.total) == 3
        with pytest.raises(WorkflowQueryRejectedError) as rejected:
            await handle.query(Counter.total, reject_condition=QueryRejectCondition.NOT_OPEN)
        assert rejected.value.status is not None
        assert rejected.value.status.name == "COMPLETED"

        failed = await stage.start(Counter.run, start_signal="end", start_signal_args=["fail"])
        with pytest.raises(WorkflowFailureError):
            await failed.result()
        assert await failed.query(Counter.total) == 0
        with pytest.raises(WorkflowQueryRejectedError):
            await failed.query(Counter.total, reject_condition=QueryRejectCondition.NOT_COMPLETED_CLEANLY)

    async with stage.worker(Counter):  # another worker, to which the runs are new
        assert await handle.query(Counter.total) == 3


async def test_a_query_waits_for_a_worker(stage: Stage) -> None:
    handle = await stage.start(Counter.run)
    waiting = asyncio.create_task(handle.query(Counter.total))
    await handle.signal(Counter.add, 1)
    async with stage.worker(Counter):
        assert await waiting in (0, 1)
        assert await handle.query(Counter.total) == 1
    await handle.terminate()
    with pytest.raises(RPCError) as late:
        await handle.query(Counter.total, rpc_timeout=timedelta(milliseconds=300))
    assert late.value.status in NO_ANSWER


@workflow.defn
class Works:
    """Is at work in a workflow task until a local activity ends."""

    def __init__(self) -> None:
        self._heard = 0

    @workflow.signal
    def hear(self) -> None:
        self._heard += 1

    @workflow.query
    def heard(self) -> int:
        return self._heard

    @workflow.run
    async def run(self) -> int:
        await workflow.execute_local_activity("keeps_busy", start_to_close_timeout=timedelta(seconds=10))
        return self._heard


async def test_signals_and_queries_while_a_task_is_running(stage: Stage) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    @activity.defn
    async def keeps_busy() -> None:
        begun.set()
        await may_end.wait()

    async with stage.worker(Works, activities=[keeps_busy]):
        handle = await stage.start(Works.run, task_timeout=timedelta(seconds=1))
        await begun.wait()
        await handle.signal(Works.hear)
        assert await handle.query(Works.heard) == 1, "it heard the signal that came before"
        may_end.set()
        assert await handle.result() == 1


@workflow.defn
class Crashes:
    """Fails its workflow task."""

    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a bug")

    @workflow.query
    def ask(self) -> str:
        return "asked"


async def test_a_query_of_a_workflow_whose_task_fails(stage: Stage) -> None:
    async with stage.worker(Crashes):
        handle = await stage.start(Crashes.run)

        async def has_failed() -> bool:
            return "WorkflowTaskFailed" in await event_names(handle)

        await until(has_failed, True)
        with pytest.raises(RPCError) as unanswered:
            await handle.query(Crashes.ask, rpc_timeout=timedelta(milliseconds=300))
        assert unanswered.value.status in NO_ANSWER
        await handle.terminate()


async def test_updates_answer_and_refuse(stage: Stage) -> None:
    async with stage.worker(Counter):
        handle = await stage.start(Counter.run)
        assert await handle.execute_update(Counter.plus, 2) == 2
        before = await event_names(handle)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(Counter.plus, -1)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "Negative"
        assert await event_names(handle) == before, "a refused update leaves no trace"
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update(Counter.fails)
        assert isinstance(failed.value.cause, ApplicationError)
        assert list(failed.value.cause.details) == [{"why": 1}]
        with pytest.raises(WorkflowUpdateFailedError, match="failed"):
            await handle.execute_update("unheard of")
        assert await handle.execute_update(Counter.plus, 3, id="once") == 5
        assert await handle.execute_update(Counter.plus, 3, id="once") == 5
        await handle.signal(Counter.end)
        assert await handle.result() == 5
        assert await handle.get_update_handle("once", result_type=int).result() == 5
        with pytest.raises(RPCError) as late:
            await handle.execute_update(Counter.plus, 1)
        assert late.value.status == RPCStatusCode.NOT_FOUND


async def test_updates_are_accepted_first_and_completed_later(stage: Stage) -> None:
    async with stage.worker(Counter):
        handle = await stage.start(Counter.run)
        updates = await asyncio.gather(
            *(handle.start_update(Counter.plus_later, 1, id=str(each), wait_for_stage=ACCEPTED) for each in range(8))
        )
        results = [asyncio.create_task(update.result()) for update in updates]
        polled = asyncio.create_task(handle.get_update_handle("7", result_type=int).result())
        assert await handle.query(Counter.total) == 0
        await handle.signal(Counter.open)
        await handle.signal(Counter.end)
        assert sorted(await asyncio.gather(*results)) == list(range(1, 9))
        assert 1 <= await polled <= 8
        assert await handle.result() == 8


async def test_sixty_updates_at_once(stage: Stage) -> None:
    async with stage.worker(Counter):
        handle = await stage.start(Counter.run)
        totals = await asyncio.gather(*(handle.execute_update(Counter.plus, 1) for _ in range(60)))
        assert sorted(totals) == list(range(1, 61))
        await handle.signal(Counter.end)
        assert await handle.result() == 60


async def test_an_update_waits_for_a_worker(stage: Stage) -> None:
    handle = await stage.start(Counter.run)
    update = asyncio.create_task(handle.execute_update(Counter.plus, 4))
    accepted = asyncio.create_task(handle.start_update(Counter.plus_later, 1, wait_for_stage=ACCEPTED))
    await handle.signal(Counter.open)
    async with stage.worker(Counter):
        assert await update == 4
        assert await (await accepted).result() == 5
        await handle.signal(Counter.end)
        assert await handle.result() == 5


async def test_a_workflow_ends_before_its_handlers(stage: Stage) -> None:
    async with stage.worker(Counter):
        handle = await stage.start(Counter.run)
        update = await handle.start_update(Counter.never, wait_for_stage=ACCEPTED)
        await handle.signal(Counter.end, "at once")
        assert await handle.result() == 0
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            _ = await update.result()
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "AcceptedUpdateCompletedWorkflow"


def start_of(stage: Stage, workflow_id: str, policy: WorkflowIDConflictPolicy) -> Any:
    return WithStartWorkflowOperation(
        Counter.run, id=workflow_id, task_queue=stage.queue, id_conflict_policy=policy, execution_timeout=LIMIT
    )


async def test_update_with_start(stage: Stage) -> None:
    workflow_id = f"workflow-{uuid.uuid4()}"
    async with stage.worker(Counter):
        for total in (1, 2):
            operation = start_of(stage, workflow_id, WorkflowIDConflictPolicy.USE_EXISTING)
            found = await stage.client.execute_update_with_start_workflow(
                Counter.plus, 1, start_workflow_operation=operation
            )
            assert found == total
        with pytest.raises(Exception, match="already"):
            await stage.client.execute_update_with_start_workflow(
                Counter.plus,
                1,
                start_workflow_operation=start_of(stage, workflow_id, WorkflowIDConflictPolicy.FAIL),
            )
        operation = start_of(stage, workflow_id, WorkflowIDConflictPolicy.USE_EXISTING)
        update = await stage.client.start_update_with_start_workflow(
            Counter.plus_later, 1, start_workflow_operation=operation, wait_for_stage=ACCEPTED
        )
        handle: Handle = await operation.workflow_handle()
        await handle.signal(Counter.open)
        assert await update.result() == 3
        await handle.signal(Counter.end)
        assert await handle.result() == 3


@workflow.defn(dynamic=True)
class Anything:
    """Any workflow, with handlers for anything; they are made while it runs."""

    def __init__(self) -> None:
        self._heard: list[Any] = []

    @workflow.run
    async def run(self, arguments: Sequence[RawValue]) -> list[Any]:
        self._heard.append([workflow.info().workflow_type, decoded(arguments)])
        workflow.set_update_handler("made while it runs", self.made)
        await workflow.wait_condition(lambda: len(self._heard) == 4)
        return self._heard

    async def made(self, text: str) -> str:
        self._heard.append(text)
        return text

    @workflow.signal(dynamic=True)
    def on_signal(self, name: str, arguments: Sequence[RawValue]) -> None:
        self._heard.append([name, decoded(arguments)])

    @workflow.query(dynamic=True)
    def on_query(self, name: str, arguments: Sequence[RawValue]) -> list[Any]:
        return [name, decoded(arguments)]

    @workflow.update(dynamic=True)
    def on_update(self, name: str, arguments: Sequence[RawValue]) -> list[Any]:
        self._heard.append([name, decoded(arguments)])
        return [name, len(self._heard)]


def decoded(arguments: Sequence[RawValue]) -> list[Any]:
    return [workflow.payload_converter().from_payload(each.payload) for each in arguments]


async def test_dynamic_workflows_and_handlers(stage: Stage) -> None:
    async with stage.worker(Anything):
        handle = await stage.start("Whatever", 1, "two")
        await handle.signal("hey", args=["you", 3])
        assert await handle.query("how", "come") == ["how", ["come"]]
        assert await handle.execute_update("change", 5) == ["change", 3]
        assert await handle.execute_update("made while it runs", "last") == "last"
        heard = await handle.result()
        assert sorted(heard, key=str) == [["Whatever", [1, "two"]], ["change", [5]], ["hey", ["you", 3]], "last"]
