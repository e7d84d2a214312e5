"""The core's limits, from the dynamic configuration."""

from datetime import timedelta

from services.config import DynamicConfig, limits
from services.history.core.decision import Limits


def read_limits(config: DynamicConfig, namespace: str) -> Limits:
    """The core's limits from the dynamic config."""
    retry = config.get(limits.DEFAULT_ACTIVITY_RETRY, namespace)
    return Limits(
        blob_bytes_max=config.get(limits.BLOB_SIZE_ERROR, namespace),
        memo_bytes_max=config.get(limits.MEMO_SIZE_ERROR, namespace),
        id_length_max=config.get(limits.MAX_ID_LENGTH),
        history_events_max=config.get(limits.HISTORY_COUNT_ERROR, namespace),
        history_events_suggest=config.get(limits.HISTORY_COUNT_SUGGEST_CAN, namespace),
        history_bytes_max=config.get(limits.HISTORY_SIZE_ERROR, namespace),
        history_bytes_suggest=config.get(limits.HISTORY_SIZE_SUGGEST_CAN, namespace),
        state_bytes_max=config.get(limits.MUTABLE_STATE_SIZE_ERROR),
        transaction_bytes_max=config.get(limits.TRANSACTION_SIZE_LIMIT),
        activities_pending_max=config.get(limits.NUM_PENDING_ACTIVITIES, namespace),
        children_pending_max=config.get(limits.NUM_PENDING_CHILDREN, namespace),
        external_signals_pending_max=config.get(limits.NUM_PENDING_SIGNALS, namespace),
        external_cancels_pending_max=config.get(limits.NUM_PENDING_CANCEL_REQUESTS, namespace),
        signals_max=config.get(limits.MAX_SIGNALS_PER_RUN, namespace),
        buffered_events_max=config.get(limits.MAX_BUFFERED_EVENTS),
        buffered_bytes_max=config.get(limits.MAX_BUFFERED_EVENTS_SIZE),
        updates_in_flight_max=config.get(limits.MAX_IN_FLIGHT_UPDATES, namespace),
        updates_bytes_max=config.get(limits.MAX_IN_FLIGHT_UPDATE_SIZE, namespace),
        updates_max=config.get(limits.MAX_TOTAL_UPDATES, namespace),
        activity_failure_bytes_max=config.get(limits.MUTABLE_STATE_FAILURE_ERROR, namespace),
        run_age_min_ns=_ns(config.get(limits.WORKFLOW_ID_REUSE_MIN_INTERVAL, namespace)),
        task_timeout_default_ns=_ns(config.get(limits.DEFAULT_WORKFLOW_TASK_TIMEOUT, namespace)),
        task_heartbeat_max_ns=_ns(config.get(limits.WORKFLOW_TASK_HEARTBEAT_TIMEOUT, namespace)),
        task_problems_reported_from=config.get(limits.PROBLEMS_FOR_SEARCH_ATTRIBUTE, namespace),
        task_retry_interval_max_ns=_ns(config.get(limits.WORKFLOW_TASK_RETRY_MAX_INTERVAL)),
        callbacks_max=config.get(limits.MAX_CALLBACKS_PER_EXECUTION, namespace),
        callback_retry_initial_ns=_ns(config.get(limits.CALLBACK_RETRY_INITIAL)),
        callback_retry_interval_max_ns=_ns(config.get(limits.CALLBACK_RETRY_MAX)),
        activity_retry_initial_ns=_ns(retry.initial_interval),
        activity_retry_coefficient=retry.backoff_coefficient,
        activity_retry_maximum_multiple=int(retry.maximum_interval_coefficient),
    )


def _ns(value: timedelta) -> int:
    return int(value.total_seconds() * 1e9)
