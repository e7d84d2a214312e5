"""Calls of completion callbacks: made at least once, whatever becomes of the host, and written once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Callback, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CallbackState
from temporalio.api.workflow.v1 import CallbackInfo
from temporalio.api.workflowservice import v1 as api

from services.history.outbox import Executor, Key
from services.history.shard import Shard
from services.protos.run_pb2 import Task
from services.rpc import WebAnswer, WebError
from tests.unit.engine.house import COMPLETE, QUEUE, House, Misbehaving, eventually, open_store

State = CallbackState


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Misbehaving]:
    async with open_store(tmp_path / "store.db") as opened:
        yield opened


class Web:
    """The other side: `statuses` are what it answers in turn, 0 for no answer at all."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.calls: list[str] = []
        self.called = asyncio.Event()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> WebAnswer:
        self.calls.append(f"{url} {headers['Nexus-Operation-State']}")
        self.called.set()
        status = self.statuses.pop(0) if self.statuses else 200
        if not status:
            raise WebError("nobody there")
        return WebAnswer(status, "", {}, b"")


async def live(store: Misbehaving, web: Web) -> House:
    house = House(store, post=web.post)
    await house.start()
    return house


async def close_a_run(house: House) -> None:
    request = api.StartWorkflowExecutionRequest(
        workflow_id="w",
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=QUEUE,
        request_id="start",
        completion_callbacks=[Callback(nexus=Callback.Nexus(url="http://somewhere/"))],
    )
    await house.history.start_workflow_execution(house.call, request)
    await house.answer(await house.task(), COMPLETE)


async def info(house: House) -> CallbackInfo:
    request = api.DescribeWorkflowExecutionRequest(execution=WorkflowExecution(workflow_id="w"))
    return (await house.history.describe_workflow_execution(house.call, request)).callbacks[0]


async def until(house: House, state: CallbackState.ValueType) -> CallbackInfo:
    async def there() -> bool:
        return (await info(house)).state == state

    await eventually(there)
    return await info(house)


async def test_a_call_that_nobody_answers_is_made_again(store: Misbehaving) -> None:
    web = Web(0, 503)
    house = await live(store, web)
    await close_a_run(house)
    told = await until(house, State.CALLBACK_STATE_SUCCEEDED)
    assert web.calls == ["http://somewhere/ succeeded"] * 3
    assert told.attempt == 3


async def test_a_call_that_a_host_did_not_live_to_make_is_made_by_the_next(
    store: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = Web(), Web()
    forgetful = await live(store, before)
    show_all = Shard.dispatch
    with monkeypatch.context() as patched:
        patched.setattr(
            Shard,
            "dispatch",
            lambda shard, rows: show_all(shard, [each for each in rows if each[1].kind != Task.CALL_BACK]),
        )
        await close_a_run(forgetful)
    assert not before.calls
    house = await live(store, after)
    await until(house, State.CALLBACK_STATE_SUCCEEDED)
    assert len(after.calls) == 1


async def test_a_back_off_outlives_its_host(store: Misbehaving) -> None:
    before, after = Web(500), Web()
    house = await live(store, before)
    await close_a_run(house)
    await until(house, State.CALLBACK_STATE_BACKING_OFF)
    await house.history.stop()
    house = await live(store, after)
    told = await until(house, State.CALLBACK_STATE_SUCCEEDED)
    assert (told.attempt, len(before.calls), len(after.calls)) == (2, 1, 1)


async def test_a_task_done_twice_counts_one_attempt(store: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    run_once = Executor.run

    def run_twice(executor: Executor, key: Key, task: Task) -> None:
        run_once(executor, key, task)
        if task.kind in (Task.CALL_BACK, Task.RETRY_CALLBACK):
            run_once(executor, key, task)

    monkeypatch.setattr(Executor, "run", run_twice)
    house = await live(store, Web(500, 500))
    await close_a_run(house)
    told = await until(house, State.CALLBACK_STATE_SUCCEEDED)
    assert told.attempt == 2
