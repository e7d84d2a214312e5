"""Events: batches that are early and small are rows of the shard, the others lie in the table `history`.

Each batch has a row in the shard, written by the commit itself; it holds the events or says where they are. What lies
elsewhere is written before the commit, plainly, under the id of that attempt alone: what an attempt leaves that failed,
or one of an owner that was fenced off long ago, is named by no row and never seen.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID, uuid4

from services.persistence.cassandra import keys
from services.persistence.cassandra.client import Client
from services.persistence.cassandra.commits import Places
from services.persistence.interface import Commit, HistoryBatch, StoreError, UnknownOutcome

# A batch in the shard's own partition costs no round trip of its own, but is written three times (docs/cassandra.md).
INLINE_BYTES_MAX = 8192
INLINE_EVENTS_MAX = 128  # of a run: later ones would make the shard's partition grow with long histories

BUCKET_EVENTS = 4096  # in one partition of `history`
PART_BYTES_MAX = 1 << 20

_WRITE = "INSERT INTO history (run_id, bucket, first_event_id, attempt, part, blob) VALUES (?, ?, ?, ?, ?, ?)"
_READ = (
    "SELECT first_event_id, attempt, blob FROM history"
    " WHERE run_id = ? AND bucket = ? AND first_event_id >= ? AND first_event_id <= ?"
)
_DROP = "DELETE FROM history WHERE run_id = ? AND bucket = ?"
_DROP_ATTEMPT = "DELETE FROM history WHERE run_id = ? AND bucket = ? AND first_event_id = ? AND attempt = ?"
_ROWS = f"SELECT key, next_event_id, attempt, blob FROM shard WHERE shard_id = ? AND kind = {keys.HISTORY}"
_FORWARD = f"{_ROWS} AND key >= ? AND key < ? LIMIT ?"
_BACKWARD = f"{_ROWS} AND key > ? AND key < ? ORDER BY kind DESC, key DESC LIMIT ?"
_REMAINS = (
    "SELECT key, next_event_id, attempt FROM shard"
    f" WHERE shard_id = ? AND kind = {keys.HISTORY} AND key >= ? AND key < ?"
)
STATEMENTS = (_WRITE, _READ, _DROP, _DROP_ATTEMPT, _FORWARD, _BACKWARD, _REMAINS)


def check(commit: Commit) -> None:
    """Raises StoreError for batches that do not follow one another."""
    for run in commit.runs:
        for batch, following in zip(run.batches, run.batches[1:], strict=False):
            if following.first_event_id != batch.next_event_id:
                raise StoreError(
                    f"run {run.run_id}: a batch of events up to {batch.next_event_id - 1}"
                    f" is followed by one from {following.first_event_id}"
                )


async def write_elsewhere(client: Client, commit: Commit) -> Places:
    """Writes what does not go into the shard. Raises StoreError: nothing that anybody sees was changed."""
    places: dict[tuple[str, int], UUID] = {}
    writes = []
    for run in commit.runs:
        for batch in run.batches:
            if len(batch.blob) <= INLINE_BYTES_MAX and batch.first_event_id <= INLINE_EVENTS_MAX:
                continue
            attempt = places[run.run_id, batch.first_event_id] = uuid4()
            place = (run.run_id, _bucket(batch.first_event_id), batch.first_event_id, attempt)
            for part, at in enumerate(range(0, max(len(batch.blob), 1), PART_BYTES_MAX)):
                writes.append(client.write(_WRITE, *place, part, batch.blob[at : at + PART_BYTES_MAX]))
    if writes:
        try:
            await asyncio.gather(*writes)
        except UnknownOutcome as error:
            raise StoreError(str(error)) from error
    return places


async def forget(client: Client, places: Places) -> None:
    """Deletes what was written for a commit that was refused. What remains is never seen."""
    drops = [
        client.write(_DROP_ATTEMPT, run_id, _bucket(first_event_id), first_event_id, attempt)
        for (run_id, first_event_id), attempt in places.items()
    ]
    await asyncio.gather(*drops, return_exceptions=True)


async def read_forward(
    client: Client, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
) -> Sequence[HistoryBatch]:
    start, end = keys.history_key(run_id, from_event_id), keys.history_key(run_id, to_event_id)
    rows = list((await client.read(_FORWARD, shard_id, start, end, batches_max)).rows)
    if not rows or rows[0][0] != start:
        # The first of them may have begun earlier: it is the last that did.
        before = await client.read(_BACKWARD, shard_id, keys.run_key(run_id), start, 1)
        rows = [row for row in before.rows if row[1] > from_event_id] + rows
    return await _with_blobs(client, run_id, rows[:batches_max])


async def read_backward(
    client: Client, shard_id: int, run_id: str, to_event_id: int, batches_max: int
) -> Sequence[HistoryBatch]:
    end = keys.history_key(run_id, to_event_id)
    answer = await client.read(_BACKWARD, shard_id, keys.run_key(run_id), end, batches_max)
    return await _with_blobs(client, run_id, answer.rows)


async def _with_blobs(
    client: Client, run_id: str, rows: Sequence[tuple[bytes, int, UUID | None, bytes]]
) -> Sequence[HistoryBatch]:
    wanted = {keys.first_event_id_of(key): attempt for key, _, attempt, _ in rows if attempt is not None}
    elsewhere = await _read_elsewhere(client, run_id, wanted) if wanted else {}
    batches = []
    for key, next_event_id, attempt, blob in rows:
        first_event_id = keys.first_event_id_of(key)
        if attempt is not None:
            blob = elsewhere[first_event_id]
        batches.append(HistoryBatch(first_event_id=first_event_id, next_event_id=next_event_id, blob=blob))
    return batches


async def _read_elsewhere(client: Client, run_id: str, wanted: dict[int, UUID]) -> dict[int, bytes]:
    """The blobs of these attempts by first event id."""
    buckets: defaultdict[int, list[int]] = defaultdict(list)
    for first_event_id in wanted:
        buckets[_bucket(first_event_id)].append(first_event_id)
    answers = await asyncio.gather(
        *[client.read(_READ, run_id, bucket, min(ids), max(ids)) for bucket, ids in buckets.items()]
    )
    parts: defaultdict[int, list[bytes]] = defaultdict(list)
    for answer in answers:
        for first_event_id, attempt, blob in answer.rows:
            if wanted.get(first_event_id) == attempt:
                parts[first_event_id].append(blob)
    missing = wanted.keys() - parts.keys()
    if missing:
        raise StoreError(f"run {run_id}: the events from {min(missing)} on are not where they were written")
    return {first_event_id: b"".join(blobs) for first_event_id, blobs in parts.items()}


async def last_elsewhere(client: Client, shard_id: int, run_id: str) -> int:
    """The first event id of the last batch that lies, or may still lie, in the table `history`; 0 when none does."""
    key = keys.run_key(run_id)
    answer = await client.read(_REMAINS, shard_id, key, keys.end_of(key))
    last = 0
    for row_key, next_event_id, attempt in answer.rows:
        if row_key == key:  # the row that remembers what a deletion left
            last = max(last, next_event_id)
        elif attempt is not None:
            last = max(last, keys.first_event_id_of(row_key))
    return last


async def drop_elsewhere(client: Client, run_id: str, last_event_id: int) -> None:
    """Raises StoreError: some of it may remain."""
    buckets = range(_bucket(last_event_id) + 1)
    try:
        await asyncio.gather(*[client.write(_DROP, run_id, bucket) for bucket in buckets])
    except UnknownOutcome as error:
        raise StoreError(str(error)) from error


def _bucket(first_event_id: int) -> int:
    return first_event_id // BUCKET_EVENTS
