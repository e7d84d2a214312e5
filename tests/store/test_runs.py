"""The contract of ShardStore: fences, conditions, all or nothing, and reading back in order and in pages."""

import asyncio
from dataclasses import replace

import pytest

from services.persistence import (
    Commit,
    CurrentWrite,
    HistoryBatch,
    ItemKind,
    ItemWrite,
    Outcome,
    RunWrite,
    ShardRecord,
    Store,
    TaskCategory,
    TaskRow,
)
from tests.store.builders import NAMESPACE, batch_of, current_of, start_of, step_of, task_of

EVER = 2**62


@pytest.fixture
async def shard(store: Store) -> ShardRecord:
    return await store.acquire_shard(1, "host")


async def test_acquiring_bumps_the_range_id_of_that_shard_alone(store: Store) -> None:
    assert await store.acquire_shard(7, "a") == ShardRecord(shard_id=7, range_id=1, owner="a")
    assert await store.acquire_shard(7, "b") == ShardRecord(shard_id=7, range_id=2, owner="b")
    assert await store.acquire_shard(8, "b") == ShardRecord(shard_id=8, range_id=1, owner="b")


async def test_two_who_acquire_at_once_get_different_range_ids(store: Store) -> None:
    shards = await asyncio.gather(*[store.acquire_shard(1, f"host {n}") for n in range(8)])
    assert sorted(shard.range_id for shard in shards) == list(range(1, 9))


async def test_a_commit_reads_back(store: Store, shard: ShardRecord) -> None:
    assert await store.commit(start_of(shard, "wf", "run", 1)) is Outcome.COMMITTED
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("run")
    run = await store.read_run(1, NAMESPACE, "wf", "run")
    assert run is not None
    assert (run.run_id, run.version, run.blob) == ("run", 1, b"run v1")
    assert list(run.items) == [(ItemKind.TIMER, "t1", b"timer of run")]
    assert await store.read_history(1, "run", 1, EVER, 10) == [batch_of("run", 1, 3)]
    assert await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10) == [task_of(1)]


async def test_what_is_not_there_is_none_or_empty(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    assert await store.read_current(1, NAMESPACE, "other") is None
    assert await store.read_current(1, "other", "wf") is None
    assert await store.read_current(2, NAMESPACE, "wf") is None
    assert await store.read_run(1, NAMESPACE, "wf", "other") is None
    assert await store.read_run(1, NAMESPACE, "other", "run") is None
    assert await store.read_run(2, NAMESPACE, "wf", "run") is None
    assert await store.read_history(1, "other", 1, EVER, 10) == []
    assert await store.read_history_reverse(1, "other", EVER, 10) == []
    assert await store.read_tasks(2, TaskCategory.IMMEDIATE, (0, 0), EVER, 10) == []


async def nothing_was_written(store: Store, run_id: str) -> bool:
    return (
        await store.read_run(1, NAMESPACE, "wf", run_id) is None
        and await store.read_history(1, run_id, 1, EVER, 10) == []
        and await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 1), EVER, 10) == []
    )


async def test_the_old_owner_of_a_shard_is_fenced(store: Store, shard: ShardRecord) -> None:
    newer = await store.acquire_shard(1, "other")
    await store.commit(start_of(newer, "wf", "run", 1))
    assert await store.commit(start_of(shard, "wf", "late", 2, replaces="run")) is Outcome.FENCED
    assert await nothing_was_written(store, "late")
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("run")
    assert await store.delete_tasks(1, shard.range_id, TaskCategory.IMMEDIATE, (0, 9)) is Outcome.FENCED
    assert await store.delete_run(1, shard.range_id, NAMESPACE, "wf", "run") is Outcome.FENCED
    assert await store.read_run(1, NAMESPACE, "wf", "run") is not None
    assert await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10) == [task_of(1)]


async def test_a_range_id_that_was_never_given_out_is_fenced(store: Store, shard: ShardRecord) -> None:
    assert await store.commit(start_of(replace(shard, range_id=2), "wf", "run", 2)) is Outcome.FENCED
    assert await store.commit(start_of(replace(shard, shard_id=9), "wf", "run", 2)) is Outcome.FENCED
    assert await nothing_was_written(store, "run")


async def test_of_two_owners_at_once_only_the_later_writes(store: Store, shard: ShardRecord) -> None:
    before = [store.commit(start_of(shard, f"wf {n}", f"before {n}", n)) for n in range(5)]
    taken = store.acquire_shard(1, "other")
    after = [store.commit(start_of(shard, f"wf {n}", f"after {n}", 100 + n)) for n in range(5)]
    *outcomes, newer = await asyncio.gather(*before, *after, taken)
    assert isinstance(newer, ShardRecord)
    assert await store.commit(start_of(shard, "wf", "late", 200)) is Outcome.FENCED
    tasks = await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, -1), EVER, 100)
    assert len(tasks) == outcomes.count(Outcome.COMMITTED)
    assert await store.commit(start_of(newer, "wf", "mine", 201)) is Outcome.COMMITTED


async def test_a_commit_of_nothing_asks_for_the_fence(store: Store, shard: ShardRecord) -> None:
    nothing = Commit(
        shard_id=1, range_id=shard.range_id, namespace_id=NAMESPACE, workflow_id="wf", runs=(), current=None, tasks=()
    )
    assert await store.commit(nothing) is Outcome.COMMITTED
    newer = await store.acquire_shard(1, "other")
    assert await store.commit(nothing) is Outcome.FENCED
    assert await store.commit(replace(nothing, range_id=newer.range_id)) is Outcome.COMMITTED
    assert await store.read_current(1, NAMESPACE, "wf") is None


@pytest.mark.parametrize(("stored", "expected"), [(None, "run"), ("run", None), ("run", "other")])
async def test_another_current_run_than_expected_refuses_all(
    store: Store, shard: ShardRecord, stored: str | None, expected: str | None
) -> None:
    if stored is not None:
        await store.commit(start_of(shard, "wf", stored, 1))
    assert await store.commit(start_of(shard, "wf", "next", 2, replaces=expected)) is Outcome.CURRENT_CONFLICT
    assert await nothing_was_written(store, "next")
    assert await store.read_current(1, NAMESPACE, "wf") == (current_of(stored) if stored else None)


@pytest.mark.parametrize("expected_version", [0, 2])
async def test_another_version_of_the_run_than_expected_refuses_all(
    store: Store, shard: ShardRecord, expected_version: int
) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    step = RunWrite(run_id="run", expected_version=expected_version, version=3, blob=b"v3")
    assert await store.commit(step_of(shard, "wf", step, task_of(2))) is Outcome.RUN_CONFLICT
    run = await store.read_run(1, NAMESPACE, "wf", "run")
    assert run is not None
    assert run.version == 1
    assert await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 1), EVER, 10) == []


async def test_a_run_that_should_exist_and_does_not_refuses_all(store: Store, shard: ShardRecord) -> None:
    step = RunWrite(run_id="run", expected_version=4, version=5, blob=b"v5", batches=[batch_of("run", 7, 8)])
    assert await store.commit(step_of(shard, "wf", step, task_of(2))) is Outcome.RUN_CONFLICT
    assert await nothing_was_written(store, "run")


async def test_a_conflict_in_the_second_run_leaves_nothing_of_the_first(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    successor = start_of(shard, "wf", "next", 2, replaces="run")
    close = RunWrite(run_id="run", expected_version=9, version=10, blob=b"closed")
    assert await store.commit(replace(successor, runs=[*successor.runs, close])) is Outcome.RUN_CONFLICT
    assert await nothing_was_written(store, "next")
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("run")


async def test_two_runs_of_one_workflow_id_change_together(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    successor = start_of(shard, "wf", "next", 2, replaces="run")
    close = RunWrite(run_id="run", expected_version=1, version=2, blob=b"closed")
    assert await store.commit(replace(successor, runs=[close, *successor.runs])) is Outcome.COMMITTED
    old, new = [await store.read_run(1, NAMESPACE, "wf", run_id) for run_id in ("run", "next")]
    assert old is not None
    assert new is not None
    assert (old.version, old.blob, new.version) == (2, b"closed", 1)
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("next")


async def test_the_current_pointer_can_change_its_status_alone(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    step = RunWrite(run_id="run", expected_version=1, version=2, blob=b"closed")
    closing = CurrentWrite(expected_run_id="run", record=current_of("run", status=2))
    assert await store.commit(replace(step_of(shard, "wf", step), current=closing)) is Outcome.COMMITTED
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("run", status=2)


async def test_items_are_set_replaced_and_deleted_one_by_one(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    items = [
        ItemWrite(kind=ItemKind.TIMER, item_id="t1", blob=None),
        ItemWrite(kind=ItemKind.TIMER, item_id="never there", blob=None),
        ItemWrite(kind=ItemKind.TIMER, item_id="t2", blob=b"two"),
        ItemWrite(kind=ItemKind.ACTIVITY, item_id="t2", blob=b"another kind"),
    ]
    await store.commit(
        step_of(shard, "wf", RunWrite(run_id="run", expected_version=1, version=2, blob=b"", items=items))
    )
    again = [ItemWrite(kind=ItemKind.TIMER, item_id="t2", blob=b"two again")]
    await store.commit(
        step_of(shard, "wf", RunWrite(run_id="run", expected_version=2, version=3, blob=b"", items=again))
    )
    run = await store.read_run(1, NAMESPACE, "wf", "run")
    assert run is not None
    assert sorted(run.items) == [(ItemKind.ACTIVITY, "t2", b"another kind"), (ItemKind.TIMER, "t2", b"two again")]


@pytest.fixture
async def batches(store: Store, shard: ShardRecord) -> list[HistoryBatch]:
    """A history of five batches: events 1-2, 3-5, 6, 7-9, 10."""
    batches = [batch_of("run", first, following) for first, following in [(1, 3), (3, 6), (6, 7), (7, 10), (10, 11)]]
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=b"", batches=batches)
    # Neighbours in both directions, which must not leak in.
    other = [replace(run, run_id=run_id, batches=[batch_of(run_id, 1, 20)]) for run_id in ("rum", "ruo")]
    for part in (other[0], run, other[1]):
        await store.commit(step_of(shard, part.run_id, part))
    return batches


async def test_history_is_read_in_pages(store: Store, batches: list[HistoryBatch]) -> None:
    pages, at = [], 1
    while page := await store.read_history(1, "run", at, EVER, 2):
        pages.append(len(page))
        assert page == batches[2 * len(pages) - 2 : 2 * len(pages)]
        at = page[-1].next_event_id
    assert pages == [2, 2, 1]


@pytest.mark.parametrize(
    ("first", "end", "expected"),
    [(1, 11, slice(0, 5)), (4, 8, slice(1, 4)), (6, 7, slice(2, 3)), (5, 6, slice(1, 2)), (11, 99, slice(0, 0))],
)
async def test_history_between_two_events(
    store: Store, batches: list[HistoryBatch], first: int, end: int, expected: slice
) -> None:
    assert await store.read_history(1, "run", first, end, 10) == batches[expected]


async def test_history_is_read_backwards_in_pages(store: Store, batches: list[HistoryBatch]) -> None:
    newest_first = batches[::-1]
    assert await store.read_history_reverse(1, "run", EVER, 3) == newest_first[:3]
    assert await store.read_history_reverse(1, "run", newest_first[2].first_event_id, 3) == newest_first[3:]
    assert await store.read_history_reverse(1, "run", 8, 1) == [batches[3]]


async def test_blobs_of_four_mebibytes_and_of_nothing(store: Store, shard: ShardRecord) -> None:
    large = bytes(range(256)) * (4 * 4096)
    batch = HistoryBatch(first_event_id=1, next_event_id=2, blob=large)
    empty = HistoryBatch(first_event_id=2, next_event_id=3, blob=b"")
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=large, batches=[batch, empty])
    assert await store.commit(step_of(shard, "wf", run)) is Outcome.COMMITTED
    assert await store.read_history(1, "run", 1, EVER, 10) == [batch, empty]
    read = await store.read_run(1, NAMESPACE, "wf", "run")
    assert read is not None
    assert read.blob == large


async def test_timer_tasks_come_by_fire_time_in_pages_up_to_the_horizon(store: Store, shard: ShardRecord) -> None:
    fire_times = [50, 10, 30, 10, 20]
    tasks = [task_of(n, TaskCategory.TIMER, fire_time) for n, fire_time in enumerate(fire_times, 1)]
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=b"")
    await store.commit(step_of(shard, "wf", run, *tasks, task_of(9)))
    ordered = sorted(tasks, key=lambda task: (task.fire_time_ns, task.task_id))
    seen: list[TaskRow] = []
    after = (0, 0)
    while page := await store.read_tasks(1, TaskCategory.TIMER, after, 50, 2):
        assert len(page) <= 2
        seen.extend(page)
        after = (page[-1].fire_time_ns, page[-1].task_id)
    assert seen == ordered[:4]
    assert await store.read_tasks(1, TaskCategory.TIMER, after, 51, 2) == ordered[4:]


async def test_tasks_are_deleted_up_to_and_with_the_mark(store: Store, shard: ShardRecord) -> None:
    timers = [task_of(n, TaskCategory.TIMER, fire_time) for n, fire_time in [(4, 10), (1, 20), (3, 20), (2, 30)]]
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=b"")
    await store.commit(step_of(shard, "wf", run, *timers, task_of(1)))
    assert await store.delete_tasks(1, shard.range_id, TaskCategory.TIMER, (20, 1)) is Outcome.COMMITTED
    assert await store.read_tasks(1, TaskCategory.TIMER, (0, 0), EVER, 10) == timers[2:]
    assert await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10) == [task_of(1)]


async def test_a_deleted_run_is_gone_with_all_that_it_had(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    for _ in range(2):  # absent is fine
        assert await store.delete_run(1, shard.range_id, NAMESPACE, "wf", "run") is Outcome.COMMITTED
        assert await store.read_run(1, NAMESPACE, "wf", "run") is None
        assert await store.read_history(1, "run", 1, EVER, 10) == []
        assert await store.read_current(1, NAMESPACE, "wf") is None
    assert await store.commit(start_of(shard, "wf", "run", 2)) is Outcome.COMMITTED
    run = await store.read_run(1, NAMESPACE, "wf", "run")
    assert run is not None
    assert list(run.items) == [(ItemKind.TIMER, "t1", b"timer of run")]


async def test_deleting_an_older_run_leaves_the_current_pointer(store: Store, shard: ShardRecord) -> None:
    await store.commit(start_of(shard, "wf", "run", 1))
    await store.commit(start_of(shard, "wf", "next", 2, replaces="run"))
    await store.delete_run(1, shard.range_id, NAMESPACE, "wf", "run")
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("next")
    assert await store.read_history(1, "next", 1, EVER, 10) == [batch_of("next", 1, 3)]
