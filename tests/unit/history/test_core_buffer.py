"""Events that come while a workflow task is started: they wait, then take their places in the reference's order."""

from temporalio.api.enums.v1 import WorkflowExecutionStatus

from services.history.core import activities
from services.history.core.decision import Limits
from services.history.core.relations import child_closed, child_started
from services.history.core.times import SECOND
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell, child_closed_request

COMPLETED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED


def test_ends_of_activities_and_children_come_last_and_know_their_starts() -> None:
    shell = Shell().begin()
    shell.work(c.schedule_activity(), c.start_child())
    activity = shell.start_activity(5)
    shell.signal()
    token = shell.poll()
    shell.decide(lambda draft: activities.complete_activity(draft, activity, None, "worker"))
    shell.decide(lambda draft: child_started(draft, 6, "child-run", None))
    shell.decide(lambda draft: child_closed(draft, child_closed_request(6, COMPLETED)))
    shell.signal()
    assert len(shell.run.buffered) == 5
    shell.complete(token)
    assert shell.types()[10:] == [
        "ActivityTaskStarted",
        "ChildWorkflowExecutionStarted",
        "WorkflowExecutionSignaled",
        "ActivityTaskCompleted",
        "ChildWorkflowExecutionCompleted",
        "WorkflowTaskScheduled",
    ]
    assert shell.last("activity_task_completed").started_event_id == 11
    assert shell.last("child_workflow_execution_completed").started_event_id == 12
    assert not shell.run.buffered
    check(shell)


def test_a_child_that_started_in_the_buffer_ends_with_the_id_of_its_start() -> None:
    shell = Shell().begin()
    shell.work(c.start_child())
    shell.signal()
    token = shell.poll()
    shell.decide(lambda draft: child_started(draft, 5, "child-run", None))
    shell.complete(token)
    shell.decide(lambda draft: child_closed(draft, child_closed_request(5, COMPLETED)))
    started = shell.types().index("ChildWorkflowExecutionStarted") + 1
    assert shell.last("child_workflow_execution_completed").started_event_id == started
    check(shell)


def test_canceling_a_timer_takes_back_its_firing() -> None:
    shell = Shell().begin()
    shell.work(c.start_timer("t", seconds=1))
    shell.signal()
    token = shell.poll()
    shell.advance(SECOND)
    assert shell.buffered_names() == ["TimerFired"]
    completed = shell.complete(token, c.cancel_timer("t"), c.complete_workflow())
    assert completed.error is None
    assert "TimerFired" not in shell.types()
    assert shell.last("timer_canceled").started_event_id == 5
    check(shell)


def test_a_timer_may_be_started_anew_while_its_firing_waits() -> None:
    """The firing is of the old timer: written after the new one's start, it leaves the new one pending."""
    shell = Shell().begin()
    shell.work(c.start_timer("t", seconds=1))
    shell.signal()
    token = shell.poll()
    shell.advance(SECOND)
    shell.complete(token, c.start_timer("t", seconds=60))
    assert shell.types()[-3:] == ["TimerStarted", "TimerFired", "WorkflowTaskScheduled"]
    assert shell.run.timers["t"].started_event_id == shell.types().index("TimerFired")
    check(shell)


def test_an_activity_that_was_not_started_is_canceled_after_the_commands() -> None:
    shell = Shell().begin()
    shell.work(c.schedule_activity())
    shell.signal()
    shell.work(c.cancel_activity(5), c.start_timer())
    assert shell.types()[-4:] == [
        "ActivityTaskCancelRequested",
        "TimerStarted",
        "ActivityTaskCanceled",
        "WorkflowTaskScheduled",
    ]
    check(shell)


def test_a_close_drops_what_its_own_commands_canceled() -> None:
    shell = Shell().begin()
    shell.work(c.schedule_activity())
    shell.signal()
    shell.work(c.cancel_activity(5), c.complete_workflow())
    assert shell.types()[-2:] == ["ActivityTaskCancelRequested", "WorkflowExecutionCompleted"]
    assert not shell.run.buffered
    check(shell)


def test_too_many_waiting_events_fail_the_task() -> None:
    shell = Shell(limits=Limits(buffered_events_max=2)).begin()
    shell.poll()
    for _ in range(3):
        shell.signal()
    assert shell.types()[3:] == ["WorkflowTaskFailed", *["WorkflowExecutionSignaled"] * 3]
    assert shell.run.info.task.attempt == 2
    check(shell)


def test_too_large_waiting_events_fail_the_task() -> None:
    shell = Shell(limits=Limits(buffered_bytes_max=500)).begin()
    shell.poll()
    shell.signal(name="x" * 600)
    assert len(shell.run.buffered) == 1, "one alone is let be"
    shell.signal()
    assert not shell.run.buffered


def test_a_bad_command_leaves_waiting_events_their_place() -> None:
    shell = Shell().begin()
    token = shell.poll()
    shell.signal()
    completed = shell.complete(token, c.record_marker(), c.cancel_timer("none"))
    assert completed.error is not None
    assert completed.error.message.startswith("BadCancelTimerAttributes: ")
    assert shell.types()[3:] == ["WorkflowTaskFailed", "WorkflowExecutionSignaled", "WorkflowTaskScheduled"]
    check(shell)
