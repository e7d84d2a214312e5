"""One pool of connections, and statements on it that are each one round trip and one transaction."""

from collections.abc import Sequence

from services.persistence.postgresql.driver import Connection, Rows, read, write
from services.persistence.sql.pool import Pool


class Database:
    """What the parts of the store stand on."""

    def __init__(self, pool: Pool[Connection]) -> None:
        self._pool = pool

    async def close(self) -> None:
        await self._pool.close()

    async def weak_settings(self) -> Sequence[str]:
        """The server's settings that let it answer before a commit is safe on disk. Ours are set by the driver."""
        names = "('fsync', 'full_page_writes')"
        rows = await self._read(f"SELECT name FROM pg_settings WHERE name IN {names} AND setting = 'off'")  # noqa: S608 (a constant)
        return [f"{row['name']} = off" for row in rows]

    async def _read(self, statement: str, *values: object) -> Rows:
        return await self._pool.run(lambda connection: read(connection, statement, *values))

    async def _write(self, statement: str, *values: object) -> Rows:
        return await self._pool.run(lambda connection: write(connection, statement, *values))
