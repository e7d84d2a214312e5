"""The driver as asyncio sees it: prepared statements, futures, and errors that say whether anything was changed.

The driver answers on a thread of its own. Answers that come while the event loop is busy cross over together: waking
the loop costs more than an answer does.
"""

import asyncio
import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from cassandra import (  # type: ignore[import-untyped]  # no stubs
    AuthenticationFailed,
    InvalidRequest,
    Unauthorized,
    Unavailable,
)
from cassandra.cluster import Cluster, NoHostAvailable, Session  # type: ignore[import-untyped]  # no stubs
from cassandra.protocol import OverloadedErrorMessage, SyntaxException  # type: ignore[import-untyped]  # no stubs
from cassandra.query import BatchStatement, BatchType  # type: ignore[import-untyped]  # no stubs

from services.persistence.interface import StoreError, StoreUnavailable, UnknownOutcome

Prepared: TypeAlias = Any
"""A prepared statement; the driver has no types."""

Bound: TypeAlias = tuple[str, Sequence[object]]
"""A statement's text and its values."""

# What the server says before it begins: nothing was changed.
REFUSED_FOR_GOOD = (InvalidRequest, SyntaxException, Unauthorized, AuthenticationFailed)
REFUSED = (*REFUSED_FOR_GOOD, NoHostAvailable)
# The same of a plain write. A conditional one may meet these after its proposal was accepted.
REFUSED_PLAIN = (*REFUSED, Unavailable, OverloadedErrorMessage)

# A table's name without a keyspace.
TABLE = re.compile(r"\b(FROM|INTO|UPDATE|EXISTS|TRUNCATE) (\w+)\b(?!\.)")

DEFINITION_TIMEOUT_S = 60.0
READ_PROFILE = "read"
WRITE_PROFILE = "write"


class Rows(NamedTuple):
    """What a statement answered."""

    names: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


NO_ROWS = Rows((), ())


class Client:
    """One session. Holds it from construction to `close`."""

    keyspace: str | None = None  # where statements find their tables

    def __init__(self, cluster: Cluster, session: Session) -> None:
        self._cluster, self._session = cluster, session
        self._loop = asyncio.get_running_loop()
        self._answers: deque[tuple[asyncio.Future[Rows], object]] = deque()
        self._crossing = False
        self._prepared: dict[str, Prepared] = {}

    async def prepare(self, *texts: str) -> None:
        """Makes these ready to be run. Raises StoreError when one does not fit the schema."""
        for text in texts:
            try:
                self._prepared[text] = await asyncio.to_thread(self._session.prepare, self._qualified(text))
            except Exception as error:
                raise as_store_error(error) from error

    async def define(self, text: str) -> None:
        """Changes the schema, or something that does so once; answers when all nodes know. Raises StoreError."""
        try:
            await asyncio.to_thread(self._session.execute, self._qualified(text), timeout=DEFINITION_TIMEOUT_S)
        except Exception as error:
            raise as_store_error(error) from error

    def _qualified(self, text: str) -> str:
        """Nodes warn of statements that leave it to the session where their tables are."""
        return text if self.keyspace is None else TABLE.sub(rf'\1 "{self.keyspace}".\2', text)

    async def read(self, text: str, *values: object) -> Rows:
        """All rows at once. Raises StoreError; a read that failed on one node was tried on another."""
        try:
            return await self._send(self._prepared[text].bind(values), READ_PROFILE)
        except Exception as error:
            raise as_store_error(error) from error

    async def write(self, text: str, *values: object) -> None:
        """A plain write. Raises StoreError when nothing was changed, UnknownOutcome when that is not certain."""
        await self._write(self._prepared[text].bind(values))

    async def write_all(self, statements: Iterable[Bound]) -> None:
        """Plain writes of several partitions in one message: each of them may happen without the others."""
        batch = BatchStatement(batch_type=BatchType.UNLOGGED)
        for text, values in statements:
            batch.add(self._prepared[text], values)
        if len(batch):
            await self._write(batch)

    async def _write(self, statement: Any) -> None:
        try:
            await self._send(statement, WRITE_PROFILE)
        except REFUSED_PLAIN as error:
            raise as_store_error(error) from error
        except Exception as error:
            raise UnknownOutcome(f"cassandra: {error}") from error

    async def write_if(self, statements: Iterable[Bound]) -> Rows | None:
        """All of the statements, of one partition, if the conditions among them hold: then None, else what is stored.

        The rows are those that conditions name, as far as they exist; of a partition without any there is none.
        Raises StoreError when nothing was changed, UnknownOutcome when that is not certain.
        """
        batch = BatchStatement(batch_type=BatchType.UNLOGGED)
        try:
            for text, values in statements:
                batch.add(self._prepared[text], values)
            answer = await self._send(batch, WRITE_PROFILE)
        except REFUSED as error:
            raise as_store_error(error) from error
        except Exception as error:
            raise UnknownOutcome(f"cassandra: {error}") from error
        applied = answer.rows[0][0]
        if applied:
            return None
        return NO_ROWS if len(answer.names) == 1 else answer

    def _send(self, statement: Any, profile: str) -> asyncio.Future[Rows]:
        future: asyncio.Future[Rows] = self._loop.create_future()
        sent = self._session.execute_async(statement, execution_profile=profile)
        sent.add_callbacks(self._on_answer, self._on_answer, callback_args=(future,), errback_args=(future,))
        return future

    def _on_answer(self, answer: object, future: asyncio.Future[Rows]) -> None:
        """On the driver's thread."""
        self._answers.append((future, answer))
        if not self._crossing:
            self._crossing = True
            self._loop.call_soon_threadsafe(self._cross)

    def _cross(self) -> None:
        self._crossing = False
        while self._answers:
            future, answer = self._answers.popleft()
            if future.done():
                continue  # whoever waited has gone
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer if isinstance(answer, Rows) else NO_ROWS)

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)


def as_store_error(error: Exception) -> StoreError:
    """Waiting helps, as against a node that only just starts, but not against what is refused for good."""
    kind = StoreError if isinstance(error, REFUSED_FOR_GOOD) else StoreUnavailable
    return kind(f"cassandra: {error}")
