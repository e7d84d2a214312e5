"""One pool of connections, and statements on it that are each one round trip and one transaction."""

from services.persistence.postgresql.driver import Connection, Rows, read, write
from services.persistence.sql.pool import Pool


class Database:
    """What the parts of the store stand on."""

    def __init__(self, pool: Pool[Connection]) -> None:
        self._pool = pool

    async def close(self) -> None:
        await self._pool.close()

    async def _read(self, statement: str, *values: object) -> Rows:
        return await self._pool.run(lambda connection: read(connection, statement, *values))

    async def _write(self, statement: str, *values: object) -> Rows:
        return await self._pool.run(lambda connection: write(connection, statement, *values))
