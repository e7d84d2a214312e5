"""What lists are made of in every SQL: columns, the order, tokens of pages, attributes as JSON that stores take."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from services.persistence.interface import InvalidQuery, VisibilityRecord
from services.persistence.visibility_values import words

# Ranks open runs behind, that is in a descending list before, everything that has a close time.
RANK_OF_OPEN = 2**63 - 1

RECORDED = (
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
)
SELECTED = (*RECORDED, "search_attributes", "list_rank")
WRITTEN = (*RECORDED, "search_attributes", "words", "list_rank")
ORDER = "list_rank DESC, start_time_ns DESC, run_id"


class Row(Protocol):
    """A row of SELECTED, as a driver has it."""

    def __iter__(self) -> Iterator[Any]: ...

    def __getitem__(self, at: int, /) -> Any: ...


def newest(records: Sequence[VisibilityRecord]) -> Sequence[VisibilityRecord]:
    """The newest of each run, in one order for all writers: two that write the same runs at once wait in turn."""
    by_run: dict[tuple[str, str], VisibilityRecord] = {}
    for record in records:
        key = (record.namespace_id, record.run_id)
        if key not in by_run or by_run[key].version < record.version:
            by_run[key] = record
    return [by_run[key] for key in sorted(by_run)]


def values_of(record: VisibilityRecord) -> tuple[Any, ...]:
    """The values of WRITTEN."""
    attributes = {name: _storable(value) for name, value in record.search_attributes.items()}
    texts = {name: f" {words(value)} " for name, value in attributes.items() if isinstance(value, str)}
    rank = record.close_time_ns or RANK_OF_OPEN
    recorded = [getattr(record, name) for name in RECORDED]
    return (*recorded, _json(attributes), _json(texts), rank)


def page_of(rows: Sequence[Row], page_size: int) -> tuple[Sequence[VisibilityRecord], bytes]:
    """Records of rows of SELECTED, and the token of the next page. One row more than asked for tells that there is one.

    The token is the last row's place in the order, so pages never shift.
    """
    records = [
        VisibilityRecord(**dict(zip(RECORDED, row, strict=False)), search_attributes=json.loads(row[-2]))
        for row in rows[:page_size]
    ]
    if len(rows) <= page_size:
        return records, b""
    last = records[-1]
    return records, json.dumps([rows[page_size - 1][-1], last.start_time_ns, last.run_id]).encode()


def place_of(token: bytes) -> tuple[int, int, str]:
    """The rank, start time and run id after which a page begins. Raises InvalidQuery."""
    try:
        rank, start_time_ns, run_id = json.loads(token)
        return int(rank), int(start_time_ns), str(run_id)
    except (ValueError, TypeError) as error:
        raise InvalidQuery("invalid page token") from error


def wanted_words(text: str) -> Sequence[str]:
    """What to look for in `words`: one of them is enough. Parts like `lazy-dog` are words in a row."""
    return [f" {found} " for part in text.split() if (found := words(part))]


def storable(text: str) -> str:
    """The text without what databases refuse: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _storable(value: object) -> object:
    match value:
        case str():
            return storable(value)
        case list():
            return [_storable(each) for each in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
    return value


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
