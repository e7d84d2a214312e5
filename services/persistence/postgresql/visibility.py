"""Lists and counts, and how filters are said in PostgreSQL."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

from collections.abc import Sequence
from decimal import Decimal

from services.persistence.interface import SearchAttributeTypes, VisibilityRecord
from services.persistence.postgresql.database import Database
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

_TYPES = {"version": "bigint", "status": "int", "blob": "bytea", "search_attributes": "jsonb", "words": "jsonb"}
_NUMBERS = ("start_time_ns", "execution_time_ns", "close_time_ns", "history_length", "history_bytes")
_TYPES |= dict.fromkeys((*_NUMBERS, "state_transitions", "list_rank"), "bigint")
_ARRAYS = ", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(WRITTEN, 1))
_UPSERT = (
    f"INSERT INTO visibility AS stored ({', '.join(WRITTEN)}) SELECT * FROM unnest({_ARRAYS})"
    f" ON CONFLICT (namespace_id, run_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in WRITTEN)}"
    " WHERE excluded.version > stored.version"
)
_INTEGERS = range(-(2**63), 2**63)


class Filter(Translator):
    """Values are bound as $1, $2 and so on, each with its type: a column's own type would refuse some literals."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def bind(self, value: Value) -> str:
        match value:
            case bool():
                return self._parameter(value, "boolean")
            case int() if value in _INTEGERS:
                return self._parameter(value, "bigint")
            case int() | float():
                return self._parameter(Decimal(repr(value)), "numeric")
        return self._parameter(storable(value), "text")

    def custom(self, of: Attribute) -> str:
        attribute = self._attribute(of)
        match of.type:
            case AttributeType.BOOL:
                return self._of_type(attribute, "boolean", "boolean")
            case AttributeType.INT | AttributeType.DOUBLE | AttributeType.DATETIME:
                return self._of_type(attribute, "number", "numeric")
        return f"({attribute} #>> '{{}}') COLLATE \"C\""

    def is_absent(self, of: Attribute) -> str:
        return f"coalesce({self._attribute(of)}, 'null') = 'null'"

    def contains(self, of: Attribute, values: Sequence[Value]) -> str:
        wanted = self._parameter([storable(str(value)) for value in values], "text[]")
        return f"coalesce({self._attribute(of)} ?| {wanted}, false)"

    def has_words(self, of: Attribute, wanted: str) -> str:
        looked_for = wanted_words(wanted)
        if not looked_for:
            return "false"
        held = f"words ->> {self._parameter(of.name, 'text')}"
        return f"coalesce({' OR '.join(f'position({self.bind(word)} IN {held}) > 0' for word in looked_for)}, false)"

    def after(self, token: bytes) -> str:
        """The condition of being after a page's end, in the list's order."""
        if not token:
            return "1 = 1"
        place = place_of(token)
        rank, start_time_ns, run_id = (self.bind(part) for part in place)
        return (
            f"list_rank <= {rank} AND (list_rank < {rank} OR start_time_ns < {start_time_ns}"
            f" OR (start_time_ns = {start_time_ns} AND run_id > {run_id}))"
        )

    def _parameter(self, value: object, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def _attribute(self, of: Attribute) -> str:
        return f"(search_attributes -> {self._parameter(of.name, 'text')})"

    def _of_type(self, attribute: str, held: str, kind: str) -> str:
        """A value that is of another type, as one from before the attribute was given its type, is absent."""
        return f"CASE WHEN jsonb_typeof({attribute}) = '{held}' THEN ({attribute} #>> '{{}}')::{kind} END"


class Visibility(Database):
    """Implements `VisibilityStore`."""

    async def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None:
        if records:
            rows = [values_of(record) for record in newest(records)]
            await self._write(_UPSERT, *zip(*rows, strict=True))

    async def delete_visibility(self, namespace_id: str, run_id: str) -> None:
        await self._write("DELETE FROM visibility WHERE namespace_id = $1 AND run_id = $2", namespace_id, run_id)

    async def list_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        filter_, where = _where(namespace_id, parse(query, types))
        place = filter_.after(after)
        limit = filter_.bind(page_size + 1)
        statement = (
            f"SELECT {', '.join(SELECTED)} FROM visibility WHERE {where} AND {place} ORDER BY {ORDER} LIMIT {limit}"
        )
        return page_of(await self._read(statement, *filter_.values), page_size)

    async def count_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        parsed = parse(query, types)
        filter_, where = _where(namespace_id, parsed)
        if not parsed.group_by:
            rows = await self._read(f"SELECT count(*) FROM visibility WHERE {where}", *filter_.values)
            return [((), rows[0][0])]
        rows = await self._read(
            f"SELECT status, count(*) FROM visibility WHERE {where} GROUP BY status", *filter_.values
        )
        return [((STATUS_NAMES[status],), number) for status, number in rows]


def _where(namespace_id: str, query: Query) -> tuple[Filter, str]:
    filter_ = Filter(namespace_id)
    return filter_, f"namespace_id = $1 AND ({filter_.translate(query.condition)})"
