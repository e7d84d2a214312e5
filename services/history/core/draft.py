"""A decision in the making: a fork of the run that events are added to, and the tasks that will follow.

An event that comes while a workflow task is started is buffered: its worker has not seen it, so it may not stand before
the events of the task's completion. (events_commands.md section 3)
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.history.v1 import (
    ActivityTaskStartedEventAttributes,
    ChildWorkflowExecutionStartedEventAttributes,
    History,
    HistoryEvent,
    WorkflowTaskCompletedEventAttributes,
    WorkflowTaskFailedEventAttributes,
    WorkflowTaskScheduledEventAttributes,
    WorkflowTaskStartedEventAttributes,
    WorkflowTaskTimedOutEventAttributes,
)
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Outcome

from services.history.core.agenda import next_deadline, note
from services.history.core.apply import BUFFERED, Changes, Item, apply
from services.history.core.deadlines import earliest, run_deadline, task_deadline
from services.history.core.decision import Batch, Decision, Given
from services.history.core.run import Run, copy_of
from services.history.core.sizes import changed_bytes
from services.history.core.times import duration, timestamp
from services.protos.run_pb2 import Buffered, RunInfo, Task, WorkflowTask


def _kinds() -> dict[type[Message], tuple[str, EventType.ValueType]]:
    kinds: dict[type[Message], tuple[str, EventType.ValueType]] = {}
    for name, number in EventType.items():
        field = name.removeprefix("EVENT_TYPE_").lower() + "_event_attributes"
        if field in HistoryEvent.DESCRIPTOR.fields_by_name:
            kinds[type(getattr(HistoryEvent(), field))] = (field, EventType.ValueType(number))
    return kinds


KINDS = _kinds()  # attributes' type -> field of HistoryEvent, event type

RETURNED_REQUEST_ID = "request-from-RespondWorkflowTaskCompleted"  # the reference's, seen in histories
NEVER_BUFFERED = {
    WorkflowTaskScheduledEventAttributes,
    WorkflowTaskStartedEventAttributes,
    WorkflowTaskCompletedEventAttributes,
    WorkflowTaskFailedEventAttributes,
    WorkflowTaskTimedOutEventAttributes,
}

# Workflows are not told of these.
IGNORABLE = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
    }
)

# What a flush writes last: ends of activities and of children. (events_commands.md section 3)
ENDINGS = frozenset(
    getattr(EventType, f"EVENT_TYPE_{name}")
    for name in (
        "ACTIVITY_TASK_COMPLETED",
        "ACTIVITY_TASK_FAILED",
        "ACTIVITY_TASK_TIMED_OUT",
        "ACTIVITY_TASK_CANCELED",
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        "CHILD_WORKFLOW_EXECUTION_FAILED",
        "CHILD_WORKFLOW_EXECUTION_CANCELED",
        "CHILD_WORKFLOW_EXECUTION_TIMED_OUT",
        "CHILD_WORKFLOW_EXECUTION_TERMINATED",
    )
)


class Draft:
    """Builds one `Decision`. The run it was made from stays as it was."""

    def __init__(self, run: Run, given: Given) -> None:
        self.base = run
        self.run = run.fork()
        self.given = given
        self.changes: Changes = set()
        self.tasks: list[Task] = []
        self.outcomes: dict[str, Outcome | None] = {}  # of updates that were answered; None: accepted so far
        self.updates_failed = False  # those that were not accepted before: the worker's answer was refused
        self.successor: Decision | None = None
        self._batches: list[list[HistoryEvent]] = [[]]
        self._rearm = False
        self._touched = False
        self.speculates = False  # the worker has the speculative task with the answer to this decision

    @property
    def info(self) -> RunInfo:
        return self.run.info

    @property
    def is_new(self) -> bool:
        """The run begins with this very decision."""
        return bool(self._batches[0]) and self._batches[0][0].event_id == 1

    def mark_eager_start(self) -> None:
        """The first workflow task travels to the caller who starts the run, and event 1 says so."""
        self._batches[0][0].workflow_execution_started_event_attributes.eager_execution_accepted = True

    @property
    def now_ns(self) -> int:
        return self.given.now_ns

    # Events.

    def add(
        self,
        attributes: Message,
        *,
        user_metadata: UserMetadata | None = None,
        links: Iterable[Link] = (),
        at_ns: int = 0,
        buffer: bool = False,
    ) -> HistoryEvent:
        """Adds an event with the next id, or buffers it, and folds it into the run.

        `buffer`: it is no command's event, and has to wait for those of the other commands of the task.
        """
        field, event_type = KINDS[type(attributes)]
        self._convert_speculative(type(attributes))
        if buffer or (self.info.task.started_event_id and type(attributes) not in NEVER_BUFFERED):
            event_id = BUFFERED
        else:
            event_id = self.info.next_event_id
        fields: dict[str, Any] = {field: attributes}
        event = HistoryEvent(
            event_id=event_id,
            event_time=timestamp(at_ns or self.now_ns),
            event_type=event_type,
            user_metadata=user_metadata,
            links=links,
            worker_may_ignore=event_type in IGNORABLE,
            **fields,
        )
        if event_id == BUFFERED:
            self._buffer(event)
        else:
            self.info.next_event_id = event_id + 1
            self._batches[-1].append(event)
        apply(self.run, event, self.changes)
        return event

    def _convert_speculative(self, attributes_type: type[Message]) -> None:
        """An event that comes before a speculative workflow task is started would take its place: write the task."""
        task = self.info.task
        if task.kind == WorkflowTask.SPECULATIVE and attributes_type not in NEVER_BUFFERED:
            self._keep_speculative()
            if not task.started_event_id:
                self.write_owed_task_events()

    def _write_task(self) -> None:
        """The first write that a speculative task meets makes it one like others, unless it is to leave with that."""
        if self.info.task.kind == WorkflowTask.SPECULATIVE:
            if self.speculates:
                return
            self._keep_speculative()
        self.write_owed_task_events()

    def _keep_speculative(self) -> None:
        """The speculative task is written after all: its push and its time-outs are then those of any other task."""
        task = self.info.task
        task.kind = WorkflowTask.NORMAL
        if task.request_id != RETURNED_REQUEST_ID:  # that one is taken by this very decision
            task.identity = ""  # a start that is written before the task's end does not name the worker, as there
        if not task.started_event_id:
            self.push(Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, task.attempt)
            if not task.sticky:
                task.schedule_to_start_deadline_ns = 0

    def end_batch(self) -> None:
        """What follows is a batch of its own."""
        if self._batches[-1]:
            self._batches.append([])

    def _buffer(self, event: HistoryEvent) -> None:
        key = self.info.buffered_next
        self.info.buffered_next = key + 1
        self.run.buffered[key] = Buffered(event=event)
        self.changes.add((Item.BUFFERED, key))

    def flush(self) -> bool:
        """Writes the buffered events, now that no workflow task is started. True when there were any."""
        assert not self.info.task.started_event_id, "a flush while a workflow task is started"
        if not self.run.buffered:
            return False
        waiting = [entry.event for entry in self.run.buffered.values()]
        self.changes.update((Item.BUFFERED, key) for key in self.run.buffered)
        self.run.buffered.clear()
        started: dict[int, int] = {}  # scheduled or initiated event id -> id of its start
        for event in sorted(waiting, key=lambda event: event.event_type in ENDINGS):
            self._write_buffered(event, started)
        return True

    def _write_buffered(self, buffered: HistoryEvent, started: dict[int, int]) -> None:
        event = copy_of(buffered)
        event.event_id = self.info.next_event_id
        self.info.next_event_id += 1
        self._batches[-1].append(event)
        attributes = getattr(event, event.WhichOneof("attributes") or "")
        if isinstance(attributes, ActivityTaskStartedEventAttributes):
            started[attributes.scheduled_event_id] = event.event_id
        elif isinstance(attributes, ChildWorkflowExecutionStartedEventAttributes):
            started[attributes.initiated_event_id] = event.event_id
            child = self.run.children.get(attributes.initiated_event_id)
            if child is not None:
                self.run.children[child.initiated_event_id] = child = copy_of(child)
                child.started_event_id = event.event_id
                self.changes.add((Item.CHILD, child.initiated_event_id))
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
            for attached in self.info.attached_requests:
                if attached.request_id == attributes.attached_request_id:
                    attached.event_id = event.event_id
        elif event.event_type in ENDINGS and attributes.started_event_id == BUFFERED:
            begun = getattr(attributes, "scheduled_event_id", 0) or getattr(attributes, "initiated_event_id", 0)
            attributes.started_event_id = started[begun]

    def discard_buffered(self, event_type: EventType.ValueType, field: str, value: str) -> HistoryEvent | None:
        """Takes back a buffered event (a timer that fired while its cancellation was on the way) and returns it."""
        for key, entry in self.run.buffered.items():
            attributes = getattr(entry.event, entry.event.WhichOneof("attributes") or "")
            if entry.event.event_type == event_type and getattr(attributes, field) == value:
                del self.run.buffered[key]
                self.changes.add((Item.BUFFERED, key))
                return entry.event
        return None

    def drop_buffered(self) -> None:
        """The run is closed: what would have followed the commands of its last task is of no use to anyone."""
        self.changes.update((Item.BUFFERED, key) for key in self.run.buffered)
        self.run.buffered.clear()

    def has_buffered_ending(self, field: str, event_id: int) -> bool:
        """Whether the end of that activity or child waits in the buffer: its worker could not know of it."""
        return any(
            entry.event.event_type in ENDINGS
            and getattr(getattr(entry.event, entry.event.WhichOneof("attributes") or ""), field, 0) == event_id
            for entry in self.run.buffered.values()
        )

    def write_owed_task_events(self) -> None:
        """Writes the events of the current workflow task that have only been in memory so far."""
        task = self.info.task
        if not task.scheduled_written:
            self._write_scheduled(copy_of(task))
        if task.started_event_id and not task.started_written:
            self._write_started(copy_of(task))

    def _write_scheduled(self, task: WorkflowTask) -> None:
        assert task.scheduled_event_id == self.info.next_event_id, "a transient workflow task's place was taken"
        self._append(task_scheduled_event(self.info, task))
        self.info.task.scheduled_written = True
        self.info.backoff_deadline_ns = 0

    def _write_started(self, task: WorkflowTask) -> None:
        assert task.started_event_id == self.info.next_event_id, "a started workflow task's place was taken"
        if not self._ends_with(task.scheduled_event_id):  # else the task was scheduled for the one who takes it
            self.end_batch()
        self._append(task_started_event(task))
        self.end_batch()
        self.info.state_transitions += 1
        self.info.task.started_written = True

    def _ends_with(self, event_id: int) -> bool:
        batch = self._batches[-1]
        return bool(batch) and batch[-1].event_id == event_id

    def _append(self, event: HistoryEvent) -> None:
        self.info.next_event_id += 1
        self._batches[-1].append(event)

    # State that no event speaks of.

    def touch(self) -> None:
        """The run changed in a way that must be written, though no event says so."""
        self._touched = True

    def push(self, kind: Task.Kind.ValueType, event_id: int = 0, stamp: int = 0) -> None:
        """Puts a task in the outbox."""
        info = self.info
        self.tasks.append(
            Task(
                kind=kind,
                namespace_id=info.namespace_id,
                workflow_id=info.workflow_id,
                run_id=info.run_id,
                event_id=event_id,
                stamp=stamp,
            )
        )

    def rearm(self) -> None:
        """The stored wake has fired: look at all deadlines again."""
        self._rearm = True

    # The end.

    @property
    def entries_bytes(self) -> int:
        """What the entries of the run's maps take in the store."""
        return self.base.entries_bytes + changed_bytes(self.base, self.run, self.changes)

    def decision(self) -> Decision:
        """Everything, as one transaction."""
        info = self.info
        durable = bool(self._touched or self._rearm or self.tasks or self.changes or any(self._batches))
        if durable:
            if info.HasField("task") and info.task.kind != WorkflowTask.TRANSIENT and self.run.is_open:
                self._write_task()
            info.state_transitions += 1
            if self.run.is_open:
                self._arm()
        self.run.entries_bytes = self.entries_bytes
        batches = tuple(_batch(events) for events in self._batches if events)
        info.history_bytes += sum(len(batch.blob) for batch in batches)
        return Decision(
            run=self.run,
            durable=durable,
            batches=batches,
            changes=frozenset(self.changes),
            tasks=tuple(self.tasks),
            successor=self.successor,
            outcomes=self.outcomes,
            updates_failed=self.updates_failed,
        )

    def _arm(self) -> None:
        info, first_ns = self.info, note(self.run, self.changes)
        if self._rearm:
            first_ns, info.armed_wake_ns = next_deadline(self.run), 0
        at_ns = earliest(run_deadline(info), task_deadline(info), first_ns)
        if at_ns and (not info.armed_wake_ns or at_ns < info.armed_wake_ns):
            info.armed_wake_ns = at_ns
            self.push(Task.WAKE)
            self.tasks[-1].fire_time_ns = at_ns


def _batch(events: list[HistoryEvent]) -> Batch:
    for event in events:
        assert event.event_id > 0, f"a buffered event was written: {event}"
    first, last = events[0].event_id, events[-1].event_id
    assert last - first == len(events) - 1, f"event ids {first}..{last} are not contiguous"
    return Batch(first, last + 1, History(events=events).SerializeToString())


def task_scheduled_event(info: RunInfo, task: WorkflowTask) -> HistoryEvent:
    """The event of a workflow task's scheduling, written or not."""
    return HistoryEvent(
        event_id=task.scheduled_event_id,
        event_time=timestamp(task.scheduled_time_ns),
        event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        workflow_task_scheduled_event_attributes=task_scheduled_attributes(info, task),
    )


def task_started_event(task: WorkflowTask) -> HistoryEvent:
    """The event of a workflow task's start, written or not."""
    return HistoryEvent(
        event_id=task.started_event_id,
        event_time=timestamp(task.started_time_ns),
        event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        workflow_task_started_event_attributes=WorkflowTaskStartedEventAttributes(
            scheduled_event_id=task.scheduled_event_id,
            identity=task.identity,
            request_id=task.request_id,
            suggest_continue_as_new=task.suggest_continue_as_new,
            suggest_continue_as_new_reasons=task.suggest_continue_as_new_reasons,
            history_size_bytes=task.history_bytes,
            worker_version=task.worker_version if task.HasField("worker_version") else None,
        ),
    )


def task_scheduled_attributes(info: RunInfo, task: WorkflowTask) -> WorkflowTaskScheduledEventAttributes:
    if task.sticky:
        queue = TaskQueue(name=task.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=info.task_queue)
    else:
        queue = TaskQueue(name=task.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
    return WorkflowTaskScheduledEventAttributes(
        task_queue=queue, start_to_close_timeout=duration(task.timeout_ns), attempt=task.attempt
    )
