"""Which version of the schema is there, and getting to another. DDL is not transactional: steps can be run again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.config import SQL
from services.persistence.interface import StoreError
from services.persistence.mysql.driver import TABLE_IS_ABSENT, UNKNOWN_DATABASE, MysqlDriver, Refused, Session
from services.persistence.mysql.migrations import MIGRATIONS
from services.persistence.mysql.text import filled
from services.persistence.schema import check_version

LOCK_S_MAX = 60
LOCK_NAME_BYTES_MAX = 64
_VERSION_TABLE = b"CREATE TABLE IF NOT EXISTS schema_version (id INT PRIMARY KEY, version INT NOT NULL)"


class MysqlSchema:
    """Implements `Schema`. The version is written last of all: until then there is none, or the older one."""

    def __init__(self, config: SQL) -> None:
        self._driver = MysqlDriver(config)
        self.place = self._driver.place

    @property
    def expected(self) -> int:
        return len(MIGRATIONS)

    async def version(self) -> int | None:
        try:
            async with self._session(self._driver.database) as session:
                return await _version(session)
        except Refused as refusal:
            if refusal.code != UNKNOWN_DATABASE:
                raise
            return None

    async def setup(self) -> None:
        name = self._driver.database.replace("`", "``").encode()
        async with self._session(None) as session:
            await session.write(b"CREATE DATABASE IF NOT EXISTS `" + name + b"` CHARACTER SET utf8mb4")
        async with self._session(self._driver.database) as session, self._lock(session):
            if await _version(session) is None:
                await self._migrate(session, 0)

    async def update(self) -> None:
        stored = await self.version()
        if stored is None or stored > self.expected:
            check_version(self.place, stored, self.expected)
        async with self._session(self._driver.database) as session, self._lock(session):
            await self._migrate(session, await _version(session) or 0)

    async def _migrate(self, session: Session, stored: int) -> None:
        """From nothing the version appears when all is there; else it is raised with each step."""
        await session.write(_VERSION_TABLE)
        for version, statements in enumerate(MIGRATIONS[stored:], stored + 1):
            for statement in statements:
                await session.write(statement.strip().encode())
            if stored or version == self.expected:
                await session.write(filled("REPLACE INTO schema_version VALUES (1, ?)", version))

    @asynccontextmanager
    async def _session(self, database: str | None) -> AsyncIterator[Session]:
        session = await self._driver.open(database)
        try:
            yield session
        finally:
            await self._driver.close(session)

    @asynccontextmanager
    async def _lock(self, session: Session) -> AsyncIterator[None]:
        """Of many who start at once one changes the schema, and the others find it done. It ends with the session."""
        name = f"perdure.{self._driver.database}".encode()[:LOCK_NAME_BYTES_MAX].decode(errors="ignore")
        ((taken,),) = await session.query(filled("SELECT GET_LOCK(?, ?)", name, LOCK_S_MAX), timeout_s=2 * LOCK_S_MAX)
        if not taken:
            raise StoreError(f"{self.place}: its schema is being changed by somebody else")
        yield


async def _version(session: Session) -> int | None:
    try:
        rows = await session.query(b"SELECT version FROM schema_version")
    except Refused as refusal:
        if refusal.code != TABLE_IS_ABSENT:
            raise
        return None
    return int(rows[0][0]) if rows else None
