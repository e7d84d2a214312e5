"""Backlogs of task queue partitions in SQL. Functions ending in `_txn` run in an open transaction."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

import sqlite3
from collections.abc import Sequence

from services.persistence.interface import BacklogTask, Outcome, QueueKey, QueueLease

_THE_QUEUE = "namespace_id = ? AND name = ? AND task_queue_type = ? AND partition = ?"
_QUEUE_KEY = f"(SELECT queue_key FROM queues WHERE {_THE_QUEUE})"


def _values(key: QueueKey) -> tuple[str, str, int, int]:
    return key.namespace_id, key.name, key.task_queue_type, key.partition


def lease_queue_txn(connection: sqlite3.Connection, key: QueueKey) -> QueueLease:
    connection.execute(
        "INSERT INTO queues VALUES (NULL, ?, ?, ?, ?, 1, 0)"
        " ON CONFLICT (namespace_id, name, task_queue_type, partition) DO UPDATE SET range_id = range_id + 1",
        _values(key),
    )
    range_id, ack_level = connection.execute(
        f"SELECT range_id, ack_level FROM queues WHERE {_THE_QUEUE}", _values(key)
    ).fetchone()
    return QueueLease(range_id=range_id, ack_level=ack_level)


def _leased_queue_txn(connection: sqlite3.Connection, key: QueueKey, range_id: int) -> int | None:
    """The queue's key if it is held under this range id."""
    row = connection.execute(f"SELECT queue_key, range_id FROM queues WHERE {_THE_QUEUE}", _values(key)).fetchone()
    return row[0] if row is not None and row[1] == range_id else None


def append_backlog_txn(
    connection: sqlite3.Connection, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]
) -> Outcome:
    queue_key = _leased_queue_txn(connection, key, range_id)
    if queue_key is None:
        return Outcome.FENCED
    connection.executemany(
        "INSERT INTO backlog VALUES (?, ?, ?)", [(queue_key, task.task_id, task.blob) for task in tasks]
    )
    return Outcome.COMMITTED


def acknowledge_backlog_txn(connection: sqlite3.Connection, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
    queue_key = _leased_queue_txn(connection, key, range_id)
    if queue_key is None:
        return Outcome.FENCED
    connection.execute("UPDATE queues SET ack_level = ? WHERE queue_key = ?", (ack_level, queue_key))
    connection.execute("DELETE FROM backlog WHERE queue_key = ? AND task_id <= ?", (queue_key, ack_level))
    return Outcome.COMMITTED


def read_backlog(
    connection: sqlite3.Connection, key: QueueKey, after_task_id: int, limit: int
) -> Sequence[BacklogTask]:
    rows = connection.execute(
        f"SELECT task_id, blob FROM backlog WHERE queue_key = {_QUEUE_KEY} AND task_id > ? ORDER BY task_id LIMIT ?",
        (*_values(key), after_task_id, limit),
    )
    return [BacklogTask(task_id=task_id, blob=blob) for task_id, blob in rows]


def backlog_count(connection: sqlite3.Connection, key: QueueKey) -> int:
    (count,) = connection.execute(
        f"SELECT count(*) FROM backlog WHERE queue_key = {_QUEUE_KEY}", _values(key)
    ).fetchone()
    return int(count)
