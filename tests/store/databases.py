"""Stores on database servers: one server for the session, its database emptied for every test."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncmy
import asyncpg
from asyncmy.errors import MySQLError

from services.config import SQL
from services.persistence import Store
from services.persistence.mysql import mysql_schema, open_mysql
from services.persistence.postgresql import open_postgresql, postgresql_schema
from tests.parts.databases import DatabaseServer
from tests.parts.mariadb import MariaDB
from tests.parts.postgresql import Postgresql

TRX_CACHED_S = 0.11  # innodb_trx shows the same until it has not been asked for a tenth of a second


class DatabaseBackend(ABC):
    """A `Backend` on a server that runs."""

    def __init__(self, server: DatabaseServer) -> None:
        self.server = server
        self._empty = False

    @abstractmethod
    async def _open(self) -> Store: ...

    @abstractmethod
    async def _clear(self) -> None:
        """Makes the schema if it is not there, and empties its tables."""

    @abstractmethod
    def held(self, table: str) -> AbstractAsyncContextManager[None]:
        """While it lasts, whoever wants to use the table waits."""

    @abstractmethod
    async def waiting(self) -> Sequence[int]:
        """The sessions that wait for a lock."""

    @abstractmethod
    async def _kill(self, session: int) -> None:
        """Cuts a session's connection."""

    async def open(self) -> Store:
        if not self._empty:
            await self._clear()
            self._empty = True
        return await self._open()

    @contextmanager
    def commits_fail(self) -> Iterator[None]:
        """Commits are kept waiting, and the connections of those that wait are cut."""
        holding, done = threading.Event(), threading.Event()
        failures: list[BaseException] = []

        def kill_committers() -> None:
            try:
                asyncio.run(self._kill_waiters(holding, done))
            except BaseException as error:  # the test's thread is told
                failures.append(error)
                holding.set()

        killer = threading.Thread(target=kill_committers)
        killer.start()
        holding.wait()
        try:
            yield
        finally:
            done.set()
            killer.join()
            assert not failures, failures

    async def _kill_waiters(self, holding: threading.Event, done: threading.Event) -> None:
        async with self.held("shards"):
            holding.set()
            while not done.is_set():
                for session in await self.waiting():
                    await self._kill(session)


class PostgresqlBackend(DatabaseBackend):
    def __init__(self, server: Postgresql) -> None:
        super().__init__(server)
        self.config = postgresql_config(server)

    async def _open(self) -> Store:
        return await open_postgresql(self.config)

    async def _clear(self) -> None:
        schema = postgresql_schema(self.config)
        if await schema.version() is None:
            await schema.setup()
        connection = await postgresql_admin(self.config)
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables:
            if table != "schema_version":
                await connection.execute(f"DELETE FROM {table}")
        await connection.close()

    @asynccontextmanager
    async def held(self, table: str) -> AsyncIterator[None]:
        connection = await postgresql_admin(self.config)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()

    async def waiting(self) -> Sequence[int]:
        connection = await postgresql_admin(self.config)
        rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        await connection.close()
        return [pid for (pid,) in rows]

    async def _kill(self, session: int) -> None:
        await run_sql(self.config, f"SELECT pg_terminate_backend({session})")


class MysqlBackend(DatabaseBackend):
    def __init__(self, server: MariaDB) -> None:
        super().__init__(server)
        self.config = mysql_config(server)

    async def _open(self) -> Store:
        return await open_mysql(self.config)

    async def _clear(self) -> None:
        schema = mysql_schema(self.config)
        if await schema.version() is None:
            await schema.setup()
        connection = await mysql_admin(self.config)
        async with connection.cursor() as cursor:
            await cursor.execute("SHOW TABLES")
            for (table,) in await cursor.fetchall():
                if table != "schema_version":
                    await cursor.execute(f"DELETE FROM {table}")
        await connection.ensure_closed()

    @asynccontextmanager
    async def held(self, table: str) -> AsyncIterator[None]:
        connection = await mysql_admin(self.config)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(f"LOCK TABLES {table} WRITE")
                yield
        finally:
            await connection.ensure_closed()

    async def waiting(self) -> Sequence[int]:
        await asyncio.sleep(TRX_CACHED_S)
        connection = await mysql_admin(self.config)
        async with connection.cursor() as cursor:
            await cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE state LIKE '%metadata lock%' UNION"
                " SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
            )
            rows = await cursor.fetchall()
        await connection.ensure_closed()
        return [session for (session,) in rows]

    async def _kill(self, session: int) -> None:
        with suppress(MySQLError):  # it may have gone by itself
            await run_sql(self.config, f"KILL CONNECTION {session}")


def mysql_config(server: MariaDB, database: str = "perdure") -> SQL:
    return SQL(plugin_name="mysql8", database_name=database, connect_addr=server.address, user="root")


async def mysql_admin(config: SQL) -> Any:
    host, _, port = config.connect_addr.partition(":")
    database = config.database_name
    return await asyncmy.connect(host=host, port=int(port), user=config.user, database=database, autocommit=True)


def postgresql_config(server: Postgresql, database: str = "perdure") -> SQL:
    return SQL(plugin_name="postgres12", database_name=database, connect_addr=server.address, user="postgres")


async def postgresql_admin(config: SQL) -> asyncpg.Connection:
    host, _, port = config.connect_addr.partition(":")
    return await asyncpg.connect(host=host, port=int(port), user=config.user, database=config.database_name)


async def run_sql(config: SQL, statement: str) -> None:
    if config.plugin_name == "mysql8":
        connection = await mysql_admin(config)
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
        await connection.ensure_closed()
    else:
        connection = await postgresql_admin(config)
        await connection.execute(statement)
        await connection.close()
