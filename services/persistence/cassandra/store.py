"""The store on Cassandra: its parts behind one face, and no work after it was closed."""

import asyncio
from collections.abc import Sequence

from services.persistence.cassandra.client import Client
from services.persistence.cassandra.namespaces import Namespaces
from services.persistence.cassandra.queues import Queues
from services.persistence.cassandra.shards import Shards
from services.persistence.cassandra.visibility import Visibility
from services.persistence.interface import (
    BacklogTask,
    Commit,
    CurrentRecord,
    HistoryBatch,
    NamespaceRecord,
    Outcome,
    QueueKey,
    QueueLease,
    RunRecord,
    SearchAttributeTypes,
    ShardRecord,
    StoreError,
    TaskCategory,
    TaskRow,
    VisibilityRecord,
)
from services.runtime import SystemClock


class CassandraStore:
    """Implements `Store`. Holds the session from construction to `close`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._shards = Shards(client)
        self._queues = Queues(client)
        self._namespaces = Namespaces(client)
        self._visibility = Visibility(client, SystemClock())
        self._closed = False
        self._accepted = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __enter__(self) -> None:
        """Around every write: what was accepted is finished before the session ends."""
        if self._closed:
            raise StoreError("the store is closed")
        self._accepted += 1
        self._none_left.clear()

    def __exit__(self, *_: object) -> None:
        self._accepted -= 1
        if not self._accepted:
            self._none_left.set()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._none_left.wait()
        await self._shards.finish()
        await self._client.close()

    # Shards, runs, histories and outboxes

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        with self:
            return await self._shards.acquire(shard_id, owner)

    async def commit(self, commit: Commit) -> Outcome:
        with self:
            return await self._shards.commit(commit)

    async def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None:
        return await self._shards.read_current(shard_id, namespace_id, workflow_id)

    async def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None:
        return await self._shards.read_run(shard_id, namespace_id, workflow_id, run_id)

    async def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return await self._shards.read_history(shard_id, run_id, from_event_id, to_event_id, batches_max)

    async def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return await self._shards.read_history_reverse(shard_id, run_id, to_event_id, batches_max)

    async def read_tasks(
        self, shard_id: int, category: TaskCategory, after: tuple[int, int], until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        return await self._shards.read_tasks(shard_id, category, after, until_fire_time_ns, limit)

    async def delete_tasks(
        self, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
    ) -> Outcome:
        with self:
            return await self._shards.delete_tasks(shard_id, range_id, category, upto)

    async def delete_run(
        self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
    ) -> Outcome:
        with self:
            return await self._shards.delete_run(shard_id, range_id, namespace_id, workflow_id, run_id)

    # Backlogs of task queue partitions

    async def lease_queue(self, key: QueueKey) -> QueueLease:
        with self:
            return await self._queues.lease(key)

    async def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        with self:
            return await self._queues.append(key, range_id, tasks)

    async def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        return await self._queues.read(key, after_task_id, limit)

    async def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        with self:
            return await self._queues.acknowledge(key, range_id, ack_level)

    async def backlog_count(self, key: QueueKey) -> int:
        return await self._queues.count(key)

    # Namespaces and what the cluster knows of itself

    async def create_namespace(self, record: NamespaceRecord) -> bool:
        with self:
            return await self._namespaces.create(record)

    async def update_namespace(self, record: NamespaceRecord) -> bool:
        with self:
            return await self._namespaces.update(record)

    async def read_namespace(self, *, namespace_id: str = "", name: str = "") -> NamespaceRecord | None:
        return await self._namespaces.read(namespace_id, name)

    async def list_namespaces(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
        return await self._namespaces.list(after_namespace_id, limit)

    async def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        with self:
            return await self._namespaces.cluster_value(key, value_if_absent)

    async def set_cluster_value(self, key: str, value: bytes) -> None:
        with self:
            await self._namespaces.set_cluster_value(key, value)

    # What lists and counts read

    async def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None:
        with self:
            await self._visibility.upsert_all(records)

    async def delete_visibility(self, namespace_id: str, run_id: str) -> None:
        with self:
            await self._visibility.delete(namespace_id, run_id)

    async def list_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        return await self._visibility.list_page(namespace_id, query, types, page_size, after)

    async def count_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        return await self._visibility.count(namespace_id, query, types)
