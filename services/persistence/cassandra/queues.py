"""Backlogs of task queue partitions: a partition each, its range id and ack level beside the tasks.

Reads begin after the ack level, so that what was deleted is not walked over again.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

from collections.abc import Sequence

from services.persistence.cassandra.client import Client, Rows
from services.persistence.interface import BacklogTask, Outcome, QueueKey, QueueLease

# A row in front of all tasks that is always there: conditions about statics read the first row that is alive.
FIRST_ROW = -(2**63)

_QUEUE = "WHERE namespace_id = ? AND name = ? AND task_queue_type = ? AND partition = ?"
_READ_STATICS = (
    f"SELECT DISTINCT namespace_id, name, task_queue_type, partition, range_id, ack_level FROM queue {_QUEUE}"
)
_LEASE = (
    f"UPDATE queue SET range_id = ?, ack_level = ?, blob = ? {_QUEUE} AND task_id = ? IF range_id = ? AND ack_level = ?"
)
_FENCE = f"UPDATE queue SET blob = ? {_QUEUE} AND task_id = ? IF range_id = ?"
_ADD = "INSERT INTO queue (namespace_id, name, task_queue_type, partition, task_id, blob) VALUES (?, ?, ?, ?, ?, ?)"
_SET_ACK_LEVEL = f"UPDATE queue SET ack_level = ? {_QUEUE} IF range_id = ?"
_DROP = f"DELETE FROM queue {_QUEUE} AND task_id > ? AND task_id <= ?"
_READ = f"SELECT task_id, blob FROM queue {_QUEUE} AND task_id > ? LIMIT ?"
_COUNT = f"SELECT count(*) FROM queue {_QUEUE} AND task_id > ?"
STATEMENTS = (_READ_STATICS, _LEASE, _FENCE, _ADD, _SET_ACK_LEVEL, _DROP, _READ, _COUNT)


class Queues:
    """The queue part of the store. Remembers the ack levels of the partitions that this host leased."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ack_levels: dict[QueueKey, int] = {}

    async def lease(self, key: QueueKey) -> QueueLease:
        range_id, ack_level = await self._read_statics(key)
        while True:
            values = ((range_id or 0) + 1, ack_level or 0, b"", *_place(key), FIRST_ROW, range_id, ack_level)
            refused = await self._client.write_if([(_LEASE, values)])
            if refused is None:
                break
            range_id, ack_level = _static(refused, "range_id"), _static(refused, "ack_level")
        self._ack_levels[key] = ack_level or 0
        return QueueLease(range_id=(range_id or 0) + 1, ack_level=ack_level or 0)

    async def append(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        place = _place(key)
        refused = await self._client.write_if(
            [
                (_FENCE, (b"", *place, FIRST_ROW, range_id)),
                *[(_ADD, (*place, task.task_id, task.blob)) for task in tasks],
            ]
        )
        return Outcome.COMMITTED if refused is None else Outcome.FENCED

    async def acknowledge(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        place = _place(key)
        refused = await self._client.write_if(
            [(_SET_ACK_LEVEL, (ack_level, *place, range_id)), (_DROP, (*place, FIRST_ROW, ack_level))]
        )
        if refused is not None:
            return Outcome.FENCED
        self._ack_levels[key] = ack_level
        return Outcome.COMMITTED

    async def read(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        start = max(after_task_id, await self._ack_level(key))
        answer = await self._client.read(_READ, *_place(key), start, limit)
        return [BacklogTask(task_id=task_id, blob=blob) for task_id, blob in answer.rows]

    async def count(self, key: QueueKey) -> int:
        answer = await self._client.read(_COUNT, *_place(key), await self._ack_level(key))
        return int(answer.rows[0][0])

    async def _ack_level(self, key: QueueKey) -> int:
        known = self._ack_levels.get(key)
        return known if known is not None else (await self._read_statics(key))[1] or 0

    async def _read_statics(self, key: QueueKey) -> tuple[int | None, int | None]:
        answer = await self._client.read(_READ_STATICS, *_place(key))
        if not answer.rows:
            return None, None
        *_, range_id, ack_level = answer.rows[0]
        return range_id, ack_level


def _place(key: QueueKey) -> tuple[str, str, int, int]:
    return key.namespace_id, key.name, key.task_queue_type, key.partition


def _static(refused: Rows, column: str) -> int | None:
    if not refused.rows:
        return None
    value = refused.rows[0][refused.names.index(column)]
    return None if value is None else int(value)
