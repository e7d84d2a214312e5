"""The life of workflow tasks: transient attempts, stickiness, starts that are owed, speculation, heartbeats."""

from collections.abc import Callable

import pytest
from temporalio.api.protocol.v1 import Message as ProtocolMessage

from services.history.codec import run_write
from services.history.core.close import terminate_run
from services.history.core.decision import Limits
from services.history.core.draft import Draft
from services.history.core.rejection import Rejection
from services.history.core.times import SECOND
from services.history.replies import unwritten_events
from services.protos.run_pb2 import RunInfo, Task, WorkflowTask
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell

FIRST_TASK = ["WorkflowExecutionStarted", "WorkflowTaskScheduled", "WorkflowTaskStarted"]


def test_a_start_is_written_with_the_next_write() -> None:
    shell = Shell().begin()
    token = shell.poll()
    assert shell.types() == FIRST_TASK[:2], "the start is in memory only"
    shell.signal()
    assert shell.types() == FIRST_TASK
    assert shell.buffered_names() == ["WorkflowExecutionSignaled"]
    shell.complete(token)
    check(shell)


def test_a_crash_before_the_start_is_written_refuses_the_old_worker() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.crash()
    shell.poll()
    with pytest.raises(Rejection, match="Workflow task not found"):
        shell.complete(token)


def test_a_poll_that_is_repeated_gets_the_same_task() -> None:
    shell = Shell().begin()
    assert shell.poll("poll") == shell.poll("poll")
    with pytest.raises(Rejection, match="Workflow task not found"):
        shell.poll("another poll")


def test_only_the_first_of_a_row_of_failures_is_an_event() -> None:
    shell = Shell().begin()
    shell.fail_workflow_task(shell.poll())
    assert shell.types() == [*FIRST_TASK, "WorkflowTaskFailed"]
    for attempt in (2, 3):
        assert shell.run.info.task.kind == WorkflowTask.TRANSIENT
        assert shell.run.info.task.attempt == attempt
        shell.poll()
        shell.advance(11 * SECOND)
    assert shell.types() == [*FIRST_TASK, "WorkflowTaskFailed"]
    shell.work()
    assert shell.types()[4:] == ["WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskCompleted"]
    assert shell.last("workflow_task_scheduled").attempt == 4
    assert not shell.run.info.task_attempts_since_success
    check(shell)


def test_an_attempt_that_was_never_written_ends_with_its_run() -> None:
    shell = Shell().begin()
    shell.fail_workflow_task(shell.poll())
    assert shell.run.info.task.kind == WorkflowTask.TRANSIENT
    shell.decide(lambda draft: terminate_run(draft, "why", None, "client"))
    assert unwritten_events(shell.run) == [], "readers would take them for events after the last"
    check(shell)


def test_failing_a_transient_attempt_waits_for_its_time_out() -> None:
    shell = Shell().begin()
    shell.fail_workflow_task(shell.poll())
    token = shell.poll()
    shell.fail_workflow_task(token)
    assert shell.run.info.task.attempt == 2
    shell.advance(10 * SECOND)
    assert shell.run.info.task.attempt == 3


def test_attempts_from_the_fourth_on_are_given_more_time() -> None:
    shell = Shell().begin()
    timeouts = []
    for _ in range(6):
        timeouts.append(shell.run.info.task.timeout_ns // SECOND)
        shell.poll()
        shell.advance(shell.run.info.task.timeout_ns)
    assert timeouts == [10, 10, 10, 15, 20, 30]


def test_news_turn_a_transient_attempt_into_a_first_one() -> None:
    shell = Shell().begin()
    shell.fail_workflow_task(shell.poll())
    shell.now_ns += SECOND
    shell.signal()
    assert shell.types()[4:] == ["WorkflowExecutionSignaled"]
    shell.work()
    times = [(event.event_time.seconds, event.event_time.nanos) for event in shell.events()]
    assert times == sorted(times), "the task is as old as its event, not as the attempt it was"
    assert shell.types()[5:] == ["WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskCompleted"]
    assert shell.last("workflow_task_scheduled").attempt == 1
    check(shell)


def test_an_unanswered_sticky_task_goes_to_the_normal_queue_as_a_first_attempt() -> None:
    shell = Shell().begin()
    shell.work(sticky_ns=5 * SECOND)
    shell.signal()
    assert shell.last("workflow_task_scheduled").task_queue.normal_name == "queue"
    shell.advance(5 * SECOND)
    assert shell.types()[-2:] == ["WorkflowTaskTimedOut", "WorkflowTaskScheduled"]
    task = shell.run.info.task
    assert (task.task_queue, task.sticky, task.attempt) == ("queue", False, 1)
    check(shell)


def test_a_failure_while_sticky_only_ends_the_stickiness() -> None:
    shell = Shell().begin()
    shell.work(sticky_ns=5 * SECOND)
    shell.signal()
    shell.fail_workflow_task(shell.poll())
    assert shell.run.info.task.attempt == 1
    assert not shell.run.info.HasField("sticky")


def test_rejected_updates_leave_no_trace() -> None:
    shell = Shell().begin()
    shell.work()
    before = shell.types()
    shell.update("u")
    assert shell.run.info.task.kind == WorkflowTask.SPECULATIVE
    completed = shell.complete(shell.poll(), messages=[c.reject("u")])
    assert completed.decision is not None
    assert completed.decision.outcomes["u"] is not None
    assert completed.reset_history_event_id == 3
    assert shell.types() == before
    assert not shell.run.info.HasField("task")


def test_an_update_that_no_event_speaks_of_ends_with_its_run() -> None:
    shell = Shell().begin()
    shell.update("u")
    shell.decide(lambda draft: terminate_run(draft, "why", None, "client"))
    with pytest.raises(Rejection, match="already completed"):
        shell.update("u")


def test_an_accepted_update_writes_its_task() -> None:
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    shell.work(messages=[c.accept("u"), c.respond("u")])
    assert shell.types()[4:] == [
        "WorkflowTaskScheduled",
        "WorkflowTaskStarted",
        "WorkflowTaskCompleted",
        "WorkflowExecutionUpdateAccepted",
        "WorkflowExecutionUpdateCompleted",
    ]
    check(shell)


def test_an_update_that_came_during_a_task_gets_a_task_that_is_pushed() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.update("u")
    shell.complete(token)
    task = shell.run.info.task
    assert (Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, 1) in shell.pushed
    assert not task.schedule_to_start_deadline_ns, "it waits for a worker as long as it takes"
    check(shell)


def test_a_task_for_an_update_that_leaves_with_the_answer_is_not_written() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.update("u")
    assert shell.complete(token, return_new_workflow_task=True).new_task_started
    assert shell.types()[-1] == "WorkflowTaskCompleted"
    task = shell.run.info.task
    assert task.kind == WorkflowTask.SPECULATIVE
    decision = Draft(shell.run, shell.given()).decision()
    assert not RunInfo.FromString(run_write("run", 1, decision).blob).HasField("task")
    check(shell)


def test_news_before_a_speculative_task_is_started_write_it() -> None:
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    shell.signal()
    assert shell.types()[4:] == ["WorkflowTaskScheduled", "WorkflowExecutionSignaled"]
    shell.crash()
    check(shell)


def test_a_speculative_task_nobody_takes_is_replaced() -> None:
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    shell.advance(5 * SECOND)
    assert shell.types()[4:] == ["WorkflowTaskScheduled", "WorkflowTaskTimedOut", "WorkflowTaskScheduled"]
    check(shell)


def test_an_update_nobody_spoke_of_is_rejected() -> None:
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    completed = shell.complete(shell.poll())
    assert completed.decision is not None
    outcome = completed.decision.outcomes["u"]
    assert outcome is not None
    assert outcome.failure.application_failure_info.type == "UnprocessedUpdate"


@pytest.mark.parametrize("verb", [c.accept, c.reject, c.respond])
def test_a_message_about_an_unknown_update_fails_the_task(verb: Callable[[str], ProtocolMessage]) -> None:
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    completed = shell.complete(shell.poll(), messages=[verb("unknown")])
    assert completed.error is not None
    assert shell.types()[-1] == "WorkflowTaskFailed"
    check(shell)


def test_a_response_about_another_update_fails_the_task() -> None:
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    completed = shell.work(messages=[c.accept("u"), c.respond("u", about="another")])
    assert completed.error is not None
    assert completed.error.message.startswith("BadUpdateWorkflowExecutionMessage: ")
    assert not shell.run.updates


def test_news_refuse_a_close() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.signal()
    completed = shell.complete(token, c.complete_workflow())
    assert completed.error is not None
    assert completed.error.message == "UnhandledCommand"
    assert shell.types()[3:] == ["WorkflowTaskFailed", "WorkflowExecutionSignaled", "WorkflowTaskScheduled"]
    assert shell.run.info.task.attempt == 1
    shell.work(c.complete_workflow())
    assert not shell.run.is_open


def test_an_update_that_was_not_sent_does_not_hold_up_a_close() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.update("u")
    completed = shell.complete(token, c.complete_workflow())
    assert completed.error is None
    assert not shell.run.is_open


def test_a_worker_may_keep_its_task_alive_only_for_so_long() -> None:
    shell = Shell(limits=Limits(task_heartbeat_max_ns=20 * SECOND)).begin()
    token = shell.poll()
    for _ in range(3):
        shell.advance(7 * SECOND)
        last = shell.complete(token, force_create_new_workflow_task=True, return_new_workflow_task=True)
        token = shell.token()
    assert last.error is not None
    assert last.error.message == "workflow task heartbeat timeout"
    assert shell.types()[-1] == "WorkflowTaskTimedOut"


def test_a_heartbeat_with_commands_begins_anew() -> None:
    shell = Shell(limits=Limits(task_heartbeat_max_ns=20 * SECOND)).begin()
    token = shell.poll()
    for name in "abcd":
        shell.advance(7 * SECOND)
        shell.complete(token, c.record_marker(name), force_create_new_workflow_task=True, return_new_workflow_task=True)
        token = shell.token()
    assert "WorkflowTaskTimedOut" not in shell.types()


def test_the_next_task_travels_in_the_reply() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.signal()
    completed = shell.complete(token, return_new_workflow_task=True)
    assert completed.new_task_started
    assert shell.types()[-2:] == ["WorkflowTaskScheduled", "WorkflowTaskStarted"]
    shell.complete(shell.token(), c.complete_workflow())
    assert not shell.run.is_open


def test_a_started_task_suggests_to_continue_as_new() -> None:
    shell = Shell(limits=Limits(history_events_suggest=5)).begin()
    shell.work(c.record_marker(), c.record_marker())
    assert not shell.last("workflow_task_started").suggest_continue_as_new
    shell.signal()
    shell.work()
    assert shell.last("workflow_task_started").suggest_continue_as_new
