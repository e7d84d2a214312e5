"""One shard's conditional writes, one after another: beside each other they would only get in each other's way.

A node settles the conditional writes of one partition one by one, in several rounds each. What comes while one is on
its way waits and goes together as the next one, if its conditions are about different rows.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.persistence.cassandra import watermarks
from services.persistence.cassandra.client import Bound, Client, Rows
from services.persistence.cassandra.watermarks import Watermarks
from services.persistence.interface import Outcome, StoreError, TaskCategory

# What one conditional write takes along.
JOBS_MAX = 32
BYTES_MAX = 1 << 20

# Conditions that fail though all hold: only a watermark that we had wrong can do that, and it is told with the refusal.
ATTEMPTS_MAX = 3

_COLUMNS = ", ".join((*watermarks.COLUMNS.values(), *watermarks.LAST_COLUMNS.values()))
_READ_STATICS = f"SELECT DISTINCT shard_id, range_id, {_COLUMNS} FROM shard WHERE shard_id = ?"
STATEMENTS = (_READ_STATICS,)


@dataclass(frozen=True, slots=True)
class Statics:
    """What a shard's partition says of all its rows. `range_id` None: nobody acquired it yet."""

    range_id: int | None
    done: watermarks.Keys
    last: watermarks.Keys


NEVER_ACQUIRED = Statics(None, watermarks.NONE, watermarks.NONE)


class Stored:
    """What a refused conditional write says of the rows that its conditions name."""

    def __init__(self, answer: Rows) -> None:
        self._at = {name: at for at, name in enumerate(answer.names)}
        self.rows = answer.rows
        self._by_place = {(self._value(row, "kind"), self._value(row, "key")): row for row in answer.rows}

    @property
    def range_id(self) -> int | None:
        value = self._value(self.rows[0], "range_id") if self.rows else None
        return value if isinstance(value, int) else None

    def value(self, kind: int, key: bytes, column: str) -> object:
        """None when there is no such row."""
        row = self._by_place.get((kind, key))
        return None if row is None else self._value(row, column)

    def done(self) -> dict[TaskCategory, bytes | None]:
        """The watermarks that the conditions were about."""
        if not self.rows:
            return {}
        columns = watermarks.COLUMNS.items()
        return {category: self.rows[0][self._at[column]] for category, column in columns if column in self._at}

    def _value(self, row: Sequence[object], column: str) -> object:
        at = self._at.get(column)
        return None if at is None else row[at]


class Job(Protocol):
    """A conditional write of one shard."""

    range_id: int
    places: frozenset[tuple[int, bytes]]  # the rows its conditions are about
    size: int  # in bytes, about

    def statements(self) -> Sequence[Bound]: ...

    def prepare(self, done: Watermarks) -> None:
        """Called when it is its turn, before `statements`."""
        ...

    def outcome(self, stored: Stored) -> Outcome | None:
        """Which of its own conditions does not hold; None when they all do."""
        ...


@dataclass(slots=True)
class Lane:
    """Runs the jobs of one shard. The watermarks are those of the range id; of another they are read first."""

    client: Client
    shard_id: int
    range_id: int | None = None
    owned: bool = False  # by this host, under that range id, as far as it knows
    done: Watermarks = field(default_factory=lambda: Watermarks(watermarks.NONE, watermarks.NONE))
    _waiting: deque[tuple[Job, asyncio.Future[Outcome]]] = field(default_factory=deque)
    _running: asyncio.Task[None] | None = None

    def learn(self, statics: Statics, *, owned: bool = False) -> None:
        self.range_id, self.owned = statics.range_id, owned
        self.done = Watermarks(statics.done, statics.last)

    def submit(self, job: Job) -> asyncio.Future[Outcome]:
        """Raises StoreError when nothing was changed, UnknownOutcome when that is not certain."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        return future

    async def wait_until_empty(self) -> None:
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while batch := self._next_batch():
            try:
                await self._settle(batch)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
        self._running = None

    def _next_batch(self) -> list[tuple[Job, asyncio.Future[Outcome]]]:
        batch: list[tuple[Job, asyncio.Future[Outcome]]] = []
        places: set[tuple[int, bytes]] = set()
        size = 0
        while self._waiting and len(batch) < JOBS_MAX:
            job, future = self._waiting[0]
            if batch and (
                job.range_id != batch[0][0].range_id or size + job.size > BYTES_MAX or not places.isdisjoint(job.places)
            ):
                break
            self._waiting.popleft()
            if future.cancelled():
                continue  # nobody waits for it any more, and nothing of it was sent
            batch.append((job, future))
            places |= job.places
            size += job.size
        return batch

    async def _settle(self, batch: list[tuple[Job, asyncio.Future[Outcome]]]) -> None:
        """One conditional write for all; those whose own conditions do not hold drop out, the others go again."""
        if self.range_id != batch[0][0].range_id:
            self.learn(await read_statics(self.client, self.shard_id))
        for _ in range(ATTEMPTS_MAX + len(batch)):
            refused = await self._write([job for job, _ in batch])
            if refused is None:
                return _answer(batch, Outcome.COMMITTED)
            stored = Stored(refused)
            if stored.range_id != batch[0][0].range_id:
                self.owned = self.owned and self.range_id == stored.range_id
                return _answer(batch, Outcome.FENCED)
            self.done.stored.update(stored.done())
            outcomes = [(job, future, job.outcome(stored)) for job, future in batch]
            for job, future, outcome in outcomes:
                if outcome is not None:
                    _answer([(job, future)], outcome)
            batch[:] = [(job, future) for job, future, outcome in outcomes if outcome is None]
            if not batch:
                return None
        raise StoreError(f"cassandra: shard {self.shard_id} refused a write all of whose conditions hold")

    async def _write(self, jobs: Sequence[Job]) -> Rows | None:
        done = self.done
        for job in jobs:
            job.prepare(done)
        move = done.move(self.shard_id, jobs[0].range_id)
        refused = await self.client.write_if(
            [*(statement for job in jobs for statement in job.statements()), *move.statements]
        )
        if refused is None:
            done.moved(move)
        return refused


def _answer(batch: Sequence[tuple[Job, asyncio.Future[Outcome]]], outcome: Outcome) -> None:
    for _, future in batch:
        if not future.done():
            future.set_result(outcome)


async def read_statics(client: Client, shard_id: int) -> Statics:
    answer = await client.read(_READ_STATICS, shard_id)
    if not answer.rows:
        return NEVER_ACQUIRED
    _, range_id, *values = answer.rows[0]
    done, last = values[: len(TaskCategory)], values[len(TaskCategory) :]
    return Statics(
        range_id,
        dict(zip(watermarks.COLUMNS, done, strict=True)),
        dict(zip(watermarks.LAST_COLUMNS, last, strict=True)),
    )
