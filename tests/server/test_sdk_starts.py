"""Starting, finding and describing workflows by the official SDK: policies, delays, lists, memo, metadata, sizes."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from tests.parts.deployed import Serving
from tests.server.sdk import Stage, event_names, serve
from tests.server.waiting import until

SECOND = timedelta(seconds=1)
MIB = 1024 * 1024
STATUS = WorkflowExecutionStatus
CONFLICT = WorkflowIDConflictPolicy
REUSE = WorkflowIDReusePolicy
CITY = SearchAttributeKey.for_keyword("City")
FLOOR = SearchAttributeKey.for_int("Floor")
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(tmp_path_factory, City="Keyword", Floor="Int")


@pytest.fixture
async def stage(server: Serving) -> Stage:
    return await Stage.on(server)


@workflow.defn
class Echo:
    """Returns its argument."""

    @workflow.run
    async def run(self, value: Any = None) -> Any:
        return value


async def test_conflicts_with_a_running_workflow(stage: Stage) -> None:
    first = await stage.start("Nobody")
    with pytest.raises(WorkflowAlreadyStartedError) as refused:
        await stage.start("Nobody", id=first.id)
    assert refused.value.run_id == first.first_execution_run_id
    same = await stage.start("Nobody", id=first.id, id_conflict_policy=CONFLICT.USE_EXISTING)
    assert same.first_execution_run_id == first.first_execution_run_id
    other = await stage.start("Nobody", id=first.id, id_conflict_policy=CONFLICT.TERMINATE_EXISTING)
    assert other.first_execution_run_id != first.first_execution_run_id
    with pytest.raises(WorkflowFailureError) as failed:
        await stage.client.get_workflow_handle(first.id, run_id=first.first_execution_run_id).result()
    assert isinstance(failed.value.cause, TerminatedError)
    await other.terminate()


async def test_ids_of_closed_workflows(stage: Stage) -> None:
    async with stage.worker(Echo):
        done = await stage.start(Echo.run, 1)
        await done.result()
        for policy in (REUSE.REJECT_DUPLICATE, REUSE.ALLOW_DUPLICATE_FAILED_ONLY):
            with pytest.raises(WorkflowAlreadyStartedError):
                await stage.start(Echo.run, 2, id=done.id, id_reuse_policy=policy)
        assert await stage.run(Echo.run, 3, id=done.id, id_reuse_policy=REUSE.ALLOW_DUPLICATE) == 3
    failed = await stage.start("Nobody")
    await failed.terminate()
    again = await stage.start("Nobody", id=failed.id, id_reuse_policy=REUSE.ALLOW_DUPLICATE_FAILED_ONLY)
    await again.terminate()


async def test_one_of_many_starts_wins(stage: Stage) -> None:
    workflow_id = f"workflow-{uuid.uuid4()}"
    outcomes = await asyncio.gather(*(stage.start("Nobody", id=workflow_id) for _ in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(WorkflowAlreadyStartedError) == 19
    same = await asyncio.gather(
        *(stage.start("Nobody", id=workflow_id, id_conflict_policy=CONFLICT.USE_EXISTING) for _ in range(20))
    )
    assert len({handle.first_execution_run_id for handle in same}) == 1
    await same[0].terminate()


async def test_a_start_is_delayed_whatever_is_signalled(stage: Stage) -> None:
    async with stage.worker(Echo):
        handle = await stage.start(Echo.run, "late", start_delay=timedelta(milliseconds=300))
        await handle.signal("does not hurry it")
        described = await handle.describe()
        assert described.execution_time is not None
        assert described.execution_time - described.start_time == timedelta(milliseconds=300)
        assert await handle.result() == "late"
        closed = await handle.describe()
        assert closed.close_time is not None
        assert closed.close_time >= described.execution_time


@pytest.mark.parametrize("eager", [True, False])
async def test_eager_starts(stage: Stage, eager: bool) -> None:
    async with stage.worker(Echo):
        handle = await stage.start(Echo.run, "now", request_eager_start=eager)
        assert await handle.result() == "now"
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.eager_execution_accepted == eager


async def test_what_was_asked_for_is_described(stage: Stage) -> None:
    handle = await stage.start(
        "Nobody",
        memo={"note": {"deep": [1, None]}},
        search_attributes=TypedSearchAttributes([SearchAttributePair(CITY, "Turin")]),
        static_summary="a summary",
        static_details="some *details*",
        priority=Priority(priority_key=3),
        execution_timeout=60 * SECOND,
        run_timeout=30 * SECOND,
        task_timeout=5 * SECOND,
        retry_policy=RetryPolicy(maximum_attempts=4),
    )
    described = await handle.describe()
    assert described.status == STATUS.RUNNING
    assert await described.memo() == {"note": {"deep": [1, None]}}
    assert described.typed_search_attributes[CITY] == "Turin"
    assert (await described.static_summary(), await described.static_details()) == ("a summary", "some *details*")
    config = described.raw_description.execution_config
    assert config.workflow_execution_timeout.ToTimedelta() == 60 * SECOND
    assert config.workflow_run_timeout.ToTimedelta() == 30 * SECOND
    assert config.default_workflow_task_timeout.ToTimedelta() == 5 * SECOND
    assert described.raw_description.workflow_execution_info.priority.priority_key == 3
    assert (described.workflow_type, described.task_queue, described.history_length) == ("Nobody", stage.queue, 2)
    await handle.terminate()


@workflow.defn
class Looks:
    """Tells what it knows of itself, and changes its memo and attributes."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        info = workflow.info()
        workflow.upsert_memo({"kept": "new", "gone": None, "more": 2})
        workflow.upsert_search_attributes([CITY.value_set("Lyon"), FLOOR.value_set(7)])
        workflow.upsert_search_attributes([FLOOR.value_unset()])
        workflow.set_current_details("half way")
        first = [info.get_current_history_length(), info.get_current_history_size()]
        await workflow.sleep(0.01, summary="a nap")
        return {
            "attempt": info.attempt,
            "id": info.workflow_id,
            "runs": [info.run_id, info.first_execution_run_id, info.original_execution_run_id],
            "times": [str(info.execution_timeout), str(info.run_timeout), str(info.task_timeout)],
            "retry": info.retry_policy.maximum_attempts if info.retry_policy else None,
            "priority": info.priority.priority_key,
            "started": info.workflow_start_time.timestamp() <= workflow.now().timestamp(),
            "grows": [info.get_current_history_length() - first[0], info.get_current_history_size() > first[1] > 0],
            "suggested": info.is_continue_as_new_suggested(),
            "memo": dict(workflow.memo()),
            "city": info.typed_search_attributes.get(CITY),
        }


async def test_a_workflow_knows_and_changes_what_is_said_of_it(stage: Stage) -> None:
    async with stage.worker(Looks):
        handle = await stage.start(
            Looks.run,
            memo={"kept": "old", "gone": 1},
            search_attributes=TypedSearchAttributes([SearchAttributePair(CITY, "Turin")]),
            run_timeout=15 * SECOND,
            task_timeout=5 * SECOND,
            retry_policy=RetryPolicy(maximum_attempts=4),
            priority=Priority(priority_key=2),
        )
        result = await handle.result()
    run_id = handle.first_execution_run_id
    assert result == {
        "attempt": 1,
        "id": handle.id,
        "runs": [run_id] * 3,
        "times": ["0:00:20", "0:00:15", "0:00:05"],
        "retry": 4,
        "priority": 2,
        "started": True,
        "grows": [8, True],
        "suggested": False,
        "memo": {"kept": "new", "more": 2},
        "city": "Lyon",
    }
    described = await handle.describe()
    assert await described.memo() == {"kept": "new", "more": 2}
    assert described.typed_search_attributes.get(CITY) == "Lyon"
    assert described.typed_search_attributes.get(FLOOR) is None
    (timer,) = [event for event in (await handle.fetch_history()).events if event.event_type == TIMER_STARTED]
    assert timer.user_metadata.summary.data == b'"a nap"'


@workflow.defn
class Waits:
    """Waits in each way there is."""

    @workflow.run
    async def run(self) -> list[str]:
        began = workflow.time()
        seen: list[str] = []
        try:
            await workflow.wait_condition(lambda: False, timeout=0.05, timeout_summary="in vain")
        except TimeoutError:
            seen.append("timed out")
        await workflow.wait_condition(lambda: bool(seen), timeout=60)
        cancelled = asyncio.create_task(workflow.sleep(60))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        try:
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("timed out too")
        await asyncio.gather(*(asyncio.sleep(0.05) for _ in range(50)))
        assert 0.15 <= workflow.time() - began < 10
        return seen


async def test_timers(stage: Stage) -> None:
    async with stage.worker(Waits):
        handle = await stage.start(Waits.run)
        assert await handle.result() == ["timed out", "timed out too"]
    names = await event_names(handle)
    counts = [names.count(name) for name in ("TimerStarted", "TimerFired", "TimerCanceled")]
    assert counts == [54, 53, 1]


async def test_lists_and_counts(stage: Stage) -> None:
    async with stage.worker(Echo):
        finished = [await stage.start(Echo.run, number, memo={"number": number}) for number in range(5)]
        await asyncio.gather(*(handle.result() for handle in finished))
    running = [await stage.start("Nobody") for _ in range(3)]
    of_this_test = f"TaskQueue = '{stage.queue}'"

    async def counted() -> dict[str, int]:
        grouped = await stage.client.count_workflows(f"{of_this_test} GROUP BY ExecutionStatus")
        return {str(group.group_values[0]): group.count for group in grouped.groups}

    await until(counted, {"Completed": 5, "Running": 3})
    assert (await stage.client.count_workflows(of_this_test)).count == 8
    closed = stage.client.list_workflows(f"{of_this_test} AND ExecutionStatus = 'Completed'", page_size=2)
    listed = [each async for each in closed]
    assert {each.id for each in listed} == {handle.id for handle in finished}
    assert sorted([(await each.memo())["number"] for each in listed]) == [0, 1, 2, 3, 4]
    assert all(each.status == STATUS.COMPLETED and each.close_time is not None for each in listed)
    some = stage.client.list_workflows(f"{of_this_test} AND WorkflowType = 'Nobody'", limit=2)
    assert len([each async for each in some]) == 2
    histories = [history async for history in stage.client.list_workflows(of_this_test).map_histories()]
    assert len(histories) == 8
    with pytest.raises(RPCError) as refused:
        await stage.client.count_workflows("Nonsense ===")
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT
    await asyncio.gather(*(handle.terminate() for handle in running))


async def test_payloads_up_to_the_limit_and_above(stage: Stage, server: Serving) -> None:
    large = "x" * (2 * MIB - 1000)
    async with stage.worker(Echo):
        handle = await stage.start(Echo.run, large)
        assert await handle.result() == large
    with pytest.raises(RPCError, match="Blob data size exceeds limit") as refused:
        await stage.start(Echo.run, "x" * (2 * MIB + 1))
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT


@workflow.defn
class TooMuch:
    """Ends with more than fits."""

    @workflow.run
    async def run(self) -> str:
        return "x" * (2 * MIB + 1000)


async def test_a_result_above_the_limit(stage: Stage, server: Serving) -> None:
    async with stage.worker(TooMuch, disable_payload_error_limit=True):
        handle = await stage.start(TooMuch.run)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, TerminatedError)
    assert "CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit." in failed.value.cause.message
    assert (await event_names(handle))[-2:] == ["WorkflowTaskFailed", "WorkflowExecutionTerminated"]


async def test_namespaces_that_nobody_made(server: Serving) -> None:
    client = await Client.connect(server.address, namespace="nowhere")
    with pytest.raises(RPCError) as refused:
        await client.start_workflow("Nobody", id="one", task_queue="nowhere")
    assert refused.value.status == RPCStatusCode.NOT_FOUND
    assert "nowhere" in str(refused.value)
