"""From an input to a committed state: load, decide, commit, and only then wake whoever waits.

Everything that changes a workflow goes through `Engine.commit`, under the workflow's lock.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.enums.v1 import ResourceExhaustedCause

from services import cron
from services.config import DynamicConfig
from services.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    ShardOwnershipLost,
    Unavailable,
    WorkflowNotReady,
)
from services.history.cache import RunEntry, WorkflowCache, WorkflowEntry
from services.history.codec import run_write
from services.history.core.decision import Decision, Given, Limits
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.rejection import Reason, Rejection
from services.history.core.run import Run
from services.history.limits import read_limits
from services.history.loading import Loading
from services.history.metrics import HistoryMetrics
from services.history.outbox import Key
from services.history.progress import tell_updates
from services.history.recent import RecentBatches
from services.history.shard import Shard, WriteUnknown
from services.history.shards import Shards
from services.history.waits import uninterrupted
from services.membership import Membership
from services.namespaces import (
    Namespace,
    NamespaceRegistry,
    complete_search_attributes,
    why_invalid_search_attributes,
)
from services.persistence import (
    CurrentRecord,
    CurrentWrite,
    Outcome,
    Store,
    TaskCategory,
)
from services.protos.run_pb2 import Task, WorkflowTask
from services.rpc import MatchingClient
from services.runtime import Chance, Clock

CACHED_WORKFLOWS_MAX = 8096
UNLESS_BEGUN = 1  # the stamp of a DELETE_RUN for a run that is stored, but may never begin

T = TypeVar("T")


def service_error(rejection: Rejection) -> ServiceError:
    """The API's error for what the core refused."""
    match rejection.reason:
        case Reason.NOT_FOUND:
            return NotFound(rejection.message)
        case Reason.INVALID_ARGUMENT:
            return InvalidArgument(rejection.message)
        case Reason.FAILED_PRECONDITION:
            return FailedPrecondition(rejection.message)
        case Reason.NOT_READY:
            return WorkflowNotReady(rejection.message)
        case Reason.BUSY:
            return ResourceExhausted(rejection.message, ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW)
        case Reason.CONCURRENT_LIMIT:
            return ResourceExhausted(
                rejection.message, ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where an engine lives: the cluster's shards, and which address among its members is this host's."""

    shard_count: int
    membership: Membership
    address: str


class Engine(Loading):
    """The shards and workflows of one host."""

    def __init__(
        self,
        store: Store,
        matching: MatchingClient,
        namespaces: NamespaceRegistry,
        clock: Clock,
        chance: Chance,
        config: DynamicConfig,
        home: Home,
    ) -> None:
        self.store, self.matching, self.namespaces = store, matching, namespaces
        self.clock, self.chance, self.config = clock, chance, config
        self.home = home
        self.cache = WorkflowCache(CACHED_WORKFLOWS_MAX, home.shard_count)
        self.recent = RecentBatches()
        self.metrics = HistoryMetrics(namespaces.name_of)
        self.metrics.cache.watch(CACHED_WORKFLOWS_MAX, lambda: len(self.cache))
        self.leaving = False  # what others need to go on is written at once, no longer kept in memory
        self.draining = False
        self._limits: dict[str, tuple[int, Limits]] = {}

    async def start(
        self,
        execute: Callable[[Shard, Key, Task], Awaitable[bool]],
        show: Callable[[Shard, Key, Task], None],
    ) -> None:
        """Acquires the shards that the ring gives this host, now and whenever it changes, with the work left there."""
        home = self.home

        def make(shard_id: int) -> Shard:
            return Shard(shard_id, home.address, self.store, self.clock, execute, show)

        self.shards = Shards(home.membership, home.address, home.shard_count, self.clock, make, self._forget_shards)
        await self.shards.start()

    async def stop(self) -> None:
        await self.shards.stop()

    def given(self, namespace_id: str, entry: RunEntry | None = None) -> Given:
        """Time, fresh ids and settings for one decision. `entry`: a run that another run may follow."""
        namespace = self.namespaces.by_id(namespace_id)
        now_ns = self.clock.now_ns()
        return Given(
            now_ns=now_ns,
            new_run_id=self.chance.run_id() if entry is not None else "",
            request_id=self.chance.unique_id() if entry is not None else "",
            jitter=self.chance.random(),
            retention_ns=namespace.retention_ns,
            limits=self.limits(namespace.name),
            refuse_search_attributes=lambda attributes: self._refuse_search_attributes(attributes, namespace),
            started=entry.started if entry is not None else None,
            why_invalid_cron=cron.why_invalid,
            cron_backoff_ns=_cron_backoff_ns(entry.run, now_ns) if entry is not None else None,
        )

    def _refuse_search_attributes(self, attributes: SearchAttributes, namespace: Namespace) -> tuple[str, bool] | None:
        """Why the namespace does not take them, and whether it is for their size; else writes in their types."""
        why = why_invalid_search_attributes(attributes, namespace, self.config)
        if why is not None:
            return why, "exceeds size limit" in why
        complete_search_attributes(attributes, namespace)
        return None

    def limits(self, namespace: str) -> Limits:
        """The namespace's limits, read anew only when the dynamic config has changed."""
        known = self._limits.get(namespace)
        if known is None or known[0] != self.config.version:
            known = self._limits[namespace] = (self.config.version, read_limits(self.config, namespace))
        return known[1]

    # Deciding and committing.

    async def change(
        self,
        namespace_id: str,
        workflow_id: str,
        run_id: str,
        decide: Callable[[Draft], object],
        *,
        first_execution_run_id: str = "",
    ) -> RunEntry:
        """Loads a run, lets `decide` change a draft of it, and commits. The core's refusals become API errors."""
        workflow = self.workflow(namespace_id, workflow_id)
        async with workflow.lock:
            entry = await self.run(workflow, run_id)
            if first_execution_run_id and entry.run.info.first_execution_run_id != first_execution_run_id:
                raise NotFound("workflow execution not found")
            await self.decide(workflow, entry, decide)
            return entry

    async def decide(self, workflow: WorkflowEntry, entry: RunEntry, decide: Callable[[Draft], object]) -> None:
        """The same for a run that is at hand, under the lock."""
        draft = Draft(entry.run, self.given(workflow.namespace_id))
        try:
            decide(draft)
        except Rejection as rejection:
            raise await self.refusal(workflow, rejection) from None
        decision = finish(draft)
        await self.commit(workflow, entry, decision)
        if decision.refused is not None:
            raise service_error(decision.refused)

    async def refusal(self, workflow: WorkflowEntry, rejection: Rejection) -> ServiceError:
        """The API's error for a refusal, once it is sure that it does not come from the memory of an old owner."""
        if rejection.reason in (Reason.NOT_FOUND, Reason.FAILED_PRECONDITION):
            await self.confirm(workflow)
        return service_error(rejection)

    async def confirm(self, workflow: WorkflowEntry) -> None:
        """Before a refusal that others act upon: raises ShardOwnershipLost if the store has another owner by now."""
        await self.write(workflow, (), None)

    async def commit(self, workflow: WorkflowEntry, entry: RunEntry, decision: Decision) -> None:
        """Makes a decision about an existing run true, with the run that follows it if there is one."""
        if not decision.durable:
            self._remember(self._shard_of(workflow, (entry,)), entry, decision)
            return
        was_open, info = entry.run.is_open, decision.run.info
        parts = [(entry, decision)]
        current = None
        successor = decision.successor
        if successor is not None:
            parts.append((RunEntry(successor.run, 0), successor))
            current = CurrentWrite(expected_run_id=info.run_id, record=current_record(successor.run))
        elif was_open and not decision.run.is_open:
            known = await self.current(workflow)
            if known is not None and known.run_id == info.run_id:
                current = CurrentWrite(expected_run_id=info.run_id, record=current_record(decision.run))
        await self.write(workflow, parts, current)

    async def write(
        self,
        workflow: WorkflowEntry,
        parts: Sequence[tuple[RunEntry, Decision]],
        current: CurrentWrite | None,
    ) -> None:
        """One transaction over runs of one workflow id. What is in memory is forgotten when the store disagrees."""
        await uninterrupted(self._write(workflow, parts, current))

    async def _write(
        self,
        workflow: WorkflowEntry,
        parts: Sequence[tuple[RunEntry, Decision]],
        current: CurrentWrite | None,
    ) -> None:
        shard = self._shard_of(workflow, [entry for entry, _ in parts])
        runs = [run_write(decision.run.info.run_id, entry.version, decision) for entry, decision in parts]
        tasks = [task for _, decision in parts for task in decision.tasks]
        try:
            outcome, rows = await shard.commit(workflow.namespace_id, workflow.workflow_id, runs, tasks, current)
        except (ShardOwnershipLost, WriteUnknown):
            self.shards.drop(shard)
            raise
        if outcome is not Outcome.COMMITTED:
            self.shards.drop(shard)  # tasks that a poller has are in memory alone, and must be handed out again
            raise Unavailable(f"the stored state of workflow {workflow.workflow_id} is newer than ours, please retry")
        if current is not None:
            workflow.current, workflow.current_known = current.record, True
        for write, (entry, decision) in zip(runs, parts, strict=True):
            self.metrics.runs.committed(write, entry.run, decision)
            entry.version += 1
            task = decision.run.info.task
            entry.stored_task_started = bool(task.started_event_id) and task.kind != WorkflowTask.SPECULATIVE
            workflow.runs[decision.run.info.run_id] = entry
            entry.extend_tail(decision.batches)
            self._remember(shard, entry, decision)
            self._release(shard, entry)
        shard.dispatch(rows)
        if shard.stopped:  # let go while the store wrote: what is in memory is nobody's now
            self._forget(workflow)

    def _shard_of(self, workflow: WorkflowEntry, entries: Iterable[RunEntry]) -> Shard:
        """The shard, still under the fence that stored runs were loaded under; raises ShardOwnershipLost."""
        shard = self.shards.held(workflow.shard_id)
        for entry in entries:
            if entry.version and workflow.runs.get(entry.run.info.run_id) is not entry:
                raise ShardOwnershipLost(workflow.shard_id, self.home.address)  # it went and came back meanwhile
        return shard

    def _remember(self, shard: Shard, entry: RunEntry, decision: Decision) -> None:
        """Swaps the new state in, and tells whoever waits for what has changed."""
        before, entry.run = entry.run, decision.run
        self._watch_task(shard, entry, before)
        if decision.batches or entry.run.info.task.started_event_id != before.info.task.started_event_id:
            entry.notify()
        if decision.outcomes or entry.updates:
            tell_updates(entry, before, decision)
        if not decision.run.is_open:
            self._abandon_queries(entry)

    def _watch_task(self, shard: Shard, entry: RunEntry, before: Run) -> None:
        """A task that only memory knows of gets its time-out in memory, and a speculative one its push."""
        task = entry.run.info.task
        old = before.info.task
        in_memory = task.kind != WorkflowTask.NORMAL or not task.started_written
        if task.started_event_id and in_memory and old.request_id != task.request_id:
            shard.wake_at(_wake(entry.run, task.start_to_close_deadline_ns))
        speculative = task.kind == WorkflowTask.SPECULATIVE and not task.started_event_id
        if speculative and (old.kind != task.kind or old.scheduled_time_ns != task.scheduled_time_ns):
            shard.wake_at(_wake(entry.run, task.schedule_to_start_deadline_ns))
            shard.run_unstored(_task(entry.run, Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, task.attempt))

    @staticmethod
    def _abandon_queries(entry: RunEntry) -> None:
        for query in entry.queries.values():
            if not query.answer.done():
                query.answer.set_result(None)
        entry.queries.clear()

    # Held outbox rows: a task that a poller got by sync match was never stored elsewhere.

    def hold(self, entry: RunEntry, shard: Shard, key: Key, task: Task) -> None:
        """Keeps the outbox row of a dispatched task until the task is over or its start is in the store."""
        entry.held.setdefault((task.kind, task.event_id, task.stamp), []).append(key[1])
        self._release(shard, entry)

    def _release(self, shard: Shard, entry: RunEntry) -> None:
        for held in [held for held in entry.held if not self._in_hand(entry, *held)]:
            for task_id in entry.held.pop(held):
                shard.done(TaskCategory.IMMEDIATE, (0, task_id))

    @staticmethod
    def _in_hand(entry: RunEntry, kind: int, event_id: int, stamp: int) -> bool:
        if not entry.run.is_open:
            return False
        if kind == Task.PUSH_ACTIVITY_TASK:
            activity = entry.run.activities.get(event_id)
            return activity is not None and activity.stamp == stamp and not activity.started_time_ns
        task = entry.run.info.task
        return task.scheduled_event_id == event_id and task.attempt == stamp and not entry.stored_task_started

    def release_waiters(self) -> None:
        """The host is about to stop: long polls answer with what there is."""
        self.draining = True
        for workflow in self.cache.entries():
            for entry in workflow.runs.values():
                entry.notify()
                for progress in entry.updates.values():
                    progress.advance()

    # When the store and memory disagree.

    def _forget(self, workflow: WorkflowEntry) -> None:
        """What is stored is not what we think: everything in memory of this workflow is read anew."""
        for entry in workflow.runs.values():
            self._drop(entry)
        workflow.runs.clear()
        workflow.current_known = False
        workflow.generation += 1

    def _drop(self, entry: RunEntry) -> None:
        entry.notify()
        self._abandon_queries(entry)
        for progress in entry.updates.values():
            progress.lost = True
            progress.advance()

    def _forget_shards(self, shard_ids: frozenset[int]) -> None:
        """The shards were let go: whoever comes next trusts only the store."""
        for workflow in self.cache.entries():
            if workflow.shard_id in shard_ids:
                self._forget(workflow)


def current_record(run: Run) -> CurrentRecord:
    """What the current-run pointer says of a run."""
    info = run.info
    return CurrentRecord(
        run_id=info.run_id,
        create_request_id=info.create_request_id,
        status=info.status,
        start_time_ns=info.start_time_ns,
        first_execution_run_id=info.first_execution_run_id,
    )


def _cron_backoff_ns(run: Run, now_ns: int) -> int | None:
    info = run.info
    if not info.cron_schedule:
        return None
    first_ns = info.execution_time_ns
    if info.HasField("reset_origin"):  # slots count from the start that the schedule has given
        first_ns -= info.start_time_ns - info.reset_origin.original_start_time_ns
    return cron.next_backoff_ns(info.cron_schedule, min(first_ns, now_ns), now_ns)


def _task(run: Run, kind: Task.Kind.ValueType, event_id: int = 0, stamp: int = 0) -> Task:
    info = run.info
    return Task(
        kind=kind,
        namespace_id=info.namespace_id,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        event_id=event_id,
        stamp=stamp,
    )


def _wake(run: Run, at_ns: int) -> Task:
    task = _task(run, Task.WAKE)
    task.fire_time_ns = at_ns
    return task
