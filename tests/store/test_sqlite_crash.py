"""What SQLite keeps when the process is killed, and when the last write to the log was torn."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.persistence import Outcome, Store, TaskCategory
from services.persistence.sqlite import open_sqlite
from tests.store.builders import NAMESPACE, batch_of, current_of, start_of

LIVES = 10
EVER = 2**62


def acknowledged_before_kill(path: Path, life: int, acknowledgements: int) -> set[int]:
    """Lets a process write, kills it with SIGKILL after so many acknowledgements, and returns all that it gave."""
    command = [sys.executable, "-m", "tests.store.crash_writer", str(path), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledgements)]
        writer.kill()
        lines += writer.stdout.readlines()
    return {int(line) for line in lines if line.endswith(b"\n")}


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


async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    chance = random.Random(3)
    acknowledged: set[int] = set()
    for life in range(LIVES):
        acknowledged |= acknowledged_before_kill(path, life, chance.randint(1, 200))
    store = await open_sqlite(str(path), create=False)
    for number in acknowledged:
        assert await is_whole(store, number)
    stored = {task.task_id for task in await store.read_tasks(1, TaskCategory.IMMEDIATE, (0, 0), EVER, 1_000_000)}
    assert acknowledged <= stored
    for number in stored - acknowledged:
        assert await is_whole(store, number)
    assert (await store.acquire_shard(1, "after")).range_id == LIVES + 1
    await store.close()


@pytest.mark.parametrize("damage", ["cut in the last frame", "cut in the first frame", "a byte changed"])
async def test_a_torn_last_write_costs_that_commit_alone(tmp_path: Path, damage: str) -> None:
    path, log = tmp_path / "perdure.db", tmp_path / "perdure.db-wal"
    store = await open_sqlite(str(path))
    shard = await store.acquire_shard(1, "host")
    for number in range(1, 20):
        assert await store.commit(start_of(shard, f"wf {number}", f"run {number}", number)) is Outcome.COMMITTED
    end_of_kept = log.stat().st_size
    assert await store.commit(start_of(shard, "wf 20", "run 20", 20)) is Outcome.COMMITTED
    torn, torn_log = tmp_path / "torn.db", tmp_path / "torn.db-wal"
    shutil.copy(path, torn)
    whole = log.read_bytes()
    await store.close()
    assert len(whole) > end_of_kept
    last_frame = len(whole) - 2000
    torn_log.write_bytes(
        {
            "cut in the last frame": whole[:last_frame],
            "cut in the first frame": whole[: end_of_kept + 100],
            "a byte changed": whole[:last_frame] + bytes([whole[last_frame] ^ 1]) + whole[last_frame + 1 :],
        }[damage]
    )

    store = await open_sqlite(str(torn), create=False)
    assert [number for number in range(1, 21) if await is_whole(store, number)] == list(range(1, 20))
    shard = await store.acquire_shard(1, "after")
    assert await store.commit(start_of(shard, "wf 20", "run 20", 20)) is Outcome.COMMITTED
    await store.close()
    store = await open_sqlite(str(torn), create=False)
    assert await is_whole(store, 20)
    await store.close()
