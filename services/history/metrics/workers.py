"""What workers did: workflow tasks with their commands, and activities with their ends."""

from collections.abc import Iterable, Sequence
from typing import Final, final

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType, WorkflowTaskFailedCause

from services.history.core.deadlines import after, heartbeat_deadline, start_to_close_deadline
from services.history.core.run import Run
from services.history.metrics.names import SERVICE, UNVERSIONED, NameOf, shown
from services.protos.run_pb2 import Activity, RunInfo
from services.telemetry import COUNT_BUCKETS, BoundCounter, BoundHistogram, Counter, Histogram

_CALL: Final = ("operation", "namespace", "service_name")
_ATTEMPT: Final = (*_CALL, "versioning_behavior", "first_attempt")
_ACTIVITY: Final = (*_CALL, "taskqueue", "workflowType", "activityType", "versioning_behavior")
COMPLETED, FAILED = "RespondWorkflowTaskCompleted", "RespondWorkflowTaskFailed"
HEARTBEAT = "RecordActivityTaskHeartbeat"
TIMED_OUT = "TimerActiveTaskActivityTimeout"

COMMANDS = Counter("command", (*_CALL, "commandType"), "Commands of completed workflow tasks")
TASK_ATTEMPT = Histogram("workflow_task_attempt", _CALL, "Of workflow tasks that were started", buckets=COUNT_BUCKETS)
TASKS_COMPLETED = Counter("workflow_tasks_completed", _ATTEMPT)
TASKS_FAILED = Counter("failed_workflow_tasks", (*_ATTEMPT, "failure"))
STICKY_ENABLED = Counter("complete_workflow_task_sticky_enabled_count", ("operation", "service_name"))
STICKY_DISABLED = Counter("complete_workflow_task_sticky_disabled_count", ("operation", "service_name"))
WAITED = Histogram(
    "task_schedule_to_start_latency",
    (*_CALL, "partition", "task_type", "taskqueue"),
    "How long tasks waited for workers",
)
EAGER = Counter("activity_eager_execution", (*_CALL, "taskqueue"), "Activities handed out with a completed task")
HEARTBEATS = Counter("activity_heartbeat_count", (*_CALL, "has_details"))
TIMEOUTS: Final = {
    "ScheduleToStart": Counter("schedule_to_start_timeout", _ATTEMPT),
    "ScheduleToClose": Counter("schedule_to_close_timeout", _ATTEMPT),
    "StartToClose": Counter("start_to_close_timeout", _ATTEMPT),
    "Heartbeat": Counter("heartbeat_timeout", _ATTEMPT),
}
ACTIVITY_SUCCESS = Counter("activity_success", _ACTIVITY)
ACTIVITY_CANCEL = Counter("activity_cancel", _ACTIVITY)
ACTIVITY_FAIL = Counter("activity_fail", _ACTIVITY, "Activities that failed for good")
ACTIVITY_TASK_FAIL = Counter("activity_task_fail", _ACTIVITY, "Attempts that failed")
ACTIVITY_TIMEOUT = Counter("activity_timeout", (*_ACTIVITY, "timeout_type"), "Activities that timed out for good")
ACTIVITY_TASK_TIMEOUT = Counter("activity_task_timeout", (*_ACTIVITY, "timeout_type"), "Attempts that timed out")
START_TO_CLOSE = Histogram("activity_start_to_close_latency", _ACTIVITY, "Of one attempt")
END_TO_END = Histogram("activity_end_to_end_latency", _ACTIVITY, "The same, under its older name")
SCHEDULE_TO_CLOSE = Histogram("activity_schedule_to_close_latency", _ACTIVITY, "Of all attempts")

ENDS: Final = {
    "RespondActivityTaskCompleted": (ACTIVITY_SUCCESS, None),
    "RespondActivityTaskFailed": (ACTIVITY_FAIL, ACTIVITY_TASK_FAIL),
    "RespondActivityTaskCanceled": (ACTIVITY_CANCEL, None),
}


def _camel(name: str, prefix: str) -> str:
    return "".join(part.capitalize() for part in name.removeprefix(prefix).split("_"))


COMMAND_NAMES: Final = {int(number): _camel(name, "COMMAND_TYPE_") for name, number in CommandType.items()}
CAUSE_NAMES: Final = {
    int(number): _camel(name, "WORKFLOW_TASK_FAILED_CAUSE_") for name, number in WorkflowTaskFailedCause.items()
}


@final
class _Activity:
    """The cells of activities of one type in one kind of workflow, as one operation ends them."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        end, attempt = ENDS.get(labels["operation"], (None, None))
        self.end = end.bind(**labels) if end is not None else None
        self.attempt = attempt.bind(**labels) if attempt is not None else None
        self.schedule_to_close = SCHEDULE_TO_CLOSE.bind(**labels)
        if labels["operation"] != TIMED_OUT:
            self.start_to_close, self.end_to_end = START_TO_CLOSE.bind(**labels), END_TO_END.bind(**labels)


@final
class _Started:
    """The cells of the tasks that workers got in one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.attempt = TASK_ATTEMPT.bind(operation="WorkflowContext", namespace=namespace, service_name=SERVICE)
        self._waited: dict[tuple[str, str, bool], BoundHistogram] = {}

    def workflow(self, task_queue: str, *, sticky: bool) -> BoundHistogram:
        return self._waited.get((task_queue, "Workflow", sticky)) or self._bind(task_queue, "Workflow", sticky)

    def activity(self, task_queue: str) -> BoundHistogram:
        return self._waited.get((task_queue, "Activity", False)) or self._bind(task_queue, "Activity", False)

    def _bind(self, task_queue: str, task_type: str, sticky: bool) -> BoundHistogram:
        cell = self._waited[task_queue, task_type, sticky] = WAITED.bind(
            operation=f"Record{task_type}TaskStarted",
            namespace=self._namespace,
            service_name=SERVICE,
            partition="__sticky__" if sticky else "__normal__",
            task_type=task_type,
            taskqueue=task_queue,
        )
        return cell


class WorkerMetrics:
    """Told once what a worker reported is true."""

    def __init__(self, name_of: NameOf) -> None:
        self._name_of = name_of
        self._commands: dict[tuple[str, int], BoundCounter] = {}
        self._completed: dict[tuple[str, bool], BoundCounter] = {}
        self._activities: dict[tuple[str, str, str, str, str], _Activity] = {}
        self._started: dict[str, _Started] = {}
        labels = {"operation": COMPLETED, "service_name": SERVICE}
        self._sticky, self._not_sticky = STICKY_ENABLED.bind(**labels), STICKY_DISABLED.bind(**labels)

    # Workflow tasks.

    def task_started(self, info: RunInfo) -> None:
        """A worker has the workflow task of a run."""
        task = info.task
        started = self._started_in(info.namespace_id)
        started.attempt.observe(task.attempt)
        started.workflow(info.task_queue, sticky=task.sticky).observe(
            (task.started_time_ns - task.scheduled_time_ns) / 1e9
        )

    def task_completed(self, namespace_id: str, commands: Sequence[Command], attempt: int, *, sticky: bool) -> None:
        """A workflow task came back with commands; `sticky`: the worker keeps the run in its cache."""
        (self._sticky if sticky else self._not_sticky).inc()
        for command in commands:
            self._command(namespace_id, int(command.command_type)).inc()
        first = attempt <= 1
        cell = self._completed.get((namespace_id, first))
        if cell is None:
            cell = self._completed[namespace_id, first] = TASKS_COMPLETED.bind(
                **self._attempt("WorkflowContext", namespace_id, first=first)
            )
        cell.inc()

    def task_failed(self, namespace_id: str, cause: int, attempt: int) -> None:
        TASKS_FAILED.bind(
            **self._attempt(FAILED, namespace_id, first=attempt <= 1), failure=CAUSE_NAMES.get(cause, str(cause))
        ).inc()

    def eager(self, namespace_id: str, task_queue: str) -> None:
        """An activity was handed out with the completion of the task that scheduled it."""
        EAGER.bind(**self._call(COMPLETED, namespace_id), taskqueue=task_queue).inc()

    # Activities.

    def activity_started(self, info: RunInfo, activity: Activity) -> None:
        self._started_in(info.namespace_id).activity(activity.task_queue).observe(
            (activity.started_time_ns - activity.scheduled_time_ns) / 1e9
        )

    def _heartbeat(self, namespace_id: str, *, has_details: bool) -> None:
        labels = self._call(HEARTBEAT, namespace_id)
        HEARTBEATS.bind(**labels, has_details="true" if has_details else "false").inc()

    def activity_answered(self, operation: str, before: Activity, run: Run, now_ns: int) -> None:
        """A worker said what came of the attempt `before`; `run` is what that led to."""
        if operation == HEARTBEAT:
            after_it = run.activities.get(before.scheduled_event_id)
            has_details = after_it is not None and after_it.HasField("heartbeat_details")
            self._heartbeat(run.info.namespace_id, has_details=has_details)
            return
        cells = self._activity(operation, run.info, before)
        if cells.attempt is not None:
            cells.attempt.inc()
        seconds = max(now_ns - before.started_time_ns, 0) / 1e9
        cells.start_to_close.observe(seconds)
        cells.end_to_end.observe(seconds)
        if before.scheduled_event_id not in run.activities and cells.end is not None:
            cells.end.inc()
            cells.schedule_to_close.observe((now_ns - before.first_scheduled_time_ns) / 1e9)

    def woken(self, before: Run, run: Run, now_ns: int, changed: Iterable[int]) -> None:
        """Time did to a run's activities what it does: those that timed out count. `changed`: which it touched."""
        for key in changed:
            activity, later = before.activities.get(key), run.activities.get(key)
            if activity is None or later is activity or (later is None and not run.is_open):
                continue
            kind = timed_out(activity, now_ns)
            if kind:
                self._timed_out(activity, run, kind, now_ns, for_good=later is None)

    def _timed_out(self, activity: Activity, run: Run, kind: str, now_ns: int, *, for_good: bool) -> None:
        cells = self._activity(TIMED_OUT, run.info, activity)
        ACTIVITY_TASK_TIMEOUT.bind(**cells.labels, timeout_type=kind).inc()
        attempt = self._attempt(TIMED_OUT, run.info.namespace_id, first=activity.attempt <= 1)
        TIMEOUTS[kind].bind(**attempt).inc()
        if for_good:
            ACTIVITY_TIMEOUT.bind(**cells.labels, timeout_type=kind).inc()
            cells.schedule_to_close.observe((now_ns - activity.first_scheduled_time_ns) / 1e9)

    # Labels.

    def _call(self, operation: str, namespace_id: str) -> dict[str, str]:
        return {
            "operation": operation,
            "namespace": shown(self._name_of, namespace_id),
            "service_name": SERVICE,
        }

    def _attempt(self, operation: str, namespace_id: str, *, first: bool) -> dict[str, str]:
        call = self._call(operation, namespace_id)
        return {**call, "versioning_behavior": UNVERSIONED, "first_attempt": "true" if first else "false"}

    def _command(self, namespace_id: str, kind: int) -> BoundCounter:
        cell = self._commands.get((namespace_id, kind))
        if cell is None:
            name = COMMAND_NAMES.get(kind, str(kind))
            cell = self._commands[namespace_id, kind] = COMMANDS.bind(
                **self._call(COMPLETED, namespace_id), commandType=name
            )
        return cell

    def _started_in(self, namespace_id: str) -> "_Started":
        found = self._started.get(namespace_id)
        if found is None:
            found = self._started[namespace_id] = _Started(shown(self._name_of, namespace_id))
        return found

    def _activity(self, operation: str, info: RunInfo, activity: Activity) -> _Activity:
        key = (operation, info.namespace_id, activity.task_queue, info.workflow_type, activity.activity_type)
        found = self._activities.get(key)
        if found is None:
            found = self._activities[key] = _Activity(
                {
                    **self._call(operation, info.namespace_id),
                    "taskqueue": activity.task_queue,
                    "workflowType": info.workflow_type,
                    "activityType": activity.activity_type,
                    "versioning_behavior": UNVERSIONED,
                }
            )
        return found


def timed_out(activity: Activity, now_ns: int) -> str:
    """Which of an activity's times is over; "" when none is: its next attempt is due."""
    waits = not activity.backing_off and not activity.started_time_ns
    if waits and 0 < after(activity.scheduled_time_ns, activity.schedule_to_start_timeout_ns) <= now_ns:
        return "ScheduleToStart"
    if 0 < after(activity.first_scheduled_time_ns, activity.schedule_to_close_timeout_ns) <= now_ns:
        return "ScheduleToClose"
    if activity.backing_off:
        return ""
    if 0 < start_to_close_deadline(activity) <= now_ns:
        return "StartToClose"
    return "Heartbeat" if 0 < heartbeat_deadline(activity) <= now_ns else ""
