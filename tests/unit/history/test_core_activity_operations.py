"""Operators' work on pending activities: what is dispatched, what times out, and what a crash leaves of it."""

from collections.abc import Callable

import pytest
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Payloads, RetryPolicy
from temporalio.api.failure.v1 import Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.history.core import activities
from services.history.core.activity_operations import pause_activities, reset_activities, unpause_activities
from services.history.core.activity_options import options_of, restore_options, update_options
from services.history.core.deadlines import activity_deadline
from services.history.core.draft import Draft
from services.history.core.pause import pause_run, unpause_run
from services.history.core.rejection import Reason, Rejection
from services.history.core.times import SECOND, duration
from services.protos.history_pb2 import PauseActivityRequest
from services.protos.run_pb2 import Activity, Task, TaskToken
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell, application_failure

SCHEDULED = 5
PAUSES = "TemporalPauseInfo"


@pytest.fixture
def shell() -> Shell:
    """A run with one activity that waits for a worker."""
    made = Shell().begin()
    made.work(c.schedule_activity(start_to_close_s=10))
    return made


def activity_of(shell: Shell) -> Activity:
    (activity,) = shell.run.activities.values()
    return activity


def pushes(shell: Shell, decide: Callable[[Draft], object]) -> list[int]:
    """The stamps under which a decision has the activity dispatched."""
    tasks = shell.decide(decide).tasks
    check(shell)
    return [task.stamp for task in tasks if task.kind == Task.PUSH_ACTIVITY_TASK]


def pause(draft: Draft, request_id: str = "", *, refuse: bool = False) -> None:
    request = api.PauseActivityRequest(id="activity", identity="operator", reason="why", request_id=request_id)
    pause_activities(draft, PauseActivityRequest(pause=request, refuse_paused=refuse))


def unpause(draft: Draft, **fields: object) -> None:
    unpause_activities(draft, api.UnpauseActivityRequest(id="activity", **fields))  # type: ignore[arg-type]  # any field


def reset(draft: Draft, **fields: object) -> None:
    reset_activities(draft, api.ResetActivityRequest(id="activity", **fields))  # type: ignore[arg-type]  # any field


def fail(token: TaskToken, failure: Failure | None = None) -> Callable[[Draft], object]:
    return lambda draft: activities.fail_activity(draft, token, failure or application_failure(), "worker")


def test_a_paused_activity_is_taken_back_from_matching(shell: Shell) -> None:
    before = activity_of(shell).stamp
    assert pushes(shell, pause) == []
    with pytest.raises(Rejection):
        shell.decide(
            lambda draft: activities.start_activity(
                draft, scheduled_event_id=SCHEDULED, stamp=before, request_id="poll", identity="worker"
            )
        )
    assert pushes(shell, unpause) == [activity_of(shell).stamp]
    shell.start_activity(SCHEDULED)


def test_a_pause_outlives_a_crash(shell: Shell) -> None:
    shell.decide(lambda draft: pause(draft, "first"))
    shell.crash()
    activity = activity_of(shell)
    assert (activity.pause.identity, activity.pause.reason, activity.pause.request_id) == ("operator", "why", "first")
    assert activity.pause.time_ns == shell.now_ns
    assert PAUSES in shell.run.info.search_attributes.indexed_fields
    check(shell)


def test_a_paused_activity_has_no_deadline_until_it_is_unpaused(shell: Shell) -> None:
    token = shell.start_activity(SCHEDULED)
    shell.decide(pause)
    assert activity_deadline(activity_of(shell)) == 0
    shell.advance(20 * SECOND)
    assert activity_of(shell).attempt == token.attempt == 1
    shell.decide(unpause)
    shell.advance(0)
    assert (activity_of(shell).attempt, activity_of(shell).backing_off) == (2, True)
    check(shell)


def test_the_failure_of_a_paused_activity_waits_for_the_unpause(shell: Shell) -> None:
    token = shell.start_activity(SCHEDULED)
    shell.decide(pause)
    shell.decide(fail(token))
    shell.advance(60 * SECOND)
    assert (activity_of(shell).attempt, activity_of(shell).started_time_ns) == (2, 0)
    assert activity_of(shell).last_failure.message == "boom"
    assert pushes(shell, unpause) == [activity_of(shell).stamp]
    assert not activity_of(shell).HasField("last_failure")


def test_a_pause_is_refused_but_to_the_request_that_made_it(shell: Shell) -> None:
    shell.decide(lambda draft: pause(draft, "first", refuse=True))
    shell.decide(lambda draft: pause(draft, "first", refuse=True))
    with pytest.raises(Rejection, match="activity is already paused") as refused:
        shell.decide(lambda draft: pause(draft, "second", refuse=True))
    assert refused.value.reason is Reason.FAILED_PRECONDITION


def test_what_changes_nothing_is_not_written(shell: Shell) -> None:
    assert not shell.decide(unpause).durable
    shell.decide(pause)
    assert not shell.decide(pause).durable


def test_jitter_spreads_activities() -> None:
    shell = Shell().begin()
    shell.work(*(c.schedule_activity(f"a{number}") for number in range(20)))
    everything = api.PauseActivityRequest(type="type")
    shell.decide(lambda draft: pause_activities(draft, PauseActivityRequest(pause=everything)))
    spread = api.UnpauseActivityRequest(unpause_all=True, jitter=duration(100 * SECOND))
    shell.decide(lambda draft: unpause_activities(draft, spread))
    waits = sorted((activity.scheduled_time_ns - shell.now_ns) // SECOND for activity in shell.run.activities.values())
    gaps = [later - sooner for sooner, later in zip([0, *waits], [*waits, 100], strict=True)]
    assert max(gaps) <= 20, "no wide gaps between one activity and the next"
    assert all(activity.backing_off for activity in shell.run.activities.values())
    check(shell)


def test_the_first_attempt_that_was_reset_goes_on_and_its_details_are_forgotten_after_it(shell: Shell) -> None:
    token, details = shell.start_activity(SCHEDULED), Payloads(payloads=[c.payload(b"3")])
    shell.decide(lambda draft: activities.heartbeat(draft, token, details))
    assert pushes(shell, lambda draft: reset(draft, reset_heartbeat=True)) == []
    shell.crash()
    assert (activity_of(shell).reset, activity_of(shell).heartbeat_details) == (True, details)
    shell.decide(fail(token))
    assert (activity_of(shell).reset, activity_of(shell).HasField("heartbeat_details")) == (False, False)


def test_a_reset_ends_a_back_off(shell: Shell) -> None:
    shell.decide(fail(shell.start_activity(SCHEDULED)))
    assert pushes(shell, reset) == [activity_of(shell).stamp]
    assert (activity_of(shell).attempt, activity_of(shell).backing_off) == (1, False)


def test_a_worker_with_a_later_attempt_is_not_heard_after_a_reset(shell: Shell) -> None:
    shell.decide(fail(shell.start_activity(SCHEDULED)))
    shell.advance(SECOND)
    later = shell.start_activity(SCHEDULED)
    shell.decide(reset)
    with pytest.raises(Rejection):
        shell.decide(lambda draft: activities.complete_activity(draft, later, None, "worker"))


def test_options_are_changed_and_restored_after_a_crash(shell: Shell) -> None:
    original = options_of(activity_of(shell))
    asked = ActivityOptions(
        task_queue=TaskQueue(name="other"),
        heartbeat_timeout=duration(5 * SECOND),
        retry_policy=RetryPolicy(initial_interval=duration(7 * SECOND)),
    )
    paths = ["task_queue.name", "heartbeat_timeout", "retry_policy"]
    stamps = pushes(shell, lambda draft: update_options(draft, activity_of(shell), asked, paths, strict=True))
    assert stamps == [activity_of(shell).stamp]
    shell.crash()
    changed = options_of(activity_of(shell))
    assert (changed.task_queue.name, changed.heartbeat_timeout.seconds) == ("other", 5)
    assert changed.retry_policy.maximum_interval.seconds == 700, "what a policy leaves open is filled in"
    assert pushes(shell, lambda draft: restore_options(draft, activity_of(shell))) == [activity_of(shell).stamp]
    assert options_of(activity_of(shell)) == original


def test_a_shorter_time_counts_for_the_attempt_that_runs(shell: Shell) -> None:
    shell.start_activity(SCHEDULED)
    asked = ActivityOptions(start_to_close_timeout=duration(SECOND))
    shell.decide(
        lambda draft: update_options(draft, activity_of(shell), asked, ["start_to_close_timeout"], strict=False)
    )
    shell.advance(SECOND)
    assert (activity_of(shell).attempt, activity_of(shell).backing_off) == (2, True)


def test_retries_end_when_they_were_to_end_at_first() -> None:
    shell = Shell().begin()
    shell.work(c.schedule_activity(to_close_s=60))
    asked = ActivityOptions(schedule_to_close_timeout=duration(SECOND // 2))
    shell.decide(
        lambda draft: update_options(draft, activity_of(shell), asked, ["schedule_to_close_timeout"], strict=False)
    )
    shell.decide(fail(shell.start_activity(SCHEDULED)))
    assert activity_of(shell).backing_off, "there would have been time"
    shell.advance(SECOND)
    assert shell.types()[-2:] == ["ActivityTaskTimedOut", "WorkflowTaskScheduled"], "but there is none"


def test_an_activity_stays_paused_when_its_run_goes_on(shell: Shell) -> None:
    shell.decide(pause)
    shell.decide(lambda draft: pause_run(draft, identity="", reason="", request_id="pause"))
    assert pushes(shell, lambda draft: unpause_run(draft, identity="", reason="", request_id="")) == []
    assert pushes(shell, unpause) == [activity_of(shell).stamp]
