"""Limits on one run: each refuses one input, fails one task, or ends the run, as the reference does."""

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payloads

from services.history.core.decision import Limits
from services.history.core.rejection import Reason, Rejection
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell


def test_what_would_make_a_history_too_long_is_not_taken_and_ends_the_run() -> None:
    shell = Shell(limits=Limits(history_events_max=10)).begin()
    shell.work(*[c.record_marker()] * 6)
    assert shell.run.is_open
    decision = shell.signal()
    assert decision.refused is not None
    assert decision.refused.reason == Reason.INVALID_ARGUMENT
    assert shell.types()[-2:] == ["MarkerRecorded", "WorkflowExecutionTerminated"]
    assert shell.last("workflow_execution_terminated").reason == "Workflow history count exceeds limit."
    check(shell)


def test_a_history_of_too_many_bytes_ends_the_run() -> None:
    shell = Shell(limits=Limits(history_bytes_max=2000)).begin()
    shell.work(c.record_marker("x" * 2000))
    assert shell.run.is_open, "what made it too large is taken"
    shell.signal()
    assert "WorkflowExecutionSignaled" not in shell.types()
    assert shell.last("workflow_execution_terminated").reason == "Workflow history size exceeds limit."
    check(shell)


def test_a_run_that_ends_for_its_size_fails_the_task_a_worker_has() -> None:
    shell = Shell(limits=Limits(history_events_max=3, buffered_events_max=1)).begin()
    shell.poll()
    shell.signal()
    shell.signal()
    assert "WorkflowExecutionTerminated" not in shell.types(), "what waited for the task is written in any case"
    shell.signal()
    assert shell.types().count("WorkflowExecutionSignaled") == 2
    assert shell.types()[-1] == "WorkflowExecutionTerminated"
    check(shell)


def test_a_completion_that_is_too_long_ends_the_run_and_is_told_so() -> None:
    shell = Shell(limits=Limits(history_events_max=10)).begin()
    completed = shell.work(*[c.record_marker()] * 7)
    assert completed.error is not None
    assert completed.error.message == "Workflow history count exceeds limit."
    assert shell.types()[3:] == ["WorkflowTaskFailed", "WorkflowExecutionTerminated"]
    check(shell)


def test_a_completion_that_closes_the_run_is_never_too_long() -> None:
    shell = Shell(limits=Limits(history_events_max=5, transaction_bytes_max=10)).begin()
    assert shell.work(*[c.record_marker()] * 7, c.complete_workflow()).error is None
    assert shell.types()[-1] == "WorkflowExecutionCompleted"


def test_too_large_a_transaction_ends_the_run() -> None:
    shell = Shell(limits=Limits(transaction_bytes_max=1000)).begin()
    completed = shell.work(c.record_marker("x" * 1000))
    assert completed.error is not None
    assert completed.error.message.startswith("transaction size of ")
    assert completed.error.message.endswith(" exceeds limit of 1000 bytes")
    assert shell.last("workflow_execution_terminated").reason == "Transaction size exceeds limit."
    check(shell)


def test_too_large_a_state_ends_the_run() -> None:
    shell = Shell(limits=Limits(state_bytes_max=2000)).begin()
    shell.work(c.start_timer("x" * 900), c.start_timer("y" * 500))
    shell.crash()
    assert shell.run.is_open
    shell.signal()
    shell.work(c.cancel_timer("x" * 900), c.start_timer("z" * 900))
    assert shell.run.is_open, "what is gone does not count"
    shell.signal()
    completed = shell.work(c.start_timer("a" * 900))
    assert completed.error is not None
    assert completed.error.message == "Workflow mutable state size exceeds limit."
    check(shell)


def test_updates_that_wait_are_limited_by_their_size() -> None:
    shell = Shell(limits=Limits(updates_bytes_max=60)).begin()
    shell.update("a")
    shell.update("b")
    with pytest.raises(Rejection, match=r"limit on total payload size of in-flight updates has been reached .60 bytes"):
        shell.update("c" * 30)


@pytest.mark.parametrize(
    ("one", "another", "cause"),
    [
        (c.schedule_activity("a"), c.schedule_activity("b"), "PendingActivitiesLimitExceeded"),
        (c.start_child("a"), c.start_child("b"), "PendingChildWorkflowsLimitExceeded"),
        (c.signal_external(), c.signal_external(), "PendingSignalsLimitExceeded"),
        (c.cancel_external(), c.cancel_external(), "PendingRequestCancelLimitExceeded"),
    ],
)
def test_too_much_pending_fails_the_task(one: Command, another: Command, cause: str) -> None:
    shell = Shell(
        limits=Limits(
            activities_pending_max=1,
            children_pending_max=1,
            external_signals_pending_max=1,
            external_cancels_pending_max=1,
        )
    ).begin()
    completed = shell.work(one, another)
    assert completed.error is not None
    assert completed.error.message.startswith(f"{cause}: the number of pending ")
    assert shell.types()[3:] == ["WorkflowTaskFailed"], "nothing of the completion is kept"
    assert shell.work(one).error is None
    check(shell)


def test_too_large_a_payload_fails_the_task_and_ends_the_run() -> None:
    shell = Shell(limits=Limits(blob_bytes_max=100)).begin()
    marker = c.command("record_marker", marker_name="m", details={"d": Payloads(payloads=[c.payload(b"x" * 200)])})
    completed = shell.work(marker)
    assert completed.error is not None
    assert shell.types()[3:] == ["WorkflowTaskFailed", "WorkflowExecutionTerminated"]
    check(shell)


def test_too_many_signals_are_refused() -> None:
    shell = Shell(limits=Limits(signals_max=2)).begin()
    shell.signal()
    shell.signal()
    with pytest.raises(Rejection) as refused:
        shell.signal()
    assert refused.value.reason == Reason.INVALID_ARGUMENT
    assert shell.types().count("WorkflowExecutionSignaled") == 2


def test_a_signal_whose_answer_was_lost_is_taken_even_after_the_close() -> None:
    shell = Shell().begin()
    shell.signal(request_id="r")
    shell.work(c.complete_workflow())
    shell.signal(request_id="r")
    with pytest.raises(Rejection, match="already completed"):
        shell.signal(request_id="other")


def test_a_repeated_signal_counts_once() -> None:
    shell = Shell().begin()
    for _ in range(3):
        shell.signal(request_id="one")
    shell.crash()
    shell.signal(request_id="one")
    assert shell.types().count("WorkflowExecutionSignaled") == 1


def test_too_many_updates_at_once_are_refused() -> None:
    shell = Shell(limits=Limits(updates_in_flight_max=2)).begin()
    shell.update("a")
    shell.update("b")
    shell.update("a")
    with pytest.raises(Rejection) as refused:
        shell.update("c")
    assert refused.value.reason == Reason.CONCURRENT_LIMIT


def test_too_many_updates_of_one_run_are_refused() -> None:
    shell = Shell(limits=Limits(updates_max=1)).begin()
    shell.update("a")
    shell.work(messages=[c.accept("a"), c.respond("a")])
    with pytest.raises(Rejection) as refused:
        shell.update("b")
    assert refused.value.reason == Reason.FAILED_PRECONDITION
    shell.update("a")


def test_updates_are_refused_while_workflow_tasks_fail() -> None:
    shell = Shell().begin()
    shell.fail_workflow_task(shell.poll())
    shell.update("a")
    shell.poll()
    shell.advance(shell.run.info.task.timeout_ns)
    with pytest.raises(Rejection) as refused:
        shell.update("b")
    assert refused.value.reason == Reason.NOT_READY
