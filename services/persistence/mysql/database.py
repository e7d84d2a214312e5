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

    async def weak_settings(self) -> Sequence[str]:
        """The server's settings that let it answer before a commit is safe on disk; a session has no say in them."""
        ((flush,),) = await self._query(b"SELECT @@innodb_flush_log_at_trx_commit")
        return [] if flush == 1 else [f"innodb_flush_log_at_trx_commit = {flush}"]

    async def _read(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        return await self._pool.run(lambda session: session.read(statement, *values))

    async def _query(self, text: bytes) -> Sequence[tuple[Any, ...]]:
        return await self._pool.run(lambda session: session.query(text))

    async def _write(self, *statements: bytes) -> Sequence[Result]:
        return await self._pool.run(lambda session: session.write(*statements))
