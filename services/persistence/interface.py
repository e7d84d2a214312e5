"""The store: what every database must do for Perdure, and how it answers.

One interface, one contract suite (tests/store). Blobs are opaque to a store. Every conditional write answers with an
outcome; `UnknownOutcome` means that the write may or may not have happened and must never be guessed: the caller
re-acquires the shard under a new fence and reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Protocol, TypeAlias

from temporalio.api.enums.v1 import IndexedValueType

SearchAttributeTypes: TypeAlias = Mapping[str, IndexedValueType.ValueType]
"""The search attributes of a namespace by name: its own and the predefined ones. The system's are every store's own."""


class StoreError(Exception):
    """The store could not do it, and nothing was changed."""


class UnknownOutcome(Exception):
    """The store did not say whether a write happened. A retry under a new fence, after a read, can help."""


class StoreUnavailable(StoreError):
    """The database is not there, or takes nobody in. Waiting can help."""


class SchemaMismatch(StoreError):
    """The data is of a version this code does not know; it was left untouched."""


class StoreInUse(StoreError):
    """Another process holds the data; it was left untouched."""


class Outcome(Enum):
    """What became of a conditional write. Only COMMITTED changed anything."""

    COMMITTED = "committed"
    FENCED = "fenced"  # somebody holds the shard or queue under a later range id: we own nothing any more
    CURRENT_CONFLICT = "current_conflict"  # the current run of the workflow id is not the expected one
    RUN_CONFLICT = "run_conflict"  # a run's version is not the expected one: what we have cached is stale


class ItemKind(IntEnum):
    """The maps of a run. The numbers are stored."""

    ACTIVITY = 1
    TIMER = 2
    CHILD = 3
    EXTERNAL_SIGNAL = 4
    EXTERNAL_CANCEL = 5
    SIGNAL_REQUEST = 6
    BUFFERED = 7
    UPDATE = 8
    CALLBACK = 20


class TaskCategory(IntEnum):
    """The outbox queues of a shard. The numbers are stored."""

    IMMEDIATE = 1
    TIMER = 2  # ordered by fire time
    VISIBILITY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """A shard as stored. `range_id` is the fence: every write in the shard is conditioned on it."""

    shard_id: int
    range_id: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRecord:
    """Which run a workflow id means when no run id is given, with what a start must know to answer without the run."""

    run_id: str
    create_request_id: str
    status: int  # temporal.api.enums.v1.WorkflowExecutionStatus
    start_time_ns: int
    first_execution_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemWrite:
    """Set (blob) or delete (None) one entry of a run's maps."""

    kind: ItemKind
    item_id: str
    blob: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBatch:
    """Serialized events with contiguous ids: a valid serialized `History`, as is any concatenation of batches."""

    first_event_id: int
    next_event_id: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One row of a shard's outbox. `fire_time_ns` orders TIMER tasks and is 0 elsewhere."""

    category: TaskCategory
    fire_time_ns: int
    task_id: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWrite:
    """One run's part of a commit. `expected_version` 0: the run must not exist; else it must be the stored version."""

    run_id: str
    expected_version: int
    version: int
    blob: bytes
    items: Sequence[ItemWrite] = ()
    batches: Sequence[HistoryBatch] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentWrite:
    """The current-run pointer's part of a commit. `expected_run_id` None: there must be no pointer yet."""

    expected_run_id: str | None
    record: CurrentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One transaction of one workflow id: all of it becomes true, or none. (design: One transaction)"""

    shard_id: int
    range_id: int
    namespace_id: str
    workflow_id: str
    runs: Sequence[RunWrite]
    current: CurrentWrite | None = None
    tasks: Sequence[TaskRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as stored."""

    run_id: str
    version: int
    blob: bytes
    items: Sequence[tuple[ItemKind, str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLease:
    """A task queue partition held by this host. `range_id` fences its writes; `ack_level`: tasks up to it are done."""

    range_id: int
    ack_level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueKey:
    """One partition of one task queue. `partition` 0 is the root."""

    namespace_id: str
    name: str
    task_queue_type: int  # temporal.api.enums.v1.TaskQueueType
    partition: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogTask:
    task_id: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRecord:
    """A namespace: blob is a serialized DescribeNamespaceResponse-shaped record owned by services.namespaces."""

    namespace_id: str
    name: str
    version: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityRecord:
    """What lists show of a run. `version` orders writes: an older one never replaces a newer one.

    `blob` is a serialized temporal.api.workflow.v1.WorkflowExecutionInfo. `search_attributes` holds the decoded custom
    and predefined attributes by name (str, int, float, bool, list[str]); datetimes are nanoseconds since the epoch.
    """

    namespace_id: str
    workflow_id: str
    run_id: str
    version: int
    workflow_type: str
    task_queue: str
    status: int
    start_time_ns: int
    execution_time_ns: int
    close_time_ns: int  # 0 = open
    parent_workflow_id: str = ""
    parent_run_id: str = ""
    root_workflow_id: str = ""
    root_run_id: str = ""
    history_length: int = 0
    history_bytes: int = 0
    state_transitions: int = 0
    blob: bytes = b""
    search_attributes: dict[str, object] = field(default_factory=dict)


class ShardStore(Protocol):
    """Shards, runs, histories and outboxes."""

    async def acquire_shard(self, shard_id: int, owner: str) -> ShardRecord:
        """Bumps the shard's range id by compare-and-set (creating it at range id 1) and returns the new record."""
        ...

    async def commit(self, commit: Commit) -> Outcome:
        """Writes one transaction under the shard's fence; durable when it answers. Raises UnknownOutcome."""
        ...

    async def read_current(self, shard_id: int, namespace_id: str, workflow_id: str) -> CurrentRecord | None: ...

    async def read_run(self, shard_id: int, namespace_id: str, workflow_id: str, run_id: str) -> RunRecord | None: ...

    async def read_history(
        self, shard_id: int, run_id: str, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        """Batches that hold events in [from_event_id, to_event_id), oldest first; the first may begin earlier."""
        ...

    async def read_history_reverse(
        self, shard_id: int, run_id: str, to_event_id: int, batches_max: int
    ) -> Sequence[HistoryBatch]:
        """Batches that begin before to_event_id, newest first."""
        ...

    async def read_tasks(
        self, shard_id: int, category: TaskCategory, after: tuple[int, int], until_fire_time_ns: int, limit: int
    ) -> Sequence[TaskRow]:
        """Rows with (fire_time_ns, task_id) > after and fire_time_ns < until_fire_time_ns, in that order.

        For categories other than TIMER fire times are 0, and any until_fire_time_ns > 0 reads all.
        """
        ...

    async def delete_tasks(
        self, shard_id: int, range_id: int, category: TaskCategory, upto: tuple[int, int]
    ) -> Outcome:
        """Deletes rows with (fire_time_ns, task_id) <= upto, under the fence. Need not be durable when it answers."""
        ...

    async def delete_run(
        self, shard_id: int, range_id: int, namespace_id: str, workflow_id: str, run_id: str
    ) -> Outcome:
        """Deletes a run, its items and history, and the current pointer if it points to it. Absent is fine."""
        ...


class QueueStore(Protocol):
    """Backlogs of task queue partitions."""

    async def lease_queue(self, key: QueueKey) -> QueueLease:
        """Takes the partition over: bumps its range id and returns it with the stored ack level."""
        ...

    async def append_backlog(self, key: QueueKey, range_id: int, tasks: Sequence[BacklogTask]) -> Outcome:
        """Stores tasks under the lease (FENCED when it is lost). Durable before it answers."""
        ...

    async def read_backlog(self, key: QueueKey, after_task_id: int, limit: int) -> Sequence[BacklogTask]: ...

    async def acknowledge_backlog(self, key: QueueKey, range_id: int, ack_level: int) -> Outcome:
        """Stores the ack level and deletes tasks up to it. Need not be durable when it answers."""
        ...

    async def backlog_count(self, key: QueueKey) -> int: ...


class NamespaceStore(Protocol):
    """Namespaces and what the cluster knows of itself."""

    async def create_namespace(self, record: NamespaceRecord) -> bool:
        """False when the name is taken."""
        ...

    async def update_namespace(self, record: NamespaceRecord) -> bool:
        """Replaces the record of version `record.version - 1` (a rename included); False when that is not stored."""
        ...

    async def read_namespace(self, *, namespace_id: str = "", name: str = "") -> NamespaceRecord | None: ...

    async def list_namespaces(self, after_namespace_id: str, limit: int) -> Sequence[NamespaceRecord]: ...

    async def cluster_value(self, key: str, value_if_absent: bytes) -> bytes:
        """The stored value of a key (cluster id, shard count), set to `value_if_absent` by the first who asks."""
        ...

    async def set_cluster_value(self, key: str, value: bytes) -> None: ...


class VisibilityStore(Protocol):
    """What lists and counts read. Written after the commit it follows from; an older version never replaces a newer."""

    async def upsert_visibility(self, records: Sequence[VisibilityRecord]) -> None: ...

    async def delete_visibility(self, namespace_id: str, run_id: str) -> None: ...

    async def list_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes, page_size: int, after: bytes
    ) -> tuple[Sequence[VisibilityRecord], bytes]:
        """One page in the order COALESCE(close, max) desc, start desc, run id; and the token of the next (b"" = last).

        Raises InvalidQuery when the query is not one this store understands.
        """
        ...

    async def count_visibility(
        self, namespace_id: str, query: str, types: SearchAttributeTypes
    ) -> Sequence[tuple[Sequence[object], int]]:
        """Counts per group; one group with no values when the query has no GROUP BY."""
        ...


class InvalidQuery(Exception):
    """A list filter that cannot be understood; the text says why, as the API's `invalid query: ...` does."""


class UnknownAttribute(InvalidQuery):
    """It names a search attribute that the namespace does not have."""


class Store(ShardStore, QueueStore, NamespaceStore, VisibilityStore, Protocol):
    """All of it, as one database offers it."""

    async def close(self) -> None:
        """Finishes what was accepted and lets go of the data."""
        ...
