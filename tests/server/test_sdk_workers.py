"""Workers of the official SDK that come, go, forget, fail, are mended and replaced; what they put around workflows."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    Replayer,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from temporalio.worker import Interceptor as WorkerInterceptor

from tests.parts.deployed import Serving
from tests.server.sdk import Handle, Stage, event_names, serve
from tests.server.waiting import until

SECOND = timedelta(seconds=1)
MIB = 1024 * 1024
CAUSE = WorkflowTaskFailedCause


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(tmp_path_factory)


@pytest.fixture
async def stage(server: Serving) -> Stage:
    return await Stage.on(server)


@activity.defn
async def echo(value: Any) -> Any:
    return value


@activity.defn
async def ballast(size: int) -> str:
    return "x" * size


@workflow.defn
class Steps:
    """Gathers until it is told that there is enough; a query tells how far it is."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._done = 0

    @workflow.signal
    def step(self, number: int) -> None:
        self._steps.append(number)

    @workflow.query
    def steps(self) -> list[int]:
        return self._steps

    @workflow.query
    def done(self) -> int:
        return self._done

    @workflow.run
    async def run(self, enough: int) -> int:
        while self._done < enough:
            await workflow.wait_condition(lambda: len(self._steps) > self._done)
            self._done += await workflow.execute_activity(echo, 1, start_to_close_timeout=5 * SECOND)
        return self._done


@workflow.defn
class Long:
    """Makes a history of many events or bytes; returns its length, and whether a new run is suggested."""

    @workflow.run
    async def run(self, rounds: int, width: int, size: int) -> tuple[int, bool]:
        for _ in range(rounds):
            running = [workflow.start_activity(ballast, size, start_to_close_timeout=10 * SECOND) for _ in range(width)]
            texts = await asyncio.gather(*running)
            assert all(len(text) == size for text in texts)
        info = workflow.info()
        return info.get_current_history_length(), info.is_continue_as_new_suggested()


async def test_a_worker_without_memory_reads_pages_of_history(stage: Stage) -> None:
    """More than 256 batches and more than 4 MiB, which no single page holds."""
    async with stage.worker(Steps, Long, activities=[echo, ballast], max_cached_workflows=0):
        large = await stage.start(Long.run, 5, 1, MIB - 1000)
        small = await stage.start(Steps.run, 55)
        for number in range(55):
            await small.signal(Steps.step, number)
        assert await small.result() == 55
        assert (await large.result())[1], "there are more than 4 MiB"
    assert len(await event_names(small)) > 300
    async with stage.worker(Steps, activities=[echo], max_cached_workflows=0):
        assert await small.query(Steps.steps) == list(range(55))


async def test_a_history_of_a_thousand_events(stage: Stage) -> None:
    async with stage.worker(Long, activities=[ballast]):
        handle = await stage.start(Long.run, 8, 45, 10)
        length, suggested = await handle.result()
        assert not suggested
    names = await event_names(handle)
    assert len(names) >= length >= 1000
    history = await handle.fetch_history()
    assert [event.event_id for event in history.events] == list(range(1, len(names) + 1))
    await Replayer(workflows=[Long], workflow_runner=UnsandboxedWorkflowRunner()).replay_workflow(history)


async def test_another_worker_takes_over(stage: Stage) -> None:
    async with stage.worker(Steps, activities=[echo]):
        handle = await stage.start(Steps.run, 2)
        await handle.signal(Steps.step, 1)
        await until(lambda: handle.query(Steps.done), 1)
    began = time.monotonic()
    async with stage.worker(Steps, activities=[echo]):
        await handle.signal(Steps.step, 2)
        assert await handle.result() == 2
    assert time.monotonic() - began < 5, "it does not wait for the sticky queue's time-out"


async def test_a_worker_finishes_what_it_has_in_hand(stage: Stage) -> None:
    begun = asyncio.Event()

    @activity.defn(name="echo")
    async def slow_echo(value: Any) -> Any:
        begun.set()
        await activity.wait_for_worker_shutdown()
        return value

    handle = await stage.start(Steps.run, 1)
    await handle.signal(Steps.step, 1)
    async with stage.worker(Steps, activities=[slow_echo], graceful_shutdown_timeout=5 * SECOND):
        await begun.wait()
    assert (await event_names(handle)).count("ActivityTaskCompleted") == 1
    async with stage.worker(Steps, activities=[echo]):
        assert await handle.result() == 1


async def failed_task_of(handle: Handle) -> Any:
    """The attributes of its first failed workflow task, once there is one."""

    async def has_failed() -> bool:
        return "WorkflowTaskFailed" in await event_names(handle)

    await until(has_failed, True)
    events = (await handle.fetch_history()).events
    return next(
        e for e in events if e.HasField("workflow_task_failed_event_attributes")
    ).workflow_task_failed_event_attributes


@workflow.defn
class Buggy:
    """Has a bug, which is mended after it was seen the first time."""

    mended = False

    @workflow.run
    async def run(self) -> str:
        if not Buggy.mended:
            Buggy.mended = True
            raise RuntimeError("a bug")
        return "mended"


async def test_a_workflow_waits_until_its_bug_is_mended(stage: Stage) -> None:
    Buggy.mended = False
    async with stage.worker(Buggy):
        handle = await stage.start(Buggy.run)
        assert await handle.result() == "mended"
    failed = await failed_task_of(handle)
    assert failed.failure.message == "a bug"
    assert failed.cause == CAUSE.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE


async def test_a_bug_fails_the_workflow_where_that_is_wanted(stage: Stage) -> None:
    Buggy.mended = False
    async with stage.worker(Buggy, workflow_failure_exception_types=[RuntimeError]):
        with pytest.raises(WorkflowFailureError) as failed:
            await stage.run(Buggy.run)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "RuntimeError"


@workflow.defn
class Blocks:
    """Blocks its thread the first time."""

    blocked = False

    @workflow.run
    async def run(self) -> str:
        if not Blocks.blocked:
            Blocks.blocked = True
            time.sleep(0.5)  # noqa: ASYNC251 (a mistake of users, made on purpose)
        return "freed"


async def test_a_deadlock_fails_the_task_only(stage: Stage) -> None:
    Blocks.blocked = False
    worker = stage.worker(Blocks)
    assert worker._workflow_worker is not None
    worker._workflow_worker._deadlock_timeout_seconds = 0.2  # type: ignore[assignment]  # 2 s, which nobody can choose
    async with worker:
        handle = await stage.start(Blocks.run)
        assert await handle.result() == "freed"
    assert "deadlock" in (await failed_task_of(handle)).failure.message.lower()


@workflow.defn(name="Changing")
class Before:
    """As it was."""

    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.05)
        await workflow.wait_condition(lambda: self.told)
        return "before"

    told = False

    @workflow.signal
    def go(self) -> None:
        self.told = True


@workflow.defn(name="Changing")
class Patched(Before):
    """As it becomes, for those that begin now."""

    @workflow.run
    async def run(self) -> str:
        if workflow.patched("no-sleep"):
            await workflow.execute_activity(echo, "patched", start_to_close_timeout=5 * SECOND)
            return "patched"
        return await super().run()


@workflow.defn(name="Changing")
class Deprecated(Before):
    """As it is when none is left that began before."""

    @workflow.run
    async def run(self) -> str:
        workflow.deprecate_patch("no-sleep")
        return str(await workflow.execute_activity(echo, "patched", start_to_close_timeout=5 * SECOND))


@workflow.defn(name="Changing")
class Careless(Before):
    """Changed without a patch."""

    @workflow.run
    async def run(self) -> str:
        return str(await workflow.execute_activity(echo, "careless", start_to_close_timeout=5 * SECOND))


async def has_slept(handle: Handle) -> bool:
    return (await event_names(handle))[-1] == "WorkflowTaskCompleted" and "TimerFired" in await event_names(handle)


async def test_patches(stage: Stage) -> None:
    async with stage.worker(Before):
        old, unlucky = await stage.start("Changing"), await stage.start("Changing")
        await until(lambda: has_slept(old), True)
        await until(lambda: has_slept(unlucky), True)
    async with stage.worker(Careless, activities=[echo]):
        await unlucky.signal("go")
        assert (await failed_task_of(unlucky)).cause == CAUSE.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    async with stage.worker(Patched, activities=[echo]):
        new = await stage.start("Changing")
        assert await new.result() == "patched"
        await old.signal("go")
        assert await old.result() == "before"
        await unlucky.terminate()
    assert "MarkerRecorded" in await event_names(new)

    async def replays(workflow: type, handle: Handle) -> bool:
        replayer = Replayer(workflows=[workflow], workflow_runner=UnsandboxedWorkflowRunner())
        result = await replayer.replay_workflow(await handle.fetch_history(), raise_on_replay_failure=False)
        return result.replay_failure is None

    assert await replays(Patched, old)
    assert await replays(Patched, new)
    assert await replays(Deprecated, new)
    assert not await replays(Careless, old)
    assert not await replays(Deprecated, old)


@workflow.defn
class Chance:
    """Draws numbers before and after it was forgotten."""

    @workflow.run
    async def run(self) -> list[Any]:
        drawn: list[Any] = [str(workflow.uuid4()), workflow.random().random()]
        for _ in range(3):
            await workflow.sleep(0.01)
            drawn += [str(workflow.uuid4()), workflow.now().timestamp()]
        return drawn


async def test_chance_is_the_same_whoever_replays(stage: Stage) -> None:
    async with stage.worker(Chance, max_cached_workflows=0):
        handle = await stage.start(Chance.run)
        result = await handle.result()
        other = await stage.run(Chance.run)
    assert len({*result, *other}) == 16
    replayer = Replayer(workflows=[Chance], workflow_runner=UnsandboxedWorkflowRunner())
    await replayer.replay_workflow(await handle.fetch_history())


class Tracing(Interceptor, WorkerInterceptor):
    """Sends a header with each start and lets the workflow show it."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return TracedClient(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,
    ) -> type[WorkflowInboundInterceptor]:
        return TracedWorkflow


class TracedClient(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        headers = {**input.headers, "trace": Payload(metadata={"encoding": b"plain"}, data=b"\x00span 7")}
        return await super().start_workflow(replace(input, headers=headers))


class TracedWorkflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        assert await super().execute_workflow(input) == "mended"
        return input.headers["trace"].data.decode()[1:]


async def test_interceptors_and_headers(server: Serving) -> None:
    Buggy.mended = True
    stage = await Stage.on(server, interceptors=[Tracing()])
    async with stage.worker(Buggy):
        assert await stage.run(Buggy.run) == "span 7"


class Encrypting(PayloadCodec):
    """All payloads leave the client sealed."""

    def __init__(self) -> None:
        self._key = Fernet(Fernet.generate_key())

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        sealed = [self._key.encrypt(each.SerializeToString()) for each in payloads]
        return [Payload(metadata={"encoding": b"binary/sealed"}, data=data) for data in sealed]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(self._key.decrypt(each.data)) for each in payloads]


@workflow.defn
class Secretive:
    """Passes a secret through everything that has payloads, and fails with it."""

    def __init__(self) -> None:
        self._heard = ""

    @workflow.signal
    def hear(self, text: str) -> None:
        self._heard = text

    @workflow.update
    def tell(self, text: str) -> str:
        return text + self._heard

    @workflow.run
    async def run(self, text: str) -> None:
        workflow.upsert_memo({"memo": text})
        await workflow.execute_activity(echo, text, start_to_close_timeout=5 * SECOND, summary=text)
        await workflow.wait_condition(lambda: bool(self._heard))
        raise ApplicationError(text, text, type="Leak")


async def test_no_secret_reaches_the_server(server: Serving) -> None:
    secret = "tell no one"
    converter = replace(
        DataConverter.default,
        payload_codec=Encrypting(),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
    stage = await Stage.on(server, data_converter=converter)
    async with stage.worker(Secretive, activities=[echo]):
        handle = await stage.start(Secretive.run, secret, memo={"first": secret}, static_summary=secret)
        assert await handle.execute_update(Secretive.tell, secret) == secret
        await handle.signal(Secretive.hear, secret)
        with pytest.raises(WorkflowFailureError, match="failed") as failed:
            await handle.result()
        assert isinstance(failed.value.cause, ApplicationError)
        assert (failed.value.cause.message, list(failed.value.cause.details)) == (secret, [secret])
        described = await handle.describe()
        assert await described.memo() == {"first": secret, "memo": secret}
        assert await described.static_summary() == secret
    assert secret.encode() not in (await handle.fetch_history()).events[-1].SerializeToString()
    for event in (await handle.fetch_history()).events:
        assert secret.encode() not in event.SerializeToString()
    assert secret.encode() not in described.raw_description.SerializeToString()
