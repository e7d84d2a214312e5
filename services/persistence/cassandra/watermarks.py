"""How far a shard's outbox is done: rows up to a watermark are deleted, and reads begin after it.

Nobody waits for a deletion, so it goes with the next commit of the shard. A timer may be due before others that are
done already; then the commit that sets it lowers the watermark again.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

from collections.abc import Mapping
from dataclasses import dataclass

from services.persistence.cassandra import keys
from services.persistence.cassandra.client import Bound
from services.persistence.interface import TaskCategory

COLUMNS = {
    TaskCategory.IMMEDIATE: "immediate_done",
    TaskCategory.TIMER: "timer_done",
    TaskCategory.VISIBILITY: "visibility_done",
}

# Only from the watermark that was there: a write that was sent long ago, and arrives when the watermark was lowered
# meanwhile, must not delete what was written below it since.
_MOVE = {
    category: f"UPDATE shard SET {column} = ? WHERE shard_id = ? IF range_id = ? AND {column} = ?"
    for category, column in COLUMNS.items()
}
_DROP = "DELETE FROM shard WHERE shard_id = ? AND kind = ? AND key <= ?"
STATEMENTS = (*_MOVE.values(), _DROP)

Keys = Mapping[TaskCategory, bytes | None]
"""By category; None: nothing was deleted yet."""

NONE: Keys = dict.fromkeys(TaskCategory)


@dataclass(frozen=True, slots=True)
class Move:
    """What makes the stored watermarks the wanted ones."""

    statements: list[Bound]
    wanted: Keys


class Watermarks:
    """Those of one shard: `stored`, as far as we know, and `wanted`."""

    def __init__(self, stored: Keys) -> None:
        self.stored = dict(stored)
        self._wanted = dict(stored)

    @property
    def are_stored(self) -> bool:
        return self._wanted == self.stored

    def start(self, category: TaskCategory) -> bytes:
        """Where reads begin."""
        return self._wanted[category] or b""

    def raise_to(self, category: TaskCategory, key: bytes) -> None:
        self._wanted[category] = max(self._wanted[category] or b"", key)

    def lower_below(self, category: TaskCategory, key: bytes) -> None:
        """Makes room for a row that is written now, if it needs to be."""
        wanted = self._wanted[category]
        if wanted is None or key > wanted:
            return
        lowered = keys.before(key)
        # Always to another one than was stored: a deletion whose end nobody knows must not find it as it was.
        self._wanted[category] = keys.before(lowered) if lowered == self.stored[category] else lowered

    def move(self, shard_id: int, range_id: int) -> Move:
        statements: list[Bound] = []
        for category, key in self._wanted.items():
            stored = self.stored[category]
            if key == stored:
                continue
            statements.append((_MOVE[category], (key, shard_id, range_id, stored)))
            if key is not None and (stored is None or key > stored):
                statements.append((_DROP, (shard_id, keys.TASK_KINDS[category], key)))
        return Move(statements, dict(self._wanted))

    def moved(self, move: Move) -> None:
        self.stored = dict(move.wanted)
