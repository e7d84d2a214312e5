"""The numbers of matching, from the dynamic configuration."""

from datetime import timedelta

from services.config import DynamicConfig, Setting, limits
from services.matching import MatchingSettings

PARTITIONS = 4  # dispatch rates are per partition; a queue is in one piece here, so it may do the work of four


def matching_settings(config: DynamicConfig) -> MatchingSettings:
    """Read once at start."""

    def seconds(setting: Setting[timedelta]) -> float:
        return config.get(setting).total_seconds()

    return MatchingSettings(
        long_poll_s_max=seconds(limits.MATCHING_LONG_POLL),
        sync_match_wait_s_max=seconds(limits.SYNC_MATCH_WAIT),
        idle_s_max=seconds(limits.TASK_QUEUE_IDLE),
        query_poller_gone_s=seconds(limits.QUERY_POLLER_WINDOW),
        dispatch_per_s_max=config.get(limits.PARTITION_DISPATCH_RATE) * PARTITIONS,
        poller_history_s=seconds(limits.POLLER_HISTORY_TTL),
        backlog_negligible_age_s=seconds(limits.BACKLOG_NEGLIGIBLE_AGE),
        backlog_read_max=config.get(limits.GET_TASKS_BATCH),
        backlog_reload_at=config.get(limits.GET_TASKS_RELOAD_AT),
        backlog_append_max=config.get(limits.MAX_TASK_BATCH),
        acknowledge_after_tasks=config.get(limits.MAX_TASK_DELETE_BATCH),
    )
