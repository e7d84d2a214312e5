"""Stores on database servers: one server for the session, its database emptied for every test."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncmy
import asyncpg

from services.config import SQL
from services.persistence import Store
from services.persistence.mysql import mysql_schema, open_mysql
from services.persistence.postgresql import open_postgresql, postgresql_schema
from tests.parts.databases import DatabaseServer
from tests.parts.mariadb import MariaDB
from tests.parts.postgresql import Postgresql

KILL_EVERY_S = 0.005


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
    async def _kill_committers(self, holding: threading.Event, done: threading.Event) -> None:
        """Keeps commits waiting, says so by `holding`, and cuts the connections of those that wait until `done`."""

    async def open(self) -> Store:
        if not self._empty:
            await self._clear()
            self._empty = True
        return await self._open()

    @contextmanager
    def commits_fail(self) -> Iterator[None]:
        holding, done = threading.Event(), threading.Event()
        failures: list[BaseException] = []

        def kill_committers() -> None:
            try:
                asyncio.run(self._kill_committers(holding, done))
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

    async def _kill_committers(self, holding: threading.Event, done: threading.Event) -> None:
        connection = await postgresql_admin(self.config)
        async with connection.transaction():
            await connection.execute("LOCK TABLE shards IN ACCESS EXCLUSIVE MODE")
            holding.set()
            while not done.is_set():
                await connection.execute(
                    "SELECT pg_stat_clear_snapshot();"
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
                await asyncio.sleep(KILL_EVERY_S)
        await connection.close()


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

    async def _kill_committers(self, holding: threading.Event, done: threading.Event) -> None:
        connection, killer = await mysql_admin(self.config), await mysql_admin(self.config)
        async with connection.cursor() as cursor, killer.cursor() as kills:
            await cursor.execute("LOCK TABLES shards WRITE")
            holding.set()
            while not done.is_set():
                await kills.execute("SELECT id FROM information_schema.processlist WHERE state LIKE '%metadata lock%'")
                for (thread,) in await kills.fetchall():
                    await kills.execute(f"KILL CONNECTION {thread}")
                await asyncio.sleep(KILL_EVERY_S)
            await cursor.execute("UNLOCK TABLES")
        await connection.ensure_closed()
        await killer.ensure_closed()


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
