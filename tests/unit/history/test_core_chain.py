"""How runs begin, end and follow one another, and what they tell their parents, children and others."""

from collections.abc import Callable

import pytest
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import ContinueAsNewInitiator, RetryState, WorkflowExecutionStatus

from services.history.core.close import terminate_run
from services.history.core.rejection import Rejection
from services.history.core.relations import cancel_answered, child_closed, child_started, signal_answered
from services.history.core.signals import request_cancel
from services.history.core.times import SECOND, duration, ns_of
from services.history.core.workflow_task import schedule_task
from services.protos.run_pb2 import Parent, Task
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import NAMESPACE, Shell, application_failure, child_closed_request

PARENT = Parent(namespace="default", workflow_id="parent", run_id="parent-run", initiated_event_id=5)
TWICE = RetryPolicy(initial_interval=duration(SECOND), backoff_coefficient=2, maximum_attempts=2)


def kinds(shell: Shell) -> list[str]:
    return [Task.Kind.Name(task.kind) for task in shell.tasks]


def test_a_delayed_start_waits_whatever_comes() -> None:
    shell = Shell().begin(workflow_start_delay=duration(3 * SECOND))
    shell.signal()
    shell.update("u")
    assert "WorkflowTaskScheduled" not in shell.types()
    shell.advance(3 * SECOND)
    assert shell.types() == ["WorkflowExecutionStarted", "WorkflowExecutionSignaled", "WorkflowTaskScheduled"]
    check(shell)


def test_a_child_waits_for_its_parent_to_know_it() -> None:
    shell = Shell().begin(parent=PARENT, first_task=False)
    assert shell.types() == ["WorkflowExecutionStarted"]
    shell.decide(schedule_task)
    shell.work(c.complete_workflow())
    assert "REPORT_TO_PARENT" in kinds(shell)
    check(shell)


def test_continuing_as_new_is_one_decision() -> None:
    shell = Shell().begin(parent=PARENT)
    shell.work(c.continue_as_new())
    assert shell.run.info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
    successor = shell.successor
    assert successor is not None
    assert successor.started.continued_execution_run_id == shell.run_id
    assert successor.started.first_execution_run_id == shell.run_id
    assert shell.run.info.new_execution_run_id == successor.run_id
    assert "REPORT_TO_PARENT" not in kinds(shell), "the chain is not over"
    check(shell)
    check(successor)


def test_a_failed_run_is_retried_after_its_back_off() -> None:
    shell = Shell().begin(retry_policy=TWICE)
    shell.work(c.fail_workflow(application_failure()))
    assert shell.last("workflow_execution_failed").retry_state == RetryState.RETRY_STATE_IN_PROGRESS
    second = shell.successor
    assert second is not None
    assert second.started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
    assert second.started.attempt == 2
    assert second.types() == ["WorkflowExecutionStarted"]
    second.advance(SECOND)
    second.work(c.fail_workflow(application_failure()))
    assert second.successor is None
    reached = RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    assert second.last("workflow_execution_failed").retry_state == reached
    check(second)


def test_a_schedule_has_another_run_follow() -> None:
    shell = Shell().begin(cron_schedule="* * * * *")
    shell.work(c.complete_workflow())
    assert shell.successor is not None
    assert shell.successor.started.first_workflow_task_backoff == duration(60 * SECOND)
    assert shell.successor.started.HasField("last_completion_result")


def test_the_time_of_a_chain_is_shared_by_its_runs() -> None:
    shell = Shell().begin(workflow_execution_timeout=duration(10 * SECOND))
    shell.advance(4 * SECOND)
    shell.work(c.continue_as_new())
    assert shell.successor is not None
    assert ns_of(shell.successor.started.workflow_run_timeout) == 10 * SECOND, "what was asked for is told"
    shell.successor.advance(6 * SECOND)
    timed_out = shell.successor.last("workflow_execution_timed_out")
    assert timed_out.retry_state == RetryState.RETRY_STATE_TIMEOUT
    assert shell.successor.successor is None
    check(shell.successor)


@pytest.mark.parametrize("asked_s", [0, 60])
def test_a_chain_whose_time_is_over_leaves_its_next_run_none(asked_s: int) -> None:
    """The wake that ends the chain is late, and a worker is faster."""
    shell = Shell().begin(workflow_execution_timeout=duration(5 * SECOND))
    token = shell.poll()
    shell.now_ns += 6 * SECOND
    shell.complete(token, c.continue_as_new(workflow_run_timeout=duration(asked_s * SECOND)))
    assert shell.successor is not None
    assert ns_of(shell.successor.started.workflow_run_timeout) == 5 * SECOND
    shell.successor.advance(SECOND)
    assert shell.successor.types()[-1] == "WorkflowExecutionTimedOut"


def test_a_run_that_times_out_may_be_retried() -> None:
    shell = Shell().begin(workflow_run_timeout=duration(5 * SECOND), retry_policy=TWICE)
    token = shell.poll()
    shell.signal()
    shell.advance(5 * SECOND)
    assert shell.types()[3:] == ["WorkflowTaskFailed", "WorkflowExecutionSignaled", "WorkflowExecutionTimedOut"]
    with pytest.raises(Rejection, match="Workflow task not found"):
        shell.complete(token)
    check(shell)


def test_terminating_is_a_batch_of_its_own() -> None:
    shell = Shell().begin()
    shell.poll()
    shell.signal()
    decision = shell.decide(lambda draft: terminate_run(draft, "why", None, "client"))
    assert shell.types()[3:] == ["WorkflowTaskFailed", "WorkflowExecutionSignaled", "WorkflowExecutionTerminated"]
    assert len(decision.batches) == 2
    check(shell)


def test_a_closed_run_takes_nothing_in() -> None:
    shell = Shell().begin()
    shell.work(c.complete_workflow())
    inputs: list[Callable[[], object]] = [
        shell.signal,
        lambda: shell.update("u"),
        lambda: shell.decide(lambda draft: request_cancel(draft, reason="", identity="", request_id="")),
    ]
    for late in inputs:
        with pytest.raises(Rejection, match="workflow execution already completed"):
            late()


def test_a_second_wish_to_cancel_changes_nothing() -> None:
    shell = Shell().begin()
    for _ in range(2):
        shell.decide(lambda draft: request_cancel(draft, reason="why", identity="client", request_id="r"))
    assert shell.types().count("WorkflowExecutionCancelRequested") == 1


def test_the_end_of_a_run_is_the_business_of_its_children() -> None:
    shell = Shell().begin(retention_ns=60 * SECOND)
    shell.work(c.start_child(), c.complete_workflow())
    assert "APPLY_PARENT_CLOSE_POLICY" in kinds(shell)
    delete = next(task for task in shell.tasks if task.kind == Task.DELETE_RUN)
    assert delete.fire_time_ns == shell.now_ns + 60 * SECOND


def test_a_child_that_closed_before_its_start_was_recorded_started_first() -> None:
    shell = Shell().begin()
    shell.work(c.start_child())
    closed = child_closed_request(5, WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED)
    shell.decide(lambda draft: child_closed(draft, closed))
    assert shell.types()[5:7] == ["ChildWorkflowExecutionStarted", "WorkflowTaskScheduled"]
    assert shell.types()[7:] == ["ChildWorkflowExecutionFailed"]
    check(shell)


def test_what_other_runs_say_counts_once() -> None:
    shell = Shell().begin()
    shell.work(c.start_child(), c.signal_external(), c.cancel_external())
    closed = child_closed_request(5, WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED)
    for _ in range(2):
        shell.decide(lambda draft: child_started(draft, 5, "child-run", None))
        shell.decide(lambda draft: child_closed(draft, closed))
        shell.decide(lambda draft: signal_answered(draft, 6, None, NAMESPACE))
        shell.decide(lambda draft: cancel_answered(draft, 7, None, NAMESPACE))
    told = shell.types()[7:]
    assert sorted(set(told)) == sorted(told)
    assert "WorkflowTaskScheduled" in told
    check(shell)
