"""One pool of connections, and statements on it that are each one round trip."""

from collections.abc import Sequence
from typing import Any

from services.persistence.mysql.driver import Result, Session
from services.persistence.sql.pool import Pool


class Database:
    """What the parts of the store stand on."""

    def __init__(self, pool: Pool[Session]) -> None:
        self._pool = pool

    async def close(self) -> None:
        await self._pool.close()

    async def _read(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        return await self._pool.run(lambda session: session.read(statement, *values))

    async def _query(self, text: bytes) -> Sequence[tuple[Any, ...]]:
        return await self._pool.run(lambda session: session.query(text))

    async def _write(self, *statements: bytes) -> Sequence[Result]:
        return await self._pool.run(lambda session: session.write(*statements))
