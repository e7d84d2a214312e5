"""Whether, and after how long, a failed attempt is made again: for activities and for workflow runs alike."""

from dataclasses import dataclass

from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure

from services.history.core.times import ns_of

TIMEOUT_PREFIX = "TemporalTimeout:"
NONE = -1


@dataclass(frozen=True, slots=True)
class Retry:
    """IN_PROGRESS with a back-off, or the state that says why there is none."""

    state: RetryState.ValueType
    backoff_ns: int = 0


def next_retry(
    *,
    policy: RetryPolicy | None,
    attempt: int,
    now_ns: int,
    expires_ns: int,
    failure: Failure,
    caps_delay: bool = False,
) -> Retry:
    """The answer for a failure of attempt `attempt`; `expires_ns` (0 = never) is the last instant a retry may begin.

    `caps_delay`: a delay that the failure asks for is at most the policy's maximum interval, and is that when it is 0.
    """
    if policy is None:
        return Retry(RetryState.RETRY_STATE_RETRY_POLICY_NOT_SET)
    if not is_retryable(failure, policy):
        return Retry(RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE)
    if 0 < policy.maximum_attempts <= attempt:
        return Retry(RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED)
    backoff_ns = _backoff_ns(policy, attempt, failure, caps_delay)
    if backoff_ns < 0 or (expires_ns and now_ns + backoff_ns > expires_ns):
        return Retry(RetryState.RETRY_STATE_TIMEOUT)
    return Retry(RetryState.RETRY_STATE_IN_PROGRESS, backoff_ns)


def _backoff_ns(policy: RetryPolicy, attempt: int, failure: Failure, caps_delay: bool) -> int:
    asked, maximum_ns = failure.application_failure_info, ns_of(policy.maximum_interval)
    if failure.HasField("application_failure_info") and asked.HasField("next_retry_delay"):
        delay_ns = ns_of(asked.next_retry_delay)
        if caps_delay and not 0 < delay_ns <= maximum_ns:
            return maximum_ns
        return delay_ns if delay_ns > 0 else NONE
    return interval_ns(policy, attempt)


def interval_ns(policy: RetryPolicy, attempt: int) -> int:
    """The back-off after that many attempts. NONE of a policy that leaves it open, as one from an operator may."""
    initial_ns, maximum_ns = ns_of(policy.initial_interval), ns_of(policy.maximum_interval)
    try:
        backoff_ns = int(initial_ns * policy.backoff_coefficient ** (attempt - 1))
    except OverflowError:
        backoff_ns = maximum_ns or 2**62
    if maximum_ns and not 0 < backoff_ns <= maximum_ns:
        return maximum_ns
    return backoff_ns if backoff_ns > 0 else NONE


def is_retryable(failure: Failure, policy: RetryPolicy) -> bool:
    """By the kind of failure, and by the policy's list of error types that are not retried."""
    kind = failure.WhichOneof("failure_info")
    if kind in ("terminated_failure_info", "canceled_failure_info"):
        return False
    if kind == "timeout_failure_info":
        return _timeout_is_retryable(failure.timeout_failure_info.timeout_type, policy)
    if kind == "server_failure_info":
        return not failure.server_failure_info.non_retryable
    if kind == "application_failure_info":
        if failure.application_failure_info.non_retryable:
            return False
        return failure.application_failure_info.type not in policy.non_retryable_error_types
    return True


def _timeout_is_retryable(timeout: TimeoutType.ValueType, policy: RetryPolicy) -> bool:
    names = {TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "StartToClose", TimeoutType.TIMEOUT_TYPE_HEARTBEAT: "Heartbeat"}
    return timeout in names and TIMEOUT_PREFIX + names[timeout] not in policy.non_retryable_error_types
