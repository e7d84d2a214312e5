"""The store on one SQLite file: point reads here, writes through the committer, lists on a thread of their own."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

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
    TaskCategory,
    TaskRow,
    VisibilityRecord,
)
from services.persistence.sqlite import namespaces, queues, runs, visibility
from services.persistence.sqlite.committer import Committer
from services.persistence.sqlite.database import Database

T = TypeVar("T")


class SqliteStore:
    """Implements `Store`. Holds the database from construction to `close`.

    Point reads run on the event loop's thread: they take 10-50 us, a hop to another thread and back takes 100 and
    lets other work in between. What reads many rows (lists, counts) goes to the list thread.
    """

    def __init__(self, database: Database, on_closed: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._committer = Committer(database.connect(writes=True))
        self._reads = database.connect(writes=False)
        self._lists = database.connect(writes=False)
        visibility.prepare(self._lists)
        self._list_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-list")
        self._closed = False
        self._on_closed = on_closed

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._committer.close()
        self._list_thread.shutdown()
        self._lists.close()
        self._reads.close()
        self._database.close()
        self._on_closed()

    # Shards, runs, histories and outboxes

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        return await self._committer.submit(lambda txn: runs.acquire_shard_txn(txn, shard_id, owner))

    async def commit(self, commit: Commit) -> Outcome:
        return await self._committer.submit(lambda txn: runs.commit_txn(txn, commit))

    async def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None:
        return runs.read_current(self._reads, shard_id, namespace_id, workflow_id)

    async def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None:
        # One read transaction: a commit may land between the run's row and its items.
        self._reads.execute("BEGIN")
        try:
            return runs.read_run_txn(self._reads, shard_id, namespace_id, workflow_id, run_id)
        finally:
            self._reads.execute("ROLLBACK")

    async def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return runs.read_history(self._reads, shard_id, run_id, from_event_id, to_event_id, batches_max)

    async def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return runs.read_history_reverse(self._reads, shard_id, run_id, to_event_id, batches_max)

    async def read_tasks(
        self, shard_id: int, category: TaskCategory, after: tuple[int, int], until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        return runs.read_tasks(self._reads, shard_id, category, after, until_fire_time_ns, limit)

    async def delete_tasks(
        self, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
    ) -> Outcome:
        return await self._committer.submit(
            lambda txn: runs.delete_tasks_txn(txn, shard_id, range_id, category, upto), leisurely=True
        )

    async def delete_run(
        self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
    ) -> Outcome:
        return await self._committer.submit(
            lambda txn: runs.delete_run_txn(txn, shard_id, range_id, namespace_id, workflow_id, run_id)
        )

    # Backlogs of task queue partitions

    async def lease_queue(self, key: QueueKey) -> QueueLease:
        return await self._committer.submit(lambda txn: queues.lease_queue_txn(txn, key))

    async def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        return await self._committer.submit(lambda txn: queues.append_backlog_txn(txn, key, range_id, tasks))

    async def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        return queues.read_backlog(self._reads, key, after_task_id, limit)

    async def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        return await self._committer.submit(
            lambda txn: queues.acknowledge_backlog_txn(txn, key, range_id, ack_level), leisurely=True
        )

    async def backlog_count(self, key: QueueKey) -> int:
        return await self._on_list_thread(lambda lists: queues.backlog_count(lists, key))

    # Namespaces and what the cluster knows of itself

    async def create_namespace(self, record: NamespaceRecord) -> bool:
        return await self._committer.submit(lambda txn: namespaces.create_namespace_txn(txn, record))

    async def update_namespace(self, record: NamespaceRecord) -> bool:
        return await self._committer.submit(lambda txn: namespaces.update_namespace_txn(txn, record))

    async def read_namespace(self, *, namespace_id: str = "", name: str = "") -> NamespaceRecord | None:
        return namespaces.read_namespace(self._reads, namespace_id, name)

    async def list_namespaces(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
        return namespaces.list_namespaces(self._reads, after_namespace_id, limit)

    async def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        return await self._committer.submit(lambda txn: namespaces.cluster_value_txn(txn, key, value_if_absent))

    async def set_cluster_value(self, key: str, value: bytes) -> None:
        await self._committer.submit(lambda txn: namespaces.set_cluster_value_txn(txn, key, value))

    # What lists and counts read

    async def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None:
        # One job a record, so that a large batch does not hold up the commits that come meanwhile.
        await asyncio.gather(
            *[
                self._committer.submit(partial(visibility.upsert_txn, record=record), leisurely=True)
                for record in records
            ]
        )

    async def delete_visibility(self, namespace_id: str, run_id: str) -> None:
        await self._committer.submit(lambda txn: visibility.delete_txn(txn, namespace_id, run_id), leisurely=True)

    async def list_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        return await self._on_list_thread(
            lambda lists: visibility.list_page(lists, namespace_id, query, types, page_size, after)
        )

    async def count_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        return await self._on_list_thread(lambda lists: visibility.count(lists, namespace_id, query, types))

    async def _on_list_thread(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._list_thread, read, self._lists)
