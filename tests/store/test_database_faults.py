"""What stores on database servers say, and keep, when the server is killed, restarted, stalled or cut off."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.config import SQL
from services.persistence import Outcome, Store, StoreError, StoreUnavailable, TaskCategory, UnknownOutcome
from services.persistence.mysql import driver as mysql_driver
from services.persistence.mysql import mysql_schema, open_mysql
from services.persistence.postgresql import driver as postgresql_driver
from services.persistence.postgresql import open_postgresql, postgresql_schema
from tests.parts.databases import DatabaseServer
from tests.parts.mariadb import MariaDB
from tests.parts.postgresql import Postgresql
from tests.store.builders import NAMESPACE, batch_of, current_of, start_of
from tests.store.databases import DatabaseBackend, MysqlBackend, mysql_config, postgresql_config
from tests.store.proxy import Fault, Proxy, proxy_to

EVER = 2**62
COMMITTERS = 8
KILLS = 4
OPERATION_S_MAX = 0.3  # of the tests that wait for it to pass

Open = Callable[[SQL], Awaitable[Store]]


class Database:
    """A server of the test's own, set up."""

    def __init__(self, server: DatabaseServer, config: SQL, opens: Open) -> None:
        self.server, self.config, self._opens = server, config, opens

    async def open(self, address: str = "") -> Store:
        return await self._opens(replace(self.config, connect_addr=address or self.config.connect_addr, max_conns=10))


@pytest.fixture(params=["postgresql", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        with Postgresql(tmp_path) as postgresql:
            config = postgresql_config(postgresql)
            asyncio.run(postgresql_schema(config).setup())
            yield Database(postgresql, config, open_postgresql)
    else:
        with MariaDB(tmp_path) as mariadb:
            config = mysql_config(mariadb)
            asyncio.run(mysql_schema(config).setup())
            yield Database(mariadb, config, open_mysql)


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[Proxy]:
    async with proxy_to(database.server.address) as proxy:
        yield proxy


async def is_whole(store: Store, number: int) -> bool:
    """Whether a commit is there. Fails when only a part of it is."""
    run_id, workflow_id = f"run {number}", f"wf {number}"
    run = await store.read_run(1, NAMESPACE, workflow_id, run_id)
    history = await store.read_history(1, run_id, 1, EVER, 10)
    current = await store.read_current(1, NAMESPACE, workflow_id)
    if run is None:
        assert (history, current) == ([], None)
        return False
    assert (len(run.items), history, current) == (1, [batch_of(run_id, 1, 3)], current_of(run_id))
    return True


async def test_a_killed_server_loses_nothing_committed_and_the_store_goes_on(database: Database) -> None:
    """The server is killed under load and started again, several times, under one and the same store."""
    store = await database.open()
    chance = random.Random(7)
    committed: set[int] = set()
    unknown: set[int] = set()
    number = 0
    for life in range(KILLS):
        shard = await store.acquire_shard(1, f"life {life}")
        left = chance.randint(1, 150)

        async def commit_until_it_fails() -> None:
            nonlocal number, left
            while True:
                number += 1
                mine = number
                try:
                    assert await store.commit(start_of(shard, f"wf {mine}", f"run {mine}", mine)) is Outcome.COMMITTED  # noqa: B023 (awaited within the iteration)
                except UnknownOutcome:
                    unknown.add(mine)
                    return
                except StoreUnavailable:
                    return
                committed.add(mine)
                left -= 1
                if left == 0:
                    await asyncio.to_thread(database.server.kill)

        async with asyncio.timeout(30):
            await asyncio.gather(*[commit_until_it_fails() for _ in range(COMMITTERS)])
        with pytest.raises(StoreError):
            await store.read_current(1, NAMESPACE, "wf 1")
        await asyncio.to_thread(database.server.start)

    assert (await store.acquire_shard(1, "after")).range_id == KILLS + 1
    for each in committed:
        assert await is_whole(store, each)
    there = {task.task_id for task in await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 10_000)}
    assert committed <= there <= committed | unknown
    for each in unknown:
        assert await is_whole(store, each) == (each in there)
    await store.close()


async def test_a_lost_reply_leaves_the_outcome_unknown_though_it_is_committed(database: Database, proxy: Proxy) -> None:
    store = await database.open(proxy.address)
    shard = await store.acquire_shard(1, "host")
    await store.commit(start_of(shard, "wf 1", "run 1", 1))
    proxy.fault = Fault.REPLIES_LOST
    with pytest.raises(UnknownOutcome):
        await store.commit(start_of(shard, "wf 2", "run 2", 2))
    proxy.fault = Fault.NONE
    shard = await store.acquire_shard(1, "host")
    assert shard.range_id == 2
    assert await is_whole(store, 2)
    assert await store.commit(start_of(shard, "wf 3", "run 3", 3)) is Outcome.COMMITTED
    await store.close()


async def test_a_server_that_stalls_is_not_waited_for_for_ever(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for driver in (postgresql_driver, mysql_driver):
        monkeypatch.setattr(driver, "OPERATION_S_MAX", OPERATION_S_MAX)
    store = await database.open(proxy.address)
    shard = await store.acquire_shard(1, "host")
    proxy.fault = Fault.STALLED
    async with asyncio.timeout(20):
        with pytest.raises(UnknownOutcome):
            await store.commit(start_of(shard, "wf 1", "run 1", 1))
    proxy.fault = Fault.NONE
    shard = await store.acquire_shard(1, "host")
    assert await store.commit(start_of(shard, "wf 2", "run 2", 2)) is Outcome.COMMITTED
    await store.close()


async def test_a_caller_that_gives_up_leaves_no_connection_behind(database: Database) -> None:
    """More callers are cancelled than there are connections, in every place where they may be."""
    store = await database.open()
    shard = await store.acquire_shard(1, "host")
    for turns in range(6):
        commits = [
            asyncio.ensure_future(store.commit(start_of(shard, f"wf {turns} {n}", f"run {turns} {n}", turns * 100 + n)))
            for n in range(30)
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for commit in commits:
            commit.cancel()
        await asyncio.gather(*commits, return_exceptions=True)
    async with asyncio.timeout(10):
        results = await asyncio.gather(
            *[store.commit(start_of(shard, f"wf {n}", f"run {n}", 1000 + n)) for n in range(30)]
        )
    assert results == [Outcome.COMMITTED] * 30
    await store.close()


@pytest.mark.parametrize("backend", ["postgresql", "mysql"], indirect=True)
@pytest.mark.parametrize("table", ["history", "tasks"])
async def test_a_shard_changes_hands_between_commits_and_not_within_one(backend: DatabaseBackend, table: str) -> None:
    """What passed the fence before the shard was taken is written before the taker is told that it has it."""
    store = await backend.open()
    shard = await store.acquire_shard(1, "host")
    async with asyncio.timeout(20), backend.held(table):
        commit = asyncio.ensure_future(store.commit(start_of(shard, "wf 1", "run 1", 1)))
        while len(await backend.waiting()) < 1:
            assert not commit.done()
        taken = asyncio.ensure_future(store.acquire_shard(1, "other"))
        while len(await backend.waiting()) < 2:
            assert not taken.done()
    assert await commit is Outcome.COMMITTED
    assert (await taken).range_id == 2
    assert await is_whole(store, 1)
    await store.close()


@pytest.mark.parametrize("backend", ["postgresql", "mysql"], indirect=True)
async def test_commits_of_one_shard_do_not_wait_for_one_another(backend: DatabaseBackend) -> None:
    store = await backend.open()
    shard = await store.acquire_shard(1, "host")
    async with asyncio.timeout(20), backend.held("tasks"):
        waits = asyncio.ensure_future(store.commit(start_of(shard, "waits", "waits", 1)))
        while len(await backend.waiting()) < 1:
            assert not waits.done()
        without_tasks = replace(start_of(shard, "passes", "passes", 2), tasks=[])
        assert await store.commit(without_tasks) is Outcome.COMMITTED
    assert await waits is Outcome.COMMITTED
    await store.close()


async def test_a_transaction_that_is_too_large_is_refused_by_its_size(mariadb: MariaDB) -> None:
    backend = MysqlBackend(mariadb)
    store = await backend.open()
    shard = await store.acquire_shard(1, "host")
    commit = start_of(shard, "wf 1", "run 1", 1)
    large = replace(commit.runs[0], blob=bytes(2**24))
    with pytest.raises(StoreError, match=r"transaction of \d+ bytes is more than .* max_allowed_packet is 16777216"):
        await store.commit(replace(commit, runs=[large]))
    assert await store.commit(commit) is Outcome.COMMITTED
    await store.close()
