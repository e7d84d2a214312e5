"""Namespaces and the cluster's own values."""

from collections.abc import Sequence
from typing import Any

from services.persistence.interface import NamespaceRecord
from services.persistence.mysql.database import Database
from services.persistence.mysql.driver import DUPLICATE_KEY, Refused
from services.persistence.mysql.text import filled

_SELECT = "SELECT namespace_id, name, version, `blob` FROM namespaces WHERE"
_UPDATE = "UPDATE namespaces SET name = ?, version = ?, `blob` = ? WHERE namespace_id = ? AND version = ?"


class Namespaces(Database):
    """Implements `NamespaceStore`."""

    async def create_namespace(self, record: NamespaceRecord) -> bool:
        values = (record.namespace_id, record.name, record.version, record.blob)
        return await self._changes_one("INSERT INTO namespaces VALUES (?, ?, ?, ?)", *values)

    async def update_namespace(self, record: NamespaceRecord) -> bool:
        values = (record.name, record.version, record.blob, record.namespace_id, record.version - 1)
        return await self._changes_one(_UPDATE, *values)

    async def _changes_one(self, statement: str, *values: object) -> bool:
        """False when there is none to change, or another one has the id or the name."""
        try:
            (result,) = await self._write(filled(statement, *values))
        except Refused as refusal:
            if refusal.code != DUPLICATE_KEY:
                raise
            return False
        return result.affected_rows == 1

    async def read_namespace(self, *, namespace_id: str = "", name: str = "") -> NamespaceRecord | None:
        column, value = ("namespace_id", namespace_id) if namespace_id else ("name", name)
        rows = await self._read(f"{_SELECT} {column} = ?", value)
        return _record(rows[0]) if rows else None

    async def list_namespaces(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
        statement = f"{_SELECT} namespace_id > ? ORDER BY namespace_id LIMIT ?"
        return [_record(row) for row in await self._read(statement, after_namespace_id, limit)]

    async def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        insert = "INSERT INTO cluster VALUES (?, ?) ON DUPLICATE KEY UPDATE value = cluster.value"
        read = filled("SELECT value FROM cluster WHERE name = ?", key)
        _, _, stored, _ = await self._write(b"START TRANSACTION", filled(insert, key, value_if_absent), read, b"COMMIT")
        return bytes(stored.rows[0][0])

    async def set_cluster_value(self, key: str, value: bytes) -> None:
        statement = "INSERT INTO cluster VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)"
        await self._write(filled(statement, key, value))


def _record(row: tuple[Any, ...]) -> NamespaceRecord:
    namespace_id, name, version, blob = row
    return NamespaceRecord(namespace_id=namespace_id.decode(), name=name.decode(), version=version, blob=blob)
