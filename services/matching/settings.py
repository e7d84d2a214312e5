"""The numbers matching works with, by queue. The host takes them from the configuration; keys are the reference's."""

from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingSettings:
    """Times are in seconds unless the name says otherwise. As a source, it says the same of every queue for ever."""

    long_poll_s_max: float = 60.0  # matching.longPollExpirationInterval
    long_poll_margin_s: float = 1.0  # a poll answers this long before its caller gives up
    sync_match_wait_s_max: float = 0.2  # matching.syncMatchWaitDuration
    idle_s_max: float = 300.0  # matching.maxTaskQueueIdleTime
    sticky_poller_gone_s: float = 10.0  # a sticky queue nobody polled for so long has lost its worker
    query_poller_gone_s: float = 20.0  # matching.queryPollerUnavailableWindow
    dispatch_per_s_max: float = 4000.0  # of all partitions: admin.matchingNamespaceTaskqueueToPartitionDispatchRate
    poller_history_s: float = 300.0  # matching.PollerHistoryTTL
    backlog_negligible_age_s: float = 5.0  # matching.backlogNegligibleAge
    backlog_read_max: int = 1000  # matching.getTasksBatchSize: tasks of a backlog kept in memory
    backlog_reload_at: int = 100  # matching.getTasksReloadAt
    backlog_append_max: int = 100  # matching.maxTaskBatchSize: tasks stored by one write
    acknowledge_after_tasks: int = 100  # matching.maxTaskDeleteBatchSize
    acknowledge_after_s: float = 5.0  # a done task is forgotten by the store at most this late
    retry_s_min: float = 0.05  # first pause after history or the store could not
    retry_s_max: float = 5.0
    forwarder_children_max: int = 20  # matching.forwarderMaxChildrenPerNode
    forwarder_polls_max: int = 1  # matching.forwarderMaxOutstandingPolls
    forwarder_tasks_max: int = 1  # matching.forwarderMaxOutstandingTasks
    forwarder_per_s_max: float = 10.0  # matching.forwarderMaxRatePerSecond: those that brought nothing
    forwarder_retry_s_max: float = 10.0  # matching.forwardPollRetryMaxInterval: the longest pause after a failure
    backlog_forward_s_max: float = 60.0  # matching.backlogTaskForwardTimeout: so long a stored task waits elsewhere
    scaling_poll_wait_s: float = 1.0  # matching.pollerScalingWaitTime: a poller that waited so long is one too many
    scaling_backlog_age_s: float = 0.2  # matching.pollerScalingMinimumBacklog
    scaling_add_to_dispatch: float = 1.2  # matching.pollerScalingTaskAddToDispatchRatio
    scaling_decisions_per_s: float = 10.0  # matching.pollerScalingDecisionsPerSecond
    worker_heartbeat_s: float = 300.0  # matching.workerRegistryEntryTTL
    workers_max: int = 1_000_000  # matching.workerRegistryMaxEntries
    metrics_by_queue: bool = True  # metrics.breakdownByTaskQueue
    metrics_by_partition: bool = True  # metrics.breakdownByPartition
    partitions: int = 1  # matching.numTaskqueueReadPartitions, and those beyond that may hold tasks

    version: ClassVar[int] = 0

    def of(self, namespace: str, queue: str, task_type: int) -> "MatchingSettings":
        return self

    def partitions_read(self, namespace: str, queue: str, task_type: int) -> int:
        return self.partitions

    def partitions_all(self, namespace: str, queue: str, task_type: int) -> int:
        return self.partitions


class SettingsSource(Protocol):
    """Where settings come from. They are asked for anew when `version` has changed; partition counts every time."""

    @property
    def version(self) -> int: ...

    def of(self, namespace: str, queue: str, task_type: int) -> MatchingSettings: ...

    def partitions_read(self, namespace: str, queue: str, task_type: int) -> int:
        """The first so many are polled."""
        ...

    def partitions_all(self, namespace: str, queue: str, task_type: int) -> int:
        """So many may hold tasks."""
        ...


class LiveSettings:
    """One queue's settings, as they are whenever they are read."""

    __slots__ = ("_now", "_queue", "_source", "_version", "sticky")

    def __init__(
        self,
        source: SettingsSource,
        namespace: str = "",
        queue: str = "",
        task_type: int = 0,
        *,
        sticky: bool = False,
    ) -> None:
        self._source, self._queue, self.sticky = source, (namespace, queue, task_type), sticky
        self._version = source.version
        self._now = source.of(namespace, queue, task_type)

    @property
    def now(self) -> MatchingSettings:
        if self._version != self._source.version:
            self._version = self._source.version
            self._now = self._source.of(*self._queue)
        return self._now

    def partitions_read(self) -> int:
        return 1 if self.sticky else self._source.partitions_read(*self._queue)

    def partitions_all(self) -> int:
        return 1 if self.sticky else self._source.partitions_all(*self._queue)
