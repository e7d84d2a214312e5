"""From ids to runs: out of memory, else out of the store, and only while their shard is held here."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes

from services.errors import DataLoss, NotFound, Unavailable
from services.history.cache import RunEntry, WorkflowCache, WorkflowEntry
from services.history.codec import run_of
from services.history.core.decision import Batch
from services.history.metrics import HistoryMetrics
from services.history.recent import RecentBatches
from services.history.shards import Shards
from services.namespaces import NamespaceRegistry
from services.persistence import CurrentRecord, Store, StoreError, UnknownOutcome
from services.runtime import Clock

T = TypeVar("T")


class Loading:
    """What is read of a shard that goes meanwhile is not remembered: it may be another's by the time it is used."""

    store: Store
    namespaces: NamespaceRegistry
    clock: Clock
    cache: WorkflowCache
    metrics: HistoryMetrics
    shards: Shards
    recent: RecentBatches

    async def know(self, namespace_id: str) -> None:
        """Before work that no call has brought: Unavailable when this host has not heard of the namespace yet."""
        if not self.namespaces.knows(namespace_id):
            await self._reading(self.namespaces.look_again())
            if not self.namespaces.knows(namespace_id):
                raise Unavailable(f"namespace {namespace_id} is not known, please retry")

    def workflow(self, namespace_id: str, workflow_id: str) -> WorkflowEntry:
        return self.cache.get(namespace_id, workflow_id)

    async def current(self, workflow: WorkflowEntry) -> CurrentRecord | None:
        """The current run of a workflow id. Call it under the workflow's lock, or for a hint."""
        await self.shards.get(workflow.shard_id)
        while not workflow.current_known:
            generation = workflow.generation
            read = await self._reading(
                self.store.read_current(workflow.shard_id, workflow.namespace_id, workflow.workflow_id)
            )
            await self.shards.get(workflow.shard_id)
            if workflow.generation != generation or workflow.current_known:
                continue  # it was forgotten while it was read, or a commit knows better
            if read is None:
                return None  # not remembered: callers act upon it for good, and another owner would not tell us
            workflow.current, workflow.current_known = read, True
        return workflow.current

    async def run(self, workflow: WorkflowEntry, run_id: str = "") -> RunEntry:
        """A run by its id, or the current one. Raises NotFound with the reference's texts, ShardOwnershipLost."""
        if not run_id:
            remembered = workflow.current_known
            current = await self.current(workflow)
            if current is None and remembered:  # another owner may have started it since
                workflow.current_known = False
                current = await self.current(workflow)
            if current is None:
                raise NotFound(f"workflow not found for ID: {workflow.workflow_id}")
            run_id = current.run_id
        else:
            await self.shards.get(workflow.shard_id)
        metrics = self.metrics.cache.of(workflow.namespace_id)
        metrics.requests.inc()
        entry = workflow.runs.get(run_id)
        if entry is None:
            began = self.clock.monotonic()
            entry = await self._load(workflow, run_id)
            metrics.misses.inc()
            metrics.latency.observe(self.clock.monotonic() - began)
        return entry

    async def _load(self, workflow: WorkflowEntry, run_id: str) -> RunEntry:
        while True:
            generation = workflow.generation
            record = await self._reading(
                self.store.read_run(workflow.shard_id, workflow.namespace_id, workflow.workflow_id, run_id)
            )
            known = workflow.runs.get(run_id)
            if known is not None:
                return known
            if record is None:
                raise NotFound(
                    f'workflow execution not found for workflow ID "{workflow.workflow_id}" and run ID "{run_id}"'
                )
            await self.shards.get(workflow.shard_id)
            if workflow.generation == generation:  # else it was forgotten while it was read
                loaded = RunEntry(run_of(record), record.version)
                loaded.stored_task_started = bool(loaded.run.info.task.started_event_id)
                return workflow.runs.setdefault(run_id, loaded)

    @staticmethod
    async def _reading(read: Awaitable[T]) -> T:
        try:
            return await read
        except (StoreError, UnknownOutcome) as error:
            raise Unavailable(f"the store could not be read: {error}") from error

    async def started(self, workflow: WorkflowEntry, entry: RunEntry) -> WorkflowExecutionStartedEventAttributes:
        """Event 1 of a run, kept with the run from then on."""
        if entry.started is None:
            event = await self.event(workflow, entry, 1)
            entry.started = event.workflow_execution_started_event_attributes
        return entry.started

    async def event(self, workflow: WorkflowEntry, entry: RunEntry, event_id: int) -> HistoryEvent:
        """One event of a run, from memory or the store."""
        run_id = entry.run.info.run_id
        event = self.recent.find(run_id, event_id)
        if event is not None:
            return event
        for batch in await self.batches(workflow, entry, event_id, event_id + 1, 1):
            if batch.first_event_id <= event_id < batch.next_event_id:
                return self.recent.take(run_id, batch, event_id)
        raise DataLoss(f"event {event_id} of run {run_id} is missing")

    async def batches(
        self, workflow: WorkflowEntry, entry: RunEntry, from_event_id: int, to_event_id: int, batches_max: int
    ) -> Sequence[Batch]:
        """Stored batches with events in [from, to), from memory when it reaches back far enough."""
        tail = entry.tail
        if tail and tail[0].first_event_id <= from_event_id:
            found = [b for b in tail if b.next_event_id > from_event_id and b.first_event_id < to_event_id]
            return found[:batches_max]
        run_id = entry.run.info.run_id
        rows = await self._reading(
            self.store.read_history(workflow.shard_id, run_id, from_event_id, to_event_id, batches_max)
        )
        return [Batch(row.first_event_id, row.next_event_id, row.blob) for row in rows]
