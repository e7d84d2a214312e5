"""A database in memory: what every store promises, as plainly as it can be said, each call at once and as a whole.

Outcomes and conditions are those of `services.persistence.interface`; the contract suite in tests/store holds it to
them. `Suspending` makes a `Store` of it.
"""

import asyncio
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from services.persistence import (
    BacklogTask,
    Commit,
    CurrentRecord,
    HistoryBatch,
    ItemKind,
    NamespaceRecord,
    Outcome,
    QueueKey,
    QueueLease,
    RunRecord,
    RunWrite,
    SearchAttributeTypes,
    ShardRecord,
    Store,
    StoreError,
    TaskCategory,
    TaskRow,
    VisibilityRecord,
)
from tests.simulation import lists

Key = tuple[int, int]


@dataclass(slots=True)
class StoredRun:
    namespace_id: str
    workflow_id: str
    version: int
    blob: bytes
    items: dict[tuple[ItemKind, str], bytes] = field(default_factory=dict)
    batches: list[HistoryBatch] = field(default_factory=list)


@dataclass(slots=True)
class StoredShard:
    record: ShardRecord
    currents: dict[tuple[str, str], CurrentRecord] = field(default_factory=dict)
    runs: dict[str, StoredRun] = field(default_factory=dict)
    tasks: dict[TaskCategory, dict[Key, bytes]] = field(default_factory=lambda: {kind: {} for kind in TaskCategory})


@dataclass(slots=True)
class StoredQueue:
    range_id: int = 0
    ack_level: int = 0
    tasks: dict[int, bytes] = field(default_factory=dict)


class Memory:
    """Shards, queues, namespaces and lists. `watch` is told of every transaction that was committed."""

    def __init__(self, watch: Callable[[Commit], None] = lambda _commit: None) -> None:
        self.shards: dict[int, StoredShard] = {}
        self.queues: dict[QueueKey, StoredQueue] = {}
        self.namespaces: dict[str, NamespaceRecord] = {}
        self.values: dict[str, bytes] = {}
        self.visible: dict[tuple[str, str], VisibilityRecord] = {}
        self._watch = watch

    # Shards, runs, histories and outboxes

    def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        shard = self.shards.get(shard_id)
        record = ShardRecord(shard_id=shard_id, range_id=shard.record.range_id + 1 if shard else 1, owner=owner)
        if shard is None:
            self.shards[shard_id] = StoredShard(record)
        else:
            shard.record = record
        return record

    def holds(self, shard_id: int, range_id: int) -> StoredShard | None:
        """The fence."""
        shard = self.shards.get(shard_id)
        return shard if shard is not None and shard.record.range_id == range_id else None

    def commit(self, commit: Commit) -> Outcome:
        shard = self.holds(commit.shard_id, commit.range_id)
        if shard is None:
            return Outcome.FENCED
        if commit.current is not None:
            current = shard.currents.get((commit.namespace_id, commit.workflow_id))
            if (current.run_id if current else None) != commit.current.expected_run_id:
                return Outcome.CURRENT_CONFLICT
        for run in commit.runs:
            stored = shard.runs.get(run.run_id)
            if (stored.version if stored else 0) != run.expected_version:
                return Outcome.RUN_CONFLICT
            self._check_batches(run, stored)
        for run in commit.runs:
            self._write_run(shard, commit, run)
        if commit.current is not None:
            shard.currents[commit.namespace_id, commit.workflow_id] = commit.current.record
        for task in commit.tasks:
            shard.tasks[task.category][task.fire_time_ns, task.task_id] = task.blob
        self._watch(commit)
        return Outcome.COMMITTED

    @staticmethod
    def _check_batches(run: RunWrite, stored: StoredRun | None) -> None:
        firsts = [batch.first_event_id for batch in (*(stored.batches if stored else ()), *run.batches)]
        if len(set(firsts)) != len(firsts):
            raise StoreError(f"run {run.run_id} has a batch of events that begins where another does")

    @staticmethod
    def _write_run(shard: StoredShard, commit: Commit, write: RunWrite) -> None:
        run = shard.runs.get(write.run_id)
        if run is None:
            run = StoredRun(commit.namespace_id, commit.workflow_id, 0, b"")
            shard.runs[write.run_id] = run
        run.version, run.blob = write.version, write.blob
        for item in write.items:
            if item.blob is None:
                run.items.pop((item.kind, item.item_id), None)
            else:
                run.items[item.kind, item.item_id] = item.blob
        run.batches.extend(write.batches)

    def _run(self, shard_id: int, run_id: str) -> StoredRun | None:
        shard = self.shards.get(shard_id)
        return shard.runs.get(run_id) if shard else None

    def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None:
        shard = self.shards.get(shard_id)
        return shard.currents.get((namespace_id, workflow_id)) if shard else None

    def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None:
        run = self._run(shard_id, run_id)
        if run is None or (run.namespace_id, run.workflow_id) != (namespace_id, workflow_id):
            return None
        items = [(kind, item_id, blob) for (kind, item_id), blob in run.items.items()]
        return RunRecord(run_id=run_id, version=run.version, blob=run.blob, items=items)

    def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        run = self._run(shard_id, run_id)
        batches = sorted(run.batches if run else (), key=lambda batch: batch.first_event_id)
        found = [b for b in batches if b.next_event_id > from_event_id and b.first_event_id < to_event_id]
        return found[:batches_max]

    def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        return [*reversed(self.read_history(shard_id, run_id, 0, to_event_id, 2**62))][:batches_max]

    def read_tasks(
        self, shard_id: int, category: TaskCategory, after: Key, until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        shard = self.shards.get(shard_id)
        if shard is None:
            return []
        keys = sorted(key for key in shard.tasks[category] if key > after and key[0] < until_fire_time_ns)
        return [
            TaskRow(category=category, fire_time_ns=key[0], task_id=key[1], blob=shard.tasks[category][key])
            for key in keys[:limit]
        ]

    def delete_tasks(self, shard_id: int, range_id: int, category: TaskCategory, upto: Key) -> Outcome:
        shard = self.holds(shard_id, range_id)
        if shard is None:
            return Outcome.FENCED
        for key in [key for key in shard.tasks[category] if key <= upto]:
            del shard.tasks[category][key]
        return Outcome.COMMITTED

    def delete_run(self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str) -> Outcome:
        shard = self.holds(shard_id, range_id)
        if shard is None:
            return Outcome.FENCED
        shard.runs.pop(run_id, None)
        current = shard.currents.get((namespace_id, workflow_id))
        if current is not None and current.run_id == run_id:
            del shard.currents[namespace_id, workflow_id]
        return Outcome.COMMITTED

    # Backlogs of task queue partitions

    def lease_queue(self, key: QueueKey) -> QueueLease:
        queue = self.queues.setdefault(key, StoredQueue())
        queue.range_id += 1
        return QueueLease(range_id=queue.range_id, ack_level=queue.ack_level)

    def leased(self, key: QueueKey, range_id: int) -> StoredQueue | None:
        """The fence of a queue."""
        queue = self.queues.get(key)
        return queue if queue is not None and queue.range_id == range_id else None

    def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        queue = self.leased(key, range_id)
        if queue is None:
            return Outcome.FENCED
        if any(task.task_id in queue.tasks for task in tasks):
            raise StoreError("a task of that id is stored already")
        queue.tasks.update((task.task_id, task.blob) for task in tasks)
        return Outcome.COMMITTED

    def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]:
        queue = self.queues.get(key, StoredQueue())
        ids = sorted(task_id for task_id in queue.tasks if task_id > after_task_id)
        return [BacklogTask(task_id=task_id, blob=queue.tasks[task_id]) for task_id in ids[:limit]]

    def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        queue = self.leased(key, range_id)
        if queue is None:
            return Outcome.FENCED
        queue.ack_level = ack_level
        queue.tasks = {task_id: blob for task_id, blob in queue.tasks.items() if task_id > ack_level}
        return Outcome.COMMITTED

    def backlog_count(self, key: QueueKey) -> int:
        queue = self.queues.get(key)
        return len(queue.tasks) if queue else 0

    # Namespaces and what the cluster knows of itself

    def create_namespace(self, record: NamespaceRecord) -> bool:
        if record.namespace_id in self.namespaces or self.read_namespace(name=record.name) is not None:
            return False
        self.namespaces[record.namespace_id] = record
        return True

    def update_namespace(self, record: NamespaceRecord) -> bool:
        stored = self.namespaces.get(record.namespace_id)
        named = self.read_namespace(name=record.name)
        if stored is None or stored.version != record.version - 1 or named not in (None, stored):
            return False
        self.namespaces[record.namespace_id] = record
        return True

    def read_namespace(self, *, namespace_id: str = "", name: str = "") -> NamespaceRecord | None:
        if namespace_id:
            return self.namespaces.get(namespace_id)
        return next((record for record in self.namespaces.values() if record.name == name), None)

    def list_namespaces(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]:
        ids: list[str] = []
        for namespace_id in self.namespaces:
            if namespace_id > after_namespace_id:
                insort(ids, namespace_id)
        return [self.namespaces[namespace_id] for namespace_id in ids[:limit]]

    def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        return self.values.setdefault(key, value_if_absent)

    def set_cluster_value(self, key: str, value: bytes) -> None:
        self.values[key] = value

    # What lists and counts read

    def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None:
        for record in records:
            stored = self.visible.get((record.namespace_id, record.run_id))
            if stored is None or stored.version < record.version:
                self.visible[record.namespace_id, record.run_id] = replace(record)

    def delete_visibility(self, namespace_id: str, run_id: str) -> None:
        self.visible.pop((namespace_id, run_id), None)

    def list_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        return lists.page(self.visible.values(), namespace_id, query, types, page_size, after)

    def count_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        return lists.count(self.visible.values(), namespace_id, query, types)


class Suspending:
    """A memory whose calls let others run before they answer, as every other store's do."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._closed = False

    @classmethod
    def store(cls, memory: Memory) -> Store:
        return cast(Store, cls(memory))

    async def close(self) -> None:
        self._closed = True
        await asyncio.sleep(0)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._memory, name)

        async def call(*args: Any, **named: Any) -> Any:
            if self._closed:
                raise StoreError("the store is closed")
            answer = method(*args, **named)
            await asyncio.sleep(0)
            return answer

        return call
