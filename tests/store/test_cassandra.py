"""What is Cassandra's own: events that lie elsewhere, watermarks, lists over many periods, schemas, and two owners."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.config import Cassandra as Section
from services.persistence import (
    Commit,
    HistoryBatch,
    Outcome,
    RunWrite,
    SchemaMismatch,
    ShardRecord,
    Store,
    StoreError,
    StoreUnavailable,
    TaskCategory,
    VisibilityRecord,
)
from services.persistence.cassandra import CassandraSchema, open_cassandra, shards
from services.persistence.cassandra.client import Client
from services.persistence.cassandra.commits import BYTES_MAX
from services.persistence.cassandra.connect import connect
from services.persistence.cassandra.histories import BUCKET_EVENTS, INLINE_BYTES_MAX, INLINE_EVENTS_MAX, PART_BYTES_MAX
from services.persistence.cassandra.visibility import CLOSED_PERIOD_NS, ROWS_PER_READ_MAX, Visibility
from tests.parts.cassandra import Cassandra
from tests.processes import free_port
from tests.server.waiting import until
from tests.store.builders import NAMESPACE, TYPES, batch_of, start_of, step_of, task_of, visible
from tests.store.cassandra import CassandraBackend, section_of

EVER = 2**62
TIMER = TaskCategory.TIMER


@pytest.fixture
def backend(cassandra: Cassandra) -> CassandraBackend:
    return CassandraBackend(cassandra)


@pytest.fixture
async def shard(store: Store) -> ShardRecord:
    return await store.acquire_shard(1, "host")


@pytest.fixture
async def rows(cassandra: Cassandra, store: Store) -> AsyncIterator[Client]:
    """A second session, to look behind the store."""
    client = await connect(section_of(cassandra), section_of(cassandra).keyspace)
    yield client
    await client.close()


async def count(client: Client, table: str) -> int:
    statement = f"SELECT count(*) FROM {table}"
    await client.prepare(statement)
    return int((await client.read(statement)).rows[0][0])


def write_of(shard: ShardRecord, version: int, *batches: HistoryBatch, run_id: str = "run") -> Commit:
    run = RunWrite(run_id=run_id, expected_version=version - 1, version=version, blob=b"", batches=batches)
    return step_of(shard, "wf", run)


# Events


LARGE = b"x" * (INLINE_BYTES_MAX + 1)
HUGE = bytes(range(256)) * (PART_BYTES_MAX // 100)


async def test_large_and_late_batches_read_back_between_small_ones(store: Store, shard: ShardRecord) -> None:
    late = BUCKET_EVENTS + INLINE_EVENTS_MAX
    batches = [
        HistoryBatch(first_event_id=first, next_event_id=following, blob=blob)
        for (first, following), blob in zip(
            itertools.pairwise([1, 3, 5, 8, BUCKET_EVENTS, late, late + 2]),
            [b"small", LARGE, b"small", HUGE, b"late", b"later"],
            strict=True,
        )
    ]
    for version, batch in enumerate(batches, 1):
        assert await store.commit(write_of(shard, version, batch)) is Outcome.COMMITTED
    assert await store.read_history(1, "run", 1, EVER, 100) == batches
    assert await store.read_history(1, "run", 4, late, 2) == batches[1:3]
    assert await store.read_history(1, "run", 9, EVER, 100) == batches[3:]
    assert await store.read_history_reverse(1, "run", EVER, 100) == batches[::-1]


async def test_what_a_refused_commit_left_elsewhere_is_not_read_and_soon_gone(
    store: Store, shard: ShardRecord, rows: Client
) -> None:
    await store.commit(write_of(shard, 1, HistoryBatch(first_event_id=1, next_event_id=3, blob=LARGE)))
    newer = await store.acquire_shard(1, "other")
    late = HistoryBatch(first_event_id=3, next_event_id=9, blob=b"z" + LARGE)
    true = HistoryBatch(first_event_id=3, next_event_id=5, blob=b"a" + LARGE)
    outcomes = await asyncio.gather(*[store.commit(write_of(*each)) for each in ((shard, 2, late), (newer, 2, true))])
    assert outcomes == [Outcome.FENCED, Outcome.COMMITTED]
    assert await store.read_history(1, "run", 3, EVER, 10) == [true]
    assert await store.commit(write_of(newer, 2, late)) is Outcome.RUN_CONFLICT
    assert await store.read_history(1, "run", 3, EVER, 10) == [true]
    assert await count(rows, "history") == 2


async def test_an_attempt_whose_end_nobody_knows_never_shows(store: Store, rows: Client, shard: ShardRecord) -> None:
    """Its rows are there, under the same event ids as the true ones, and written later."""
    true = HistoryBatch(first_event_id=1, next_event_id=3, blob=LARGE)
    await store.commit(write_of(shard, 1, true))
    copy = (
        "INSERT INTO history (run_id, bucket, first_event_id, attempt, part, blob) VALUES ('run', 0, 1, uuid(), 0, ?)"
    )
    await rows.prepare(copy)
    for blob in (b"late", b"later" + HUGE):
        await rows.write(copy, blob)
    assert await store.read_history(1, "run", 1, EVER, 10) == [true]
    assert await store.read_history_reverse(1, "run", EVER, 10) == [true]


async def test_a_deleted_run_leaves_no_rows(store: Store, shard: ShardRecord, rows: Client) -> None:
    commit = start_of(shard, "wf", "run", 1)
    far = HistoryBatch(first_event_id=3, next_event_id=2 * BUCKET_EVENTS, blob=LARGE)
    farther = HistoryBatch(first_event_id=2 * BUCKET_EVENTS, next_event_id=3 * BUCKET_EVENTS, blob=b"")
    run = replace(commit.runs[0], batches=[*commit.runs[0].batches, far, farther])
    assert await store.commit(replace(commit, runs=[run], tasks=())) is Outcome.COMMITTED
    assert await count(rows, "history") == 2
    assert await store.delete_run(1, shard.range_id, NAMESPACE, "wf", "run") is Outcome.COMMITTED
    assert await count(rows, "history") == 0
    assert await count(rows, "shard") == 1  # the shard itself


async def test_batches_that_do_not_follow_one_another_are_refused(store: Store, shard: ShardRecord) -> None:
    with pytest.raises(StoreError, match="a batch of events up to 2 is followed by one from 4"):
        await store.commit(write_of(shard, 1, batch_of("run", 1, 3), batch_of("run", 4, 5)))


async def test_a_commit_that_no_node_would_take_is_refused_before_it_is_sent(store: Store, shard: ShardRecord) -> None:
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=bytes(BYTES_MAX))
    with pytest.raises(StoreError, match="over the limit"):
        await store.commit(step_of(shard, "wf", run))
    assert await store.commit(write_of(shard, 1)) is Outcome.COMMITTED


# Tasks


async def test_a_timer_that_is_due_before_what_was_deleted_is_found_again(
    store: Store, shard: ShardRecord, backend: CassandraBackend
) -> None:
    """By this owner and the next, also when it comes with others and with a deletion. What is done may come again."""
    runs = (RunWrite(run_id=f"run {n}", expected_version=0, version=1, blob=b"") for n in itertools.count())
    due: set[int] = set()

    async def set_timers(*fire_times: int) -> None:
        tasks = [task_of(fire_time, TIMER, fire_time) for fire_time in fire_times]
        due.update(fire_times)
        assert await store.commit(step_of(shard, "wf", next(runs), *tasks)) is Outcome.COMMITTED

    async def delete(upto: int) -> None:
        due.difference_update([fire_time for fire_time in due if fire_time <= upto])
        assert await store.delete_tasks(1, shard.range_id, TIMER, (upto, EVER)) is Outcome.COMMITTED

    async def found(of: Store) -> set[int]:
        return {task.fire_time_ns for task in await of.read_tasks(1, TIMER, (0, 0), EVER, 100)}

    await set_timers(100, 300)
    await delete(200)
    assert await found(store) == due
    await set_timers(60, 50, 70)
    assert await found(store) >= due
    await asyncio.gather(set_timers(45), set_timers(40), set_timers(350))
    other = await backend.open()
    for each in (store, other):
        assert await found(each) >= due
    await other.acquire_shard(1, "other")
    assert await found(other) >= due
    shard = await store.acquire_shard(1, "host")
    await asyncio.gather(delete(310), set_timers(20))
    assert await found(store) >= due == {20, 350}
    await delete(30)
    await set_timers(400)  # takes the deletion along
    assert await found(other) >= due
    await delete(400)
    await store.close()
    await other.acquire_shard(1, "other")
    assert await found(other) == due == set()
    await other.close()


async def test_deleted_tasks_are_not_walked_over_again(store: Store, shard: ShardRecord, rows: Client) -> None:
    """The read of an outbox begins after what was deleted: also of one whose owner is another now."""
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=b"")
    await store.commit(step_of(shard, "wf", run, *[task_of(n) for n in range(1, 20)]))
    await store.delete_tasks(1, shard.range_id, TaskCategory.IMMEDIATE, (0, 18))
    await store.commit(write_of(shard, 1, run_id="other"))  # takes the deletion along
    zombie = "INSERT INTO shard (shard_id, kind, key, blob) VALUES (1, 4, ?, 0x)"  # what a repair could bring back
    await rows.prepare(zombie)
    await rows.write(zombie, (2**63).to_bytes(8, "big") + (2**63 + 7).to_bytes(8, "big"))
    assert await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10) == [task_of(19)]
    await store.acquire_shard(1, "host")
    assert await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10) == [task_of(19)]


async def test_tasks_that_no_commit_takes_along_are_deleted_after_a_while(
    store: Store, shard: ShardRecord, rows: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "DELETE_DELAY_S", 0.01)
    run = RunWrite(run_id="run", expected_version=0, version=1, blob=b"")
    await store.commit(step_of(shard, "wf", run, *[task_of(n) for n in range(1, 20)]))
    await store.delete_tasks(1, shard.range_id, TaskCategory.IMMEDIATE, (0, 18))
    await until(lambda: count(rows, "shard"), 3)  # the shard, the run, the last task


# Two owners


async def test_of_two_owners_only_one_ever_commits(store: Store, backend: CassandraBackend) -> None:
    """They take the shard from each other under load: what was committed is there, what was refused is not."""
    stores = [store, await backend.open()]
    committed: list[str] = []
    refused: list[str] = []
    numbers = itertools.count(1)

    async def own(mine: Store, turns: int) -> None:
        for _ in range(turns):
            shard = await mine.acquire_shard(1, "host")
            outcomes = [Outcome.COMMITTED]
            while Outcome.FENCED not in outcomes and len(committed) < 400:
                commits = [start_of(shard, f"wf {n}", f"run {n}", n) for n in itertools.islice(numbers, 5)]
                outcomes = await asyncio.gather(*[mine.commit(commit) for commit in commits])
                for commit, outcome in zip(commits, outcomes, strict=True):
                    (committed if outcome is Outcome.COMMITTED else refused).append(commit.runs[0].run_id)

    await asyncio.gather(*[own(mine, 10) for mine in stores])
    assert committed
    assert refused
    for run_id, expected in [*((each, True) for each in committed), *((each, False) for each in refused)]:
        workflow_id = run_id.replace("run", "wf")
        assert (await store.read_run(1, NAMESPACE, workflow_id, run_id) is not None) is expected
    tasks = await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10_000)
    assert sorted(task.task_id for task in tasks) == sorted(int(run_id.split()[1]) for run_id in committed)
    await stores[1].close()


async def test_the_next_owner_finds_the_tasks_that_came_while_it_acquired(
    store: Store, backend: CassandraBackend
) -> None:
    """Where the last task is done nothing is read: which one is the last must be known for sure."""
    other = await backend.open()
    for turn in range(10):
        shard = await store.acquire_shard(1, "host")
        numbers = range(1 + turn * 8, 9 + turn * 8)
        commits = [start_of(shard, f"wf {n}", f"run {n}", n) for n in numbers]
        await store.commit(commits[0])
        *outcomes, _ = await asyncio.gather(*[store.commit(each) for each in commits[1:]], other.acquire_shard(1, "b"))
        for number, outcome in zip(numbers[1:], outcomes, strict=True):
            found = await other.read_tasks(1, TaskCategory.IMMEDIATE, (0, number - 1), EVER, 1)
            assert (found == [task_of(number)]) is (outcome is Outcome.COMMITTED)
    await other.close()


# Lists


async def test_a_list_goes_over_periods_and_over_reads(store: Store) -> None:
    hour = CLOSED_PERIOD_NS // 10**9
    crowded = [visible(f"open {n}", start=10 * hour + n) for n in range(ROWS_PER_READ_MAX * 2)]
    scattered = [visible(f"old {n}", start=n * hour) for n in range(9)]
    closed = [visible(f"closed {n}", start=1, close=n * hour) for n in range(1, 20)]
    await store.upsert_visibility([*crowded, *scattered, *closed])
    expected = [*crowded[::-1], *scattered[::-1], *closed[::-1]]
    assert (await store.list_visibility(NAMESPACE, "", TYPES, 5000, b""))[0] == expected
    assert await store.count_visibility(NAMESPACE, "", TYPES) == [((), len(expected))]
    token, found = b"", list[VisibilityRecord]()
    for page_size in itertools.count(100, 7):
        page, token = await store.list_visibility(NAMESPACE, "WorkflowType = 'Transfer'", TYPES, page_size, token)
        found += page
        if not token:
            break
    assert found == expected
    for record in closed:
        await store.delete_visibility(NAMESPACE, record.run_id)
    assert await store.count_visibility(NAMESPACE, "CloseTime IS NOT NULL", TYPES) == [((), 0)]
    await store.upsert_visibility([replace(closed[3], run_id="again")])
    assert await store.count_visibility(NAMESPACE, "CloseTime IS NOT NULL", TYPES) == [((), 1)]


async def test_a_run_that_closes_while_it_is_listed_is_listed_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.upsert_visibility([visible("other", version=7, close=10), visible("wf", version=1)])
    read = Visibility._read_period

    async def read_and_close(self: Visibility, *asked: Any) -> Any:
        rows = await read(self, *asked)
        await store.upsert_visibility([visible("wf", version=2, close=20)])
        return rows

    monkeypatch.setattr(Visibility, "_read_period", read_and_close)
    page, _ = await store.list_visibility(NAMESPACE, "", TYPES, 10, b"")
    assert [record.version for record in page] == [1, 7]
    page, _ = await store.list_visibility(NAMESPACE, "", TYPES, 10, b"")
    assert [record.version for record in page] == [2, 7]


async def test_late_news_do_not_bring_a_deleted_run_back(store: Store) -> None:
    await store.upsert_visibility([visible("wf", version=7, close=20)])
    await store.delete_visibility(NAMESPACE, "run of wf")
    await store.upsert_visibility([visible("wf", version=3)])
    for query in ("", "WorkflowId = 'wf'", "RunId = 'run of wf'"):
        assert await store.list_visibility(NAMESPACE, query, TYPES, 10, b"") == ([], b"")


async def test_the_runs_of_a_workflow_are_listed_in_order_and_in_pages(store: Store) -> None:
    runs = [visible("wf", run_id=f"run {n}", start=n, close=0 if n == 3 else 50 - n) for n in (3, 0, 1, 2, 4)]
    await store.upsert_visibility([*runs, visible("other")])
    query = "WorkflowType = 'Transfer' AND WorkflowId = 'wf'"
    first, token = await store.list_visibility(NAMESPACE, query, TYPES, 2, b"")
    rest, end = await store.list_visibility(NAMESPACE, query, TYPES, 9, token)
    assert [*first, *rest] == runs
    assert end == b""


# Schemas


@pytest.fixture
async def fresh(cassandra: Cassandra) -> AsyncIterator[Section]:
    """A keyspace that is not there yet."""
    section = section_of(cassandra, "fresh")
    yield section
    client = await connect(section, None)
    await client.define("DROP KEYSPACE IF EXISTS fresh")
    await client.close()


async def test_a_schema_is_set_up_once_and_another_version_is_refused(fresh: Section) -> None:
    schema = CassandraSchema(fresh)
    assert await schema.version() is None
    with pytest.raises(SchemaMismatch, match="perdure schema setup"):
        await open_cassandra(fresh)
    await schema.setup()
    await schema.setup()
    assert await schema.version() == schema.expected
    await (await open_cassandra(fresh)).close()
    client = await connect(fresh, fresh.keyspace)
    for version, help_ in ((schema.expected + 1, "it takes a newer server"), (0, "perdure schema update")):
        await client.define(f"INSERT INTO schema_version (component, version) VALUES ('perdure', {version})")
        with pytest.raises(SchemaMismatch, match=help_):
            await open_cassandra(fresh)
    await schema.update()  # every statement may be run twice, as after a crash midway
    assert await schema.version() == schema.expected
    await client.define(f"INSERT INTO schema_version (component, version) VALUES ('perdure', {schema.expected + 1})")
    with pytest.raises(SchemaMismatch, match="newer server"):
        await schema.update()
    await client.close()


async def test_a_keyspace_of_somebody_else_has_no_schema(fresh: Section) -> None:
    client = await connect(fresh, None)
    await client.define("CREATE KEYSPACE fresh WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    await client.close()
    assert await CassandraSchema(fresh).version() is None
    with pytest.raises(SchemaMismatch, match="has no schema"):
        await open_cassandra(fresh)
    with pytest.raises(SchemaMismatch, match="has no schema"):
        await CassandraSchema(fresh).update()


async def test_a_node_that_is_not_there_can_be_waited_for() -> None:
    with pytest.raises(StoreUnavailable):
        await open_cassandra(Section(hosts="127.0.0.1", port=free_port(), keyspace="perdure"))
