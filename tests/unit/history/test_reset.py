"""Resets: a run that is forked off any life at any point keeps all that holds of runs."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.api.enums.v1 import WorkflowExecutionStatus, WorkflowTaskFailedCause

from services.history.core.apply import Item
from services.history.core.rejection import Rejection
from services.history.core.relations import child_started, is_pending_child
from services.history.core.reset import entries, start_request_id
from services.history.core.reset_reapply import Wanted, wanted
from services.history.core.times import SECOND, duration
from services.protos.run_pb2 import Task
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.life import Life
from tests.unit.history.resetting import reset_shell
from tests.unit.history.shell import Shell, child_closed_request
from tests.unit.history.snapshot import snapshot

RESET = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW


@settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_life_can_be_reset_wherever_a_workflow_task_was(data: st.DataObject) -> None:
    life = Life(data)
    for _ in range(25):
        life.step()
    base = life.shell
    before = snapshot(base.run)
    for finish_event_id in range(2, base.run.info.next_event_id):
        try:
            shell = reset_shell(base, finish_event_id)
        except Rejection:
            continue
        check(shell)
        failed = shell.last("workflow_task_failed")
        assert (failed.cause, failed.base_run_id, failed.new_run_id) == (RESET, base.run_id, shell.run_id)
        shell.crash()
        if shell.run.info.HasField("task"):
            shell.work()
        check(shell)
    assert snapshot(base.run) == before


def test_every_end_of_a_workflow_task_is_a_point() -> None:
    shell = Shell().begin()
    shell.work(c.start_timer("t", 60))
    shell.signal()
    shell.fail_workflow_task(shell.poll())
    ends = [e.event_id for e in shell.events() if e.HasField("workflow_task_started_event_attributes")]
    for started_event_id in ends:
        assert reset_shell(shell, started_event_id + 1).run.is_open


@pytest.mark.parametrize("finish_event_id", [-1, 0, 1, 99])
def test_events_that_are_not_there_are_no_point(finish_event_id: int) -> None:
    with pytest.raises(Rejection, match="finish ID must be > 1"):
        reset_shell(Shell().begin(), finish_event_id)


def test_the_clocks_begin_anew() -> None:
    shell = Shell().begin(workflow_run_timeout=duration(20 * SECOND), workflow_execution_timeout=duration(50 * SECOND))
    shell.work(c.start_timer("t", 30))
    shell.advance(15 * SECOND)
    info = reset_shell(shell, 4).run.info
    assert info.start_time_ns == shell.now_ns
    assert info.reset_origin.original_start_time_ns == shell.run.info.start_time_ns
    assert info.run_deadline_ns == shell.now_ns + 20 * SECOND
    assert info.execution_deadline_ns == shell.now_ns + 50 * SECOND


def test_what_is_pending_is_taken_up_again() -> None:
    shell = Shell().begin()
    shell.work(c.schedule_activity("a"), c.start_timer("t", 5), c.start_child("child"), c.signal_external())
    shell.signal()
    shell.advance(60 * SECOND)
    scheduled = [e.event_id for e in shell.events() if e.HasField("workflow_task_scheduled_event_attributes")]
    again = reset_shell(shell, scheduled[1] + 1)
    assert {task.kind for task in again.tasks} >= {
        Task.PUSH_ACTIVITY_TASK,
        Task.START_CHILD,
        Task.SIGNAL_EXTERNAL,
        Task.UPDATE_VISIBILITY,
        Task.WAKE,
    }
    assert "TimerFired" not in again.types()
    again.advance(0)
    assert "TimerFired" in again.types()


@pytest.mark.parametrize(
    ("reapply_type", "excluded", "want"),
    [
        (0, [], Wanted()),
        (3, [], Wanted()),
        (1, [], Wanted(updates=False)),
        (2, [], Wanted(signals=False, updates=False)),
        (0, [1], Wanted(signals=False)),
        (0, [2, 3], Wanted(updates=False)),
        (1, [1], Wanted(signals=False, updates=False)),
        (0, [4, 99], Wanted()),
    ],
)
def test_what_is_wanted(reapply_type: int, excluded: list[int], want: Wanted) -> None:
    assert wanted(reapply_type, excluded) == want


def test_many_signals_that_are_taken_along_are_not_one_batch() -> None:
    shell = Shell().begin()
    shell.work(c.start_timer("t", 60))
    for number in range(250):
        shell.signal(f"signal-{number}")
    again = reset_shell(shell, 4)
    assert again.types().count("WorkflowExecutionSignaled") == 250
    sizes = [len(blob) for blob in again.batches]
    assert len(sizes) > 4
    check(again)


def test_all_that_is_stored_by_itself_is_stored_anew() -> None:
    assert set(entries(Shell().begin().run)) == set(Item)


def test_a_child_whose_start_is_on_its_way_is_started_once_by_whichever_run() -> None:
    shell = Shell().begin()
    shell.work(c.start_child("child"), force_create_new_workflow_task=True)
    (child,) = shell.run.children.values()
    task = shell.run.info.task.scheduled_event_id
    shell.signal()
    again = reset_shell(shell, task + 1)
    third = reset_shell(again, task + 1)
    starts = {start_request_id(s.run_id, s.run.children[child.initiated_event_id]) for s in (shell, again, third)}
    assert starts == {f"{shell.run_id}:{child.initiated_event_id}:0"}
    check(third)


def test_a_child_is_known_by_the_first_run_of_its_chain() -> None:
    """After a reset another child may stand at the same place of the history."""
    shell = Shell().begin()
    shell.work(c.start_child("child"))
    initiated_event_id = next(iter(shell.run.children))
    shell.decide(lambda draft: child_started(draft, initiated_event_id, "child-run", None))
    closed = child_closed_request(initiated_event_id, WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED)
    closed.first_execution_run_id = "child-run"
    assert is_pending_child(shell.run, closed)
    closed.first_execution_run_id = "earlier-run"
    assert not is_pending_child(shell.run, closed)
    closed.child.workflow_id = "other"
    assert not is_pending_child(shell.run, closed)
