"""The numbers matching works with. The host fills them from the configuration; keys are those of the reference."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingSettings:
    """Times are in seconds unless the name says otherwise."""

    long_poll_s_max: float = 60.0  # matching.longPollExpirationInterval
    long_poll_margin_s: float = 1.0  # a poll answers this long before its caller gives up
    sync_match_wait_s_max: float = 0.2  # matching.syncMatchWaitDuration
    idle_s_max: float = 300.0  # matching.maxTaskQueueIdleTime
    sticky_poller_gone_s: float = 10.0  # a sticky queue nobody polled for so long has lost its worker
    query_poller_gone_s: float = 20.0  # matching.queryPollerUnavailableWindow
    dispatch_per_s_max: float = 4000.0  # admin.matchingNamespaceTaskqueueToPartitionDispatchRate, of four partitions
    poller_history_s: float = 300.0  # matching.PollerHistoryTTL
    backlog_negligible_age_s: float = 5.0  # matching.backlogNegligibleAge
    backlog_read_max: int = 1000  # matching.getTasksBatchSize: tasks of a backlog kept in memory
    backlog_reload_at: int = 100  # matching.getTasksReloadAt
    backlog_append_max: int = 100  # matching.maxTaskBatchSize: tasks stored by one write
    acknowledge_after_tasks: int = 100  # matching.maxTaskDeleteBatchSize
    acknowledge_after_s: float = 5.0  # a done task is forgotten by the store at most this late
    retry_s_min: float = 0.05  # first pause after history or the store could not
    retry_s_max: float = 5.0
    scaling_poll_wait_s: float = 1.0  # matching.pollerScalingWaitTime: a poller that waited so long is one too many
    scaling_backlog_age_s: float = 0.2  # matching.pollerScalingMinimumBacklog
    scaling_add_to_dispatch: float = 1.2  # matching.pollerScalingTaskAddToDispatchRatio
    scaling_decisions_per_s: float = 10.0  # matching.pollerScalingDecisionsPerSecond
    worker_heartbeat_s: float = 300.0  # matching.workerRegistryEntryTTL
    workers_max: int = 1_000_000  # matching.workerRegistryMaxEntries
