"""The bank's books: accounts and keyed entries in one SQLite file that many processes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY, balance_cents INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, account TEXT NOT NULL, amount_cents INTEGER NOT NULL, transfer TEXT NOT NULL
);
"""


class InsufficientFundsError(Exception):
    """The account holds less than the amount."""


class AccountClosedError(Exception):
    """The account takes no more money."""


class Ledger:
    """Every booking has a key and takes effect once, however often it is made; a refusal leaves no trace."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, balances_cents: dict[str, int], closed: set[str]) -> None:
        with self._transaction() as books:
            books.executescript(SCHEMA)
            rows = [(name, cents, name in closed) for name, cents in balances_cents.items()]
            books.executemany("INSERT INTO accounts VALUES (?, ?, ?)", rows)

    def book(self, key: str, transfer: str, account: str, amount_cents: int) -> None:
        """Add the amount, which may be negative, to the account, once per key."""
        with self._transaction() as books:
            if books.execute("SELECT 1 FROM entries WHERE key = ?", (key,)).fetchone():
                return
            balance, closed = books.execute(
                "SELECT balance_cents, closed FROM accounts WHERE name = ?", (account,)
            ).fetchone()
            if closed:
                raise AccountClosedError(account)
            if balance + amount_cents < 0:
                raise InsufficientFundsError(f"{account} holds {balance}, {-amount_cents} wanted")
            books.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (key, account, amount_cents, transfer))
            books.execute(
                "UPDATE accounts SET balance_cents = balance_cents + ? WHERE name = ?", (amount_cents, account)
            )

    def balances_cents(self) -> dict[str, int]:
        with self._transaction() as books:
            return dict(books.execute("SELECT name, balance_cents FROM accounts"))

    def entries(self) -> list[tuple[str, str, int]]:
        """(transfer, account, amount in cents) of every booking that took effect."""
        with self._transaction() as books:
            return books.execute("SELECT transfer, account, amount_cents FROM entries").fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # processes die here, machines do not
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
