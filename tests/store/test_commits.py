"""The contract under load and under faults: many at once, one bad among them, and outcomes nobody knows."""

import asyncio
from dataclasses import replace

import pytest

from services.persistence import HistoryBatch, Outcome, ShardRecord, Store, StoreError, TaskCategory, UnknownOutcome
from tests.store.builders import NAMESPACE, batch_of, current_of, start_of
from tests.store.conftest import Backend

EVER = 2**62


async def test_many_at_once_each_have_their_own_outcome(store: Store) -> None:
    shard = await store.acquire_shard(1, "host")
    good = [start_of(shard, f"wf {n}", f"run {n}", n) for n in range(1, 201)]
    fenced = start_of(replace(shard, range_id=99), "fenced", "fenced", 300)
    conflict = start_of(shard, "conflict", "conflict", 301, replaces="nobody")
    commits = [*good[:70], fenced, *good[70:140], conflict, *good[140:]]
    outcomes = await asyncio.gather(*[store.commit(commit) for commit in commits])
    assert outcomes[70] is Outcome.FENCED
    assert outcomes[141] is Outcome.CURRENT_CONFLICT
    assert outcomes.count(Outcome.COMMITTED) == 200
    tasks = await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 1000)
    assert [task.task_id for task in tasks] == list(range(1, 201))


async def test_of_many_who_start_one_workflow_id_at_once_one_wins(store: Store) -> None:
    shard = await store.acquire_shard(1, "host")
    outcomes = await asyncio.gather(*[store.commit(start_of(shard, "wf", f"run {n}", n)) for n in range(20)])
    assert outcomes.count(Outcome.COMMITTED) == 1
    assert outcomes.count(Outcome.CURRENT_CONFLICT) == 19
    winner = f"run {outcomes.index(Outcome.COMMITTED)}"
    assert await store.read_current(1, NAMESPACE, "wf") == current_of(winner)


async def test_a_commit_that_cannot_be_written_takes_no_other_with_it(store: Store) -> None:
    shard = await store.acquire_shard(1, "host")
    broken = start_of(shard, "broken", "broken", 500)
    twice = batch_of("broken", 1, 3)
    broken = replace(broken, runs=[replace(broken.runs[0], batches=[twice, twice])])
    good = [start_of(shard, f"wf {n}", f"run {n}", n) for n in range(1, 11)]
    results = await asyncio.gather(
        *[store.commit(commit) for commit in [*good[:5], broken, *good[5:]]], return_exceptions=True
    )
    assert isinstance(results[5], StoreError)
    assert results.count(Outcome.COMMITTED) == 10
    assert await store.read_run(1, NAMESPACE, "broken", "broken") is None
    assert await store.read_current(1, NAMESPACE, "broken") is None
    tasks = await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 100)
    assert [task.task_id for task in tasks] == list(range(1, 11))


async def test_a_failed_commit_is_unknown_to_all_who_were_in_it_and_the_store_goes_on(backend: Backend) -> None:
    store = await backend.open()
    shard = await store.acquire_shard(1, "host")
    await store.commit(start_of(shard, "before", "before", 1))
    with backend.commits_fail():
        results = await asyncio.gather(
            *[store.commit(start_of(shard, f"wf {n}", f"run {n}", 10 + n)) for n in range(3)], return_exceptions=True
        )
    assert [type(result) for result in results] == [UnknownOutcome] * 3
    shard = await store.acquire_shard(1, "host")
    for n in range(3):
        await all_or_nothing(store, f"wf {n}", f"run {n}")
    assert await store.read_current(1, NAMESPACE, "before") == current_of("before")
    assert await store.commit(start_of(shard, "after", "after", 20)) is Outcome.COMMITTED
    await store.close()


async def all_or_nothing(store: Store, workflow_id: str, run_id: str) -> None:
    run = await store.read_run(1, NAMESPACE, workflow_id, run_id)
    current = await store.read_current(1, NAMESPACE, workflow_id)
    history = await store.read_history(1, run_id, 1, EVER, 10)
    assert (run is None) == (current is None) == (history == [])


async def test_a_caller_who_goes_away_stops_nobody(store: Store) -> None:
    shard = await store.acquire_shard(1, "host")
    gone = asyncio.ensure_future(store.commit(start_of(shard, "gone", "gone", 1)))
    stays = asyncio.ensure_future(store.commit(start_of(shard, "stays", "stays", 2)))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays is Outcome.COMMITTED
    assert gone.cancelled()
    await store.acquire_shard(1, "host")  # what was under way has happened now, or never will
    await all_or_nothing(store, "gone", "gone")


async def test_closing_finishes_what_was_accepted(store: Store) -> None:
    shard = await store.acquire_shard(1, "host")
    accepted = [asyncio.ensure_future(store.commit(start_of(shard, f"wf {n}", f"run {n}", n))) for n in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert [future.result() for future in accepted] == [Outcome.COMMITTED] * 10
    with pytest.raises(StoreError, match="closed"):
        await store.commit(start_of(shard, "late", "late", 11))
    await store.close()


async def test_a_reader_never_sees_half_a_commit(store: Store) -> None:
    """Runs whose blob, items and history all say the same version are written while they are read."""
    shard: ShardRecord = await store.acquire_shard(1, "host")
    await store.commit(start_of(shard, "wf", "run", 1))

    async def write() -> None:
        for version in range(2, 60):
            step = start_of(shard, "wf", "run", version, replaces="run")
            batch = HistoryBatch(first_event_id=version + 1, next_event_id=version + 2, blob=b"")
            item = replace(step.runs[0].items[0], blob=str(version).encode())
            run = replace(step.runs[0], expected_version=version - 1, version=version, items=[item], batches=[batch])
            assert await store.commit(replace(step, runs=[run])) is Outcome.COMMITTED

    writing = asyncio.ensure_future(write())
    versions = set()
    while not writing.done():
        run = await store.read_run(1, NAMESPACE, "wf", "run")
        assert run is not None
        if run.version > 1:
            assert run.items[0][2] == str(run.version).encode()
        versions.add(run.version)
        await asyncio.sleep(0)
    await writing
    assert len(versions) > 1
