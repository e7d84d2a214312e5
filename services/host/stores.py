"""The stores that a configuration chooses: one for everything, or another one for lists."""

from services.config import ConfigError, DataStore, ServerConfig
from services.persistence import Store
from services.persistence.cassandra import open_cassandra
from services.persistence.postgresql import open_postgresql
from services.persistence.sqlite import open_sqlite


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
            raise ConfigError(f"persistence.{key}", "elasticsearch", "sqlite, postgres12, mysql8 or cassandra")


async def open_store(config: ServerConfig) -> Store:
    """Raises StoreUnavailable while the store is not there, and SchemaMismatch, StoreInUse, StoreError."""
    return await _open(chosen_stores(config)["defaultStore"])


async def _open(store: DataStore) -> Store:
    if store.cassandra is not None:
        return await open_cassandra(store.cassandra)
    assert store.sql is not None, "checked by check_store"
    sql = store.sql
    if sql.plugin_name == "sqlite":
        return await open_sqlite(None if sql.in_memory else sql.database_name, sql.pragmas)
    if sql.plugin_name == "mysql8":
        raise ConfigError("pluginName", "mysql8", "another store for now")
    return await open_postgresql(sql)
