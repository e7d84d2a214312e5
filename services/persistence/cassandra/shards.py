"""Shards: taking them over, commits, and point reads of what is in them."""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

import asyncio
import logging
from collections.abc import Sequence

from services.persistence.cassandra import histories, keys, watermarks
from services.persistence.cassandra.client import Client
from services.persistence.cassandra.commits import CommitJob, DeleteRunJob, DeleteTasksJob
from services.persistence.cassandra.lanes import Lane, Statics, Stored, read_statics
from services.persistence.cassandra.watermarks import Watermarks
from services.persistence.interface import (
    Commit,
    CurrentRecord,
    HistoryBatch,
    Outcome,
    RunRecord,
    ShardRecord,
    TaskCategory,
    TaskRow,
)

# The row is written too, so that conditions about nothing but statics, which read the first row that is alive, find
# one at once and not behind what was deleted.
_ACQUIRE = (
    f"UPDATE shard SET range_id = ?, owner = ? WHERE shard_id = ? AND kind = {keys.SHARD} AND key = ? IF range_id = ?"
    + "".join(f" AND {column} = ?" for column in watermarks.COLUMNS.values())
)
# While nobody writes to the shard, what was read of it holds; else how far its outbox goes is read again afterwards.
_ACQUIRE_AT_REST = _ACQUIRE + "".join(f" AND {column} = ?" for column in watermarks.LAST_COLUMNS.values())
_READ_CURRENT = (
    "SELECT run_id, create_request_id, status, start_time_ns, first_execution_run_id FROM shard"
    f" WHERE shard_id = ? AND kind = {keys.CURRENT} AND key = ?"
)
_READ_RUN = (
    "SELECT key, namespace_id, workflow_id, version, blob FROM shard"
    f" WHERE shard_id = ? AND kind = {keys.RUN} AND key >= ? AND key < ?"
)
_READ_TASKS = "SELECT key, blob FROM shard WHERE shard_id = ? AND kind = ? AND key > ? AND key < ? LIMIT ?"
# Tasks that were done are deleted by the next commit of their shard, or alone after this time.
DELETE_DELAY_S = 20.0

STATEMENTS = (_ACQUIRE, _ACQUIRE_AT_REST, _READ_CURRENT, _READ_RUN, _READ_TASKS)


logger = logging.getLogger(__name__)


class Shards:
    """The shard part of the store."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lanes: dict[int, Lane] = {}
        self._due: dict[int, int] = {}  # shards with tasks to be deleted, and their range ids then
        self._deleting: asyncio.TimerHandle | None = None

    async def acquire(self, shard_id: int, owner: str) -> ShardRecord:
        statics, moving = await read_statics(self._client, shard_id), False
        while True:
            range_id = (statics.range_id or 0) + 1
            values = [range_id, owner, shard_id, keys.SHARD_KEY, statics.range_id]
            values += [statics.done[category] for category in watermarks.COLUMNS]
            if not moving:
                values += [statics.last[category] for category in watermarks.LAST_COLUMNS]
            refused = await self._client.write_if([(_ACQUIRE if moving else _ACQUIRE_AT_REST, values)])
            if refused is None:
                break
            stored, moving = Stored(refused), True
            statics = Statics(stored.range_id, {**statics.done, **stored.done()}, statics.last)
        last = (await read_statics(self._client, shard_id)).last if moving else statics.last
        self._lane(shard_id).learn(Statics(range_id, statics.done, last), owned=True)
        return ShardRecord(shard_id=shard_id, range_id=range_id, owner=owner)

    async def commit(self, commit: Commit) -> Outcome:
        histories.check(commit)
        places = await histories.write_elsewhere(self._client, commit)
        outcome = await self._lane(commit.shard_id).submit(CommitJob(commit, places))
        if places and outcome is not Outcome.COMMITTED:
            await histories.forget(self._client, places)
        return outcome

    async def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None:
        answer = await self._client.read(_READ_CURRENT, shard_id, keys.current_key(namespace_id, workflow_id))
        if not answer.rows:
            return None
        run_id, create_request_id, status, start_time_ns, first_execution_run_id = answer.rows[0]
        return CurrentRecord(
            run_id=run_id,
            create_request_id=create_request_id,
            status=status,
            start_time_ns=start_time_ns,
            first_execution_run_id=first_execution_run_id,
        )

    async def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None:
        run_key = keys.run_key(run_id)
        rows = (await self._client.read(_READ_RUN, shard_id, run_key, keys.end_of(run_key))).rows
        if not rows or rows[0][:3] != (run_key, namespace_id, workflow_id):
            return None
        *_, version, blob = rows[0]
        return RunRecord(
            run_id=run_id,
            version=version,
            blob=blob,
            items=[(*keys.item_of(run_key, key), item) for key, *_, item in rows[1:]],
        )

    async def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return await histories.read_forward(self._client, shard_id, run_id, from_event_id, to_event_id, batches_max)

    async def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return await histories.read_backward(self._client, shard_id, run_id, to_event_id, batches_max)

    async def read_tasks(
        self, shard_id: int, category: TaskCategory, after: tuple[int, int], until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        lane = self._lane(shard_id)
        done = lane.done
        if not lane.owned:
            statics = await read_statics(self._client, shard_id)
            done = Watermarks(statics.done, statics.last)
        start = max(keys.task_key(*after), done.start(category))
        if done.nothing_after(category, start):
            return []
        end = keys.before_fire_time(until_fire_time_ns)
        answer = await self._client.read(_READ_TASKS, shard_id, keys.TASK_KINDS[category], start, end, limit)
        rows = []
        for key, blob in answer.rows:
            fire_time_ns, task_id = keys.task_of(key)
            rows.append(TaskRow(category=category, fire_time_ns=fire_time_ns, task_id=task_id, blob=blob))
        return rows

    async def delete_tasks(
        self, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
    ) -> Outcome:
        lane, key = self._lane(shard_id), keys.task_key(*upto)
        if lane.range_id != range_id:
            return await lane.submit(DeleteTasksJob(shard_id, range_id, (category, key)))
        lane.done.raise_to(category, key)
        self._due[shard_id] = range_id
        if self._deleting is None:
            self._deleting = asyncio.get_running_loop().call_later(DELETE_DELAY_S, self._delete_due)
        return Outcome.COMMITTED

    def _delete_due(self) -> None:
        """Deletes what no commit took along."""
        self._deleting = None
        due, self._due = self._due, {}
        for shard_id, range_id in due.items():
            lane = self._lane(shard_id)
            if lane.range_id == range_id and not lane.done.are_stored:
                lane.submit(DeleteTasksJob(shard_id, range_id)).add_done_callback(_log_failure)

    async def delete_run(
        self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
    ) -> Outcome:
        while True:
            remains = await histories.last_elsewhere(self._client, shard_id, run_id)
            current = await self.read_current(shard_id, namespace_id, workflow_id)
            is_current = current is not None and current.run_id == run_id
            current_key = keys.current_key(namespace_id, workflow_id) if is_current else None
            lane = self._lane(shard_id)
            outcome = await lane.submit(DeleteRunJob(shard_id, range_id, run_id, current_key, remains))
            if outcome is Outcome.COMMITTED and remains:
                await histories.drop_elsewhere(self._client, run_id, remains)
                outcome = await lane.submit(DeleteRunJob(shard_id, range_id, run_id, None, 0))
            if outcome is not Outcome.CURRENT_CONFLICT:
                return outcome

    def _lane(self, shard_id: int) -> Lane:
        lane = self._lanes.get(shard_id)
        if lane is None:
            lane = self._lanes[shard_id] = Lane(self._client, shard_id)
        return lane

    async def finish(self) -> None:
        """Deletes what is due, and waits for what was submitted, also by callers who have gone away."""
        if self._deleting is not None:
            self._deleting.cancel()
            self._delete_due()
        for lane in list(self._lanes.values()):
            await lane.wait_until_empty()


def _log_failure(deleted: asyncio.Future[Outcome]) -> None:
    """What was not deleted is done again by the next owner, and costs nothing else."""
    if not deleted.cancelled() and (error := deleted.exception()) is not None:
        logger.info("outbox rows were not deleted: %s", error)
