"""What a wake did to a run, told from the run before and after: the reference has a kind of task for each."""

import pytest

from services.history.core.run import Run
from services.history.metrics import OutboxMetrics, woken
from services.history.metrics.outbox import ATTEMPTS, ERRORS, LATENCY, NAMES, REQUESTS
from services.history.metrics.workers import timed_out
from services.protos.run_pb2 import Activity, RunInfo, Task, Timer, WorkflowTask

S = 1_000_000_000


def run(**changes: object) -> Run:
    pending = {"activities": changes.pop("activities", {}), "timers": changes.pop("timers", {})}
    return Run(RunInfo(**{"status": 1, **changes}), **pending)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("before", "after", "operation"),
    [
        (run(), run(status=7), "TimerActiveTaskWorkflowRunTimeout"),
        (run(backoff_deadline_ns=1), run(), "TimerActiveTaskWorkflowBackoffTimer"),
        (run(timers={"t": Timer()}), run(), "TimerActiveTaskUserTimer"),
        (
            run(task=WorkflowTask(attempt=1, schedule_to_start_deadline_ns=1)),
            run(task=WorkflowTask(attempt=2)),
            "TimerActiveTaskWorkflowTaskTimeout",
        ),
        (run(activities={5: Activity()}), run(), "TimerActiveTaskActivityTimeout"),
        (
            run(activities={5: Activity(backing_off=True)}),
            run(activities={5: Activity()}),
            "TimerActiveTaskActivityRetryTimer",
        ),
        (run(), run(), "TimerActiveTaskWake"),
    ],
)
def test_a_wake_is_counted_as_what_it_did(before: Run, after: Run, operation: str) -> None:
    assert woken(before, after, [5]) == operation


@pytest.mark.parametrize(
    ("activity", "kind"),
    [
        (Activity(scheduled_time_ns=S, schedule_to_start_timeout_ns=S), "ScheduleToStart"),
        (Activity(first_scheduled_time_ns=S, schedule_to_close_timeout_ns=S, backing_off=True), "ScheduleToClose"),
        (Activity(started_time_ns=S, start_to_close_timeout_ns=S), "StartToClose"),
        (Activity(started_time_ns=S, heartbeat_timeout_ns=S), "Heartbeat"),
        (Activity(backing_off=True, scheduled_time_ns=S), ""),
        (Activity(started_time_ns=S, start_to_close_timeout_ns=9 * S), ""),
    ],
)
def test_a_time_out_is_known_by_which_time_is_over(activity: Activity, kind: str) -> None:
    assert timed_out(activity, 2 * S) == kind


def test_every_kind_of_task_has_an_operation() -> None:
    assert NAMES.keys() == set(Task.Kind.values()) - {Task.UNSPECIFIED}


def test_attempts_that_failed_count_with_the_one_that_did_it() -> None:
    metrics = OutboxMetrics(lambda namespace_id: namespace_id)
    task, operation = Task(kind=Task.START_CHILD, namespace_id="outbox_ns", run_id="r"), NAMES[Task.START_CHILD]
    metrics.failed(operation, task, 7, began=1.0, now=1.5)
    metrics.failed(operation, task, 7, began=2.0, now=2.5)
    metrics.done(operation, task, 7, began=3.0, now=3.5)
    labels = {
        "operation": operation,
        "namespace": "outbox_ns",
        "service_name": "history",
        "archetype": "workflow",
        "task_type": operation,
    }
    priority = {**labels, "task_priority": "high"}
    assert REQUESTS.bind(**priority).value == 3
    assert ERRORS.bind(**priority).value == 2
    assert ATTEMPTS.bind(**labels).sum == 3
    assert LATENCY.bind(**priority).sum == 2.5
