"""The file: whose it is, who holds it, and how connections to it are set up.

Nothing is written to a file before it is known to be ours, of our version and free.
"""

import fcntl
import os
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from services.persistence.interface import SchemaMismatch, StoreError, StoreInUse
from services.persistence.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

# SQLite's file header: the magic, and the places of `PRAGMA user_version` and `PRAGMA application_id`.
HEADER_BYTES = 100
HEADER_MAGIC = b"SQLite format 3\0"
USER_VERSION_AT = 60
APPLICATION_ID_AT = 68

# How long a statement waits for another program that has the file open (a backup, somebody's sqlite3 shell).
BUSY_TIMEOUT_S = 5.0
# More than there are different statements, so that none is ever compiled twice.
CACHED_STATEMENTS = 256

DURABLE = {"journal_mode": "wal", "synchronous": "full", "cache_size": "-65536", "wal_autocheckpoint": "4000"}
EPHEMERAL = DURABLE | {"synchronous": "off"}

# The values that each pragma understands. SQLite itself ignores a pragma or a value that it does not know.
NUMBER = re.compile(r"-?\d+")
SWITCH = re.compile(r"on|off|yes|no|true|false|0|1")
PRAGMAS: Mapping[str, re.Pattern[str]] = {
    "auto_vacuum": re.compile(r"none|full|incremental|[012]"),
    "busy_timeout": NUMBER,
    "cache_size": NUMBER,
    "foreign_keys": SWITCH,
    "journal_mode": re.compile(r"delete|truncate|persist|memory|wal|off"),
    "journal_size_limit": NUMBER,
    "locking_mode": re.compile(r"normal"),  # exclusive would lock out our own second connection
    "mmap_size": NUMBER,
    "page_size": re.compile(r"512|1024|2048|4096|8192|16384|32768|65536"),
    "secure_delete": re.compile(SWITCH.pattern + "|fast"),
    "synchronous": re.compile(r"off|normal|full|extra|[0123]"),
    "temp_store": re.compile(r"default|file|memory|[012]"),
    "wal_autocheckpoint": NUMBER,
}


class Database:
    """A database file that is ours, of this version, and locked for this process until `close`."""

    def __init__(self, path: Path, pragmas: Mapping[str, str], *, create: bool) -> None:
        """Opens or creates it. Raises StoreInUse, SchemaMismatch, StoreError, and then the file is as it was."""
        check_pragmas(pragmas)
        if not path.exists() and not create:
            raise StoreError(f"no database at {path}")
        self.path = path
        self._pragmas = pragmas
        self._lock = lock(path)
        try:
            if not path.exists() or path.stat().st_size == 0:
                create_database(path, pragmas)
            check_version(path)
        except BaseException:
            self.close()
            raise

    def connect(self, *, writes: bool) -> sqlite3.Connection:
        """A connection with the pragmas applied. It may move between threads, one at a time."""
        connection = connect(self.path)
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
        apply_pragmas(connection, self._pragmas)
        if not writes:
            connection.execute("PRAGMA query_only=on")
        return connection

    def close(self) -> None:
        """Lets others have it. The kernel does the same when the process dies, however it dies."""
        os.close(self._lock)


def check_pragmas(pragmas: Mapping[str, str]) -> None:
    for name, value in pragmas.items():
        pattern = PRAGMAS.get(name.lower())
        if pattern is None:
            raise StoreError(f"unknown sqlite pragma {name!r}; known are: {', '.join(PRAGMAS)}")
        if pattern.fullmatch(value.lower()) is None:
            raise StoreError(f"sqlite pragma {name}: {value!r} is not of the form {pattern.pattern}")


def apply_pragmas(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> None:
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name}={value}").fetchall()


def connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=CACHED_STATEMENTS)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error


def lock(path: Path) -> int:
    """Takes the lock beside the file, since SQLite has its own locks on the file. Returns the descriptor."""
    lock_path = Path(f"{path}.lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"cannot open {lock_path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreInUse(f"{path} is in use by another process") from error
    return descriptor


def create_database(path: Path, pragmas: Mapping[str, str]) -> None:
    """Puts an empty database there. It appears whole or not at all."""
    unfinished = Path(f"{path}.new")
    for leftover in (unfinished, Path(f"{unfinished}-journal")):
        leftover.unlink(missing_ok=True)
    connection = connect(unfinished)
    try:
        # These two only mean something before the first table; the rest is for each connection to set.
        apply_pragmas(connection, {name: pragmas[name] for name in ("page_size", "auto_vacuum") if name in pragmas})
        connection.executescript(
            f"BEGIN; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; {TABLES} COMMIT;"
        )
    except sqlite3.Error as error:
        raise StoreError(f"cannot create {path}: {error}") from error
    finally:
        connection.close()
    unfinished.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_version(path: Path) -> None:
    """Refuses a file that is not ours or of another version, and leaves it as it is."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    application_id = int.from_bytes(header[APPLICATION_ID_AT : APPLICATION_ID_AT + 4], "big")
    if not header.startswith(HEADER_MAGIC) or application_id != APPLICATION_ID:
        raise SchemaMismatch(f"{path} is not a Perdure database; it was left untouched")
    version = int.from_bytes(header[USER_VERSION_AT : USER_VERSION_AT + 4], "big")
    # A version that was written last before a crash may still be in the log alone.
    logged = version_in_log(path)
    if (version, logged) != (SCHEMA_VERSION, SCHEMA_VERSION):
        stored = version if version != SCHEMA_VERSION else logged
        raise SchemaMismatch(
            f"{path} has schema version {stored}, this server knows version {SCHEMA_VERSION}; it was left untouched"
        )


def version_in_log(path: Path) -> int:
    """The schema version as of the write-ahead log that a crash left; this server's when there is none."""
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    if not log.exists() or log.stat().st_size == 0:
        return SCHEMA_VERSION
    index_was_there = index.exists()
    # Read only: the last connection that could write would copy the log into the file when it closes.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    finally:
        connection.close()
        if not index_was_there:
            index.unlink(missing_ok=True)
