"""Namespaces and the cluster's own values.

All namespaces are in one partition, by id and by name, so that a name and an id are taken together or not at all. They
are few, rarely written, and remembered by those who read them.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

from collections.abc import Sequence

from services.persistence.cassandra.client import Bound, Client
from services.persistence.interface import NamespaceRecord

EVERYWHERE = 0
BY_ID, BY_NAME = 1, 2

_AT = "WHERE everywhere = ? AND kind = ? AND key = ?"
_SET = f"UPDATE namespace SET name = ?, version = ?, blob = ? {_AT} IF version = ?"
_TAKE_NAME = f"UPDATE namespace SET namespace_id = ? {_AT} IF namespace_id = ?"
_FREE_NAME = f"DELETE FROM namespace {_AT}"
_READ = f"SELECT key, name, version, blob FROM namespace {_AT}"
_READ_NAME = f"SELECT namespace_id FROM namespace {_AT}"
_LIST = "SELECT key, name, version, blob FROM namespace WHERE everywhere = ? AND kind = ? AND key > ? LIMIT ?"
_ADD_VALUE = "INSERT INTO cluster (key, value) VALUES (?, ?) IF NOT EXISTS"
_SET_VALUE = "UPDATE cluster SET value = ? WHERE key = ? IF value != ?"
STATEMENTS = (_SET, _TAKE_NAME, _FREE_NAME, _READ, _READ_NAME, _LIST, _ADD_VALUE, _SET_VALUE)


class Namespaces:
    """The namespace part of the store."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create(self, record: NamespaceRecord) -> bool:
        return await self._client.write_if([_set(record, None), _take_name(record, None)]) is None

    async def update(self, record: NamespaceRecord) -> bool:
        stored = await self.read(record.namespace_id, "")
        if stored is None or stored.version != record.version - 1:
            return False
        statements = [_set(record, stored.version)]
        if record.name != stored.name:
            statements += [_take_name(record, None), (_FREE_NAME, (EVERYWHERE, BY_NAME, stored.name))]
        return await self._client.write_if(statements) is None

    async def read(self, namespace_id: str, name: str) -> NamespaceRecord | None:
        if not namespace_id:
            named = await self._client.read(_READ_NAME, EVERYWHERE, BY_NAME, name)
            if not named.rows:
                return None
            namespace_id = named.rows[0][0]
        answer = await self._client.read(_READ, EVERYWHERE, BY_ID, namespace_id)
        records = [_record(*row) for row in answer.rows]
        # It may have been renamed between the two reads.
        return records[0] if records and (not name or records[0].name == name) else None

    async def list(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
        answer = await self._client.read(_LIST, EVERYWHERE, BY_ID, after_namespace_id, limit)
        return [_record(*row) for row in answer.rows]

    async def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        refused = await self._client.write_if([(_ADD_VALUE, (key, value_if_absent))])
        if refused is None:
            return value_if_absent
        return bytes(refused.rows[0][refused.names.index("value")])

    async def set_cluster_value(self, key: str, value: bytes) -> None:
        await self._client.write_if([(_SET_VALUE, (value, key, value))])  # refused: it is the value already


def _set(record: NamespaceRecord, expected_version: int | None) -> Bound:
    values = (record.name, record.version, record.blob, EVERYWHERE, BY_ID, record.namespace_id, expected_version)
    return _SET, values


def _take_name(record: NamespaceRecord, expected: str | None) -> Bound:
    return _TAKE_NAME, (record.namespace_id, EVERYWHERE, BY_NAME, record.name, expected)


def _record(namespace_id: str, name: str, version: int, blob: bytes) -> NamespaceRecord:
    return NamespaceRecord(namespace_id=namespace_id, name=name, version=version, blob=blob)
