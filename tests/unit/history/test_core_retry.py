"""Retry policies: when another attempt is made, and after how long."""

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import CanceledFailureInfo, Failure, ServerFailureInfo, TerminatedFailureInfo
from temporalio.api.failure.v1 import TimeoutFailureInfo as TimeoutInfo

from services.history.core.decision import Limits
from services.history.core.retry import Retry, is_retryable, next_retry
from services.history.core.retry_policy import normalised, why_invalid
from services.history.core.times import SECOND, duration, ns_of
from tests.unit.history.shell import application_failure

FAILURE = application_failure(type="oops")
IN_PROGRESS = RetryState.RETRY_STATE_IN_PROGRESS


def policy(initial_s: float = 1, coefficient: float = 2, maximum_s: float = 100, attempts: int = 0) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=duration(int(initial_s * SECOND)),
        backoff_coefficient=coefficient,
        maximum_interval=duration(int(maximum_s * SECOND)),
        maximum_attempts=attempts,
    )


def retry(retry_policy: RetryPolicy | None, attempt: int, expires_ns: int = 0) -> Retry:
    return next_retry(policy=retry_policy, attempt=attempt, now_ns=1000, expires_ns=expires_ns, failure=FAILURE)


def test_intervals_grow_to_their_maximum() -> None:
    backoffs = [retry(policy(maximum_s=10), attempt).backoff_ns / SECOND for attempt in range(1, 7)]
    assert backoffs == [1, 2, 4, 8, 10, 10]


@settings(deadline=None, derandomize=True, database=None)
@given(st.floats(0.001, 1000), st.floats(1, 1000), st.sampled_from([0, 1, 3600]), st.integers(1, 2**31 - 1))
def test_no_attempt_is_too_many(initial_s: float, coefficient: float, maximum_s: int, attempt: int) -> None:
    answer = retry(policy(initial_s, coefficient, maximum_s), attempt)
    assert answer.state == IN_PROGRESS
    assert answer.backoff_ns > 0
    assert not maximum_s or answer.backoff_ns <= maximum_s * SECOND


@pytest.mark.parametrize(
    ("retry_policy", "attempt", "expires_ns", "state"),
    [
        (None, 1, 0, RetryState.RETRY_STATE_RETRY_POLICY_NOT_SET),
        (policy(attempts=3), 2, 0, IN_PROGRESS),
        (policy(attempts=3), 3, 0, RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED),
        (policy(), 1, 1000 + SECOND, IN_PROGRESS),
        (policy(), 1, 999 + SECOND, RetryState.RETRY_STATE_TIMEOUT),
        (RetryPolicy(non_retryable_error_types=["oops"]), 1, 0, RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE),
    ],
)
def test_when_there_is_none(
    retry_policy: RetryPolicy | None, attempt: int, expires_ns: int, state: RetryState.ValueType
) -> None:
    assert retry(retry_policy, attempt, expires_ns).state == state


def timeout(kind: TimeoutType.ValueType) -> Failure:
    return Failure(timeout_failure_info=TimeoutInfo(timeout_type=kind))


@pytest.mark.parametrize(
    ("failure", "retryable"),
    [
        (application_failure(type="other"), True),
        (application_failure(type="final"), False),
        (application_failure(non_retryable=True), False),
        (timeout(TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE), True),
        (timeout(TimeoutType.TIMEOUT_TYPE_HEARTBEAT), False),
        (timeout(TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START), False),
        (timeout(TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE), False),
        (Failure(server_failure_info=ServerFailureInfo()), True),
        (Failure(server_failure_info=ServerFailureInfo(non_retryable=True)), False),
        (Failure(canceled_failure_info=CanceledFailureInfo()), False),
        (Failure(terminated_failure_info=TerminatedFailureInfo()), False),
        (Failure(message="of no kind"), True),
    ],
)
def test_what_is_retried(failure: Failure, retryable: bool) -> None:
    final = RetryPolicy(non_retryable_error_types=["final", "TemporalTimeout:Heartbeat"])
    assert is_retryable(failure, final) is retryable


def test_what_a_policy_leaves_open_is_filled_in() -> None:
    filled = normalised(RetryPolicy(initial_interval=duration(3 * SECOND)), Limits())
    assert filled.backoff_coefficient == 2
    assert ns_of(filled.maximum_interval) == 300 * SECOND
    assert normalised(filled, Limits()) == filled
    assert why_invalid(filled, Limits()) is None


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (RetryPolicy(initial_interval=duration(-SECOND)), "InitialInterval"),
        (RetryPolicy(backoff_coefficient=0.5), "BackoffCoefficient"),
        (RetryPolicy(initial_interval=Duration(seconds=1, nanos=-1)), "different signs"),
        (RetryPolicy(maximum_interval=duration(-SECOND)), "MaximumInterval"),
        (RetryPolicy(initial_interval=duration(2 * SECOND), maximum_interval=duration(SECOND)), "MaximumInterval"),
        (RetryPolicy(maximum_attempts=-1), "MaximumAttempts"),
        (RetryPolicy(non_retryable_error_types=["TemporalTimeout:Lunch"]), "Lunch"),
    ],
)
def test_what_is_wrong_with_a_policy(bad: RetryPolicy, word: str) -> None:
    assert word in (why_invalid(bad, Limits()) or "")


@pytest.mark.parametrize(("asked_s", "waited_s"), [(0, 9), (5, 5), (60, 9)])
def test_a_run_waits_no_longer_than_its_policy_lets_it(asked_s: int, waited_s: int) -> None:
    """An activity waits for what its failure asks, whatever that is."""
    failure = application_failure(next_retry_delay=duration(asked_s * SECOND))
    longest = RetryPolicy(initial_interval=duration(SECOND), maximum_interval=duration(9 * SECOND))
    for caps_delay, expected_s in ((True, waited_s), (False, asked_s)):
        found = next_retry(policy=longest, attempt=1, now_ns=0, expires_ns=0, failure=failure, caps_delay=caps_delay)
        assert found.backoff_ns == expected_s * SECOND
