"""Namespaces and the cluster's own values in SQL. Functions ending in `_txn` run in an open transaction."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

import sqlite3
from collections.abc import Sequence

from services.persistence.interface import NamespaceRecord

_COLUMNS = "namespace_id, name, version, blob"


def create_namespace_txn(connection: sqlite3.Connection, record: NamespaceRecord) -> bool:
    created = connection.execute(
        "INSERT INTO namespaces VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (record.namespace_id, record.name, record.version, record.blob),
    )
    return created.rowcount == 1


def update_namespace_txn(connection: sqlite3.Connection, record: NamespaceRecord) -> bool:
    updated = connection.execute(
        "UPDATE OR IGNORE namespaces SET name = ?, version = ?, blob = ? WHERE namespace_id = ? AND version = ?",
        (record.name, record.version, record.blob, record.namespace_id, record.version - 1),
    )
    return updated.rowcount == 1


def read_namespace(connection: sqlite3.Connection, namespace_id: str, name: str) -> NamespaceRecord | None:
    column, value = ("namespace_id", namespace_id) if namespace_id else ("name", name)
    row = connection.execute(f"SELECT {_COLUMNS} FROM namespaces WHERE {column} = ?", (value,)).fetchone()
    return None if row is None else _record(*row)


def list_namespaces(connection: sqlite3.Connection, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM namespaces WHERE namespace_id > ? ORDER BY namespace_id LIMIT ?",
        (after_namespace_id, limit),
    )
    return [_record(*row) for row in rows]


def _record(namespace_id: str, name: str, version: int, blob: bytes) -> NamespaceRecord:
    return NamespaceRecord(namespace_id=namespace_id, name=name, version=version, blob=blob)


def cluster_value_txn(connection: sqlite3.Connection, key: str, value_if_absent: bytes) -> bytes:
    connection.execute("INSERT INTO cluster VALUES (?, ?) ON CONFLICT DO NOTHING", (key, value_if_absent))
    (value,) = connection.execute("SELECT value FROM cluster WHERE key = ?", (key,)).fetchone()
    return bytes(value)


def set_cluster_value_txn(connection: sqlite3.Connection, key: str, value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO cluster VALUES (?, ?)", (key, value))
