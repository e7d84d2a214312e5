"""The store on SQLite: one file, one process, nothing acknowledged is lost."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from services.persistence.interface import Store
from services.persistence.sqlite.database import DURABLE, EPHEMERAL, Database
from services.persistence.sqlite.store import SqliteStore

__all__ = ["open_sqlite"]


async def open_sqlite(path: str | None, pragmas: Mapping[str, str] = {}, *, create: bool = True) -> Store:
    """Opens the database file, or with None one that is deleted on close and survives no crash.

    Raises StoreInUse, SchemaMismatch, or StoreError (a bad pragma, no such file and not `create`, no access).
    """
    if path is not None:
        return SqliteStore(Database(Path(path), DURABLE | dict(pragmas), create=create))
    directory = Path(tempfile.mkdtemp(prefix="perdure-"))
    try:
        database = Database(directory / "perdure.db", EPHEMERAL | dict(pragmas), create=True)
        return SqliteStore(database, on_closed=lambda: shutil.rmtree(directory, ignore_errors=True))
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
