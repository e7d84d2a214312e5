"""The store that a configuration chooses."""

from services.config import SQL, ConfigError, ServerConfig
from services.persistence import Store
from services.persistence.sqlite import open_sqlite


def sqlite_of(config: ServerConfig) -> SQL:
    """The SQLite store of the configuration. Raises ConfigError for any other: none is built yet."""
    persistence = config.persistence
    for key, name in (
        ("defaultStore", persistence.default_store),
        ("visibilityStore", persistence.visibility_store or persistence.default_store),
    ):
        chosen = persistence.datastores[name]
        if chosen.sql is None or chosen.sql.plugin_name != "sqlite":
            kind = chosen.sql.plugin_name if chosen.sql else "cassandra" if chosen.cassandra else "elasticsearch"
            raise ConfigError(f"persistence.{key}", kind, "sqlite, the only store that is built yet")
    sql = persistence.datastores[persistence.default_store].sql
    assert sql is not None, "the default store was just seen to be SQLite"
    visibility = persistence.datastores[persistence.visibility_store or persistence.default_store].sql
    if visibility is not None and visibility.database_name != sql.database_name:
        raise ConfigError(
            "persistence.visibilityStore",
            repr(visibility.database_name),
            "the file of the default store: one keeps all",
        )
    return sql


def check_store(config: ServerConfig) -> None:
    """Raises ConfigError for a store that this configuration cannot have."""
    sqlite_of(config)


async def open_store(config: ServerConfig) -> Store:
    """Raises StoreUnavailable while the store is not there, and SchemaMismatch, StoreInUse, StoreError."""
    sql = sqlite_of(config)
    return await open_sqlite(None if sql.in_memory else sql.database_name, sql.pragmas)
