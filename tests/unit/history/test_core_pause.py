"""Paused runs: what is held back, what goes on, and that both survive the loss of memory."""

import pytest
from temporalio.api.common.v1 import RetryPolicy

from services.history.core.activities import fail_activity, start_activity
from services.history.core.decision import Decision
from services.history.core.pause import pause_run, unpause_run
from services.history.core.rejection import Rejection
from services.history.core.times import SECOND, duration
from services.protos.run_pb2 import Task
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell, application_failure


def pause(shell: Shell, request_id: str = "pause") -> Decision:
    return shell.decide(lambda draft: pause_run(draft, identity="client", reason="lunch", request_id=request_id))


def unpause(shell: Shell) -> Decision:
    return shell.decide(lambda draft: unpause_run(draft, identity="client", reason="back", request_id="unpause"))


def pushes(decision: Decision) -> list[Task.Kind.ValueType]:
    return [task.kind for task in decision.tasks if task.kind in (Task.PUSH_WORKFLOW_TASK, Task.PUSH_ACTIVITY_TASK)]


def test_what_waits_is_dispatched_when_the_run_goes_on() -> None:
    shell = Shell().begin()
    shell.complete(shell.poll(), c.schedule_activity())
    activity = next(iter(shell.run.activities.values()))
    pause(shell)
    shell.crash()
    with pytest.raises(Rejection, match="invalid activityID"):
        shell.decide(
            lambda draft: start_activity(
                draft,
                scheduled_event_id=activity.scheduled_event_id,
                stamp=activity.stamp,
                request_id="poll",
                identity="worker",
            )
        )
    assert pushes(shell.signal()) == []
    assert sorted(pushes(unpause(shell))) == [Task.PUSH_WORKFLOW_TASK, Task.PUSH_ACTIVITY_TASK]
    shell.start_activity(activity.scheduled_event_id)
    shell.complete(shell.poll())
    check(shell)


def test_a_task_that_nobody_has_is_withdrawn() -> None:
    shell = Shell().begin()
    pause(shell)
    assert shell.types()[-2:] == ["WorkflowTaskFailed", "WorkflowExecutionPaused"]
    assert not shell.run.info.HasField("task")
    unpause(shell)
    shell.poll()
    check(shell)


def test_a_retry_that_was_under_way_waits_for_the_end_of_the_pause() -> None:
    shell = Shell().begin()
    policy = RetryPolicy(initial_interval=duration(SECOND), backoff_coefficient=1)
    shell.complete(shell.poll(), c.schedule_activity(retry=policy))
    event_id = next(iter(shell.run.activities))
    token = shell.start_activity(event_id)
    shell.decide(lambda draft: fail_activity(draft, token, application_failure(), "worker"))
    pause(shell)
    shell.advance(5 * SECOND)
    assert shell.run.activities[event_id].backing_off
    unpause(shell)
    shell.advance(0)
    assert not shell.run.activities[event_id].backing_off
    check(shell)


@pytest.mark.parametrize("paused_for_s", [1, 5])
def test_a_delayed_start_has_its_first_task_when_both_are_over(paused_for_s: int) -> None:
    shell = Shell().begin(workflow_start_delay=duration(3 * SECOND))
    pause(shell)
    shell.advance(paused_for_s * SECOND)
    assert not shell.run.info.HasField("task")
    unpause(shell)
    shell.advance(3 * SECOND)
    assert shell.run.info.HasField("task")
    check(shell)


def test_a_pause_is_asked_for_once() -> None:
    shell = Shell().begin()
    pause(shell, "first")
    assert not pause(shell, "first").durable
    with pytest.raises(Rejection, match=r"workflow is already paused\."):
        pause(shell, "second")
    unpause(shell)
    with pytest.raises(Rejection, match=r"workflow is not paused\."):
        unpause(shell)
