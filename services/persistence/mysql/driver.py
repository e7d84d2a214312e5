"""asyncmy: how connections are opened and set up, and what its errors mean for whoever wanted something."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncmy
from asyncmy.connection import Connection
from asyncmy.constants import CLIENT
from asyncmy.errors import MySQLError

from services.config import SQL
from services.persistence.interface import StoreError, StoreUnavailable, UnknownOutcome
from services.persistence.sql.access import address_of, password_of
from services.persistence.sql.tls import refuses_tls, tls_context

PORT = 3306
CONNECT_S_MAX = 5
OPERATION_S_MAX = 10.0
LOCK_WAIT_S_MAX = 8  # less than an operation, so that the server says that it gave up and nothing happened
DEADLOCK_ATTEMPTS = 3

UNKNOWN_DATABASE = 1049
DUPLICATE_KEY = 1062
LOCK_WAIT_TIMEOUT = 1205
DEADLOCK = 1213
TABLE_IS_ABSENT = 1146
# Too many connections, shutting down, connection killed or broken; and what the driver says of servers that are gone.
UNAVAILABLE = frozenset((1040, 1053, 1129, 1152, 1158, 1159, 1160, 1161, 1203, 1927, 3169, 4031))
DRIVERS_OWN = range(2000, 3000)
FENCED, CURRENT_CONFLICT, RUN_CONFLICT = 50001, 50002, 50003  # signalled by our procedures
UNDONE = frozenset((FENCED, CURRENT_CONFLICT, RUN_CONFLICT))  # by the procedure itself

# Each statement sees what was committed before it began, and locks the rows that it names and no gaps between them.
_SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',"
    f" innodb_lock_wait_timeout = {LOCK_WAIT_S_MAX}"
)
# What the reference's driver reads from connectAttributes for itself, or what the store decides.
_NOT_VARIABLES = frozenset(
    (
        *("allowNativePasswords", "charset", "clientFoundRows", "collation", "columnsWithAlias", "interpolateParams"),
        *("loc", "maxAllowedPacket", "multiStatements", "parseTime", "readTimeout", "rejectReadOnly", "sql_mode"),
        *("timeout", "tls", "transaction_isolation", "tx_isolation", "writeTimeout"),
    )
)


class Result(NamedTuple):
    rows: Sequence[tuple[Any, ...]]
    insert_id: int
    affected_rows: int


class Refused(StoreError):
    """The server refused a statement, and what it belongs to is undone. `code` is the server's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"MySQL: {text} ({code})")
        self.code = code


class Session:
    """One connection, with the statements that were prepared on it."""

    def __init__(self, connection: Connection, packet_bytes_max: int) -> None:
        self.connection: Any = connection
        self._packet_bytes_max = packet_bytes_max
        self._prepared: dict[str, Any] = {}

    @property
    def is_usable(self) -> bool:
        """Also what the server closed while nobody read is noticed."""
        return self.connection.connected and not self.connection._stream_broken

    async def read(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Runs one statement with `?` for values, prepared the first time. Raises StoreError."""
        try:
            async with asyncio.timeout(OPERATION_S_MAX):
                prepared = self._prepared.get(statement)
                if prepared is None:
                    prepared = self._prepared[statement] = await self.connection.prepare(statement)
                return (await prepared.execute(values)).rows or ()
        except Exception as error:
            raise self._failed_read(error) from error

    async def query(self, text: bytes, timeout_s: float = OPERATION_S_MAX) -> Sequence[tuple[Any, ...]]:
        """As `read`, of a statement that is hardly ever the same. Raises StoreError."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.connection.query(text)
                return self.connection._result.rows or ()
        except Exception as error:
            raise self._failed_read(error) from error

    async def write(self, *statements: bytes) -> Sequence[Result]:
        """Runs statements in one round trip; a transaction of several begins and ends in them.

        Raises Refused (the server said that it did nothing, or has undone it), StoreError (it was not sent) and
        UnknownOutcome. What fell victim to a deadlock is tried again.
        """
        text = b";".join(statements)
        if len(text) >= self._packet_bytes_max:
            raise StoreError(
                f"MySQL: a transaction of {len(text)} bytes is more than the server takes:"
                f" its max_allowed_packet is {self._packet_bytes_max}"
            )
        for attempt in range(1, DEADLOCK_ATTEMPTS + 1):
            try:
                return await self._write_once(text, len(statements))
            except Refused as refusal:
                if refusal.code != DEADLOCK or attempt == DEADLOCK_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _write_once(self, text: bytes, count: int) -> Sequence[Result]:
        results: list[Result] = []
        try:
            async with asyncio.timeout(OPERATION_S_MAX):
                await self.connection.query(text)
                results.append(self._result())
                while self.connection._result.has_next:
                    await self.connection.next_result()
                    results.append(self._result())
        except Exception as error:
            code = code_of(error)
            at_commit = len(results) == count - 1 and count > 1
            if code is None or not self.is_usable or (at_commit and code != DEADLOCK):
                self.connection.close()
                raise UnknownOutcome(f"MySQL did not answer: {str(error) or type(error).__name__}") from error
            if count > 1 and code not in UNDONE:
                await self._roll_back()
            raise Refused(code, _text_of(error)) from error
        assert len(results) == count, f"{len(results)} results of {count} statements"
        return results

    async def _roll_back(self) -> None:
        """Ends what a refused statement left open. When that does not work the server does it with the connection."""
        try:
            async with asyncio.timeout(OPERATION_S_MAX):
                await self.connection.query(b"ROLLBACK")
        except Exception:
            self.connection.close()

    def _result(self) -> Result:
        result = self.connection._result
        return Result(result.rows or (), result.insert_id, result.affected_rows)

    def _failed_read(self, error: Exception) -> StoreError:
        code = code_of(error)
        if code is not None and self.is_usable:
            return Refused(code, _text_of(error))
        self.connection.close()
        return StoreUnavailable(f"MySQL did not answer: {str(error) or type(error).__name__}")


class MysqlDriver:
    """Implements `Driver`: sessions in the database that the configuration names."""

    def __init__(self, config: SQL) -> None:
        self._config = config
        self.database = config.database_name or "perdure"
        self.place = f"MySQL database {self.database!r} at {config.connect_addr}"
        self._tls = tls_context(config.tls)
        self._variables = {
            name: value for name, value in config.connect_attributes.items() if name not in _NOT_VARIABLES
        }
        for name in self._variables:
            if not name.isidentifier():
                raise StoreError(f"{self.place}: connectAttributes.{name} is not the name of a variable")

    async def connect(self) -> Session:
        return await self.open(self.database)

    async def open(self, database: str | None) -> Session:
        """None: no database. Raises Refused (UNKNOWN_DATABASE among others), StoreUnavailable, StoreError."""
        try:
            connection = await self._connect(database)
        except (OSError, TimeoutError) as error:
            if refuses_tls(error):
                raise StoreError(f"{self.place}: tls: {error}") from error
            raise StoreUnavailable(f"{self.place} cannot be reached: {str(error) or type(error).__name__}") from error
        except MySQLError as error:
            if refuses_tls(error):
                raise StoreError(f"{self.place}: tls: {_text_of(error)}") from error
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if code in UNAVAILABLE or not code or code in DRIVERS_OWN:
                raise StoreUnavailable(f"{self.place} cannot be reached: {_text_of(error)}") from error
            raise Refused(code, _text_of(error)) from error
        session = Session(connection, packet_bytes_max=2**62)
        try:
            for statement in (_SESSION, *(f"SET SESSION {name} = {value}" for name, value in self._variables.items())):
                await session.write(*statement.encode().split(b";"))
            ((packet_bytes_max,),) = await session.query(b"SELECT @@max_allowed_packet")
        except UnknownOutcome as error:
            raise StoreUnavailable(f"{self.place} cannot be reached: {error}") from error
        except BaseException:
            connection.close()
            raise
        return Session(connection, packet_bytes_max)

    async def _connect(self, database: str | None) -> Connection:
        host, port = address_of(self._config, PORT)
        connection: Connection = await asyncmy.connect(
            host=host,
            port=port,
            user=self._config.user or None,
            password=await password_of(self._config),
            database=database,
            charset="utf8mb4",
            autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.FOUND_ROWS,
            connect_timeout=CONNECT_S_MAX,
            ssl=self._tls,
            program_name="perdure",
        )
        return connection

    def is_usable(self, connection: Session) -> bool:
        return connection.is_usable

    async def close(self, connection: Session) -> None:
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await connection.connection.ensure_closed()
        except (OSError, TimeoutError, asyncio.CancelledError, MySQLError):
            connection.connection.close()


def code_of(error: Exception) -> int | None:
    """The server's number of an error that it sent; None for what the driver or the network says."""
    if not isinstance(error, MySQLError) or not error.args or not isinstance(error.args[0], int):
        return None
    code = int(error.args[0])
    return None if code < 1000 or code in UNAVAILABLE or code in DRIVERS_OWN else code


def _text_of(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)
