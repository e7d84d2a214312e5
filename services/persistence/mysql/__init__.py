"""The store on MySQL (8 or newer) and MariaDB (10.8): a commit is one round trip, and durable when it answers."""

from services.config import SQL
from services.persistence.interface import Store
from services.persistence.mysql.driver import MysqlDriver
from services.persistence.mysql.namespaces import Namespaces
from services.persistence.mysql.queues import Queues
from services.persistence.mysql.runs import Runs
from services.persistence.mysql.schema import MysqlSchema
from services.persistence.mysql.visibility import Visibility
from services.persistence.schema import Schema, check_version
from services.persistence.sql.pool import Limits, Pool
from services.telemetry import get_logger

__all__ = ["mysql_schema", "open_mysql"]

_log = get_logger("persistence")


class MysqlStore(Runs, Queues, Namespaces, Visibility):
    """Implements `Store`."""


async def open_mysql(config: SQL) -> Store:
    """Raises StoreUnavailable when it is not there (yet), SchemaMismatch, StoreError."""
    schema = MysqlSchema(config)
    check_version(schema.place, await schema.version(), schema.expected)
    store = MysqlStore(Pool(MysqlDriver(config), Limits.of(config)))
    for setting in await store.weak_settings():
        _log.warning("The database may lose what it has acknowledged", database=schema.place, setting=setting)
    return store


def mysql_schema(config: SQL) -> Schema:
    return MysqlSchema(config)
