"""Shards, runs, histories and outboxes. What decides over a commit is in the database (migrations.COMMIT_1)."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

from collections.abc import Sequence

from services.persistence.interface import (
    Commit,
    CurrentRecord,
    HistoryBatch,
    ItemKind,
    Outcome,
    RunRecord,
    ShardRecord,
    TaskCategory,
    TaskRow,
)
from services.persistence.postgresql.database import Database
from services.persistence.postgresql.driver import Rows, RunConflict

OUTCOMES = (Outcome.COMMITTED, Outcome.FENCED, Outcome.CURRENT_CONFLICT)

_ARGUMENTS = 29
_COMMIT = f"SELECT perdure_commit({', '.join(f'${n}' for n in range(1, _ARGUMENTS + 1))})"
_RUN_KEY = "(SELECT run_key FROM runs WHERE shard_id = $1 AND run_id = $2)"
_BATCHES = f"SELECT first_event_id, next_event_id, blob FROM history WHERE run_key = {_RUN_KEY}"
# The batch that holds the first event asked for is the last that begins at or before it.
_HISTORY = (
    f"{_BATCHES} AND first_event_id >= coalesce((SELECT max(first_event_id) FROM history"
    f" WHERE run_key = {_RUN_KEY} AND first_event_id <= $3), 0)"
    " AND first_event_id < $4 AND next_event_id > $3 ORDER BY first_event_id LIMIT $5"
)
_HISTORY_REVERSE = f"{_BATCHES} AND first_event_id < $3 ORDER BY first_event_id DESC LIMIT $4"
# One statement sees one state: the run and its items belong together. The run itself comes as kind 0.
_RUN = """
WITH run AS MATERIALIZED (
    SELECT run_key, version, blob FROM runs
    WHERE shard_id = $1 AND run_id = $2 AND namespace_id = $3 AND workflow_id = $4
)
SELECT 0 AS kind, '' AS item_id, blob, version FROM run
UNION ALL SELECT items.kind, items.item_id, items.blob, 0 FROM run JOIN items USING (run_key)
"""
_CURRENT = (
    "SELECT run_id, create_request_id, status, start_time_ns, first_execution_run_id FROM currents"
    " WHERE shard_id = $1 AND namespace_id = $2 AND workflow_id = $3"
)
_TASKS = (
    "SELECT fire_time_ns, task_id, blob FROM tasks WHERE shard_id = $1 AND category = $2"
    " AND (fire_time_ns, task_id) > ($3, $4) AND fire_time_ns < $5 ORDER BY fire_time_ns, task_id LIMIT $6"
)


class Runs(Database):
    """Implements `ShardStore`."""

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        rows = await self._write("SELECT perdure_acquire_shard($1, $2)", shard_id, owner)
        return ShardRecord(shard_id=shard_id, range_id=rows[0][0], owner=owner)

    async def commit(self, commit: Commit) -> Outcome:
        try:
            rows = await self._write(_COMMIT, *_arguments(commit))
        except RunConflict:
            return Outcome.RUN_CONFLICT
        return OUTCOMES[rows[0][0]]

    async def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None:
        rows = await self._read(_CURRENT, shard_id, namespace_id, workflow_id)
        return CurrentRecord(**dict(rows[0])) if rows else None

    async def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None:
        rows = await self._read(_RUN, shard_id, run_id, namespace_id, workflow_id)
        if not rows:
            return None
        (run,) = [row for row in rows if not row["kind"]]
        items = [(ItemKind(kind), item_id, blob) for kind, item_id, blob, _ in rows if kind]
        return RunRecord(run_id=run_id, version=run["version"], blob=run["blob"], items=items)

    async def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return _batches(await self._read(_HISTORY, shard_id, run_id, from_event_id, to_event_id, batches_max))

    async def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return _batches(await self._read(_HISTORY_REVERSE, shard_id, run_id, to_event_id, batches_max))

    async def read_tasks(
        self, shard_id: int, category: TaskCategory, after: tuple[int, int], until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        rows = await self._read(_TASKS, shard_id, category, *after, until_fire_time_ns, limit)
        return [
            TaskRow(category=category, fire_time_ns=fire_time_ns, task_id=task_id, blob=blob)
            for fire_time_ns, task_id, blob in rows
        ]

    async def delete_tasks(
        self, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
    ) -> Outcome:
        statement = "SELECT perdure_delete_tasks($1, $2, $3, $4, $5)"
        rows = await self._write(statement, shard_id, range_id, category, *upto)
        return OUTCOMES[rows[0][0]]

    async def delete_run(
        self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
    ) -> Outcome:
        statement = "SELECT perdure_delete_run($1, $2, $3, $4, $5)"
        rows = await self._write(statement, shard_id, range_id, namespace_id, workflow_id, run_id)
        return OUTCOMES[rows[0][0]]


def _batches(rows: Rows) -> Sequence[HistoryBatch]:
    return [HistoryBatch(first_event_id=first, next_event_id=following, blob=blob) for first, following, blob in rows]


def _arguments(commit: Commit) -> list[object]:
    """The parameters of perdure_commit, in its order."""
    current, runs, tasks = commit.current, commit.runs, commit.tasks
    arguments: list[object] = [commit.shard_id, commit.range_id, commit.namespace_id, commit.workflow_id]
    if current is None:
        arguments += [None] * 6
    else:
        record = current.record
        arguments += [current.expected_run_id, record.run_id, record.create_request_id, record.status]
        arguments += [record.start_time_ns, record.first_execution_run_id]
    arguments += [[run.run_id for run in runs], [run.expected_version for run in runs]]
    arguments += [[run.version for run in runs], [run.blob for run in runs]]
    items = [(number, item) for number, run in enumerate(runs, 1) for item in run.items]
    dropped = [(number, item.kind, item.item_id) for number, item in items if item.blob is None]
    arguments += _columns(3, dropped)
    written = [(number, item.kind, item.item_id, item.blob) for number, item in items if item.blob is not None]
    arguments += _columns(4, written)
    batches = [(number, batch) for number, run in enumerate(runs, 1) for batch in run.batches]
    arguments += _columns(4, [(number, each.first_event_id, each.next_event_id, each.blob) for number, each in batches])
    arguments += _columns(4, [(task.category, task.fire_time_ns, task.task_id, task.blob) for task in tasks])
    return arguments


def _columns(width: int, rows: Sequence[tuple[object, ...]]) -> Sequence[Sequence[object]]:
    """A table's rows as its columns, which also an empty one has."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
