"""Lists and counts, and how filters are said in MySQL."""

import json
from collections.abc import Sequence
from typing import Any

from services.persistence.interface import SearchAttributeTypes, VisibilityRecord
from services.persistence.mysql.database import Database
from services.persistence.mysql.text import filled, insert, row
from services.persistence.sql.filters import Translator
from services.persistence.sql.lists import (
    ORDER,
    SELECTED,
    WRITTEN,
    newest,
    page_of,
    place_of,
    storable,
    values_of,
    wanted_words,
)
from services.persistence.visibility_query import Query, parse
from services.persistence.visibility_values import STATUS_NAMES, Attribute, AttributeType, Value

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are literals that `text` makes

_SELECTED = ", ".join(f"`{name}`" for name in SELECTED)
# An older version replaces nothing. The version itself comes last: what comes after it would see the new one.
_REPLACED = [f"`{name}` = IF(VALUES(version) > version, VALUES(`{name}`), `{name}`)" for name in WRITTEN]
_REPLACED.append(_REPLACED.pop(WRITTEN.index("version")))
_TABLE = f"visibility ({', '.join(f'`{name}`' for name in WRITTEN)})".encode()
_ON_DUPLICATE = f" ON DUPLICATE KEY UPDATE {', '.join(_REPLACED)}".encode()
_BLOB = SELECTED.index("blob")
_NUMBERS = "('INTEGER', 'UNSIGNED INTEGER', 'DECIMAL', 'DOUBLE')"


class Filter(Translator):
    """A value is put into the text as a `?`, and filled in in the end: it cannot be taken for SQL."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def bind(self, value: Value) -> str:
        self.values.append(storable(value) if isinstance(value, str) else value)
        return "?"

    def custom(self, of: Attribute) -> str:
        match of.type:
            case AttributeType.BOOL:
                return f"({self._text(of)} = {self.bind('true')})"
            case AttributeType.INT | AttributeType.DATETIME:
                return self._number(of, "CAST({} AS DECIMAL(38, 9))")
            case AttributeType.DOUBLE:
                return self._number(of, "({} + 0e0)")
        return self._text(of)

    def is_absent(self, of: Attribute) -> str:
        return f"{self._attribute(of)} IS NULL"

    def contains(self, of: Attribute, values: Sequence[Value]) -> str:
        found = []
        for value in values:
            wanted = self.bind(json.dumps(storable(str(value))))
            found.append(f"JSON_CONTAINS(search_attributes, {wanted}, {self._path(of)})")
        return f"coalesce({' OR '.join(found)}, FALSE)"

    def has_words(self, of: Attribute, wanted: str) -> str:
        found = []
        for word in wanted_words(wanted):
            held = f"CAST(JSON_UNQUOTE(JSON_EXTRACT(words, {self._path(of)})) AS BINARY)"
            found.append(f"INSTR({held}, {self.bind(word)}) > 0")
        return f"coalesce({' OR '.join(found) or 'FALSE'}, FALSE)"

    def after(self, token: bytes) -> str:
        """The condition of being after a page's end, in the list's order."""
        if not token:
            return "TRUE"
        rank, start_time_ns, run_id = place_of(token)
        self.values += [rank, rank, start_time_ns, start_time_ns, storable(run_id)]
        return "list_rank <= ? AND (list_rank < ? OR start_time_ns < ? OR (start_time_ns = ? AND run_id > ?))"

    def _path(self, of: Attribute) -> str:
        name = of.name.replace("\\", "").replace('"', "")
        return self.bind(f'$."{name}"')

    def _attribute(self, of: Attribute) -> str:
        return f"JSON_EXTRACT(search_attributes, {self._path(of)})"

    def _text(self, of: Attribute) -> str:
        """As bytes, so that it is compared by code point and with the spaces at its end."""
        return f"CAST(JSON_UNQUOTE({self._attribute(of)}) AS BINARY)"

    def _number(self, of: Attribute, of_text: str) -> str:
        """A value that is of another type, as one from before the attribute was given its type, is absent."""
        kind = f"JSON_TYPE({self._attribute(of)})"
        return f"CASE WHEN {kind} IN {_NUMBERS} THEN {of_text.format(f'JSON_UNQUOTE({self._attribute(of)})')} END"


class Visibility(Database):
    """Implements `VisibilityStore`."""

    async def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None:
        if records:
            rows = [row(*values_of(record)) for record in newest(records)]
            await self._write(insert(_TABLE, rows) + _ON_DUPLICATE)

    async def delete_visibility(self, namespace_id: str, run_id: str) -> None:
        statement = "DELETE FROM visibility WHERE namespace_id = ? AND run_id = ?"
        await self._write(filled(statement, namespace_id, run_id))

    async def list_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        filter_, where = _where(namespace_id, parse(query, types))
        where += f" AND {filter_.after(after)}"
        statement = f"SELECT {_SELECTED} FROM visibility WHERE {where} ORDER BY {ORDER} LIMIT ?"
        rows = await self._query(filled(statement, *filter_.values, page_size + 1))
        return page_of([_decoded(each) for each in rows], page_size)

    async def count_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        parsed = parse(query, types)
        filter_, where = _where(namespace_id, parsed)
        if not parsed.group_by:
            rows = await self._query(filled(f"SELECT count(*) FROM visibility WHERE {where}", *filter_.values))
            return [((), rows[0][0])]
        statement = f"SELECT status, count(*) FROM visibility WHERE {where} GROUP BY status"
        rows = await self._query(filled(statement, *filter_.values))
        return [((STATUS_NAMES[status],), number) for status, number in rows]


def _where(namespace_id: str, query: Query) -> tuple[Filter, str]:
    filter_ = Filter(namespace_id)
    return filter_, f"namespace_id = ? AND ({filter_.translate(query.condition)})"


def _decoded(row: Sequence[Any]) -> Sequence[Any]:
    """Ids are bytes in the database."""
    return [each.decode() if isinstance(each, bytes) and at != _BLOB else each for at, each in enumerate(row)]
