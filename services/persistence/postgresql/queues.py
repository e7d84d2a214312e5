"""Backlogs of task queue partitions."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

from collections.abc import Sequence

from services.persistence.interface import BacklogTask, Outcome, QueueKey, QueueLease
from services.persistence.postgresql.database import Database

_THE_QUEUE = "namespace_id = $1 AND name = $2 AND task_queue_type = $3 AND partition = $4"
_LEASE = (
    "INSERT INTO queues AS stored (namespace_id, name, task_queue_type, partition, range_id, ack_level)"
    " VALUES ($1, $2, $3, $4, 1, 0) ON CONFLICT (namespace_id, name, task_queue_type, partition)"
    " DO UPDATE SET range_id = stored.range_id + 1 RETURNING range_id, ack_level"
)
# Both return a row if the lease is held. The queue's row stays locked until the transaction is over, and whoever had to
# wait for it judges its newest state: a lease that was taken meanwhile is not held.
_APPEND = f"""
WITH held AS MATERIALIZED (SELECT queue_key FROM queues WHERE {_THE_QUEUE} AND range_id = $5 FOR SHARE),
appended AS (
    INSERT INTO backlog SELECT held.queue_key, task.id, task.blob
    FROM held, unnest($6::bigint[], $7::bytea[]) AS task (id, blob)
)
SELECT queue_key FROM held
"""
_ACKNOWLEDGE = f"""
WITH held AS (
    UPDATE queues SET ack_level = $6 WHERE {_THE_QUEUE} AND range_id = $5 RETURNING queue_key
),
deleted AS (DELETE FROM backlog USING held WHERE backlog.queue_key = held.queue_key AND task_id <= $6)
SELECT queue_key, set_config('synchronous_commit', 'off', true) FROM held
"""
_BACKLOG = f"backlog WHERE queue_key = (SELECT queue_key FROM queues WHERE {_THE_QUEUE})"


def _values(key: QueueKey) -> tuple[str, str, int, int]:
    return key.namespace_id, key.name, key.task_queue_type, key.partition


class Queues(Database):
    """Implements `QueueStore`."""

    async def lease_queue(self, key: QueueKey) -> QueueLease:
        rows = await self._write(_LEASE, *_values(key))
        return QueueLease(range_id=rows[0]["range_id"], ack_level=rows[0]["ack_level"])

    async def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        ids, blobs = [task.task_id for task in tasks], [task.blob for task in tasks]
        rows = await self._write(_APPEND, *_values(key), range_id, ids, blobs)
        return Outcome.COMMITTED if rows else Outcome.FENCED

    async def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        statement = f"SELECT task_id, blob FROM {_BACKLOG} AND task_id > $5 ORDER BY task_id LIMIT $6"
        rows = await self._read(statement, *_values(key), after_task_id, limit)
        return [BacklogTask(task_id=task_id, blob=blob) for task_id, blob in rows]

    async def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        rows = await self._write(_ACKNOWLEDGE, *_values(key), range_id, ack_level)
        return Outcome.COMMITTED if rows else Outcome.FENCED

    async def backlog_count(self, key: QueueKey) -> int:
        rows = await self._read(f"SELECT count(*) FROM {_BACKLOG}", *_values(key))
        return int(rows[0][0])
