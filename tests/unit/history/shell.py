"""The smallest shell around the core: one run, its rows in a dict, its outbox in lists, and a clock turned by hand.

Every decision goes through `decide` or `complete`, which hold that the run they were given is left as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import History, HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue
from temporalio.api.update.v1 import Input, Meta
from temporalio.api.update.v1 import Request as UpdateRequest
from temporalio.api.workflowservice.v1 import RespondWorkflowTaskCompletedRequest, StartWorkflowExecutionRequest

from services.history.codec import run_of, run_write
from services.history.core import activities
from services.history.core.completion import Completed, complete_task, require_task
from services.history.core.deadlines import task_deadline
from services.history.core.decision import Decision, Given, Limits
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.run import Run
from services.history.core.signals import signal_run
from services.history.core.start import begin_run, started_attributes
from services.history.core.times import SECOND, duration
from services.history.core.updates import admit_update
from services.history.core.wake import wake
from services.history.core.workflow_task import fail_task, schedule_task, start_task
from services.persistence import ItemKind, RunRecord
from services.protos.history_pb2 import RecordChildClosedRequest
from services.protos.run_pb2 import Activity, Parent, Task, TaskToken, WorkflowTask
from tests.unit.history.snapshot import snapshot

UNSPECIFIED = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED
NAMESPACE, NAMESPACE_ID, QUEUE, WORKER = "default", "namespace-1", "queue", "worker-1"
START_NS = 1_000_000 * SECOND

WAKES_MAX = 200  # in one stretch of time

Push = tuple[int, int, int]  # the kind, event id and stamp of an outbox task for workers


class Shell:
    """One run: in memory, in the store, and what its outbox holds. Rows of the outbox are kept; they are idempotent."""

    def __init__(self, *, now_ns: int = START_NS, limits: Limits | None = None, run_id: str = "run-1") -> None:
        self.now_ns = now_ns
        self.limits = limits or Limits()
        self.run_id = run_id
        self.run: Run  # set by the first commit
        self.batches: list[bytes] = []
        self.blob = b""
        self.rows: dict[tuple[ItemKind, str], bytes] = {}
        self.tasks: list[Task] = []
        self.wakes: list[int] = []  # stored, not yet fired
        self.memory_wakes: list[int] = []
        self.pushed: set[Push] = set()
        self.memory_pushed: set[Push] = set()
        self.successor: Shell | None = None
        self.numbers = 0

    def begin(
        self,
        *,
        parent: Parent | None = None,
        first_task: bool = True,
        retention_ns: int = 0,
        **fields: Any,  # fields of the start request
    ) -> "Shell":
        """Starts the run as a client or a parent would."""
        self.retention_ns = retention_ns
        request = StartWorkflowExecutionRequest(
            workflow_id="workflow", workflow_type=WorkflowType(name="type"), task_queue=TaskQueue(name=QUEUE), **fields
        )
        started = started_attributes(request, run_id=self.run_id, now_ns=self.now_ns, limits=self.limits, parent=parent)
        draft = begin_run(
            self.given(),
            namespace_id=NAMESPACE_ID,
            workflow_id="workflow",
            run_id=self.run_id,
            create_request_id="create",
            started=started,
            schedule_first_task=first_task,
        )
        self.commit(finish(draft))
        return self

    retention_ns = 0

    # Deciding and committing.

    def given(self, **fields: Any) -> Given:
        given = Given(
            now_ns=self.now_ns,
            new_run_id=f"{self.run_id}+",
            request_id=self.unique_id(),
            retention_ns=self.retention_ns,
            cron_backoff_ns=60 * SECOND,
            limits=self.limits,
            started=self.started if self.batches else None,
        )
        return replace(given, **fields)

    def unique_id(self) -> str:
        self.numbers += 1
        return f"request-{self.numbers}"

    @property
    def started(self) -> WorkflowExecutionStartedEventAttributes:
        return History.FromString(self.batches[0]).events[0].workflow_execution_started_event_attributes

    def decide(self, change: Callable[[Draft], object]) -> Decision:
        """One input. Whatever becomes of it, the run that was handed in stays as it was."""
        before, run = snapshot(self.run), self.run
        draft = Draft(run, self.given())
        try:
            change(draft)
            decision = finish(draft)
        finally:
            assert snapshot(run) == before, "a decision changed the run it was given"
        self.commit(decision)
        return decision

    def commit(self, decision: Decision) -> None:
        if decision.durable:
            self._store(decision)
        else:
            kept = (*decision.batches, *decision.changes, *decision.tasks, decision.successor)
            assert kept == (None,), "a decision for memory alone writes something"
        self.run = decision.run
        task = self.run.info.task
        if not decision.durable and self.run.is_open and task_deadline(self.run.info):
            self.memory_wakes.append(task_deadline(self.run.info))
        if task.kind == WorkflowTask.SPECULATIVE and not task.started_event_id:
            self.memory_pushed.add((Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, task.attempt))

    def _store(self, decision: Decision) -> None:
        write = run_write(self.run_id, 1, decision)
        self.blob = write.blob
        for item in write.items:
            if item.blob is None:
                self.rows.pop((item.kind, item.item_id), None)
            else:
                self.rows[item.kind, item.item_id] = item.blob
        self.batches.extend(batch.blob for batch in write.batches)
        self.tasks.extend(decision.tasks)
        for task in decision.tasks:
            if task.kind == Task.WAKE:
                self.wakes.append(task.fire_time_ns)
            elif task.kind in (Task.PUSH_WORKFLOW_TASK, Task.PUSH_ACTIVITY_TASK):
                self.pushed.add((task.kind, task.event_id, task.stamp))
        if decision.successor is not None:
            run_id = decision.successor.run.info.run_id
            self.successor = Shell(now_ns=self.now_ns, limits=self.limits, run_id=run_id)
            self.successor.retention_ns = self.retention_ns
            self.successor.commit(decision.successor)

    def stored(self) -> Run:
        """The run as it would be read from the store now."""
        items = [(kind, item_id, blob) for (kind, item_id), blob in self.rows.items()]
        return run_of(RunRecord(run_id=self.run_id, version=1, blob=self.blob, items=items))

    def crash(self) -> None:
        """Memory is lost."""
        self.run = self.stored()
        self.memory_wakes.clear()
        self.memory_pushed.clear()

    # Time.

    def advance(self, delta_ns: int) -> None:
        """Time passes, and every wake that is due by then fires when it is."""
        until_ns, fired = self.now_ns + delta_ns, 0
        while due := [at for at in (*self.wakes, *self.memory_wakes) if at <= until_ns]:
            fired_ns, fired = min(due), fired + 1
            assert fired < WAKES_MAX, f"the wake at {fired_ns} is armed again and again"
            self.now_ns = max(self.now_ns, fired_ns)
            self.decide(partial(wake, fired_at_ns=fired_ns))
            (self.wakes if fired_ns in self.wakes else self.memory_wakes).remove(fired_ns)
        self.now_ns = until_ns

    # Inputs, named as in the API.

    def signal(self, request_id: str = "", name: str = "signal") -> Decision:
        return self.decide(
            lambda draft: signal_run(
                draft, name=name, input=None, identity="client", header=None, request_id=request_id
            )
        )

    def update(self, update_id: str) -> Decision:
        request = UpdateRequest(meta=Meta(update_id=update_id, identity="client"), input=Input(name="update"))
        return self.decide(lambda draft: admit_update(draft, request))

    def poll(self, request_id: str = "") -> TaskToken:
        """A worker takes the workflow task. It must have been pushed."""
        task, request_id = self.run.info.task, request_id or self.unique_id()
        push = (Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, task.attempt)
        assert push in self.pushed or push in self.memory_pushed, f"nobody pushed the workflow task {push}"
        self.decide(
            lambda draft: start_task(
                draft,
                scheduled_event_id=task.scheduled_event_id,
                stamp=task.attempt,
                request_id=request_id,
                identity=WORKER,
            )
        )
        return self.token()

    def token(self) -> TaskToken:
        """The token of the started workflow task."""
        task = self.run.info.task
        return TaskToken(
            namespace_id=NAMESPACE_ID,
            workflow_id="workflow",
            run_id=self.run_id,
            scheduled_event_id=task.scheduled_event_id,
            started_event_id=task.started_event_id,
            attempt=task.attempt,
            request_id=task.request_id,
        )

    def complete(
        self,
        token: TaskToken,
        *commands: Command,
        messages: Sequence[ProtocolMessage] = (),
        sticky_ns: int = 0,
        eager: bool = False,
        **fields: Any,  # fields of the request
    ) -> Completed:
        """A worker's completion. What the core answers it with is returned, not raised."""
        request = RespondWorkflowTaskCompletedRequest(identity=WORKER, commands=commands, messages=messages, **fields)
        if sticky_ns:
            request.sticky_attributes.CopyFrom(
                StickyExecutionAttributes(
                    worker_task_queue=TaskQueue(name="sticky"), schedule_to_start_timeout=duration(sticky_ns)
                )
            )
        before, run = snapshot(self.run), self.run
        given = self.given() if eager or request.return_new_workflow_task else self.given(request_id="")
        try:
            completed = complete_task(run, given, token, request, NAMESPACE)
        finally:
            assert snapshot(run) == before, "a completion changed the run it was given"
        if completed.decision is not None:
            self.commit(completed.decision)
        return completed

    def work(self, *commands: Command, **fields: Any) -> Completed:
        """A worker takes the workflow task and completes it at once."""
        return self.complete(self.poll(), *commands, **fields)

    def fail_workflow_task(self, token: TaskToken) -> None:
        def fail(draft: Draft) -> None:
            if require_task(draft.run, token).attempt == 1:
                schedule_task(draft, new_events=fail_task(draft, UNSPECIFIED, identity=WORKER))

        self.decide(fail)

    def start_activity(self, scheduled_event_id: int) -> TaskToken:
        """A worker takes the activity's task. It must have been pushed."""
        stamp = self.run.activities[scheduled_event_id].stamp
        assert (Task.PUSH_ACTIVITY_TASK, scheduled_event_id, stamp) in self.pushed
        request_id = self.unique_id()
        self.decide(
            lambda draft: activities.start_activity(
                draft, scheduled_event_id=scheduled_event_id, stamp=stamp, request_id=request_id, identity=WORKER
            )
        )
        return activity_token(self.run.activities[scheduled_event_id])

    # What there is to see.

    def events(self) -> list[HistoryEvent]:
        return list(History.FromString(b"".join(self.batches)).events)

    def types(self) -> list[str]:
        """The names of the history's events, shortened: `WorkflowTaskScheduled`."""
        return [event_name(event) for event in self.events()]

    def last(self, field: str) -> Any:  # the attributes have no common type
        """The attributes of the newest event of a kind, named by its field without `_event_attributes`."""
        field += "_event_attributes"
        return next(getattr(event, field) for event in reversed(self.events()) if event.HasField(field))  # type: ignore[arg-type]  # the stubs know literals only

    def buffered_names(self) -> list[str]:
        return [event_name(entry.event) for entry in self.run.buffered.values()]


def event_name(event: HistoryEvent) -> str:
    words = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def activity_token(activity: Activity, *, by_id: bool = False) -> TaskToken:
    return TaskToken(
        namespace_id=NAMESPACE_ID,
        workflow_id="workflow",
        scheduled_event_id=activity.scheduled_event_id,
        attempt=0 if by_id else activity.attempt,
        activity_id=activity.activity_id,
    )


def application_failure(message: str = "boom", **fields: Any) -> Failure:
    return Failure(message=message, source="test", application_failure_info=ApplicationFailureInfo(**fields))


def child_closed_request(
    initiated_event_id: int, status: WorkflowExecutionStatus.ValueType
) -> RecordChildClosedRequest:
    return RecordChildClosedRequest(
        initiated_event_id=initiated_event_id,
        child=WorkflowExecution(workflow_id="child", run_id="child-run"),
        status=status,
        failure=application_failure("child"),
        result=Payloads(),
    )
