"""Activities of the official SDK: retries, time-outs, heartbeats, cancellation, completion from outside, local ones."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import AsyncActivityCancelledError, AsyncActivityHandle, WorkflowFailureError
from temporalio.common import Priority, RawValue, RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    RetryState,
    TimeoutError,
    TimeoutType,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import ActivityCancellationType

from tests.parts.deployed import Serving
from tests.server.sdk import Stage, event_names, serve

SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(tmp_path_factory)


@pytest.fixture
async def stage(server: Serving) -> Stage:
    return await Stage.on(server)


@workflow.defn
class Runs:
    """Runs one activity with the options given in milliseconds and tells how it ended."""

    @workflow.run
    async def run(self, name: str, arguments: list[Any], options: dict[str, Any]) -> Any:
        times = {
            key: timedelta(milliseconds=options.pop(key))
            for key in list(options)
            if key.endswith(("out", "_threshold"))
        }
        execute: Callable[..., Awaitable[Any]] = workflow.execute_activity
        if options.pop("local", False):
            execute = workflow.execute_local_activity
        if retry := options.pop("retry", None):
            interval = timedelta(milliseconds=retry.pop("interval", 20))
            options["retry_policy"] = RetryPolicy(initial_interval=interval, **retry)
        return await execute(name, args=arguments, **options, **times)


async def run_activity(stage: Stage, name: str, *arguments: Any, **options: Any) -> Any:
    return await stage.run(Runs.run, name, list(arguments), {"start_to_close_timeout": 5000, **options})


async def failure_of(stage: Stage, name: str, *arguments: Any, **options: Any) -> ActivityError:
    with pytest.raises(WorkflowFailureError) as failed:
        await run_activity(stage, name, *arguments, **options)
    assert isinstance(failed.value.cause, ActivityError)
    return failed.value.cause


@activity.defn
async def fails_until(attempt: int) -> list[int]:
    """Returns this attempt's number once it is high enough."""
    now = activity.info().attempt
    if now < attempt:
        raise ApplicationError(f"attempt {now}", {"attempt": now}, type="Early")
    return [now]


@activity.defn
async def fails_for_good() -> None:
    raise ApplicationError("no way", type="Final", non_retryable=True)


@activity.defn
async def asks_for_delay(delay_ms: int) -> float:
    """How long after the first attempt was scheduled the second began, by the server's clock."""
    info = activity.info()
    if info.attempt == 1:
        raise ApplicationError("later", next_retry_delay=timedelta(milliseconds=delay_ms))
    return (info.current_attempt_scheduled_time - info.scheduled_time).total_seconds()


@activity.defn
async def hangs() -> None:
    await asyncio.Event().wait()


@activity.defn
async def resumes() -> list[int]:
    """Heartbeats its attempt and hangs; the second attempt returns what the first one left."""
    if activity.info().attempt == 1:
        activity.heartbeat(41)
        await asyncio.Event().wait()
    return list(activity.info().heartbeat_details)


@activity.defn
def sleeps_in_a_thread(times: int) -> str:
    """A synchronous activity that heartbeats."""
    for number in range(times):
        activity.heartbeat(number)
        time.sleep(0.01)
    return threading.current_thread().name


async def test_retries_until_it_succeeds(stage: Stage) -> None:
    async with stage.worker(Runs, activities=[fails_until]):
        assert await run_activity(stage, "fails_until", 4, retry={"interval": 5}) == [4]


async def test_a_failed_activity_tells_why_it_was_not_retried(stage: Stage) -> None:
    async with stage.worker(Runs, activities=[fails_until, fails_for_good]):
        error = await failure_of(stage, "fails_until", 9, retry={"interval": 5, "maximum_attempts": 3})
        assert error.retry_state == RetryState.MAXIMUM_ATTEMPTS_REACHED
        assert isinstance(error.cause, ApplicationError)
        assert error.cause.message == "attempt 3"
        assert list(error.cause.details) == [{"attempt": 3}]
        assert error.activity_type == "fails_until"

        error = await failure_of(stage, "fails_for_good")
        assert error.retry_state == RetryState.NON_RETRYABLE_FAILURE
        error = await failure_of(stage, "fails_until", 9, retry={"non_retryable_error_types": ["Early"]})
        assert error.retry_state == RetryState.NON_RETRYABLE_FAILURE
        error = await failure_of(stage, "fails_until", 9, schedule_to_close_timeout=300, retry={"interval": 200})
        assert error.retry_state == RetryState.TIMEOUT


async def test_the_activity_chooses_when_it_is_retried(stage: Stage) -> None:
    async with stage.worker(Runs, activities=[asks_for_delay]):
        assert 0.2 <= await run_activity(stage, "asks_for_delay", 200, retry={"interval": 10_000}) < 2


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"start_to_close_timeout": 100}, TimeoutType.START_TO_CLOSE),
        ({"schedule_to_close_timeout": 100}, TimeoutType.SCHEDULE_TO_CLOSE),
        ({"heartbeat_timeout": 100}, TimeoutType.HEARTBEAT),
    ],
)
async def test_time_outs(stage: Stage, options: dict[str, Any], kind: TimeoutType) -> None:
    async with stage.worker(Runs, activities=[hangs]):
        error = await failure_of(stage, "hangs", retry={"maximum_attempts": 1}, **options)
    assert isinstance(error.cause, TimeoutError)
    assert error.cause.type == kind


async def test_nobody_takes_it_in_time(stage: Stage) -> None:
    async with stage.worker(Runs):
        error = await failure_of(stage, "hangs", schedule_to_start_timeout=100)
    assert isinstance(error.cause, TimeoutError)
    assert error.cause.type == TimeoutType.SCHEDULE_TO_START
    assert error.retry_state == RetryState.TIMEOUT


async def test_the_next_attempt_has_the_heartbeat_of_the_one_that_timed_out(stage: Stage) -> None:
    async with stage.worker(Runs, activities=[resumes]):
        assert await run_activity(stage, "resumes", heartbeat_timeout=150, retry={"interval": 10}) == [41]


async def test_synchronous_activities(stage: Stage) -> None:
    async with stage.worker(Runs, activities=[sleeps_in_a_thread]):
        assert (await run_activity(stage, "sleeps_in_a_thread", 20, heartbeat_timeout=500)).startswith("activity")


@workflow.defn
class Cancels:
    """Starts an activity, cancels it once it runs, and tells what it saw of that."""

    def __init__(self) -> None:
        self._running = False

    @workflow.signal
    def activity_runs(self) -> None:
        self._running = True

    @workflow.run
    async def run(self, cancellation_type: int, answer: str) -> list[str]:
        running = workflow.start_activity(
            "heeds_cancellation",
            answer,
            start_to_close_timeout=10 * SECOND,
            heartbeat_timeout=SECOND / 2,
            cancellation_type=ActivityCancellationType(cancellation_type),
        )
        await workflow.wait_condition(lambda: self._running)
        running.cancel()
        try:
            return ["result", await running]
        except ActivityError as error:
            return [type(error.cause).__name__, str(error.cause)]


@pytest.mark.parametrize("answer", ["cancelled", "done"])
@pytest.mark.parametrize("cancellation_type", list(ActivityCancellationType), ids=lambda kind: kind.name)
async def test_cancellation_of_a_heartbeating_activity(
    stage: Stage, cancellation_type: ActivityCancellationType, answer: str
) -> None:
    heeded = asyncio.Event()

    @activity.defn
    async def heeds_cancellation(answer: str) -> str:
        info = activity.info()
        assert info.workflow_id
        await stage.client.get_workflow_handle(info.workflow_id).signal(Cancels.activity_runs)
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            heeded.set()
            if answer == "done":
                return "none the less"
            raise

    async with stage.worker(Cancels, activities=[heeds_cancellation]):
        handle = await stage.start(Cancels.run, cancellation_type, answer)
        waits = cancellation_type == ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
        if waits and answer == "done":
            assert await handle.result() == ["result", "none the less"]
        else:
            assert (await handle.result())[0] == CancelledError.__name__
        if cancellation_type != ActivityCancellationType.ABANDON:
            await asyncio.wait_for(heeded.wait(), 5)
    requested = "ActivityTaskCancelRequested" in await event_names(handle)
    assert requested == (cancellation_type != ActivityCancellationType.ABANDON)


async def heartbeat_for_ever(handle: AsyncActivityHandle) -> None:
    """Until it is told something else than to go on."""
    async with asyncio.timeout(5):
        while True:
            await handle.heartbeat()


async def test_completion_from_outside(stage: Stage) -> None:
    tokens: asyncio.Queue[activity.Info] = asyncio.Queue()

    @activity.defn
    async def left_to_others() -> str:
        tokens.put_nowait(activity.info())
        activity.raise_complete_async()

    async def started(**options: Any) -> tuple[Any, activity.Info]:
        options = {"start_to_close_timeout": 5000, "retry": {"maximum_attempts": 1}, **options}
        handle = await stage.start(Runs.run, "left_to_others", [], options)
        return handle, await tokens.get()

    async with stage.worker(Runs, activities=[left_to_others]):
        handle, info = await started()
        by_token = stage.client.get_async_activity_handle(task_token=info.task_token)
        await by_token.heartbeat("half")
        (pending,) = (await handle.describe()).raw_description.pending_activities
        assert pending.heartbeat_details.payloads[0].data == b'"half"'
        await by_token.complete("by token")
        assert await handle.result() == "by token"
        with pytest.raises(RPCError) as late:
            await by_token.complete("again")
        assert late.value.status == RPCStatusCode.NOT_FOUND

        handle, info = await started()
        assert info.workflow_id
        by_id = stage.client.get_async_activity_handle(
            workflow_id=info.workflow_id, run_id=info.workflow_run_id, activity_id=info.activity_id
        )
        await by_id.fail(ApplicationError("outside", type="Outer"))
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, ActivityError)
        assert isinstance(failed.value.cause.cause, ApplicationError)
        assert failed.value.cause.cause.type == "Outer"

        handle, info = await started(cancellation_type=int(ActivityCancellationType.WAIT_CANCELLATION_COMPLETED))
        by_token = stage.client.get_async_activity_handle(task_token=info.task_token)
        await handle.cancel()
        with pytest.raises(AsyncActivityCancelledError):
            await heartbeat_for_ever(by_token)
        await by_token.report_cancellation("enough")
        with pytest.raises(WorkflowFailureError) as cancelled:
            await handle.result()
        assert isinstance(cancelled.value.cause, CancelledError)


async def test_local_activities(stage: Stage) -> None:
    async with stage.worker(Runs, activities=[fails_until, hangs]):
        handle = await stage.start(
            Runs.run,
            "fails_until",
            [3],
            {"local": True, "start_to_close_timeout": 5000, "retry": {"interval": 5}},
        )
        assert await handle.result() == [3]
        assert [name for name in await event_names(handle) if "Timer" in name] == []

        # A back-off longer than the threshold is a timer of the workflow, so that it lasts through anything.
        options = {"interval": 60, "backoff_coefficient": 1.0}
        handle = await stage.start(
            Runs.run,
            "fails_until",
            [3],
            {"local": True, "start_to_close_timeout": 5000, "local_retry_threshold": 30, "retry": options},
        )
        assert await handle.result() == [3]
        assert [name for name in await event_names(handle) if "Timer" in name] == ["TimerStarted", "TimerFired"] * 2

        error = await failure_of(stage, "hangs", local=True, start_to_close_timeout=50, retry={"maximum_attempts": 1})
        assert isinstance(error.cause, TimeoutError)


async def test_a_local_activity_longer_than_a_workflow_task_keeps_it_by_heartbeats(stage: Stage) -> None:
    @activity.defn
    async def takes_long() -> str:
        await asyncio.sleep(1.4)
        return "at last"

    async with stage.worker(Runs, activities=[takes_long]):
        handle = await stage.start(
            Runs.run, "takes_long", [], {"local": True, "start_to_close_timeout": 5000}, task_timeout=SECOND
        )
        assert await handle.result() == "at last"
    names = await event_names(handle)
    assert names.count("WorkflowTaskCompleted") >= 2
    assert "WorkflowTaskTimedOut" not in names


async def test_dynamic_activities(stage: Stage) -> None:
    @activity.defn(dynamic=True)
    async def anything(arguments: Sequence[RawValue]) -> list[Any]:
        values = [activity.payload_converter().from_payload(each.payload) for each in arguments]
        return [activity.info().activity_type, values]

    async with stage.worker(Runs, activities=[anything]):
        assert await run_activity(stage, "never heard of", 1, "two") == ["never heard of", [1, "two"]]


@workflow.defn
class Many:
    """All at once."""

    @workflow.run
    async def run(self, number: int) -> int:
        running = [
            workflow.start_activity(
                "echo", each, start_to_close_timeout=30 * SECOND, priority=Priority(priority_key=1 + each % 5)
            )
            for each in range(number)
        ]
        return sum(await asyncio.gather(*running))


@activity.defn
async def echo(value: int) -> int:
    return value


@pytest.mark.parametrize("eager", [True, False])
async def test_two_hundred_activities_at_once(stage: Stage, eager: bool) -> None:
    async with stage.worker(Many, activities=[echo], disable_eager_activity_execution=not eager):
        handle = await stage.start(Many.run, 200)
        assert await handle.result() == 199 * 100
    names = await event_names(handle)
    assert names.count("ActivityTaskCompleted") == 200


@workflow.defn
class Prefers:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            "looks",
            activity_id="chosen",
            start_to_close_timeout=3 * SECOND,
            schedule_to_close_timeout=9 * SECOND,
            heartbeat_timeout=2 * SECOND,
            retry_policy=RetryPolicy(maximum_attempts=7, maximum_interval=30 * SECOND),
            priority=Priority(priority_key=2, fairness_key="vip", fairness_weight=1.5),
            summary="takes a look",
        )


async def test_an_activity_has_its_priority_and_options(stage: Stage) -> None:
    seen: list[activity.Info] = []

    @activity.defn
    async def looks() -> None:
        seen.append(activity.info())

    async with stage.worker(Prefers, activities=[looks]):
        handle = await stage.start(Prefers.run, priority=Priority(priority_key=4))
        await handle.result()
    (info,) = seen
    assert info.activity_id == "chosen"
    assert info.attempt == 1
    assert (info.start_to_close_timeout, info.schedule_to_close_timeout) == (3 * SECOND, 9 * SECOND)
    assert info.heartbeat_timeout == 2 * SECOND
    assert info.priority == Priority(priority_key=2, fairness_key="vip", fairness_weight=1.5)
    assert info.retry_policy is not None
    assert info.retry_policy.maximum_attempts == 7
    assert (info.workflow_id, info.workflow_type, info.task_queue) == (handle.id, "Prefers", stage.queue)
    (scheduled,) = [
        event
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert scheduled.user_metadata.summary.data == b'"takes a look"'
