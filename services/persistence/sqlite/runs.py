"""Shards, runs, histories and outboxes in SQL. Functions ending in `_txn` run in an open transaction."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

import sqlite3
from collections.abc import Sequence

from services.persistence.interface import (
    Commit,
    CurrentRecord,
    CurrentWrite,
    HistoryBatch,
    ItemKind,
    Outcome,
    RunRecord,
    RunWrite,
    ShardRecord,
    TaskCategory,
    TaskRow,
)

_RUN_KEY = "(SELECT run_key FROM runs WHERE shard_id = ? AND run_id = ?)"


def acquire_shard_txn(connection: sqlite3.Connection, shard_id: int, owner: str) -> ShardRecord:
    connection.execute(
        "INSERT INTO shards VALUES (?, 1, ?)"
        " ON CONFLICT (shard_id) DO UPDATE SET range_id = range_id + 1, owner = excluded.owner",
        (shard_id, owner),
    )
    (range_id,) = connection.execute("SELECT range_id FROM shards WHERE shard_id = ?", (shard_id,)).fetchone()
    return ShardRecord(shard_id=shard_id, range_id=range_id, owner=owner)


def commit_txn(connection: sqlite3.Connection, commit: Commit) -> Outcome:
    """Checks every condition before the first write, so that a refused commit leaves nothing behind."""
    if not _holds_shard_txn(connection, commit.shard_id, commit.range_id):
        return Outcome.FENCED
    if commit.current is not None and not _is_current_txn(connection, commit, commit.current):
        return Outcome.CURRENT_CONFLICT
    run_keys: list[int | None] = []
    for run in commit.runs:
        stored = connection.execute(
            "SELECT run_key, version FROM runs WHERE shard_id = ? AND run_id = ?", (commit.shard_id, run.run_id)
        ).fetchone()
        run_key, version = stored or (None, 0)
        if version != run.expected_version:
            return Outcome.RUN_CONFLICT
        run_keys.append(run_key)
    for run, run_key in zip(commit.runs, run_keys, strict=True):
        _write_run_txn(connection, commit, run, run_key)
    if commit.current is not None:
        _write_current_txn(connection, commit, commit.current.record)
    if commit.tasks:
        connection.executemany(
            "INSERT INTO tasks VALUES (?, ?, ?, ?, ?)",
            [(commit.shard_id, task.category, task.fire_time_ns, task.task_id, task.blob) for task in commit.tasks],
        )
    return Outcome.COMMITTED


def _holds_shard_txn(connection: sqlite3.Connection, shard_id: int, range_id: int) -> bool:
    stored = connection.execute("SELECT range_id FROM shards WHERE shard_id = ?", (shard_id,)).fetchone()
    return stored is not None and stored[0] == range_id


def _is_current_txn(connection: sqlite3.Connection, commit: Commit, current: CurrentWrite) -> bool:
    stored = connection.execute(
        "SELECT run_id FROM currents WHERE shard_id = ? AND namespace_id = ? AND workflow_id = ?",
        (commit.shard_id, commit.namespace_id, commit.workflow_id),
    ).fetchone()
    return (stored[0] if stored else None) == current.expected_run_id


def _write_run_txn(connection: sqlite3.Connection, commit: Commit, run: RunWrite, run_key: int | None) -> None:
    if run_key is None:
        run_key = connection.execute(
            "INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            (commit.shard_id, run.run_id, commit.namespace_id, commit.workflow_id, run.version, run.blob),
        ).lastrowid
    else:
        connection.execute("UPDATE runs SET version = ?, blob = ? WHERE run_key = ?", (run.version, run.blob, run_key))
    if run.items:
        dropped = [(run_key, item.kind, item.item_id) for item in run.items if item.blob is None]
        if dropped:
            connection.executemany("DELETE FROM items WHERE run_key = ? AND kind = ? AND item_id = ?", dropped)
        connection.executemany(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)",
            [(run_key, item.kind, item.item_id, item.blob) for item in run.items if item.blob is not None],
        )
    if run.batches:
        connection.executemany(
            "INSERT INTO history VALUES (?, ?, ?, ?)",
            [(run_key, batch.first_event_id, batch.next_event_id, batch.blob) for batch in run.batches],
        )


def _write_current_txn(connection: sqlite3.Connection, commit: Commit, record: CurrentRecord) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO currents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            commit.shard_id,
            commit.namespace_id,
            commit.workflow_id,
            record.run_id,
            record.create_request_id,
            record.status,
            record.start_time_ns,
            record.first_execution_run_id,
        ),
    )


def read_current(
    connection: sqlite3.Connection, shard_id: int, namespace_id: str, workflow_id: str
) -> CurrentRecord | None:
    row = connection.execute(
        "SELECT run_id, create_request_id, status, start_time_ns, first_execution_run_id FROM currents"
        " WHERE shard_id = ? AND namespace_id = ? AND workflow_id = ?",
        (shard_id, namespace_id, workflow_id),
    ).fetchone()
    if row is None:
        return None
    run_id, create_request_id, status, start_time_ns, first_execution_run_id = row
    return CurrentRecord(
        run_id=run_id,
        create_request_id=create_request_id,
        status=status,
        start_time_ns=start_time_ns,
        first_execution_run_id=first_execution_run_id,
    )


def read_run_txn(
    connection: sqlite3.Connection, shard_id: int, namespace_id: str, workflow_id: str, run_id: str
) -> RunRecord | None:
    row = connection.execute(
        "SELECT run_key, version, blob FROM runs"
        " WHERE shard_id = ? AND run_id = ? AND namespace_id = ? AND workflow_id = ?",
        (shard_id, run_id, namespace_id, workflow_id),
    ).fetchone()
    if row is None:
        return None
    run_key, version, blob = row
    items = connection.execute("SELECT kind, item_id, blob FROM items WHERE run_key = ?", (run_key,)).fetchall()
    return RunRecord(
        run_id=run_id,
        version=version,
        blob=blob,
        items=[(ItemKind(kind), item_id, item_blob) for kind, item_id, item_blob in items],
    )


def read_history(
    connection: sqlite3.Connection,
    shard_id: int,
    run_id: str,
    from_event_id: int,
    to_event_id: int,
    batches_max: int,
) -> Sequence[HistoryBatch]:
    # The batch that holds from_event_id is the last that begins at or before it.
    rows = connection.execute(
        f"SELECT first_event_id, next_event_id, blob FROM history WHERE run_key = {_RUN_KEY}"
        " AND first_event_id >= ifnull((SELECT max(first_event_id) FROM history"
        f" WHERE run_key = {_RUN_KEY} AND first_event_id <= ?), 0)"
        " AND first_event_id < ? AND next_event_id > ? ORDER BY first_event_id LIMIT ?",
        (shard_id, run_id, shard_id, run_id, from_event_id, to_event_id, from_event_id, batches_max),
    )
    return _batches(rows)


def read_history_reverse(
    connection: sqlite3.Connection, shard_id: int, run_id: str, to_event_id: int, batches_max: int
) -> Sequence[HistoryBatch]:
    rows = connection.execute(
        f"SELECT first_event_id, next_event_id, blob FROM history WHERE run_key = {_RUN_KEY}"
        " AND first_event_id < ? ORDER BY first_event_id DESC LIMIT ?",
        (shard_id, run_id, to_event_id, batches_max),
    )
    return _batches(rows)


def _batches(rows: sqlite3.Cursor) -> Sequence[HistoryBatch]:
    return [HistoryBatch(first_event_id=first, next_event_id=following, blob=blob) for first, following, blob in rows]


def read_tasks(
    connection: sqlite3.Connection,
    shard_id: int,
    category: TaskCategory,
    after: tuple[int, int],
    until_fire_time_ns: int,
    limit: int,
) -> Sequence[TaskRow]:
    rows = connection.execute(
        "SELECT fire_time_ns, task_id, blob FROM tasks WHERE shard_id = ? AND category = ?"
        " AND (fire_time_ns, task_id) > (?, ?) AND fire_time_ns < ? ORDER BY fire_time_ns, task_id LIMIT ?",
        (shard_id, category, *after, until_fire_time_ns, limit),
    )
    return [
        TaskRow(category=category, fire_time_ns=fire_time_ns, task_id=task_id, blob=blob)
        for fire_time_ns, task_id, blob in rows
    ]


def delete_tasks_txn(
    connection: sqlite3.Connection, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
) -> Outcome:
    if not _holds_shard_txn(connection, shard_id, range_id):
        return Outcome.FENCED
    connection.execute(
        "DELETE FROM tasks WHERE shard_id = ? AND category = ? AND (fire_time_ns, task_id) <= (?, ?)",
        (shard_id, category, *upto),
    )
    return Outcome.COMMITTED


def delete_run_txn(
    connection: sqlite3.Connection, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
) -> Outcome:
    if not _holds_shard_txn(connection, shard_id, range_id):
        return Outcome.FENCED
    run = (shard_id, run_id)
    connection.execute(f"DELETE FROM items WHERE run_key = {_RUN_KEY}", run)
    connection.execute(f"DELETE FROM history WHERE run_key = {_RUN_KEY}", run)
    connection.execute("DELETE FROM runs WHERE shard_id = ? AND run_id = ?", run)
    connection.execute(
        "DELETE FROM currents WHERE shard_id = ? AND namespace_id = ? AND workflow_id = ? AND run_id = ?",
        (shard_id, namespace_id, workflow_id, run_id),
    )
    return Outcome.COMMITTED
