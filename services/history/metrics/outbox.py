"""Outbox tasks: how often each kind was tried, and how long it took."""

from collections.abc import Awaitable, Iterable
from typing import Final, final

from services.history.core.deadlines import task_deadline
from services.history.core.run import Run
from services.history.metrics.names import ARCHETYPE, SERVICE, NameOf, shown
from services.protos.run_pb2 import Task
from services.telemetry import COUNT_BUCKETS, Counter, Histogram, Tracer

_TASK: Final = ("operation", "namespace", "service_name", "archetype", "task_type")
_PRIORITY: Final = (*_TASK, "task_priority")
REQUESTS = Counter("task_requests", _PRIORITY, "Attempts at outbox tasks")
ERRORS = Counter("task_errors", _PRIORITY, "Attempts that failed and are repeated")
ATTEMPTS = Histogram("task_attempt", _TASK, "Attempts until a task was done", buckets=COUNT_BUCKETS)
LATENCY = Histogram("task_latency", _PRIORITY, "From the first attempt at a task until it was done")
PROCESSING = Histogram("task_latency_processing", _TASK, "Of one attempt")

WAKE: Final = "TimerActiveTaskWake"  # one that found nothing to do
NAMES: Final = {
    Task.PUSH_WORKFLOW_TASK: "TransferActiveTaskWorkflowTask",
    Task.PUSH_ACTIVITY_TASK: "TransferActiveTaskActivity",
    Task.START_CHILD: "TransferActiveTaskStartChildExecution",
    Task.SIGNAL_EXTERNAL: "TransferActiveTaskSignalExecution",
    Task.CANCEL_EXTERNAL: "TransferActiveTaskCancelExecution",
    Task.REPORT_TO_PARENT: "TransferActiveTaskCloseExecution",
    Task.APPLY_PARENT_CLOSE_POLICY: "TransferActiveTaskApplyParentClosePolicy",
    Task.UPDATE_VISIBILITY: "VisibilityTaskUpsertExecution",
    Task.WAKE: WAKE,
    Task.DELETE_RUN: "TimerActiveTaskDeleteHistoryEvent",
    Task.CALL_BACK: "OutboundActiveTaskCallbackInvocation",
    Task.RETRY_CALLBACK: "TimerActiveTaskCallbackBackoff",
}
LOW: Final = frozenset({"TimerActiveTaskActivityTimeout", "TimerActiveTaskWorkflowTaskTimeout"}) | {
    "TimerActiveTaskWorkflowRunTimeout"
}


@final
class _Cells:
    def __init__(self, operation: str, namespace: str) -> None:
        labels = {
            "operation": operation,
            "namespace": namespace,
            "service_name": SERVICE,
            "archetype": ARCHETYPE,
            "task_type": operation,
        }
        priority = {**labels, "task_priority": "low" if operation in LOW else "high"}
        self.requests, self.errors = REQUESTS.bind(**priority), ERRORS.bind(**priority)
        self.latency = LATENCY.bind(**priority)
        self.attempts, self.processing = ATTEMPTS.bind(**labels), PROCESSING.bind(**labels)


def operation_of(task: Task) -> str:
    """What an outbox task is counted as."""
    return NAMES[task.kind]


class OutboxMetrics:
    """Told of every attempt. A wake counts as what it did: a timer, a time-out, a retry."""

    def __init__(self, name_of: NameOf) -> None:
        self._name_of = name_of
        self._cells: dict[tuple[str, str], _Cells] = {}
        self._failed: dict[tuple[str, int, int], tuple[int, float]] = {}  # attempts, since when

    def _of(self, operation: str, namespace_id: str) -> _Cells:
        found = self._cells.get((operation, namespace_id))
        if found is None:
            found = self._cells[operation, namespace_id] = _Cells(operation, shown(self._name_of, namespace_id))
        return found

    def done(self, operation: str, task: Task, task_id: int, began: float, now: float) -> None:
        """An attempt did it."""
        cells = self._of(operation, task.namespace_id)
        cells.requests.inc()
        cells.processing.observe(now - began)
        attempts, since = 1, began
        if self._failed:
            attempts, since = self._failed.pop((task.run_id, task.kind, task_id), (0, began))
            attempts += 1
        cells.attempts.observe(attempts)
        cells.latency.observe(now - since)

    def failed(self, operation: str, task: Task, task_id: int, began: float, now: float) -> None:
        """An attempt did not."""
        cells = self._of(operation, task.namespace_id)
        cells.requests.inc()
        cells.errors.inc()
        cells.processing.observe(now - began)
        key = (task.run_id, task.kind, task_id)
        attempts, since = self._failed.get(key, (0, began))
        self._failed[key] = (attempts + 1, since)

    def shown(self, run: Run) -> None:
        """What lists show of a run was written."""
        if not run.is_open:
            operation = "VisibilityTaskCloseExecution"
        elif run.info.state_transitions <= 1:
            operation = "VisibilityTaskStartExecution"
        else:
            operation = "VisibilityTaskUpsertExecution"
        cells = self._of(operation, run.info.namespace_id)
        cells.requests.inc()
        cells.attempts.observe(1)

    def forget(self) -> None:
        """The tasks that failed are another host's now."""
        self._failed.clear()


def woken(before: Run, after: Run, changed: Iterable[int]) -> str:
    """What a wake did to a run, as an operation. `changed`: the activities that it touched."""
    if before is after:
        return WAKE
    if before.is_open and not after.is_open:
        return "TimerActiveTaskWorkflowRunTimeout"
    if before.info.backoff_deadline_ns and not after.info.backoff_deadline_ns:
        return "TimerActiveTaskWorkflowBackoffTimer"
    if len(after.timers) < len(before.timers):
        return "TimerActiveTaskUserTimer"
    if task_deadline(before.info) and before.info.task.attempt != after.info.task.attempt:
        return "TimerActiveTaskWorkflowTaskTimeout"
    for key in changed:
        activity, later = before.activities.get(key), after.activities.get(key)
        if activity is not None and later is not activity:
            retried = later is not None and activity.backing_off
            return "TimerActiveTaskActivityRetryTimer" if retried else "TimerActiveTaskActivityTimeout"
    return WAKE


async def traced(spans: Tracer, operation: str, task: Task, task_id: int, work: Awaitable[bool]) -> bool:
    """`work` within the span of the task it does."""
    queue = "timer" if operation.startswith("Timer") else "transfer"
    kind = operation.replace("ActiveTask", "", 1).removeprefix("Timer")
    with spans.executing(queue, kind, task_id, task.workflow_id, task.run_id):
        return await work
