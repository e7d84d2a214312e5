"""Runs: what each transaction changed, how large they are, and how they end."""

from collections.abc import Mapping, Sequence
from typing import Final, final

from temporalio.api.enums.v1 import WorkflowExecutionStatus

from services.history.core.decision import Decision
from services.history.core.run import Run
from services.history.metrics.names import ACTIVE, ARCHETYPE, SERVICE, UNVERSIONED, NameOf, shown
from services.history.shard import TIMERS
from services.persistence import RunWrite
from services.protos.run_pb2 import Task
from services.telemetry import BYTES_BUCKETS, COUNT_BUCKETS, BoundCounter, BoundHistogram, Counter, Histogram

_RUN: Final = ("operation", "namespace", "service_name")
_STATE: Final = (*_RUN, "archetype")
_END: Final = (*_RUN, "namespace_state", "taskqueue", "workflowType")
EVERY, UPDATED, ENDED = "SessionStats", "ExecutionStats", "CompletionStats"

TRANSITIONS = Histogram("state_transition_count", (*_RUN, "namespace_state"), buckets=COUNT_BUCKETS)
HISTORY_SIZE = Histogram(
    "history_size", _RUN, "Bytes: written by one transaction, or of a whole run", buckets=BYTES_BUCKETS
)
HISTORY_COUNT = Histogram("history_count", _RUN, "Events, in the same way", buckets=COUNT_BUCKETS)
INFO_SIZE = Histogram("execution_info_size", _STATE, buckets=BYTES_BUCKETS)
STATE_SIZE = Histogram("mutable_state_size", _STATE, "Bytes of state that one transaction wrote", buckets=BYTES_BUCKETS)
STORED_SIZE = Histogram(
    "persisted_mutable_state_size", ("archetype", "operation", "service_name"), buckets=BYTES_BUCKETS
)
TASKS = Histogram("task_count", (*_STATE, "task_category"), "Outbox tasks of one transaction", buckets=COUNT_BUCKETS)
PENDING: Final = tuple(
    Histogram(name, _STATE, buckets=COUNT_BUCKETS)
    for name in (
        "activity_info_count",
        "timer_info_count",
        "child_info_count",
        "signal_info_count",
        "request_cancel_info_count",
        "buffered_events_count",
        "total_signal_count",
    )
)
ENDS: Final[Mapping[int, Counter]] = {
    int(getattr(WorkflowExecutionStatus, f"WORKFLOW_EXECUTION_STATUS_{status}")): Counter(name, _END)
    for status, name in (
        ("COMPLETED", "workflow_success"),
        ("FAILED", "workflow_failed"),
        ("CANCELED", "workflow_cancel"),
        ("TERMINATED", "workflow_terminate"),
        ("TIMED_OUT", "workflow_timeout"),
        ("CONTINUED_AS_NEW", "workflow_continued_as_new"),
    )
}
LIFETIME = Histogram("workflow_schedule_to_close_latency", _END)
CONTINUED = Counter(
    "workflow_continue_as_new_count", (*_RUN, "versioning_behavior", "continue_as_new_versioning_behavior")
)
BACKOFFS = Counter("workflow_backoff_timer", ("namespace", "service_name", "backoff_type"))


@final
class _Stats:
    """The cells of one namespace."""

    def __init__(self, namespace: str) -> None:
        run = {"namespace": namespace, "service_name": SERVICE}
        every = {**run, "operation": EVERY}
        state = {**every, "archetype": ARCHETYPE}
        self.transitions = TRANSITIONS.bind(**run, operation="WorkflowContext", namespace_state=ACTIVE)
        self.written_bytes, self.written_events = HISTORY_SIZE.bind(**every), HISTORY_COUNT.bind(**every)
        self.run_bytes = HISTORY_SIZE.bind(**run, operation=UPDATED)
        self.run_events = HISTORY_COUNT.bind(**run, operation=UPDATED)
        self.end_bytes = HISTORY_SIZE.bind(**run, operation=ENDED)
        self.end_events = HISTORY_COUNT.bind(**run, operation=ENDED)
        self.info_size, self.state_size = INFO_SIZE.bind(**state), STATE_SIZE.bind(**state)
        self.stored_size = STORED_SIZE.bind(archetype=ARCHETYPE, operation="WorkflowContext", service_name=SERVICE)
        self.timer_tasks = TASKS.bind(**state, task_category="timer")
        self.visibility_tasks = TASKS.bind(**state, task_category="visibility")
        self.transfer_tasks = TASKS.bind(**state, task_category="transfer")
        self.pending = tuple(family.bind(**state) for family in PENDING)
        self.ends: dict[tuple[int, str, str], tuple[BoundCounter, BoundHistogram]] = {}

    def changed(self, write: RunWrite, run: Run, tasks: Sequence[Task]) -> None:
        """A transaction wrote the run."""
        info = run.info
        timers = sum([task.kind in TIMERS for task in tasks])
        shows = sum([task.kind == Task.UPDATE_VISIBILITY for task in tasks])
        if timers:
            self.timer_tasks.observe(timers)
        if shows:
            self.visibility_tasks.observe(shows)
        if len(tasks) > timers + shows:
            self.transfer_tasks.observe(len(tasks) - timers - shows)
        self.transitions.observe(info.state_transitions)
        self.written_bytes.observe(sum([len(batch.blob) for batch in write.batches]))
        self.written_events.observe(sum([batch.next_event_id - batch.first_event_id for batch in write.batches]))
        size = len(write.blob)
        self.info_size.observe(size)
        size += sum([len(item.blob) for item in write.items if item.blob is not None])
        self.state_size.observe(size)
        self.stored_size.observe(size)
        activities, user_timers, children, signals, cancels, buffered, signaled = self.pending
        activities.observe(len(run.activities))
        user_timers.observe(len(run.timers))
        children.observe(len(run.children))
        signals.observe(len(run.signals))
        cancels.observe(len(run.cancels))
        buffered.observe(len(run.buffered))
        signaled.observe(info.signal_count)


class RunMetrics:
    """Told of every part of a transaction once it is true."""

    def __init__(self, name_of: NameOf) -> None:
        self._name_of = name_of
        self._stats: dict[str, _Stats] = {}

    def committed(self, write: RunWrite, before: Run, decision: Decision) -> None:
        """`before` is the run as it was; a new one has no version before this."""
        run, info = decision.run, decision.run.info
        stats = self._stats.get(info.namespace_id)
        if stats is None:
            stats = self._stats[info.namespace_id] = _Stats(shown(self._name_of, info.namespace_id))
        stats.changed(write, run, decision.tasks)
        if write.expected_version:
            stats.run_bytes.observe(info.history_bytes)
            stats.run_events.observe(info.next_event_id - 1)
        elif info.backoff_deadline_ns:
            BACKOFFS.bind(
                namespace=shown(self._name_of, info.namespace_id),
                service_name=SERVICE,
                backoff_type="Cron" if info.cron_schedule or info.continued_execution_run_id else "WorkflowStart",
            ).inc()
        if info.status and not run.is_open and (before.is_open or not write.expected_version):
            self._ended(stats, run)

    def _ended(self, stats: _Stats, run: Run) -> None:
        info = run.info
        stats.end_bytes.observe(info.history_bytes)
        stats.end_events.observe(info.next_event_id - 1)
        key = (int(info.status), info.task_queue, info.workflow_type)
        found = stats.ends.get(key)
        if found is None:
            labels = {
                "operation": ENDED,
                "namespace": shown(self._name_of, info.namespace_id),
                "service_name": SERVICE,
                "namespace_state": ACTIVE,
                "taskqueue": info.task_queue,
                "workflowType": info.workflow_type,
            }
            found = stats.ends[key] = (ENDS[key[0]].bind(**labels), LIFETIME.bind(**labels))
        found[0].inc()
        found[1].observe((info.close_time_ns - info.execution_time_ns) / 1e9)
        if key[0] == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
            CONTINUED.bind(
                operation="WorkflowContext",
                namespace=shown(self._name_of, info.namespace_id),
                service_name=SERVICE,
                versioning_behavior=UNVERSIONED,
                continue_as_new_versioning_behavior=UNVERSIONED,
            ).inc()
