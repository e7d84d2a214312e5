"""Retry policies as they are written into events: validated, and with the defaults filled in."""

from temporalio.api.common.v1 import RetryPolicy

from services.history.core.decision import Limits
from services.history.core.retry import TIMEOUT_PREFIX
from services.history.core.times import duration, ns_of, why_invalid_duration


def why_invalid(asked: RetryPolicy, limits: Limits) -> str | None:
    """The reference's sentence on what is wrong with a policy, once it is filled in."""
    if asked.maximum_attempts == 1:
        return None  # there are no retries to be wrong about
    policy = normalised(asked, limits)
    why = why_invalid_duration(policy.initial_interval)
    if why is not None:
        return f"invalid InitialInterval set on retry policy: {why}"
    if policy.backoff_coefficient < 1:
        return "BackoffCoefficient cannot be less than 1 on retry policy."
    why = why_invalid_duration(policy.maximum_interval)
    if why is not None:
        return f"invalid MaximumInterval set on retry policy: {why}"
    if ns_of(policy.maximum_interval) < ns_of(policy.initial_interval):
        return "MaximumInterval cannot be less than InitialInterval on retry policy."
    if policy.maximum_attempts < 0:
        return "MaximumAttempts cannot be negative on retry policy."
    for error_type in policy.non_retryable_error_types:
        if error_type.startswith(TIMEOUT_PREFIX):
            name = error_type.removeprefix(TIMEOUT_PREFIX)
            if name not in ("StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"):
                return f"Invalid timeout type value: {name}."
    return None


def normalised(policy: RetryPolicy, limits: Limits) -> RetryPolicy:
    """The policy with what it leaves open filled in: 1 s, doubling, at most 100 times the first interval."""
    filled = RetryPolicy()
    filled.CopyFrom(policy)
    if not ns_of(policy.initial_interval):
        filled.initial_interval.CopyFrom(duration(limits.activity_retry_initial_ns))
    if not policy.backoff_coefficient:
        filled.backoff_coefficient = limits.activity_retry_coefficient
    if not ns_of(policy.maximum_interval):
        multiple = limits.activity_retry_maximum_multiple
        filled.maximum_interval.CopyFrom(duration(ns_of(filled.initial_interval) * multiple))
    return filled
