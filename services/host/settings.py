"""The numbers of matching, from the dynamic configuration."""

from datetime import timedelta
from typing import TypeVar

from services.config import DynamicConfig, Setting, limits
from services.matching import MatchingSettings
from services.rpc.partitions import READ_PARTITIONS, PartitionCounts

T = TypeVar("T")


class DynamicMatchingSettings:
    """A source of settings that are as the configuration says now."""

    def __init__(self, config: DynamicConfig, counts: PartitionCounts) -> None:
        self._config, self._counts = config, counts

    @property
    def version(self) -> int:
        return self._config.version

    def partitions_read(self, namespace: str, queue: str, task_type: int) -> int:
        return self._counts.read(namespace, queue, task_type)

    def partitions_all(self, namespace: str, queue: str, task_type: int) -> int:
        return self._counts.all(namespace, queue, task_type)

    def of(self, namespace: str, queue: str, task_type: int) -> MatchingSettings:
        def get(setting: Setting[T]) -> T:
            return self._config.get(setting, namespace, queue, task_type)

        def seconds(setting: Setting[timedelta]) -> float:
            return get(setting).total_seconds()

        # The rate is per partition. A queue in fewer pieces than the usual may do what all of those may.
        partitions = get(READ_PARTITIONS) or limits.READ_PARTITIONS.default
        return MatchingSettings(
            long_poll_s_max=seconds(limits.MATCHING_LONG_POLL),
            sync_match_wait_s_max=seconds(limits.SYNC_MATCH_WAIT),
            idle_s_max=seconds(limits.TASK_QUEUE_IDLE),
            query_poller_gone_s=seconds(limits.QUERY_POLLER_WINDOW),
            dispatch_per_s_max=get(limits.PARTITION_DISPATCH_RATE) * partitions,
            poller_history_s=seconds(limits.POLLER_HISTORY_TTL),
            backlog_negligible_age_s=seconds(limits.BACKLOG_NEGLIGIBLE_AGE),
            backlog_read_max=get(limits.GET_TASKS_BATCH),
            backlog_reload_at=get(limits.GET_TASKS_RELOAD_AT),
            backlog_append_max=get(limits.MAX_TASK_BATCH),
            acknowledge_after_tasks=get(limits.MAX_TASK_DELETE_BATCH),
            forwarder_children_max=get(limits.FORWARDER_CHILDREN),
            forwarder_polls_max=get(limits.FORWARDER_OUTSTANDING_POLLS),
            forwarder_tasks_max=get(limits.FORWARDER_OUTSTANDING_TASKS),
            forwarder_per_s_max=get(limits.FORWARDER_RATE),
            metrics_by_queue=get(limits.METRICS_BY_TASK_QUEUE),
            metrics_by_partition=get(limits.METRICS_BY_PARTITION),
        )


def matching_settings(config: DynamicConfig, counts: PartitionCounts | None = None) -> DynamicMatchingSettings:
    """`counts` are those that the callers of matching choose by."""
    return DynamicMatchingSettings(config, counts or PartitionCounts(config))
