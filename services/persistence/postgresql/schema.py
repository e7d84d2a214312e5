"""The tables and functions, as migrations: the first makes version 1 of nothing, each other one more of the last."""

import asyncpg

from services.config import SQL
from services.persistence.postgresql.driver import PostgresqlDriver, failure
from services.persistence.postgresql.migrations import MIGRATIONS
from services.persistence.schema import check_version

# Held while the schema changes, so that of many who start at once one does it and the others find it done.
_LOCK = "SELECT pg_advisory_xact_lock(1885696612, -1)"
_VERSION_TABLE = "CREATE TABLE schema_version (version int NOT NULL)"
MAINTENANCE_DATABASE = "postgres"


class PostgresqlSchema:
    """Implements `Schema`. Each step and its version become true together: DDL is transactional here."""

    def __init__(self, config: SQL) -> None:
        self._driver = PostgresqlDriver(config)
        self.place = self._driver.place

    @property
    def expected(self) -> int:
        return len(MIGRATIONS)

    async def version(self) -> int | None:
        try:
            connection = await self._driver.open()
        except asyncpg.InvalidCatalogNameError:
            return None
        try:
            return await version_txn(connection)
        except asyncpg.PostgresError as error:
            raise failure(error) from error
        finally:
            await self._driver.close(connection)

    async def setup(self) -> None:
        try:
            connection = await self._driver.open()
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            connection = await self._driver.connect()
        await self._migrate(connection, from_nothing=True)

    async def update(self) -> None:
        stored = await self.version()
        if stored is None or stored > self.expected:
            check_version(self.place, stored, self.expected)
        await self._migrate(await self._driver.connect(), from_nothing=False)

    async def _migrate(self, connection: asyncpg.Connection, *, from_nothing: bool) -> None:
        """One transaction a step; all of them when there was nothing, so that no half of a schema is ever there."""
        try:
            if from_nothing:
                async with connection.transaction():
                    await connection.execute(_LOCK)
                    if await version_txn(connection) is None:
                        await connection.execute(_VERSION_TABLE)
                        await connection.execute("INSERT INTO schema_version VALUES (0)")
                        while await _step_txn(connection):
                            pass
                return
            more = True
            while more:
                async with connection.transaction():
                    await connection.execute(_LOCK)
                    more = await _step_txn(connection)
        except asyncpg.PostgresError as error:
            raise failure(error) from error
        finally:
            await self._driver.close(connection)

    async def _create_database(self) -> None:
        connection = await self._driver.connect(MAINTENANCE_DATABASE)
        name = self._driver.database.replace('"', '""')
        try:
            await connection.execute(f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0")
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return  # somebody else just did
        except asyncpg.PostgresError as error:
            raise failure(error) from error
        finally:
            await self._driver.close(connection)


async def version_txn(connection: asyncpg.Connection) -> int | None:
    if await connection.fetchval("SELECT to_regclass('schema_version') IS NULL"):
        return None
    version = await connection.fetchval("SELECT version FROM schema_version")
    assert version is not None, "the version and its table become true together"
    return int(version)


async def _step_txn(connection: asyncpg.Connection) -> bool:
    """Takes the schema one version up. False when there was nothing to do."""
    stored = await version_txn(connection)
    assert stored is not None, "there is a schema"
    if stored >= len(MIGRATIONS):
        return False
    await connection.execute(MIGRATIONS[stored])
    await connection.execute("UPDATE schema_version SET version = $1", stored + 1)
    return True
