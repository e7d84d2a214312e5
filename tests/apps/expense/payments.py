"""The third party that pays employees: it fails half the time, and half of its failures come after it paid."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY, calls INTEGER NOT NULL, paid INTEGER NOT NULL, amount_cents INTEGER NOT NULL
)
"""


class PaymentServiceError(Exception):
    """The service answered an error; whether it paid is unknown."""


class PaymentService:
    """Pays once per id. Its failures are drawn from the seed, the id and how often it was called for that id."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._seed = seed

    def create(self) -> None:
        with closing(self._connect()) as store:
            store.execute(SCHEMA)

    def pay(self, payment_id: str, amount_cents: int) -> None:
        """Pay and return, or raise PaymentServiceError before or after paying."""
        with closing(self._connect()) as store:
            [calls] = store.execute(
                "INSERT INTO payments VALUES (?, 1, 0, ?) ON CONFLICT (id) DO UPDATE SET calls = calls + 1"
                " RETURNING calls",
                (payment_id, amount_cents),
            ).fetchone()
            drawn = random.Random(f"{self._seed}/{payment_id}/{calls}").random()
            if drawn < 0.25:
                raise PaymentServiceError(f"{payment_id}: out of order")
            store.execute("UPDATE payments SET paid = 1 WHERE id = ?", (payment_id,))
            if drawn < 0.5:
                raise PaymentServiceError(f"{payment_id}: the answer was lost")

    def paid_cents(self) -> dict[str, int]:
        """The amount of every payment that was made, by its id."""
        with closing(self._connect()) as store:
            return dict(store.execute("SELECT id, amount_cents FROM payments WHERE paid = 1"))

    def calls(self) -> int:
        with closing(self._connect()) as store:
            [calls] = store.execute("SELECT coalesce(sum(calls), 0) FROM payments").fetchone()
            return int(calls)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        return connection
