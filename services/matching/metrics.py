"""What matching counts, under the reference server's names: tasks and polls of each partition, and what is loaded.

Partitions that are shown alike share their cells: all sticky queues of a normal one, and whatever the breakdown keys
of the configuration keep apart or not.
"""

from functools import cache
from typing import Final, Protocol, final
from weakref import WeakSet

from services.rpc.clients import AddTaskOutcome
from services.telemetry import UNKNOWN_NAMESPACE, BoundCounter, BoundHistogram, Counter, Gauge, Histogram

SERVICE: Final = "matching"
OMITTED: Final = "__omitted__"
STICKY_PARTITION, NORMAL_PARTITION = "__sticky__", "__normal__"
ACTIVE: Final = "active"
_QUEUE: Final = ("operation", "namespace", "service_name", "taskqueue", "task_type", "partition")
_STATE: Final = (*_QUEUE, "namespace_state")
_VERSION: Final = (*_STATE, "worker_version", "worker_build_id", "worker_deployment_name")
_LOADED: Final = ("operation", "namespace", "service_name")
UNVERSIONED: Final = {"worker_version": "__unversioned__", "worker_build_id": "", "worker_deployment_name": ""}

ADDED = Counter(
    "tasks_added", (*_VERSION, "forwarded", "task_add_result", "versioning_behavior"), "Tasks by who answers for them"
)
SYNC_MATCH = Histogram("syncmatch_latency", _QUEUE, "Until a task that was not stored met its poller")
ASYNC_MATCH = Histogram("asyncmatch_latency", _QUEUE, "Until a stored task met its poller, after it was read")
DISPATCH = Histogram(
    "task_dispatch_latency",
    (*_QUEUE, "forwarded", "source", "task_priority", "worker_version"),
    "From a task's creation to its poller",
)
POLL_SUCCESS = Counter("poll_success", _VERSION, "Polls that got a task")
POLL_SUCCESS_SYNC = Counter("poll_success_sync", _VERSION, "Those whose task was never stored")
POLL_TIMEOUTS = Counter("poll_timeouts", _VERSION, "Polls that got none")
POLL_LATENCY = Histogram(
    "poll_latency", (*_VERSION, "forwarded", "poll_result", "task_priority"), "How long polls waited"
)
PENDING_POLLS = Gauge("pending_polls", _VERSION, "Polls that wait")
MATCHES: Final = {
    (task, poll): Counter(f"{task}_to_{poll}_matches", _VERSION, "Matches by where the task and the poll came in")
    for task in ("local", "remote")
    for poll in ("local", "remote")
}
WRITE_LATENCY = Histogram("task_write_latency", _VERSION, "Of storing tasks")
LEASES = Counter("lease_requests", _VERSION, "Leases of backlogs asked for")
EXPIRED = Counter("tasks_expired", _VERSION, "Tasks that timed out before a poller came")
FORWARDED = Counter("forwarded_per_tl", _QUEUE, "Tasks and polls that another partition sent here")
STARTED = Counter("task_queue_started", _VERSION, "Partitions loaded")
STOPPED = Counter("task_queue_stopped", _VERSION, "Partitions unloaded")
BACKLOG_COUNT = Gauge("approximate_backlog_count", (*_VERSION, "task_priority"), "Stored tasks")
BACKLOG_AGE = Gauge("approximate_backlog_age_seconds", _VERSION, "How long the oldest of them has waited")
PHYSICAL_COUNT = Gauge("physical_approximate_backlog_count", (*_VERSION, "task_priority"), "Stored tasks")
PHYSICAL_AGE = Gauge("physical_approximate_backlog_age_seconds", _VERSION, "How long the oldest of them has waited")
LAG = Gauge("task_lag_per_tl", _VERSION, "Stored tasks that are not done")
LOADED_QUEUES = Gauge("loaded_task_queue_count", (*_LOADED, "task_type"), "Root partitions in memory")
LOADED_PARTITIONS = Gauge("loaded_task_queue_partition_count", _QUEUE, "Partitions in memory")
LOADED_PHYSICAL = Gauge("loaded_physical_task_queue_count", (*_QUEUE, "versioned"), "Partitions in memory")


RESULTS: Final = {AddTaskOutcome.MATCHED: "sync_match", AddTaskOutcome.STORED: "backlog"}


class Measured(Protocol):
    """What the gauges ask of a partition."""

    def backlog_count(self) -> int: ...

    def backlog_age_s(self) -> float: ...


@final
class QueueMetrics:
    """The cells of partitions that are shown alike. Counters without a value yet are bound when they get one."""

    def __init__(self, namespace: str, queue: str, task_type: str, partition: str, *, is_root: bool) -> None:
        self._labels = {
            "namespace": namespace or UNKNOWN_NAMESPACE,
            "service_name": SERVICE,
            "taskqueue": queue,
            "task_type": task_type,
            "partition": partition,
        }
        self._is_root = is_root
        self._counters: dict[tuple[object, ...], BoundCounter] = {}
        self._histograms: dict[tuple[object, ...], BoundHistogram] = {}
        self._loaded: WeakSet[Measured] = WeakSet()  # a host that crashed in a simulation never stops its partitions
        self._versioned = {
            **self._labels,
            "operation": "TaskQueueMgr",
            "namespace_state": ACTIVE,
            **UNVERSIONED,
        }
        self._pending = PENDING_POLLS.bind(**self._versioned)

    # Partitions.

    def started(self, partition: Measured) -> None:
        """A partition is in memory; its backlog is asked for at each scrape."""
        self._loaded.add(partition)
        self._count(STARTED)
        self._change_loaded(1)
        gauges = {**self._versioned, "operation": "TaskQueuePartitionManager"}
        BACKLOG_COUNT.bind(**gauges, task_priority="3").read(self._backlog_count)
        BACKLOG_AGE.bind(**gauges).read(self._backlog_age_s)
        PHYSICAL_COUNT.bind(**self._versioned, task_priority="3").read(self._backlog_count)
        PHYSICAL_AGE.bind(**self._versioned).read(self._backlog_age_s)
        LAG.bind(**self._versioned).read(self._backlog_count)

    def stopped(self, partition: Measured) -> None:
        if partition in self._loaded:
            self._loaded.discard(partition)
            self._count(STOPPED)
            self._change_loaded(-1)

    def _change_loaded(self, by: int) -> None:
        sticky = self._labels["partition"] == STICKY_PARTITION
        labels = {
            **self._labels,
            "operation": "MatchingEngine",
            "taskqueue": OMITTED,
            "partition": STICKY_PARTITION if sticky else NORMAL_PARTITION,
        }
        LOADED_PARTITIONS.bind(**labels).inc(by)
        LOADED_PHYSICAL.bind(**labels, versioned="unversioned").inc(by)
        if self._is_root and not sticky:
            kept = {name: labels[name] for name in ("operation", "namespace", "service_name", "task_type")}
            LOADED_QUEUES.bind(**kept).inc(by)

    def _backlog_count(self) -> float:
        return sum(partition.backlog_count() for partition in list(self._loaded))

    def _backlog_age_s(self) -> float:
        return max((partition.backlog_age_s() for partition in list(self._loaded)), default=0.0)

    # Tasks.

    def added(self, outcome: AddTaskOutcome, seconds: float, *, forwarded: bool) -> None:
        """A task came, and after so long it was clear who answers for it."""
        result = RESULTS.get(outcome)
        if result is None:
            return
        key = (ADDED, result, forwarded)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = ADDED.bind(
                **self._versioned,
                forwarded=_flag(forwarded),
                task_add_result=result,
                versioning_behavior="Unspecified",
            )
        counter.inc()
        if outcome is AddTaskOutcome.MATCHED:
            self._observe(SYNC_MATCH, f"Add{self._labels['task_type']}Task", seconds)

    def dispatched(self, seconds: float, *, stored: bool, forwarded: bool, poll_forwarded: bool) -> None:
        """A poller has started a task, so long after it was created."""
        key = (DISPATCH, stored, forwarded)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = DISPATCH.bind(
                **self._labels,
                operation="MatchingEngine",
                forwarded=_flag(forwarded),
                source="DbBacklog" if stored else "History",
                task_priority="",
                worker_version=UNVERSIONED["worker_version"],
            )
        histogram.observe(seconds)
        if not stored:
            self._count(POLL_SUCCESS_SYNC)
        else:
            self._observe(ASYNC_MATCH, f"Poll{self._labels['task_type']}TaskQueue", seconds)
        self._count(MATCHES[_side(forwarded), _side(poll_forwarded)])

    def expired(self) -> None:
        self._count(EXPIRED)

    def stored(self, seconds: float) -> None:
        """A batch of tasks is in the store."""
        key = (WRITE_LATENCY,)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = WRITE_LATENCY.bind(**self._versioned)
        histogram.observe(seconds)

    def leasing(self) -> None:
        """A lease of the backlog is asked for."""
        self._count(LEASES)

    def forwarded(self, *, poll: bool) -> None:
        """Another partition sent a poll, or a task, here."""
        kind = self._labels["task_type"]
        operation = f"Poll{kind}TaskQueue" if poll else f"Add{kind}Task"
        key = (FORWARDED, operation)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = FORWARDED.bind(**self._labels, operation=operation)
        counter.inc()

    # Polls.

    def poll_begins(self) -> None:
        self._pending.inc()

    def poll_ends(self) -> None:
        self._pending.dec()

    def polled(self, seconds: float, *, got_task: bool, forwarded: bool = False) -> None:
        """A poll waited so long and got a task or none; `forwarded`: at the parent, which counts that as its own."""
        if not got_task:
            self._count(POLL_TIMEOUTS)
        elif not forwarded:
            self._count(POLL_SUCCESS)
        key = (POLL_LATENCY, got_task, forwarded)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = POLL_LATENCY.bind(
                **self._versioned,
                forwarded=_flag(forwarded),
                poll_result="dispatch" if got_task else "timeout",
                task_priority="",
            )
        histogram.observe(seconds)

    def _count(self, family: Counter) -> None:
        counter = self._counters.get((family,))
        if counter is None:
            counter = self._counters[family,] = family.bind(**self._versioned)
        counter.inc()

    def _observe(self, family: Histogram, operation: str, seconds: float) -> None:
        histogram = self._histograms.get((family,))
        if histogram is None:
            histogram = self._histograms[family,] = family.bind(**self._labels, operation=operation)
        histogram.observe(seconds)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _side(forwarded: bool) -> str:
    return "remote" if forwarded else "local"


def queue_metrics(
    namespace: str,
    queue: str,
    task_type: int,
    partition: int,
    *,
    sticky: bool,
    by_queue: bool = True,
    by_partition: bool = True,
) -> QueueMetrics:
    """The cells of one partition. `queue` is the normal queue's name, also of a sticky one."""
    shown = STICKY_PARTITION if sticky else str(partition) if by_partition else NORMAL_PARTITION
    kind = {1: "Workflow", 2: "Activity", 3: "Nexus"}.get(task_type, str(task_type))
    return _cells(namespace, queue if by_queue else OMITTED, kind, shown, partition == 0)


@cache  # as many as there are series
def _cells(namespace: str, queue: str, task_type: str, partition: str, is_root: bool) -> QueueMetrics:
    return QueueMetrics(namespace, queue, task_type, partition, is_root=is_root)
