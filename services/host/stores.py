"""The stores that a configuration chooses: one for everything, or another one for lists. And their schemas.

A store is imported when it is chosen: the drivers of the others would only slow the start.
"""

from typing import Any, cast

from services.config import SQL, ConfigError, DataStore, ServerConfig
from services.persistence import Store, VisibilityStore
from services.persistence.schema import Schema

LISTS = frozenset(name for name in vars(VisibilityStore) if not name.startswith("_"))


def chosen_stores(config: ServerConfig) -> dict[str, DataStore]:
    """The data stores in use by the key that names them: defaultStore and, when it is another one, visibilityStore."""
    persistence = config.persistence
    chosen = {"defaultStore": persistence.default_store}
    if persistence.visibility_store and persistence.visibility_store != persistence.default_store:
        chosen["visibilityStore"] = persistence.visibility_store
    return {key: persistence.datastores[name] for key, name in chosen.items()}


def check_store(config: ServerConfig) -> None:
    """Raises ConfigError for a store that this configuration cannot have."""
    for key, store in chosen_stores(config).items():
        if store.sql is None and store.cassandra is None:
            kind = "elasticsearch" if store.elasticsearch is not None else "customDatastore"
            raise ConfigError(f"persistence.{key}", kind, "sqlite, postgres12, mysql8 or cassandra")


async def open_store(config: ServerConfig) -> Store:
    """Raises StoreUnavailable while the store is not there, and SchemaMismatch, StoreInUse, StoreError."""
    chosen = chosen_stores(config)
    rest = chosen["defaultStore"]
    lists = chosen.get("visibilityStore", rest)
    if _database(rest) == _database(lists):  # two sections that name one place: SQLite, for one, lets in one of them
        return await _open(rest)
    opened = await _open(rest)
    try:
        return cast(Store, SplitStore(opened, await _open(lists)))
    except BaseException:
        await opened.close()
        raise


class SplitStore:
    """A `Store` of two: what lists read is in one database, and all the rest in another."""

    def __init__(self, rest: Store, lists: Store) -> None:
        self._rest, self._lists = rest, lists

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lists if name in LISTS else self._rest, name)

    async def close(self) -> None:
        await self._rest.close()
        await self._lists.close()


def schema_of(store: DataStore, *, replicas: int = 1) -> Schema | None:
    """None for SQLite, where the server that opens a file sets it up. `replicas` is for a new Cassandra keyspace."""
    if store.cassandra is not None:
        from services.persistence.cassandra import CassandraSchema

        return CassandraSchema(store.cassandra, replicas=replicas)
    if store.sql is None:
        raise ConfigError("persistence.datastores", "elasticsearch", "a store that Perdure keeps something in")
    match store.sql.plugin_name:
        case "sqlite":
            return None
        case "mysql8":
            from services.persistence.mysql import mysql_schema

            return mysql_schema(store.sql)
        case "postgres12" | "postgres12_pgx":
            from services.persistence.postgresql import postgresql_schema

            return postgresql_schema(store.sql)


async def _open(store: DataStore) -> Store:
    if store.cassandra is not None:
        from services.persistence.cassandra import open_cassandra

        return await open_cassandra(store.cassandra)
    assert store.sql is not None, "checked by check_store"
    sql = store.sql
    match sql.plugin_name:
        case "sqlite":
            from services.persistence.sqlite import open_sqlite

            return await open_sqlite(None if sql.in_memory else sql.database_name, sql.pragmas)
        case "mysql8":
            from services.persistence.mysql import open_mysql

            return await open_mysql(sql)
        case "postgres12" | "postgres12_pgx":
            from services.persistence.postgresql import open_postgresql

            return await open_postgresql(sql)


def _database(store: DataStore) -> object:
    """What is equal for two sections that mean the same database."""
    sql: SQL | None = store.sql
    return store if sql is None else (sql.plugin_name, sql.connect_addr, sql.database_name, sql.in_memory)
