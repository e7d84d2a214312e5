"""A commit as one conditional write: what it writes, under which conditions, and which of them did not hold."""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

from collections.abc import Mapping, Sequence
from uuid import UUID

from services.persistence.cassandra import keys
from services.persistence.cassandra.client import Bound
from services.persistence.cassandra.lanes import Stored
from services.persistence.cassandra.watermarks import Watermarks
from services.persistence.interface import (
    Commit,
    CurrentWrite,
    HistoryBatch,
    Outcome,
    RunWrite,
    StoreError,
    TaskCategory,
)

# A node refuses what is over half a segment of its commit log, by default 16 MiB, and does so too late to be sure.
BYTES_MAX = 7 << 20
ROW_BYTES = 128  # what a row costs beside its blob, about

_AT = "WHERE shard_id = ? AND kind = {} AND key = ?"
_RUN, _CURRENT = _AT.format(keys.RUN), _AT.format(keys.CURRENT)

# The fence is part of a condition that is there anyway: a statement fewer.
CREATE_RUN = (
    f"UPDATE shard SET version = ?, blob = ?, namespace_id = ?, workflow_id = ? {_RUN} IF range_id = ? AND version = ?"
)
UPDATE_RUN = f"UPDATE shard SET version = ?, blob = ? {_RUN} IF range_id = ? AND version = ?"
SET_ITEM = f"INSERT INTO shard (shard_id, kind, key, blob) VALUES (?, {keys.RUN}, ?, ?)"
DROP_ITEM = f"DELETE FROM shard {_RUN}"
SET_CURRENT = (
    "UPDATE shard SET run_id = ?, create_request_id = ?, status = ?, start_time_ns = ?, first_execution_run_id = ?"
    f" {_CURRENT} IF range_id = ? AND run_id = ?"
)
SET_BATCH = f"INSERT INTO shard (shard_id, kind, key, next_event_id, blob) VALUES (?, {keys.HISTORY}, ?, ?, ?)"
SET_PLACE = f"INSERT INTO shard (shard_id, kind, key, next_event_id, attempt) VALUES (?, {keys.HISTORY}, ?, ?, ?)"
SET_TASK = "INSERT INTO shard (shard_id, kind, key, blob) VALUES (?, ?, ?, ?)"
FENCE = f"UPDATE shard SET status = 0 {_AT.format(keys.SHARD)} IF range_id = ?"
DROP_CURRENT = f"DELETE FROM shard {_CURRENT} IF range_id = ? AND run_id = ?"
DROP_RANGE = "DELETE FROM shard WHERE shard_id = ? AND kind = ? AND key >= ? AND key < ?"
SET_REMAINS = f"INSERT INTO shard (shard_id, kind, key, next_event_id) VALUES (?, {keys.HISTORY}, ?, ?)"
STATEMENTS = (
    CREATE_RUN,
    UPDATE_RUN,
    SET_ITEM,
    DROP_ITEM,
    SET_CURRENT,
    SET_BATCH,
    SET_PLACE,
    SET_TASK,
    FENCE,
    DROP_CURRENT,
    DROP_RANGE,
    SET_REMAINS,
)

Places = Mapping[tuple[str, int], UUID]
"""By run id and first event id: the attempt under which a batch was written to the table `history`."""


class CommitJob:
    """`places`: the batches whose blobs are elsewhere. Raises StoreError when it cannot be written at all."""

    def __init__(self, commit: Commit, places: Places) -> None:
        self._commit = commit
        self.range_id = commit.range_id
        self._run_keys = [keys.run_key(run.run_id) for run in commit.runs]
        self._current_key = keys.current_key(commit.namespace_id, commit.workflow_id)
        conditions = [(keys.RUN, key) for key in self._run_keys]
        if commit.current is not None:
            conditions.append((keys.CURRENT, self._current_key))
        self.places = frozenset(conditions)
        if len(self.places) != len(conditions):
            raise StoreError("a commit writes a run twice")
        self._tasks = [
            (keys.TASK_KINDS[task.category], task.category, keys.task_key(task.fire_time_ns, task.task_id), task.blob)
            for task in commit.tasks
        ]
        self._unconditional = self._items_and_batches(places)
        self.size = sum(
            ROW_BYTES + len(value) for _, values in self._unconditional for value in values if isinstance(value, bytes)
        )
        self.size += sum(ROW_BYTES + len(run.blob) for run in commit.runs)
        self.size += sum(ROW_BYTES + len(task.blob) for task in commit.tasks)
        if self.size > BYTES_MAX:
            raise StoreError(f"a commit of {self.size} bytes is over the limit of {BYTES_MAX}")

    def _items_and_batches(self, places: Places) -> list[Bound]:
        shard_id = self._commit.shard_id
        statements: list[Bound] = []
        for run, key in zip(self._commit.runs, self._run_keys, strict=True):
            for item in run.items:
                item_key = keys.item_key(key, item.kind, item.item_id)
                if item.blob is None:
                    statements.append((DROP_ITEM, (shard_id, item_key)))
                else:
                    statements.append((SET_ITEM, (shard_id, item_key, item.blob)))
            statements.extend(self._batch(run, batch, places) for batch in run.batches)
        return statements

    def _batch(self, run: RunWrite, batch: HistoryBatch, places: Places) -> Bound:
        key = keys.history_key(run.run_id, batch.first_event_id)
        place = (self._commit.shard_id, key, batch.next_event_id)
        attempt = places.get((run.run_id, batch.first_event_id))
        return (SET_BATCH, (*place, batch.blob)) if attempt is None else (SET_PLACE, (*place, attempt))

    def statements(self) -> Sequence[Bound]:
        commit, shard_id, range_id = self._commit, self._commit.shard_id, self.range_id
        statements: list[Bound] = []
        for run, key in zip(commit.runs, self._run_keys, strict=True):
            if run.expected_version:
                values: tuple[object, ...] = (run.version, run.blob, shard_id, key, range_id, run.expected_version)
                statements.append((UPDATE_RUN, values))
            else:
                ids = (commit.namespace_id, commit.workflow_id)
                statements.append((CREATE_RUN, (run.version, run.blob, *ids, shard_id, key, range_id, None)))
        if commit.current is not None:
            statements.append(self._set_current(commit.current))
        if not statements:
            statements.append((FENCE, (shard_id, keys.SHARD_KEY, range_id)))
        statements.extend(self._unconditional)
        for kind, _, key, blob in self._tasks:
            statements.append((SET_TASK, (shard_id, kind, key, blob)))
        return statements

    def prepare(self, done: Watermarks) -> None:
        for _, category, key, _ in self._tasks:
            done.add(category, key)

    def _set_current(self, current: CurrentWrite) -> Bound:
        record = current.record
        return SET_CURRENT, (
            record.run_id,
            record.create_request_id,
            record.status,
            record.start_time_ns,
            record.first_execution_run_id,
            self._commit.shard_id,
            self._current_key,
            self.range_id,
            current.expected_run_id,
        )

    def outcome(self, stored: Stored) -> Outcome | None:
        current = self._commit.current
        points_to = stored.value(keys.CURRENT, self._current_key, "run_id")
        if current is not None and points_to != current.expected_run_id:
            return Outcome.CURRENT_CONFLICT
        for run, key in zip(self._commit.runs, self._run_keys, strict=True):
            if (stored.value(keys.RUN, key, "version") or 0) != run.expected_version:
                return Outcome.RUN_CONFLICT
        return None


class DeleteTasksJob:
    """Stores the watermarks, after one of them was raised if it says so."""

    size = ROW_BYTES
    places: frozenset[tuple[int, bytes]] = frozenset()

    def __init__(self, shard_id: int, range_id: int, upto: tuple[TaskCategory, bytes] | None = None) -> None:
        self.range_id = range_id
        self._shard_id, self._upto = shard_id, upto

    def prepare(self, done: Watermarks) -> None:
        if self._upto is not None:
            done.raise_to(*self._upto)

    def statements(self) -> Sequence[Bound]:
        return ((FENCE, (self._shard_id, keys.SHARD_KEY, self.range_id)),)

    def outcome(self, stored: Stored) -> Outcome | None:
        return None


class DeleteRunJob:
    """Deletes a run; the current pointer only if it points to it. CURRENT_CONFLICT: it does not any more.

    `remains`: the last event of batches in the table `history`, which are deleted afterwards: until then the shard
    remembers that they are there.
    """

    size = ROW_BYTES

    def __init__(self, shard_id: int, range_id: int, run_id: str, current_key: bytes | None, remains: int) -> None:
        self.range_id = range_id
        self._shard_id, self._run_id, self._current_key, self._remains = shard_id, run_id, current_key, remains
        self.places = frozenset({(keys.RUN, keys.run_key(run_id))})
        if current_key is not None:
            self.places |= {(keys.CURRENT, current_key)}

    def statements(self) -> Sequence[Bound]:
        shard_id, key = self._shard_id, keys.run_key(self._run_id)
        first: Bound = (FENCE, (shard_id, keys.SHARD_KEY, self.range_id))
        if self._current_key is not None:
            first = (DROP_CURRENT, (shard_id, self._current_key, self.range_id, self._run_id))
        after = key + b"\0" if self._remains else key  # the row that remembers
        statements: list[Bound] = [
            first,
            (DROP_RANGE, (shard_id, keys.RUN, key, keys.end_of(key))),
            (DROP_RANGE, (shard_id, keys.HISTORY, after, keys.end_of(key))),
        ]
        if self._remains:
            statements.append((SET_REMAINS, (shard_id, key, self._remains)))
        return statements

    def prepare(self, done: Watermarks) -> None:
        return

    def outcome(self, stored: Stored) -> Outcome | None:
        if self._current_key is None:
            return None
        points_to = stored.value(keys.CURRENT, self._current_key, "run_id")
        return None if points_to == self._run_id else Outcome.CURRENT_CONFLICT
