"""The store on PostgreSQL, 12 or newer: a commit is one round trip, and durable when it answers."""

from services.config import SQL
from services.persistence.interface import Store
from services.persistence.postgresql.driver import PostgresqlDriver
from services.persistence.postgresql.namespaces import Namespaces
from services.persistence.postgresql.queues import Queues
from services.persistence.postgresql.runs import Runs
from services.persistence.postgresql.schema import PostgresqlSchema
from services.persistence.postgresql.visibility import Visibility
from services.persistence.schema import Schema, check_version
from services.persistence.sql.pool import Limits, Pool
from services.telemetry import get_logger

__all__ = ["open_postgresql", "postgresql_schema"]

_log = get_logger("persistence")


class PostgresqlStore(Runs, Queues, Namespaces, Visibility):
    """Implements `Store`."""


async def open_postgresql(config: SQL) -> Store:
    """Raises StoreUnavailable when it is not there (yet), SchemaMismatch, StoreError."""
    schema = PostgresqlSchema(config)
    check_version(schema.place, await schema.version(), schema.expected)
    store = PostgresqlStore(Pool(PostgresqlDriver(config), Limits.of(config)))
    for setting in await store.weak_settings():
        _log.warning("The database may lose what it has acknowledged", database=schema.place, setting=setting)
    return store


def postgresql_schema(config: SQL) -> Schema:
    return PostgresqlSchema(config)
