"""What a host keeps in memory of the workflows it serves: their runs, and who waits for what happens to them."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from weakref import WeakValueDictionary

from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.api.query.v1 import WorkflowQuery, WorkflowQueryResult
from temporalio.api.update.v1 import Outcome

from services.history.core.decision import Batch
from services.history.core.rejection import Rejection
from services.history.core.run import Run
from services.persistence import CurrentRecord
from services.rpc import shard_id_of

LOOKED_AT = 16  # entries, for one to forget
TAIL_BYTES_MAX = 64 * 1024  # of one run's recent history; older events are read from the store

Stage = UpdateWorkflowExecutionLifecycleStage


@dataclass(slots=True)
class PendingQuery:
    """A query that travels with the next workflow task of its run."""

    query: WorkflowQuery
    answer: asyncio.Future[WorkflowQueryResult | None]  # None: the task it travelled with came to nothing


@dataclass(slots=True)
class UpdateProgress:
    """How far an update of this host's memory has come, and who waits for it to come further."""

    stage: Stage.ValueType = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
    outcome: Outcome | None = None
    aborted: Rejection | None = None  # why the update came to nothing before it was accepted
    given_up: bool = False  # whoever waits is told how far it has come, though it is not where they want it
    lost: bool = False  # memory of the run was given up: only what is stored of the update is still true
    waiters: set[asyncio.Future[None]] = field(default_factory=set)

    def advance(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()


@dataclass(slots=True)
class RunEntry:
    """One run in memory. `run` is replaced whole, by the committed decision."""

    run: Run
    version: int  # as stored; 0 = not stored yet
    tail: list[Batch] = field(default_factory=list)  # the most recent batches, contiguous
    tail_bytes: int = 0
    started: WorkflowExecutionStartedEventAttributes | None = None  # event 1, once it was needed
    stored_task_started: bool = False  # the current workflow task's start is in the store
    watchers: set[asyncio.Future[None]] = field(default_factory=set)  # of new events
    held: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)  # (kind, event id, stamp) -> task ids
    queries: dict[str, PendingQuery] = field(default_factory=dict)
    updates: dict[str, UpdateProgress] = field(default_factory=dict)

    def extend_tail(self, batches: tuple[Batch, ...]) -> None:
        """Remembers committed batches, and forgets the oldest when they are too much."""
        self.tail.extend(batches)
        self.tail_bytes += sum(len(batch.blob) for batch in batches)
        while self.tail_bytes > TAIL_BYTES_MAX and len(self.tail) > 1:
            self.tail_bytes -= len(self.tail.pop(0).blob)

    def notify(self) -> None:
        """Wakes everyone who waits for new events."""
        if self.watchers:
            for watcher in self.watchers:
                if not watcher.done():
                    watcher.set_result(None)
            self.watchers.clear()

    def is_idle(self) -> bool:
        """Nothing here would be lost if it were forgotten."""
        return not (self.watchers or self.held or self.queries or self.updates or self.run.admitted) and (
            not self.run.info.task.started_event_id or self.stored_task_started
        )


class WorkflowLock:
    """A lock that knows how many hold it or wait for it: a workflow somebody waits for must not be forgotten."""

    __slots__ = ("_lock", "users")

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.users = 0

    async def __aenter__(self) -> None:
        self.users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self.users -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self.users -= 1
        self._lock.release()


@dataclass(slots=True, weakref_slot=True)
class WorkflowEntry:
    """One workflow id in memory. The lock is held from a decision to the end of its commit.

    `generation` counts how often it was forgotten: what was read before is of no use after.
    """

    namespace_id: str
    workflow_id: str
    shard_id: int
    lock: WorkflowLock = field(default_factory=WorkflowLock)
    generation: int = 0
    current: CurrentRecord | None = None
    current_known: bool = False
    runs: dict[str, RunEntry] = field(default_factory=dict)

    def is_idle(self) -> bool:
        return not self.lock.users and all(entry.is_idle() for entry in self.runs.values())


class WorkflowCache:
    """The workflows in memory, least recently used first. Those that are in use are never forgotten.

    Of one workflow there is one entry: whoever still works with one that was forgotten works with the next one, too.
    """

    def __init__(self, entries_max: int, shard_count: int) -> None:
        self._entries: OrderedDict[tuple[str, str], WorkflowEntry] = OrderedDict()
        self._alive: WeakValueDictionary[tuple[str, str], WorkflowEntry] = WeakValueDictionary()
        self._entries_max, self._shard_count = entries_max, shard_count

    def get(self, namespace_id: str, workflow_id: str) -> WorkflowEntry:
        key = (namespace_id, workflow_id)
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry
        entry = self._alive.get(key)
        if entry is None:
            shard_id = shard_id_of(namespace_id, workflow_id, self._shard_count)
            entry = self._alive[key] = WorkflowEntry(namespace_id, workflow_id, shard_id)
        self._entries[key] = entry
        if len(self._entries) > self._entries_max:
            self._evict()
        return entry

    def _evict(self) -> None:
        """Looks at the oldest, a few at a time; those that are in use are the youngest afterwards."""
        for key in list(islice(self._entries, LOOKED_AT)):
            if not self._entries[key].is_idle():
                self._entries.move_to_end(key)
            elif len(self._entries) > self._entries_max:
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[WorkflowEntry]:
        """Also those that were forgotten and are worked with still."""
        return list(self._alive.values())
