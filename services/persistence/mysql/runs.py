"""Shards, runs, histories and outboxes. What checks a commit's conditions is in the database (migrations)."""

from collections.abc import Sequence
from typing import Any

from services.persistence.interface import (
    Commit,
    CurrentRecord,
    HistoryBatch,
    ItemKind,
    Outcome,
    RunRecord,
    RunWrite,
    ShardRecord,
    TaskCategory,
    TaskRow,
)
from services.persistence.mysql.database import Database
from services.persistence.mysql.driver import CURRENT_CONFLICT, FENCED, RUN_CONFLICT, Refused
from services.persistence.mysql.text import filled, insert, row

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are literals that `text` makes

OUTCOMES = {
    FENCED: Outcome.FENCED,
    CURRENT_CONFLICT: Outcome.CURRENT_CONFLICT,
    RUN_CONFLICT: Outcome.RUN_CONFLICT,
}

# LAST_INSERT_ID(x) sets what the answer to the statement carries.
_ACQUIRE = (
    "INSERT INTO shards VALUES (?, LAST_INSERT_ID(1), ?)"
    " ON DUPLICATE KEY UPDATE range_id = LAST_INSERT_ID(range_id + 1), owner = VALUES(owner)"
)
_RUN_KEY = "(SELECT run_key FROM runs WHERE shard_id = ? AND run_id = ?)"
_BATCHES = f"SELECT first_event_id, next_event_id, `blob` FROM history WHERE run_key = {_RUN_KEY}"
# The batch that holds the first event asked for is the last that begins at or before it.
_HISTORY = (
    f"{_BATCHES} AND first_event_id >= coalesce((SELECT max(first_event_id) FROM history"
    f" WHERE run_key = {_RUN_KEY} AND first_event_id <= ?), 0)"
    " AND first_event_id < ? AND next_event_id > ? ORDER BY first_event_id LIMIT ?"
)
_HISTORY_REVERSE = f"{_BATCHES} AND first_event_id < ? ORDER BY first_event_id DESC LIMIT ?"
# One statement sees one state: the run and its items belong together. The run itself comes as kind 0.
_THE_RUN = "shard_id = ? AND run_id = ? AND namespace_id = ? AND workflow_id = ?"
_RUN = (
    f"SELECT 0, '', `blob`, version FROM runs WHERE {_THE_RUN} UNION ALL"
    f" SELECT kind, item_id, items.`blob`, 0 FROM runs JOIN items ON items.run_key = runs.run_key WHERE {_THE_RUN}"
)
_CURRENT = (
    "SELECT run_id, create_request_id, status, start_time_ns, first_execution_run_id FROM currents"
    " WHERE shard_id = ? AND namespace_id = ? AND workflow_id = ?"
)
# (fire_time_ns, task_id) compared in a form that becomes ranges of the key.
_TASKS = (
    "SELECT fire_time_ns, task_id, `blob` FROM tasks WHERE shard_id = ? AND category = ?"
    " AND (fire_time_ns = ? AND task_id > ? OR fire_time_ns > ?) AND fire_time_ns < ?"
    " ORDER BY fire_time_ns, task_id LIMIT ?"
)
_DELETE_TASKS = (
    "DELETE FROM tasks WHERE shard_id = ? AND category = ? AND (fire_time_ns < ? OR fire_time_ns = ? AND task_id <= ?)"
)
_BEGIN = "CALL perdure_begin(?,?)"


class Runs(Database):
    """Implements `ShardStore`."""

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        (acquired,) = await self._write(filled(_ACQUIRE, shard_id, owner))
        return ShardRecord(shard_id=shard_id, range_id=acquired.insert_id, owner=owner)

    async def commit(self, commit: Commit) -> Outcome:
        return await self._transaction(*_statements(commit))

    async def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None:
        rows = await self._read(_CURRENT, shard_id, namespace_id, workflow_id)
        if not rows:
            return None
        run_id, create_request_id, status, start_time_ns, first_execution_run_id = rows[0]
        return CurrentRecord(
            run_id=run_id.decode(),
            create_request_id=create_request_id.decode(),
            status=status,
            start_time_ns=start_time_ns,
            first_execution_run_id=first_execution_run_id.decode(),
        )

    async def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None:
        the_run = (shard_id, run_id, namespace_id, workflow_id)
        rows = await self._read(_RUN, *the_run, *the_run)
        if not rows:
            return None
        ((blob, version),) = [(blob, version) for kind, _, blob, version in rows if not kind]
        items = [(ItemKind(kind), item_id.decode(), item) for kind, item_id, item, _ in rows if kind]
        return RunRecord(run_id=run_id, version=version, blob=blob, items=items)

    async def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        run = (shard_id, run_id)
        return _batches(await self._read(_HISTORY, *run, *run, from_event_id, to_event_id, from_event_id, batches_max))

    async def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return _batches(await self._read(_HISTORY_REVERSE, shard_id, run_id, to_event_id, batches_max))

    async def read_tasks(
        self, shard_id: int, category: TaskCategory, after: tuple[int, int], until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        rows = await self._read(_TASKS, shard_id, int(category), *after, after[0], until_fire_time_ns, limit)
        return [
            TaskRow(category=category, fire_time_ns=fire_time_ns, task_id=task_id, blob=blob)
            for fire_time_ns, task_id, blob in rows
        ]

    async def delete_tasks(
        self, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
    ) -> Outcome:
        delete = filled(_DELETE_TASKS, shard_id, category, upto[0], *upto)
        return await self._transaction(filled(_BEGIN, shard_id, range_id), delete)

    async def delete_run(
        self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
    ) -> Outcome:
        """The current run goes before the run, as in a commit: locks that are taken in one order make no deadlock."""
        of_current = "shard_id = ? AND namespace_id = ? AND workflow_id = ? AND run_id = ?"
        return await self._transaction(
            filled(_BEGIN, shard_id, range_id),
            filled(f"DELETE FROM currents WHERE {of_current}", shard_id, namespace_id, workflow_id, run_id),
            filled(f"SET @run = {_RUN_KEY}", shard_id, run_id),
            b"DELETE FROM runs WHERE run_key = @run",
            b"DELETE FROM items WHERE run_key = @run",
            b"DELETE FROM history WHERE run_key = @run",
        )

    async def _transaction(self, *statements: bytes) -> Outcome:
        try:
            await self._write(*statements, b"COMMIT")
        except Refused as refusal:
            if refusal.code not in OUTCOMES:
                raise
            return OUTCOMES[refusal.code]
        return Outcome.COMMITTED


def _batches(rows: Sequence[tuple[Any, ...]]) -> Sequence[HistoryBatch]:
    return [HistoryBatch(first_event_id=first, next_event_id=following, blob=blob) for first, following, blob in rows]


def _statements(commit: Commit) -> list[bytes]:
    """All but the COMMIT. What decides comes first, in the order in which one outcome goes before another."""
    workflow = (commit.shard_id, commit.namespace_id, commit.workflow_id)
    statements = [filled(_BEGIN, commit.shard_id, commit.range_id)]
    if commit.current is not None:
        record = commit.current.record
        statements.append(
            b"CALL perdure_current"
            + row(
                *workflow,
                commit.current.expected_run_id,
                record.run_id,
                record.create_request_id,
                record.status,
                record.start_time_ns,
                record.first_execution_run_id,
            )
        )
    keys = [bytearray(b"@run%d" % number) for number in range(len(commit.runs))]
    for run, key in zip(commit.runs, keys, strict=True):
        values = (run.run_id, run.expected_version, run.version, run.blob, key)
        statements.append(b"CALL perdure_run" + row(*workflow, *values))
    for run, key in zip(commit.runs, keys, strict=True):
        statements += _parts(run, key)
    if commit.tasks:
        tasks = [(task.category, task.fire_time_ns, task.task_id, task.blob) for task in commit.tasks]
        statements.append(insert(b"tasks", [row(commit.shard_id, *task) for task in tasks]))
    return statements


def _parts(run: RunWrite, key: bytearray) -> list[bytes]:
    statements = []
    dropped = [item for item in run.items if item.blob is None]
    if dropped:  # in a form that becomes points of the key
        points = [
            filled("kind = ? AND item_id = ? AND run_key = ", item.kind, item.item_id) + bytes(key) for item in dropped
        ]
        statements.append(b"DELETE FROM items WHERE " + b" OR ".join(points))
    written = [row(key, item.kind, item.item_id, item.blob) for item in run.items if item.blob is not None]
    if written:
        statements.append(insert(b"items", written) + b" ON DUPLICATE KEY UPDATE `blob` = VALUES(`blob`)")
    batches = [row(key, each.first_event_id, each.next_event_id, each.blob) for each in run.batches]
    if batches:
        statements.append(insert(b"history", batches))
    return statements
