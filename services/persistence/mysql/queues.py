"""Backlogs of task queue partitions."""

from collections.abc import Sequence

from services.persistence.interface import BacklogTask, Outcome, QueueKey, QueueLease
from services.persistence.mysql.database import Database
from services.persistence.mysql.driver import FENCED, Refused
from services.persistence.mysql.text import filled, insert, row

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are literals that `text` makes

_THE_QUEUE = "namespace_id = ? AND name = ? AND task_queue_type = ? AND partition_id = ?"
_LEASE = (
    "INSERT INTO queues (namespace_id, name, task_queue_type, partition_id, range_id, ack_level)"
    " VALUES (?, ?, ?, ?, 1, 0) ON DUPLICATE KEY UPDATE range_id = range_id + 1"
)
_LEASED = f"SELECT range_id, ack_level FROM queues WHERE {_THE_QUEUE}"
_BEGIN = "CALL perdure_begin_queue(?,?,?,?,?,@queue)"
_BACKLOG = f"backlog WHERE queue_key = (SELECT queue_key FROM queues WHERE {_THE_QUEUE})"


def _values(key: QueueKey) -> tuple[str, str, int, int]:
    return key.namespace_id, key.name, int(key.task_queue_type), key.partition


class Queues(Database):
    """Implements `QueueStore`."""

    async def lease_queue(self, key: QueueKey) -> QueueLease:
        values = _values(key)
        texts = (b"START TRANSACTION", filled(_LEASE, *values), filled(_LEASED, *values), b"COMMIT")
        _, _, leased, _ = await self._write(*texts)
        ((range_id, ack_level),) = leased.rows
        return QueueLease(range_id=range_id, ack_level=ack_level)

    async def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        rows = [row(bytearray(b"@queue"), task.task_id, task.blob) for task in tasks]
        return await self._leased(key, range_id, *([insert(b"backlog", rows)] if rows else []))

    async def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        statement = f"SELECT task_id, `blob` FROM {_BACKLOG} AND task_id > ? ORDER BY task_id LIMIT ?"
        rows = await self._read(statement, *_values(key), after_task_id, limit)
        return [BacklogTask(task_id=task_id, blob=blob) for task_id, blob in rows]

    async def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        return await self._leased(
            key,
            range_id,
            filled("UPDATE queues SET ack_level = ? WHERE queue_key = @queue", ack_level),
            filled("DELETE FROM backlog WHERE queue_key = @queue AND task_id <= ?", ack_level),
        )

    async def backlog_count(self, key: QueueKey) -> int:
        ((count,),) = await self._read(f"SELECT count(*) FROM {_BACKLOG}", *_values(key))
        return int(count)

    async def _leased(self, key: QueueKey, range_id: int, *statements: bytes) -> Outcome:
        """One transaction under the lease."""
        try:
            await self._write(filled(_BEGIN, *_values(key), range_id), *statements, b"COMMIT")
        except Refused as refusal:
            if refusal.code != FENCED:
                raise
            return Outcome.FENCED
        return Outcome.COMMITTED
