"""Group commit: everything that waits becomes one SQLite transaction, made durable by one fsync.

Statements run on the event loop's thread and only COMMIT, which waits for the disk, runs on a thread of its own.
With the statements on that thread too, each would have to win the interpreter's lock back from the event loop: beside
a loop that is always busy, 20 committers got 1,000 commits a second that way and 3,500 this way.
"""

import asyncio
import queue
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast

from services.persistence.interface import StoreError, UnknownOutcome

T = TypeVar("T")

# How many writes that nobody waits for (visibility, deletes behind a watermark) one transaction takes along: about
# 2 ms of work, so that a flood of them does not hold up a commit.
LEISURELY_PER_BATCH_MAX = 32

# How long the event loop may keep the interpreter's lock while the thread waits for it. With Python's 5 ms a loop that
# is always busy starves the thread: it gives the lock up in every select, but takes it back before the thread wakes,
# and every such wake-up starts the 5 ms anew. 20 committers beside a busy loop: 50 commits a second; with 1 ms, 3,500.
SWITCH_INTERVAL_S = 0.001

# What PRAGMA synchronous answers.
SYNCHRONOUS_OFF = 0
SYNCHRONOUS_FULL = 2

Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class Job:
    """A piece of a transaction: `work` runs inside it; `future` gets the answer once it is on disk."""

    work: Work[object]
    future: asyncio.Future[object]
    answer: object = None
    error: Exception | None = None

    def resolve(self, error: Exception | None) -> None:
        """Answers, unless the caller has gone away."""
        error = self.error or error
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.answer)


class Committer:
    """Owns the write connection. At most one transaction is on its way to the disk; what arrives meanwhile waits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[Job] = deque()
        self._leisurely: deque[Job] = deque()
        # In WAL mode NORMAL means: no fsync now, the next one covers it. It is all that writes need which may be lost.
        journal_mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        self._relaxable = journal_mode == "wal" and synchronous == SYNCHRONOUS_FULL
        self._durable = True
        self._waits_for_disk = synchronous != SYNCHRONOUS_OFF
        self._busy = False
        self._closed = False
        self._orders: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
        self._thread = threading.Thread(target=self._commit_orders, name="sqlite-commit", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T], *, leisurely: bool = False) -> asyncio.Future[T]:
        """Runs `work` in the next transaction. The answer comes when it is durable (leisurely: when it is written).

        `work` checks before it writes: when it returns, what it wrote is committed. When it raises, nothing of it is,
        and the answer is StoreError. When COMMIT fails, the answer is UnknownOutcome.
        `work` may run more than once.
        """
        if self._closed:
            raise StoreError("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        waiting = self._leisurely if leisurely else self._urgent
        waiting.append(Job(work, cast("asyncio.Future[object]", future)))
        if not self._busy:
            self._busy = True
            # Not at once: whoever else wants to write in this turn of the event loop comes along.
            self._loop.call_soon(self._start_batch)
        return future

    async def close(self) -> None:
        """Commits what was accepted, then stops and closes the connection."""
        if self._closed:
            return
        last = [self.submit(lambda _: None), self.submit(lambda _: None, leisurely=True)]
        self._closed = True
        await asyncio.gather(*last, return_exceptions=True)
        self._orders.put(None)
        self._thread.join()
        self._connection.close()

    def _start_batch(self) -> None:
        """Writes what waits and orders its COMMIT."""
        durable = bool(self._urgent)
        batch = list(self._urgent)
        self._urgent.clear()
        batch += [self._leisurely.popleft() for _ in range(min(len(self._leisurely), LEISURELY_PER_BATCH_MAX))]
        if not batch:
            self._busy = False
            return
        try:
            self._set_durable(durable)
            self._write(batch)
        except sqlite3.Error as broken:
            # On a later turn, so that a store that is out of order for long does not take the event loop with it.
            self._loop.call_soon(self._finish_batch, batch, _because(StoreError, broken))
            return
        if self._waits_for_disk:
            self._orders.put(batch)
        else:
            self._loop.call_soon(self._finish_batch, batch, self._commit())

    def _write(self, batch: list[Job]) -> None:
        """Leaves an open transaction that holds all of the batch's jobs but those that broke."""
        while True:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                try:
                    job.answer = job.work(self._connection)
                except Exception as broken:
                    job.error = _because(StoreError, broken)
                    break
            else:
                return
            # Half of a job may be written, so nothing of the transaction can stay. The others are innocent: once more.
            self._rollback()
            batch = [job for job in batch if job.error is None]

    def _commit_orders(self) -> None:
        """The thread: waits for the disk, so that the event loop need not."""
        while (batch := self._orders.get()) is not None:
            self._loop.call_soon_threadsafe(self._finish_batch, batch, self._commit())

    def _commit(self) -> Exception | None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as broken:
            return _because(UnknownOutcome, broken)
        return None

    def _finish_batch(self, batch: list[Job], error: Exception | None) -> None:
        if error is not None:
            self._rollback()
        for job in batch:
            job.resolve(error)
        self._start_batch()

    def _set_durable(self, durable: bool) -> None:
        if self._relaxable and durable != self._durable:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _rollback(self) -> None:
        # If this fails the next BEGIN does too, and says why to those who wait.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _because(kind: type[Exception], cause: Exception) -> Exception:
    error = kind(f"sqlite: {cause}")
    error.__cause__ = cause
    return error
