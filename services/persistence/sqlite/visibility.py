"""Lists and counts in SQL. Functions ending in `_txn` run in an open transaction."""

# ruff: noqa: S608 - what is put into SQL texts here are constants of this room; values are always bound

import json
import sqlite3
from collections.abc import Sequence

from services.persistence.interface import InvalidQuery, SearchAttributeTypes, VisibilityRecord
from services.persistence.sqlite.visibility_sql import HAS_WORD, Filter, translate
from services.persistence.visibility_query import parse
from services.persistence.visibility_values import STATUS_NAMES, has_word

# Ranks open runs behind, that is in a descending list before, everything that has a close time.
RANK_OF_OPEN = 2**63 - 1

COLUMNS = (
    "namespace_id",
    "workflow_id",
    "run_id",
    "version",
    "workflow_type",
    "task_queue",
    "status",
    "start_time_ns",
    "execution_time_ns",
    "close_time_ns",
    "parent_workflow_id",
    "parent_run_id",
    "root_workflow_id",
    "root_run_id",
    "history_length",
    "history_bytes",
    "state_transitions",
    "blob",
    "search_attributes",
)
_SELECTED = ", ".join(COLUMNS)
_WRITTEN = (*COLUMNS, "list_rank")
_UPSERT = (
    f"INSERT INTO visibility ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))})"
    f" ON CONFLICT (namespace_id, run_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _WRITTEN)}"
    " WHERE excluded.version > version"
)


def upsert_txn(connection: sqlite3.Connection, record: VisibilityRecord) -> None:
    values = [getattr(record, name) for name in COLUMNS[:-1]]
    attributes = json.dumps(record.search_attributes, separators=(",", ":"))
    connection.execute(_UPSERT, (*values, attributes, record.close_time_ns or RANK_OF_OPEN))


def delete_txn(connection: sqlite3.Connection, namespace_id: str, run_id: str) -> None:
    connection.execute("DELETE FROM visibility WHERE namespace_id = ? AND run_id = ?", (namespace_id, run_id))


def prepare(connection: sqlite3.Connection) -> None:
    """Teaches the connection what lists and counts need."""
    connection.create_function(HAS_WORD, 2, lambda text, wanted: text is not None and has_word(text, wanted))


def list_page(
    connection: sqlite3.Connection,
    namespace_id: str,
    query: str,
    types: SearchAttributeTypes,
    page_size: int,
    after: bytes,
) -> tuple[Sequence[VisibilityRecord], bytes]:
    """One page and the token of the next. The token is the last row's place in the order, so pages never shift."""
    parsed = parse(query, types)
    where = translate(parsed.condition)
    place = Filter("", ())
    if after:
        rank, start_time_ns, run_id = _place(after)
        place = Filter(
            " AND list_rank <= ? AND (list_rank < ? OR start_time_ns < ? OR (start_time_ns = ? AND run_id > ?))",
            (rank, rank, start_time_ns, start_time_ns, run_id),
        )
    # One more than asked for tells whether there is a next page.
    rows = connection.execute(
        f"SELECT {_SELECTED}, list_rank FROM visibility WHERE namespace_id = ? AND ({where.sql}){place.sql}"
        " ORDER BY list_rank DESC, start_time_ns DESC, run_id LIMIT ?",
        (namespace_id, *where.values, *place.values, page_size + 1),
    ).fetchall()
    page = rows[:page_size]
    records = [
        VisibilityRecord(
            **dict(zip(COLUMNS[:-1], row[: len(COLUMNS) - 1], strict=True)),
            search_attributes=json.loads(row[len(COLUMNS) - 1]),
        )
        for row in page
    ]
    if len(rows) <= page_size:
        return records, b""
    last = records[-1]
    return records, json.dumps([page[-1][-1], last.start_time_ns, last.run_id]).encode()


def _place(token: bytes) -> tuple[int, int, str]:
    try:
        rank, start_time_ns, run_id = json.loads(token)
        return int(rank), int(start_time_ns), str(run_id)
    except (ValueError, TypeError) as error:
        raise InvalidQuery("invalid page token") from error


def count(
    connection: sqlite3.Connection, namespace_id: str, query: str, types: SearchAttributeTypes
) -> Sequence[tuple[Sequence[object], int]]:
    parsed = parse(query, types)
    where = translate(parsed.condition)
    values = (namespace_id, *where.values)
    if not parsed.group_by:
        row = connection.execute(
            f"SELECT count(*) FROM visibility WHERE namespace_id = ? AND ({where.sql})", values
        ).fetchone()
        return [((), row[0])]
    rows = connection.execute(
        f"SELECT status, count(*) FROM visibility WHERE namespace_id = ? AND ({where.sql}) GROUP BY status", values
    )
    return [((STATUS_NAMES[status],), number) for status, number in rows]
