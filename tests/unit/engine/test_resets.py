"""Resets between a store that fails and histories that are too long for one transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument, NotFound, Unavailable
from services.history import resets
from services.persistence import Outcome
from services.rpc import shard_id_of
from tests.unit.engine.house import (
    COMPLETE,
    SCHEDULE,
    House,
    Misbehaving,
    eventually,
    happened_unseen,
    live,
    never_happened,
    open_store,
)

SECOND_NS = 1_000_000_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Misbehaving]:
    async with open_store(tmp_path / "data.db") as store:
        yield store


@pytest.fixture
async def house(store: Misbehaving) -> House:
    return await live(store)


async def reset(house: House, finish_event_id: int, *, run_id: str = "", request_id: str = "reset") -> str:
    request = api.ResetWorkflowExecutionRequest(
        workflow_execution=WorkflowExecution(workflow_id="w", run_id=run_id),
        workflow_task_finish_event_id=finish_event_id,
        reason="again",
        request_id=request_id,
    )
    return (await house.history.reset_workflow_execution(house.call, request)).run_id


async def events(house: House, run_id: str) -> list[HistoryEvent]:
    """All pages."""
    request = api.GetWorkflowExecutionHistoryRequest(
        execution=WorkflowExecution(workflow_id="w", run_id=run_id), maximum_page_size=7
    )
    found: list[HistoryEvent] = []
    while True:
        blob = await house.history.get_workflow_execution_history(house.call, request)
        reply = api.GetWorkflowExecutionHistoryResponse.FromString(blob)
        found.extend(reply.history.events)
        request.next_page_token = reply.next_page_token
        if not reply.next_page_token:
            return found


async def work(house: House, turns: int) -> str:
    """A run of four events a turn; returns its id."""
    run_id = (await house.begin("w")).run_id
    await house.answer(await house.task())
    for number in range(turns - 1):
        await house.signal("w", f"signal-{number}")
        await house.answer(await house.task())
    return run_id


async def stored_runs(house: House, *run_ids: str) -> list[bool]:
    call = house.call
    shard_id = shard_id_of(call.namespace_id, "w", 4)
    found = [await house.store.read_run(shard_id, call.namespace_id, "w", run_id) for run_id in run_ids]
    return [record is not None for record in found]


@pytest.mark.parametrize("fault", [happened_unseen, never_happened])
async def test_a_reset_with_unknown_outcome_is_made_once(
    house: House, store: Misbehaving, fault: Callable[[Callable[[], Awaitable[Outcome]]], Awaitable[Outcome]]
) -> None:
    first = await work(house, 1)
    store.faults = [fault]
    with pytest.raises(Unavailable):
        await reset(house, 4, run_id=first)
    second = await reset(house, 4, run_id=first)
    assert await reset(house, 4, run_id=first) == second
    task = await house.task()
    assert task.workflow_execution.run_id == second
    await house.answer(task, COMPLETE)
    assert [event.event_type for event in await events(house, first)].count(
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
    ) == 1


async def test_a_long_history_is_copied_in_parts(
    house: House, store: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resets, "COPIED_BATCHES_MAX", 4)
    monkeypatch.setattr(resets, "PAGE_BATCHES", 3)
    first = await work(house, 12)
    before = await events(house, first)
    finish_event_id = before[-1].event_id
    commits = store.commits
    second = await reset(house, finish_event_id)
    assert store.commits - commits > 5
    after = await events(house, second)
    assert after[: finish_event_id - 1] == before[: finish_event_id - 1]
    assert [event.event_id for event in after] == list(range(1, len(after) + 1))
    again = await live(store)  # memory is lost
    task = await again.task()
    assert task.workflow_execution.run_id == second
    await again.answer(task, COMPLETE)


async def test_what_a_crash_leaves_of_a_copy_is_deleted(
    house: House, store: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resets, "COPIED_BATCHES_MAX", 4)
    monkeypatch.setattr(resets, "UNBEGUN_NS", SECOND_NS // 10)
    first = await work(house, 12)
    made: list[str] = []
    run_id_of = house.history.engine.chance.run_id

    def noted() -> str:
        made.append(run_id_of())
        return made[-1]

    monkeypatch.setattr(house.history.engine.chance, "run_id", noted)
    store.faults = [lambda commit: commit(), never_happened]
    with pytest.raises(Unavailable):
        await reset(house, 40)
    (lost,) = made
    assert await stored_runs(house, first, lost) == [True, True]

    async def is_gone() -> bool:
        return await stored_runs(house, first, lost) == [True, False]

    await eventually(is_gone)
    second = await reset(house, 40)
    task = await house.task()
    assert task.workflow_execution.run_id == second


async def test_a_run_that_has_begun_outlives_the_deletion_of_what_might_not_have(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resets, "COPIED_BATCHES_MAX", 4)
    monkeypatch.setattr(resets, "UNBEGUN_NS", 1)
    first = await work(house, 12)
    second = await reset(house, 40)
    await house.answer(await house.task(), COMPLETE)
    assert await stored_runs(house, first, second) == [True, True]


async def test_refusals_change_nothing(house: House, store: Misbehaving) -> None:
    first = await work(house, 2)
    before = await events(house, first)
    for finish_event_id in (0, 1, 2, 99):
        with pytest.raises(InvalidArgument):
            await reset(house, finish_event_id)
    with pytest.raises(NotFound):
        await reset(house, 4, run_id="11111111-2222-3333-4444-555555555555")
    assert await events(house, first) == before


async def test_an_activity_that_was_at_work_is_given_out_again_and_its_old_worker_is_refused(house: House) -> None:
    await house.begin("w")
    await house.answer(await house.task(), SCHEDULE)
    old = await house.activity()
    await house.signal("w", "go on")
    await house.answer(await house.task())
    second = await reset(house, 9)
    with pytest.raises(NotFound):
        await house.activity_done(old)
    new = await house.activity()
    assert new.workflow_execution.run_id == second
    await house.activity_done(new)


async def test_the_base_run_may_go_and_what_was_made_of_it_stays(house: House) -> None:
    first = await work(house, 1)
    second = await reset(house, 4)
    delete = api.DeleteWorkflowExecutionRequest(workflow_execution=WorkflowExecution(workflow_id="w", run_id=first))
    await house.history.delete_workflow_execution(house.call, delete)

    async def is_gone() -> bool:
        return await stored_runs(house, first, second) == [False, True]

    await eventually(is_gone)
    with pytest.raises(NotFound):
        await reset(house, 4, run_id=first, request_id="another")
    assert [event.event_id for event in await events(house, second)] == [1, 2, 3, 4, 5]
    await house.answer(await house.task(), COMPLETE)
