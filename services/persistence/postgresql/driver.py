"""asyncpg: how connections are opened and set up, and what its errors mean for whoever wanted something."""

import asyncio
from typing import TypeAlias

import asyncpg

from services.config import SQL
from services.persistence.interface import StoreError, StoreUnavailable, UnknownOutcome
from services.persistence.sql.access import address_of, password_of
from services.persistence.sql.tls import refuses_tls, tls_context

Connection: TypeAlias = asyncpg.Connection
Rows: TypeAlias = list[asyncpg.Record]

PORT = 5432
CONNECT_S_MAX = 5.0
OPERATION_S_MAX = 10.0
CACHED_STATEMENTS = 256  # more than there are different ones, filters of lists aside

# Every statement of ours can use an index. The planner does not think so of a table that is empty when it plans, and
# an outbox often is; that plan would then be kept while the table grows.
SETTINGS = {"application_name": "perdure", "enable_seqscan": "off", "jit": "off"}
# A server, database or user may be set to answer before a commit is on disk. We may not.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
# What libpq reads from the same place, and the section `tls` stands for here.
_NOT_SETTINGS = frozenset(("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslsni"))


RUN_CONFLICT = "PD003"


class RunConflict(StoreError):
    """A run's version was not the expected one, and what was written before that was seen is undone."""


class Duplicate(StoreError):
    """Something of that key is there already."""


class PostgresqlDriver:
    """Implements `Driver`: connections to the database that the configuration names."""

    def __init__(self, config: SQL) -> None:
        self._config = config
        self.database = config.database_name or "perdure"
        self.place = f"PostgreSQL database {self.database!r} at {config.connect_addr}"
        for name in config.connect_attributes:
            if name in _NOT_SETTINGS:
                raise StoreError(f"{self.place}: connectAttributes.{name} is not used: the section `tls` is")
        self._settings = SETTINGS | dict(config.connect_attributes)
        self._tls = tls_context(config.tls)

    async def connect(self, database: str | None = None) -> Connection:
        try:
            return await self.open(database)
        except asyncpg.InvalidCatalogNameError as error:
            raise StoreUnavailable(f"{self.place} does not exist; `perdure schema setup` creates it") from error

    async def open(self, database: str | None = None) -> Connection:
        """As `connect`; raises asyncpg.InvalidCatalogNameError when there is a server but no such database."""
        host, port = address_of(self._config, PORT)
        try:
            connection = await asyncpg.connect(
                host=host,
                port=port,
                user=self._config.user or None,
                password=await password_of(self._config) or None,
                database=database or self.database,
                ssl=self._tls or False,
                timeout=CONNECT_S_MAX,
                command_timeout=OPERATION_S_MAX,
                statement_cache_size=CACHED_STATEMENTS,
                max_cached_statement_lifetime=0,
                server_settings=self._settings,
            )
            await connection.execute(_DURABLE)
        except asyncpg.InvalidCatalogNameError:
            raise
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError) as error:
            if refuses_tls(error):
                raise StoreError(f"{self.place}: tls: {error}") from error
            raise StoreUnavailable(f"{self.place} cannot be reached: {str(error) or type(error).__name__}") from error
        except (asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError) as error:
            raise StoreUnavailable(f"{self.place} takes nobody in: {error}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreError(f"{self.place} refused the connection: {error}") from error
        return connection

    def is_usable(self, connection: Connection) -> bool:
        return not connection.is_closed()

    async def close(self, connection: Connection) -> None:
        try:
            await connection.close(timeout=CONNECT_S_MAX)
        except (OSError, TimeoutError, asyncio.CancelledError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()


async def read(connection: Connection, statement: str, *values: object) -> Rows:
    """Raises StoreError."""
    try:
        return await connection.fetch(statement, *values)
    except Exception as error:
        raise _failed_read(connection, error) from error


async def write(connection: Connection, statement: str, *values: object) -> Rows:
    """One statement that is a transaction of its own. Raises StoreError, UnknownOutcome.

    A statement that was the victim of a deadlock was rolled back for sure, and is tried once more.
    """
    try:
        try:
            return await connection.fetch(statement, *values)
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            return await connection.fetch(statement, *values)
    except Exception as error:
        if was_refused(error):
            raise failure(error) from error
        connection.terminate()
        raise UnknownOutcome(f"PostgreSQL did not answer: {str(error) or type(error).__name__}") from error


def was_refused(error: Exception) -> bool:
    """Whether nothing was changed for sure: the server said so and goes on, or nothing was sent.

    FATAL and PANIC end the connection, and may come between a commit and its answer.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return False
    if error.severity_en is None:  # the driver's own: a value that it cannot encode, or a connection that broke
        return isinstance(error, asyncpg.DataError)
    return bool(error.severity_en == "ERROR")


def failure(error: Exception) -> StoreError:
    code: str | None = getattr(error, "sqlstate", None)
    kind = {RUN_CONFLICT: RunConflict, asyncpg.UniqueViolationError.sqlstate: Duplicate}.get(code or "", StoreError)
    return kind(f"PostgreSQL: {error}" + (f" ({code})" if code else ""))


def _failed_read(connection: Connection, error: Exception) -> StoreError:
    if was_refused(error):
        return failure(error)
    connection.terminate()
    return StoreUnavailable(f"PostgreSQL did not answer: {str(error) or type(error).__name__}")
