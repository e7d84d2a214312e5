"""Activities: how each attempt ends, what follows, and what the workflow sees."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payloads, RetryPolicy
from temporalio.api.enums.v1 import RetryState, TimeoutType

from services.history.core import activities
from services.history.core.decision import Limits
from services.history.core.rejection import Rejection
from services.history.core.times import SECOND, duration
from services.protos.run_pb2 import Task, TaskToken
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell, activity_token, application_failure

SCHEDULED = 5
ONCE = RetryPolicy(initial_interval=duration(SECOND), maximum_attempts=1)
TWICE = RetryPolicy(initial_interval=duration(SECOND), maximum_attempts=2)
DETAILS = Payloads(payloads=[c.payload(b"3")])


def scheduled(command: Command, limits: Limits | None = None) -> Shell:
    """A run with one activity that waits for a worker."""
    made = Shell(limits=limits).begin()
    made.work(command)
    return made


def fail(shell: Shell, token: TaskToken, **failure: object) -> None:
    shell.decide(
        lambda draft: activities.fail_activity(draft, token, application_failure(**failure), "worker")  # type: ignore[arg-type]  # fields of a failure
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """An activity that is left alone for `after_s`: not started, or started at once."""

    command: Command
    started: bool = True
    after_s: float
    timeout: str = ""  # "" = another attempt is made
    state: str = "TIMEOUT"


CASES = {
    "nobody takes it": Case(
        command=c.schedule_activity(to_start_s=3), started=False, after_s=3, timeout="SCHEDULE_TO_START"
    ),
    "it takes too long": Case(
        command=c.schedule_activity(start_to_close_s=2, retry=ONCE),
        after_s=2,
        timeout="START_TO_CLOSE",
        state="MAXIMUM_ATTEMPTS_REACHED",
    ),
    "it takes too long and is retried": Case(command=c.schedule_activity(start_to_close_s=2), after_s=2),
    "it falls silent": Case(
        command=c.schedule_activity(heartbeat_s=1, retry=ONCE),
        after_s=1,
        timeout="HEARTBEAT",
        state="MAXIMUM_ATTEMPTS_REACHED",
    ),
    "it falls silent and is retried": Case(command=c.schedule_activity(heartbeat_s=1), after_s=1),
    "all attempts take too long": Case(
        command=c.schedule_activity(to_close_s=4, start_to_close_s=0), after_s=4, timeout="SCHEDULE_TO_CLOSE"
    ),
    "no time is left for a retry": Case(
        command=c.schedule_activity(to_close_s=4, start_to_close_s=3.5), after_s=3.5, timeout="SCHEDULE_TO_CLOSE"
    ),
    "its kind of time-out is final": Case(
        command=c.schedule_activity(
            start_to_close_s=2, retry=RetryPolicy(non_retryable_error_types=["TemporalTimeout:StartToClose"])
        ),
        after_s=2,
        timeout="START_TO_CLOSE",
        state="NON_RETRYABLE_FAILURE",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_time_outs(case: Case) -> None:
    shell = scheduled(case.command)
    if case.started:
        shell.start_activity(SCHEDULED)
    shell.advance(int(case.after_s * SECOND) - 1)
    assert "ActivityTaskTimedOut" not in shell.types()
    shell.advance(1)
    if not case.timeout:
        assert shell.run.activities[SCHEDULED].attempt == 2
        assert shell.run.activities[SCHEDULED].backing_off
        return
    ended = shell.last("activity_task_timed_out")
    assert ended.failure.timeout_failure_info.timeout_type == TimeoutType.Value(f"TIMEOUT_TYPE_{case.timeout}")
    assert ended.retry_state == RetryState.Value(f"RETRY_STATE_{case.state}")
    assert bool(ended.started_event_id) == case.started
    assert shell.types()[-1] == "WorkflowTaskScheduled"
    check(shell)


def test_a_retry_waits_and_is_pushed_again() -> None:
    shell = scheduled(c.schedule_activity())
    old = shell.start_activity(SCHEDULED)
    fail(shell, old)
    assert (Task.PUSH_ACTIVITY_TASK, SCHEDULED, 2) not in shell.pushed
    shell.advance(SECOND)
    shell.start_activity(SCHEDULED)
    with pytest.raises(Rejection, match="invalid activityID"):
        shell.decide(lambda draft: activities.complete_activity(draft, old, None, "worker"))
    check(shell)


def test_only_the_last_attempt_is_in_the_history() -> None:
    shell = scheduled(c.schedule_activity(retry=TWICE))
    fail(shell, shell.start_activity(SCHEDULED), message="first")
    shell.advance(SECOND)
    fail(shell, shell.start_activity(SCHEDULED), message="second")
    assert shell.types()[5:] == ["ActivityTaskStarted", "ActivityTaskFailed", "WorkflowTaskScheduled"]
    assert shell.last("activity_task_started").attempt == 2
    assert shell.last("activity_task_started").last_failure.message == "first"
    assert shell.last("activity_task_failed").retry_state == RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    check(shell)


def test_a_failure_may_be_final() -> None:
    shell = scheduled(c.schedule_activity())
    fail(shell, shell.start_activity(SCHEDULED), non_retryable=True)
    assert shell.last("activity_task_failed").retry_state == RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE


def test_a_failure_may_say_when_to_retry() -> None:
    shell = scheduled(c.schedule_activity())
    fail(shell, shell.start_activity(SCHEDULED), next_retry_delay=duration(7 * SECOND))
    assert shell.run.activities[SCHEDULED].scheduled_time_ns == shell.now_ns + 7 * SECOND


def test_a_heartbeat_keeps_it_alive_and_its_details_for_the_next_attempt() -> None:
    shell = scheduled(c.schedule_activity(heartbeat_s=2))
    token = shell.start_activity(SCHEDULED)
    for _ in range(3):
        shell.advance(SECOND)
        shell.decide(lambda draft: activities.heartbeat(draft, token, DETAILS))
    shell.advance(2 * SECOND)
    activity = shell.run.activities[SCHEDULED]
    assert (activity.attempt, activity.heartbeat_details) == (2, DETAILS)
    check(shell)


def test_a_canceled_activity_is_not_retried() -> None:
    shell = scheduled(c.schedule_activity())
    token = shell.start_activity(SCHEDULED)
    shell.signal()
    shell.work(c.cancel_activity(SCHEDULED))
    fail(shell, token)
    assert shell.last("activity_task_failed").retry_state == RetryState.RETRY_STATE_CANCEL_REQUESTED


def test_giving_in_to_a_cancellation_nobody_asked_for_is_refused() -> None:
    shell = scheduled(c.schedule_activity())
    token = shell.start_activity(SCHEDULED)
    with pytest.raises(Rejection, match="without activity being request canceled first"):
        shell.decide(lambda draft: activities.cancel_activity(draft, token, None, "worker"))


def test_an_activity_completed_by_id_counts_as_started() -> None:
    shell = scheduled(c.schedule_activity())
    token = activity_token(shell.run.activities[SCHEDULED], by_id=True)
    shell.decide(lambda draft: activities.complete_activity(draft, token, None, "somebody"))
    assert shell.types()[5:7] == ["ActivityTaskStarted", "ActivityTaskCompleted"]
    assert shell.last("activity_task_started").identity == "somebody"
    check(shell)


@pytest.mark.parametrize(
    "answer",
    [
        lambda draft, token: activities.heartbeat(draft, token, None),
        lambda draft, token: activities.complete_activity(draft, token, None, "worker"),
        lambda draft, token: activities.fail_activity(draft, token, application_failure(), "worker"),
        lambda draft, token: activities.cancel_activity(draft, token, None, "worker"),
    ],
)
def test_answers_after_the_run_closed_are_refused(answer: Callable[..., object]) -> None:
    shell = scheduled(c.schedule_activity())
    token = shell.start_activity(SCHEDULED)
    shell.signal()
    shell.work(c.complete_workflow())
    with pytest.raises(Rejection, match="already completed"):
        shell.decide(lambda draft: answer(draft, token))


def test_a_started_activity_is_not_given_away_again() -> None:
    shell = scheduled(c.schedule_activity())
    shell.start_activity(SCHEDULED)
    with pytest.raises(Rejection, match="invalid activityID"):
        shell.start_activity(SCHEDULED)


def test_an_eager_activity_starts_within_the_completion() -> None:
    shell = Shell().begin()
    completed = shell.complete(shell.poll(), c.schedule_activity(eager=True), eager=True)
    assert completed.eager_activities == (SCHEDULED,)
    assert shell.run.activities[SCHEDULED].started_time_ns
    assert not any(kind == Task.PUSH_ACTIVITY_TASK for kind, _, _ in shell.pushed)
    check(shell)


def test_a_large_failure_is_cut_for_the_next_attempt() -> None:
    shell = scheduled(c.schedule_activity(), limits=Limits(activity_failure_bytes_max=100))
    fail(shell, shell.start_activity(SCHEDULED), message="x" * 1000)
    kept = shell.run.activities[SCHEDULED].last_failure
    assert kept.message == "Failure exceeds size limit."
    assert kept.cause.ByteSize() <= 100
