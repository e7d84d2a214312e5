"""Namespaces and the cluster's own values."""

from collections.abc import Sequence

from services.persistence.interface import NamespaceRecord
from services.persistence.postgresql.database import Database
from services.persistence.postgresql.driver import Duplicate

_SELECT = "SELECT namespace_id, name, version, blob FROM namespaces WHERE"
_CREATE = "INSERT INTO namespaces VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING namespace_id"
_UPDATE = (
    "UPDATE namespaces SET name = $2, version = $3, blob = $4"
    " WHERE namespace_id = $1 AND version = $3 - 1 RETURNING namespace_id"
)
_SET = "INSERT INTO cluster AS stored VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value ="


class Namespaces(Database):
    """Implements `NamespaceStore`."""

    async def create_namespace(self, record: NamespaceRecord) -> bool:
        return bool(await self._write(_CREATE, record.namespace_id, record.name, record.version, record.blob))

    async def update_namespace(self, record: NamespaceRecord) -> bool:
        try:
            return bool(await self._write(_UPDATE, record.namespace_id, record.name, record.version, record.blob))
        except Duplicate:  # the name is another's
            return False

    async def read_namespace(self, *, namespace_id: str = "", name: str = "") -> NamespaceRecord | None:
        column, value = ("namespace_id", namespace_id) if namespace_id else ("name", name)
        rows = await self._read(f"{_SELECT} {column} = $1", value)
        return NamespaceRecord(**dict(rows[0])) if rows else None

    async def list_namespaces(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
        statement = f"{_SELECT} namespace_id > $1 ORDER BY namespace_id LIMIT $2"
        return [NamespaceRecord(**dict(row)) for row in await self._read(statement, after_namespace_id, limit)]

    async def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        rows = await self._write(f"{_SET} stored.value RETURNING value", key, value_if_absent)
        return bytes(rows[0]["value"])

    async def set_cluster_value(self, key: str, value: bytes) -> None:
        await self._write(f"{_SET} excluded.value", key, value)
