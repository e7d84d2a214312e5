"""How far a shard's outbox is done, and how far it goes: what is up to a watermark is deleted, reads begin after it,
and where the last task was done nothing is read at all.

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

LAST_COLUMNS = {
    TaskCategory.IMMEDIATE: "immediate_last",
    TaskCategory.TIMER: "timer_last",
    TaskCategory.VISIBILITY: "visibility_last",
}

# Only from the watermark that was there: a write that was sent long ago, and arrives when the watermark was lowered
# meanwhile, must not delete what was written below it since.
_MOVE = {
    category: f"UPDATE shard SET {column} = ? WHERE shard_id = ? IF range_id = ? AND {column} = ?"
    for category, column in COLUMNS.items()
}
_DROP = "DELETE FROM shard WHERE shard_id = ? AND kind = ? AND key <= ?"
_SET_LAST = f"UPDATE shard SET {' = ?, '.join(LAST_COLUMNS.values())} = ? WHERE shard_id = ?"
STATEMENTS = (*_MOVE.values(), _DROP, _SET_LAST)

Keys = Mapping[TaskCategory, bytes | None]
"""By category; None: there was none yet."""

NONE: Keys = dict.fromkeys(TaskCategory)


@dataclass(frozen=True, slots=True)
class Move:
    """What makes the stored watermarks the wanted ones."""

    statements: list[Bound]
    wanted: Keys
    last: Keys


class Watermarks:
    """Those of one shard: `stored`, as far as we know, and wanted. `last`: the furthest task that there ever was."""

    def __init__(self, stored: Keys, last: Keys) -> None:
        self.stored = dict(stored)
        self._wanted = dict(stored)
        self._stored_last, self._last = last, dict(last)

    @property
    def are_stored(self) -> bool:
        return self._wanted == self.stored

    def nothing_after(self, category: TaskCategory, key: bytes) -> bool:
        """True when there is no task after this key; only the owner of the shard knows."""
        return (self._last[category] or b"") <= key

    def start(self, category: TaskCategory) -> bytes:
        """Where reads begin."""
        return self._wanted[category] or b""

    def raise_to(self, category: TaskCategory, key: bytes) -> None:
        self._wanted[category] = max(self._wanted[category] or b"", key)

    def add(self, category: TaskCategory, key: bytes) -> None:
        """Makes room for a task that is written now: reads must begin before it and go on to it."""
        self._last[category] = max(self._last[category] or b"", key)
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
        if self._last != self._stored_last:
            statements.append((_SET_LAST, (*(self._last[category] for category in LAST_COLUMNS), shard_id)))
        return Move(statements, dict(self._wanted), dict(self._last))

    def moved(self, move: Move) -> None:
        self.stored, self._stored_last = dict(move.wanted), move.last
