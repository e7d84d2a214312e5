"""The SQLite file: what is refused untouched, who holds it, pragmas, and when a write goes to the disk."""

# ruff: noqa: ASYNC220, ASYNC240 - the event loop has nothing else to do while these look at files

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from services.persistence import Outcome, SchemaMismatch, StoreError, StoreInUse
from services.persistence.sqlite import open_sqlite
from services.persistence.sqlite.committer import LEISURELY_PER_BATCH_MAX, Committer
from services.persistence.sqlite.database import DURABLE, Database
from services.persistence.sqlite.schema import SCHEMA_VERSION
from tests.store.builders import NAMESPACE, current_of, start_of

HOLDER = """
import asyncio, sys
from services.persistence.sqlite import open_sqlite
async def hold():
    await open_sqlite(sys.argv[1])
    print(flush=True)
    await asyncio.Event().wait()
asyncio.run(hold())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perdure.db"


async def refused(path: Path, kind: type[StoreError]) -> str:
    """Why opening is refused. The file must stay as it is and get no company but the lock."""
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(kind) as refusal:
        await open_sqlite(str(path))
    assert path.read_bytes() == before
    assert {*path.parent.iterdir()} <= {*beside, Path(f"{path}.lock")}
    return str(refusal.value)


async def test_data_outlives_the_store(path: Path) -> None:
    store = await open_sqlite(str(path))
    await store.commit(start_of(await store.acquire_shard(1, "host"), "wf", "run", 1))
    await store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["perdure.db", "perdure.db.lock"]
    store = await open_sqlite(str(path), create=False)
    assert await store.read_current(1, NAMESPACE, "wf") == current_of("run")
    await store.close()


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
async def test_a_file_of_another_version_is_refused(path: Path, version: int) -> None:
    await (await open_sqlite(str(path))).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()
    reason = await refused(path, SchemaMismatch)
    assert f"version {version}" in reason
    assert f"version {SCHEMA_VERSION}" in reason


async def test_a_newer_version_that_only_the_log_knows_is_refused(path: Path, tmp_path: Path) -> None:
    """As a newer server leaves it that was killed right after it had migrated the file."""
    await (await open_sqlite(str(path))).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    killed = tmp_path / "killed" / "perdure.db"
    killed.parent.mkdir()
    for end in ("", "-wal"):
        Path(f"{killed}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    connection.close()
    before = Path(f"{killed}-wal").read_bytes()
    assert f"version {SCHEMA_VERSION + 1}" in await refused(killed, SchemaMismatch)
    assert Path(f"{killed}-wal").read_bytes() == before


async def test_a_database_of_somebody_else_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(f"CREATE TABLE theirs (a); PRAGMA user_version={SCHEMA_VERSION}")
    connection.close()
    assert "not a Perdure database" in await refused(path, SchemaMismatch)


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"dear diary")
    assert "not a Perdure database" in await refused(path, SchemaMismatch)


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    store = await open_sqlite(str(path))
    assert (await store.acquire_shard(1, "host")).range_id == 1
    await store.close()


async def test_a_creation_that_was_cut_short_is_begun_again(path: Path) -> None:
    Path(f"{path}.new").write_bytes(b"half a database")
    store = await open_sqlite(str(path))
    assert (await store.acquire_shard(1, "host")).range_id == 1
    await store.close()


async def test_no_file_and_no_leave_to_create_one(path: Path) -> None:
    with pytest.raises(StoreError, match="no database at"):
        await open_sqlite(str(path), create=False)
    assert list(path.parent.iterdir()) == []


async def test_a_directory_that_is_not_there(path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        await open_sqlite(str(path / "below" / "perdure.db"))


async def test_a_file_in_use_is_refused_until_its_holder_is_gone_even_by_sigkill(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        assert "in use" in await refused(path, StoreInUse)
        holder.send_signal(signal.SIGKILL)
    await (await open_sqlite(str(path))).close()


async def test_a_second_store_in_one_process_is_refused_too(path: Path) -> None:
    store = await open_sqlite(str(path))
    with pytest.raises(StoreInUse):
        await open_sqlite(str(path))
    await store.close()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("jurnal_mode", "wal", "unknown sqlite pragma 'jurnal_mode'"),
        ("journal_mode", "foo", "sqlite pragma journal_mode: 'foo'"),
        ("cache_size", "1; DROP TABLE runs", "sqlite pragma cache_size"),
    ],
)
async def test_a_bad_pragma_is_named_and_nothing_is_created(path: Path, name: str, value: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        await open_sqlite(str(path), {name: value})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("journal_mode", ["delete", "WAL"])
async def test_pragmas_replace_the_defaults(path: Path, journal_mode: str) -> None:
    store = await open_sqlite(str(path), {"journal_mode": journal_mode, "synchronous": "OFF", "page_size": "8192"})
    shard = await store.acquire_shard(1, "host")
    assert await store.commit(start_of(shard, "wf", "run", 1)) is Outcome.COMMITTED
    assert Path(f"{path}-wal").exists() == (journal_mode == "WAL")
    await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA page_size").fetchone() == (8192,)
    connection.close()


async def test_an_ephemeral_store_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = await open_sqlite(None)
    await store.acquire_shard(1, "host")
    assert len(os.listdir(tmp_path)) == 1
    await store.close()
    assert os.listdir(tmp_path) == []


def synchronous(txn: sqlite3.Connection) -> int:
    return int(txn.execute("PRAGMA synchronous").fetchone()[0])


async def test_what_may_be_lost_waits_for_no_fsync_and_all_else_does(path: Path) -> None:
    full, normal = 2, 1
    database = Database(path, DURABLE, create=True)
    committer = Committer(database.connect(writes=True))
    assert await committer.submit(synchronous) == full
    assert await committer.submit(synchronous, leisurely=True) == normal
    together = committer.submit(synchronous, leisurely=True), committer.submit(synchronous)
    assert list(await asyncio.gather(*together)) == [full, full]
    await committer.close()
    database.close()


async def test_a_flood_of_writes_that_may_wait_does_not_hold_up_a_commit(path: Path) -> None:
    database = Database(path, DURABLE, create=True)
    committer = Committer(database.connect(writes=True))
    ran: list[str] = []
    flood = [committer.submit(lambda _: ran.append("flood"), leisurely=True) for _ in range(500)]
    await flood[0]
    await committer.submit(lambda _: ran.append("commit"))
    assert ran.index("commit") <= 2 * LEISURELY_PER_BATCH_MAX
    await committer.close()
    assert all(future.done() for future in flood)
    database.close()
