"""Lists and counts on Cassandra: for clusters without a store that can search.

Runs lie in the order of lists, in a partition for each period: of their start while they are open, then of their close.
Which periods there are is a list of its own. Periods of open runs are short: each run that closes leaves a tombstone,
and Cassandra refuses to read a partition past 100,000 of them. Filters are judged here, row by row, after WorkflowId,
RunId or the status have narrowed down where to look.

All writes are plain. Their timestamp is the version of the record, so that an older one never replaces a newer one.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from typing import NamedTuple, TypeAlias

from temporalio.api.enums.v1 import WorkflowExecutionStatus

from services.persistence.cassandra.client import Bound, Client
from services.persistence.interface import (
    InvalidQuery,
    SearchAttributeTypes,
    VisibilityRecord,
)
from services.persistence.visibility_match import equals, matches
from services.persistence.visibility_query import Condition, parse
from services.persistence.visibility_values import STATUS_NAMES
from services.runtime import Clock

OPEN_PERIOD_NS, CLOSED_PERIOD_NS = 300 * 10**9, 3_600 * 10**9
LATEST = 2**63 - 1  # what times are subtracted from, so that the latest comes first
NUMBER_BYTES = 8
EVER = 2**62  # a timestamp that no version reaches

# Reads begin small, for the first page of a list, and double up to these, for counts.
ROWS_PER_READ_MIN, ROWS_PER_READ_MAX = 64, 512
PERIODS_AT_ONCE_MAX = 8

# A period that was found empty is taken off the list of periods if nobody put it there lately; who writes puts it there
# again when the last time is longer ago than this. Between the two is time for clocks that differ and slow writes.
PERIOD_WRITTEN_S = 600.0
PERIOD_KEPT_NS = 3_600 * 10**9
PERIODS_REMEMBERED_MAX = 10_000

UPSERTS_AT_ONCE_MAX = 64

OPEN_STATUSES = (
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
)

VERSIONS_KEPT_MAX = 8  # of a run: where its record was; beyond them they are deleted

_PERIOD = "namespace_id = ? AND is_open = ? AND period = ?"
_SET = (
    "INSERT INTO visibility (namespace_id, is_open, period, place, record, info) VALUES (?, ?, ?, ?, ?, ?)"
    " USING TIMESTAMP ?"
)
_DROP = f"DELETE FROM visibility USING TIMESTAMP ? WHERE {_PERIOD} AND place = ?"
_READ = f"SELECT place, record, info FROM visibility WHERE {_PERIOD} AND place > ? LIMIT ?"
_READ_ONE = f"SELECT place, record, info FROM visibility WHERE {_PERIOD} AND place = ?"
_SET_PERIOD = "INSERT INTO visibility_period (namespace_id, is_open, period) VALUES (?, ?, ?)"
_DROP_PERIOD = f"DELETE FROM visibility_period USING TIMESTAMP ? WHERE {_PERIOD}"
_READ_PERIODS = "SELECT is_open, period FROM visibility_period WHERE namespace_id = ?"
_RUN = "namespace_id = ? AND run_id = ?"
_SET_VERSION = (
    "INSERT INTO visibility_run (namespace_id, run_id, version, workflow_id, is_open, period, place)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_DROP_OLDER = f"DELETE FROM visibility_run USING TIMESTAMP ? WHERE {_RUN} AND version < ?"
_DROP_RUN = f"DELETE FROM visibility_run USING TIMESTAMP ? WHERE {_RUN}"
_READ_VERSIONS = (
    f"SELECT version, workflow_id, is_open, period, place FROM visibility_run WHERE {_RUN} ORDER BY version DESC"
)
_SET_WORKFLOW = "INSERT INTO visibility_workflow (namespace_id, workflow_id, run_id) VALUES (?, ?, ?) USING TIMESTAMP ?"
_DROP_WORKFLOW = (
    "DELETE FROM visibility_workflow USING TIMESTAMP ? WHERE namespace_id = ? AND workflow_id = ? AND run_id = ?"
)
_READ_WORKFLOW = "SELECT run_id FROM visibility_workflow WHERE namespace_id = ? AND workflow_id = ?"
STATEMENTS = (
    _SET,
    _DROP,
    _READ,
    _READ_ONE,
    _SET_PERIOD,
    _DROP_PERIOD,
    _READ_PERIODS,
    _SET_VERSION,
    _DROP_OLDER,
    _DROP_RUN,
    _READ_VERSIONS,
    _SET_WORKFLOW,
    _DROP_WORKFLOW,
    _READ_WORKFLOW,
)

_KEPT_APART = ("namespace_id", "blob")
_FIELDS = tuple(field.name for field in fields(VisibilityRecord) if field.name not in _KEPT_APART)


Row: TypeAlias = tuple[bytes, str, bytes]
"""Place, record, info."""


class Place(NamedTuple):
    """Where a record is. Within a period, and from one period of the list to the next, places ascend in list order."""

    is_open: bool
    period: int
    place: bytes


def place_of(record: VisibilityRecord) -> Place:
    is_open = not record.close_time_ns
    rank_ns = record.start_time_ns if is_open else record.close_time_ns
    place = _latest_first(rank_ns) + _latest_first(record.start_time_ns) + record.run_id.encode()
    return Place(is_open, rank_ns // (OPEN_PERIOD_NS if is_open else CLOSED_PERIOD_NS), place)


def _latest_first(time_ns: int) -> bytes:
    return (LATEST - time_ns).to_bytes(NUMBER_BYTES, "big")


class Visibility:
    """The visibility part of the store."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._periods_written_s: dict[tuple[str, bool, int], float] = {}

    async def upsert_all(self, records: Sequence[VisibilityRecord]) -> None:
        """The newest record of each run, some at a time."""
        newest = {(each.namespace_id, each.run_id): each for each in sorted(records, key=lambda each: each.version)}
        waiting = iter(newest.values())
        while some := list(itertools.islice(waiting, UPSERTS_AT_ONCE_MAX)):
            await asyncio.gather(*[self.upsert(record) for record in some])

    async def upsert(self, record: VisibilityRecord) -> None:
        """Says first where the version will be, then puts it there, then removes what a newer one has replaced.

        Of several at once, each of which says so first, the last to look sees all and removes all but the newest.
        """
        namespace_id, run_id, version = record.namespace_id, record.run_id, record.version
        place = place_of(record)
        first: list[Bound] = [
            (_SET_VERSION, (namespace_id, run_id, version, record.workflow_id, *place, version)),
            (_SET, (namespace_id, *place, _encoded(record), record.blob, version)),
        ]
        period, now_s = (namespace_id, *place[:2]), self._clock.monotonic()
        if now_s - self._periods_written_s.get(period, -PERIOD_WRITTEN_S) >= PERIOD_WRITTEN_S:
            first.append((_SET_PERIOD, period))
        await self._client.write_all(first)
        if len(first) > 2:
            self._remember_period(period, now_s)
        versions = await self._versions(namespace_id, run_id)
        newest = versions[0][0] if versions else EVER  # none: the run was deleted meanwhile
        kept = versions[0][2] if versions else None
        stale = {where for _, _, where in versions} | {place}
        after: list[Bound] = [(_DROP, (newest, namespace_id, *where)) for where in stale if where != kept]
        if len(versions) == 1:
            after.append((_SET_WORKFLOW, (namespace_id, record.workflow_id, run_id, version)))
        elif len(versions) > VERSIONS_KEPT_MAX:
            after.append((_DROP_OLDER, (newest, namespace_id, run_id, newest)))
        await self._client.write_all(after)

    async def delete(self, namespace_id: str, run_id: str) -> None:
        versions = await self._versions(namespace_id, run_id)
        drops: list[Bound] = [(_DROP, (EVER, namespace_id, *where)) for _, _, where in versions]
        drops += [(_DROP_WORKFLOW, (EVER, namespace_id, workflow_id, run_id)) for _, workflow_id, _ in versions]
        await self._client.write_all(drops)
        await self._client.write(_DROP_RUN, EVER, namespace_id, run_id)

    async def list_page(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        condition = parse(query, types).condition
        start = _start_of(after) if after else None
        page: list[tuple[Place, VisibilityRecord]] = []
        async for place, record in self._found(namespace_id, condition, start):
            if len(page) == page_size:  # one more than asked for tells whether there is a next page
                return [record for _, record in page], _token(page[-1][0])
            page.append((place, record))
        return [record for _, record in page], b""

    async def count(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        parsed = parse(query, types)
        counts: Counter[int] = Counter()
        async for _, record in self._found(namespace_id, parsed.condition, None):
            counts[record.status] += 1
        if not parsed.group_by:
            return [((), counts.total())]
        return [((STATUS_NAMES[status],), number) for status, number in counts.items()]

    async def _found(
        self, namespace_id: str, condition: Condition | None, after: Place | None
    ) -> AsyncIterator[tuple[Place, VisibilityRecord]]:
        """What the filter finds, in list order, after a place."""
        workflow_id, run_id = equals(condition, "WorkflowId"), equals(condition, "RunId")
        if isinstance(run_id, str):
            candidates = self._of_runs(namespace_id, [run_id])
        elif isinstance(workflow_id, str):
            answer = await self._client.read(_READ_WORKFLOW, namespace_id, workflow_id)
            candidates = self._of_runs(namespace_id, [run_id for (run_id,) in answer.rows])
        else:
            candidates = self._of_periods(namespace_id, equals(condition, "ExecutionStatus"), after)
        async for place, record in candidates:
            if (after is None or _order(place) > _order(after)) and matches(condition, record):
                yield place, record

    async def _of_runs(
        self, namespace_id: str, run_ids: Sequence[str]
    ) -> AsyncIterator[tuple[Place, VisibilityRecord]]:
        versions = await asyncio.gather(*[self._versions(namespace_id, run_id) for run_id in run_ids])
        places = sorted((each[0][2] for each in versions if each), key=_order)
        answers = await asyncio.gather(*[self._client.read(_READ_ONE, namespace_id, *place) for place in places])
        for place, answer in zip(places, answers, strict=True):
            for _, text, info in answer.rows:
                yield place, _decoded(namespace_id, text, info)

    async def _of_periods(
        self, namespace_id: str, status: object, after: Place | None
    ) -> AsyncIterator[tuple[Place, VisibilityRecord]]:
        """With both open and closed runs asked for, one that closes meanwhile counts as open."""
        found_open: set[str] = set()
        answer = await self._client.read(_READ_PERIODS, namespace_id)
        periods = [tuple(row) for row in answer.rows if status is None or row[0] is (status in OPEN_STATUSES)]
        if after is not None:
            periods = [period for period in periods if period <= after[:2]]  # they descend
        periods_at_once, limit = 1, ROWS_PER_READ_MIN
        while periods:
            some, periods = periods[:periods_at_once], periods[periods_at_once:]
            starts = [after.place if after is not None and period == after[:2] else b"" for period in some]
            reads = [
                self._read_period(namespace_id, period, at, limit) for period, at in zip(some, starts, strict=True)
            ]
            for period, rows in zip(some, await asyncio.gather(*reads), strict=True):
                async for place, record in self._rest_of_period(namespace_id, period, rows, limit):
                    if place.is_open and status is None:
                        found_open.add(record.run_id)
                    elif record.run_id in found_open:
                        continue
                    yield place, record
            periods_at_once, limit = min(periods_at_once * 2, PERIODS_AT_ONCE_MAX), min(limit * 2, ROWS_PER_READ_MAX)

    async def _rest_of_period(
        self, namespace_id: str, period: tuple[bool, int], rows: Sequence[Row], limit: int
    ) -> AsyncIterator[tuple[Place, VisibilityRecord]]:
        """What a period holds, from the rows on that were read already."""
        while rows:
            for place, text, info in rows:
                yield Place(*period, place), _decoded(namespace_id, text, info)
            if len(rows) < limit:
                return
            limit = ROWS_PER_READ_MAX
            rows = await self._read_period(namespace_id, period, rows[-1][0], limit)

    async def _read_period(
        self, namespace_id: str, period: tuple[bool, int], start: bytes, limit: int
    ) -> Sequence[Row]:
        """Rows after a place. A period that has none at all is taken off the list of periods."""
        asked_ns = self._clock.now_ns()
        rows = (await self._client.read(_READ, namespace_id, *period, start, limit)).rows
        if not rows and not start:
            await self._client.write(_DROP_PERIOD, (asked_ns - PERIOD_KEPT_NS) // 1_000, namespace_id, *period)
        return rows

    async def _versions(self, namespace_id: str, run_id: str) -> list[tuple[int, str, Place]]:
        """The newest first."""
        answer = await self._client.read(_READ_VERSIONS, namespace_id, run_id)
        return [(version, workflow_id, Place(*place)) for version, workflow_id, *place in answer.rows]

    def _remember_period(self, period: tuple[str, bool, int], now_s: float) -> None:
        if len(self._periods_written_s) >= PERIODS_REMEMBERED_MAX:
            self._periods_written_s.clear()
        self._periods_written_s[period] = now_s


def _order(place: Place) -> tuple[bool, bytes]:
    return not place.is_open, place.place


def _encoded(record: VisibilityRecord) -> str:
    return json.dumps([getattr(record, name) for name in _FIELDS], separators=(",", ":"))


def _decoded(namespace_id: str, text: str, info: bytes) -> VisibilityRecord:
    values = dict(zip(_FIELDS, json.loads(text), strict=True))
    return VisibilityRecord(namespace_id=namespace_id, blob=info, **values)


def _token(place: Place) -> bytes:
    return json.dumps([place.is_open, place.period, place.place.hex()]).encode()


def _start_of(token: bytes) -> Place:
    try:
        is_open, period, place = json.loads(token)
        return Place(bool(is_open), int(period), bytes.fromhex(place))
    except (ValueError, TypeError) as error:
        raise InvalidQuery("invalid page token") from error
