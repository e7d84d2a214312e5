"""What holds of every run after every input, whatever it was."""

from collections import Counter
from dataclasses import fields

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from services.history.core.agenda import next_deadline
from services.history.core.apply import BUFFERED
from services.history.core.deadlines import deadlines, earliest, run_deadline, task_deadline
from services.history.core.rebuild import rebuild, settled
from services.history.core.run import Run
from services.protos.run_pb2 import Task, WorkflowTask
from tests.unit.history.shell import NAMESPACE_ID, Shell
from tests.unit.history.snapshot import snapshot


def _types(*names: str) -> frozenset[int]:
    return frozenset(EventType.Value(f"EVENT_TYPE_{name}") for name in names)


TASK_STARTED = _types("WORKFLOW_TASK_STARTED")
TASK_SCHEDULED = _types("WORKFLOW_TASK_SCHEDULED")
TASK_COMPLETED = _types("WORKFLOW_TASK_COMPLETED")
TASK_EVENTS = _types(*(f"WORKFLOW_TASK_{end}" for end in ("SCHEDULED", "STARTED", "COMPLETED", "FAILED", "TIMED_OUT")))
CHILD_INITIATED = _types("START_CHILD_WORKFLOW_EXECUTION_INITIATED")
SIGNAL_INITIATED = _types("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED")
CANCEL_INITIATED = _types("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED")

# What the workflow has to be told of: not its own doing.
NEWS = _types(
    "WORKFLOW_EXECUTION_SIGNALED",
    "WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    "ACTIVITY_TASK_COMPLETED",
    "ACTIVITY_TASK_FAILED",
    "ACTIVITY_TASK_TIMED_OUT",
    "ACTIVITY_TASK_CANCELED",
    "TIMER_FIRED",
    "START_CHILD_WORKFLOW_EXECUTION_FAILED",
    "CHILD_WORKFLOW_EXECUTION_STARTED",
    *(f"CHILD_WORKFLOW_EXECUTION_{end}" for end in ("COMPLETED", "FAILED", "CANCELED", "TIMED_OUT", "TERMINATED")),
    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
    "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED",
    "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
    "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
)


def check(shell: Shell) -> None:
    """All invariants of one run and of the shell's store."""
    stored, events = shell.stored(), shell.events()
    rebuilds_from_history(shell, shell.run)
    rebuilds_from_history(shell, stored)
    reads_back(shell.run, stored)
    ids_are_contiguous(events)
    references_hold(events)
    commands_stand_together(events)
    for run in (shell.run, stored):
        if run.is_open:
            news_have_a_task(run, events)
            tasks_are_pushed(run, shell.pushed | (shell.memory_pushed if run is shell.run else set()))
    if stored.is_open:
        deadlines_are_covered(shell, stored)
    assert shell.run.is_open or not shell.run.info.task.started_event_id, "a worker has a task of a closed run"


def rebuilds_from_history(shell: Shell, run: Run) -> None:
    rebuilt = rebuild(
        namespace_id=NAMESPACE_ID,
        run_id=shell.run_id,
        create_request_id=run.info.create_request_id,
        batches=shell.batches,
        buffered=run.buffered,
    )
    expected = settled(run)
    for field in fields(Run):
        assert getattr(rebuilt, field.name) == getattr(expected, field.name), field.name


def reads_back(run: Run, stored: Run) -> None:
    """Memory may be ahead of the store by a workflow task that only it knows, and by admitted updates: no more."""
    ahead, behind = run.fork(), stored.fork()
    ahead.admitted.clear()
    for info in (ahead.info, behind.info):
        info.ClearField("task")
    assert snapshot(ahead) == snapshot(behind)
    if stored.info.task.started_written:
        assert run.info.task == stored.info.task


def ids_are_contiguous(events: list[HistoryEvent]) -> None:
    assert [event.event_id for event in events] == list(range(1, len(events) + 1))
    assert all(event.event_time.seconds > 0 for event in events)


def references_hold(events: list[HistoryEvent]) -> None:
    """Every id of another event is that of an earlier event of the right type."""
    pairs: Counter[tuple[str, str, int]] = Counter()
    for event in events:
        kind = event.WhichOneof("attributes") or ""
        attributes = getattr(event, kind)
        for field, value in attributes.ListFields():
            if field.name in REFERENCES:
                assert 0 < value < event.event_id, f"{kind}.{field.name} = {value} at event {event.event_id}"
                wanted = _wanted(field.name, kind)
                found = events[value - 1].WhichOneof("attributes") or ""
                assert found == wanted, f"{kind}.{field.name} = {value} is {found}"
                _same_subject(event, events[value - 1], field.name)
        if kind.startswith(("activity_task_", "workflow_task_", "child_workflow_execution_", "timer_")):
            step = "cancel" if "_cancel_requested_" in kind else "start" if "_started_" in kind else "end"
            pairs[step, kind[:8], _subject(attributes, event.event_id)] += "_scheduled_" not in kind
    once = [pair for pair, count in pairs.items() if count > 1 and pair[0] != "cancel"]
    assert not once, f"these happened more than once: {once}"


REFERENCES = {
    "scheduled_event_id",
    "started_event_id",
    "initiated_event_id",
    "accepted_event_id",
    "workflow_task_completed_event_id",
    "latest_cancel_requested_event_id",
}


def _wanted(field: str, kind: str) -> str:
    """The attributes' name of the event that a field of `kind` refers to."""
    if field == "workflow_task_completed_event_id":
        return "workflow_task_completed_event_attributes"
    if field == "latest_cancel_requested_event_id":
        return "activity_task_cancel_requested_event_attributes"
    if field == "accepted_event_id":
        return "workflow_execution_update_accepted_event_attributes"
    verb = field.removesuffix("_event_id")
    if kind.startswith("timer"):
        return "timer_started_event_attributes"
    if kind.startswith(("workflow_task", "activity_task")):
        return f"{kind[:13]}_{verb}_event_attributes"
    if "child" in kind:
        noun = "start_child_workflow_execution" if verb == "initiated" else "child_workflow_execution"
        return f"{noun}_{verb}_event_attributes"
    if "cancel" in kind:
        return "request_cancel_external_workflow_execution_initiated_event_attributes"
    return "signal_external_workflow_execution_initiated_event_attributes"


def _same_subject(event: HistoryEvent, earlier: HistoryEvent, field: str) -> None:
    """An end and its start speak of the same activity, child, timer or update."""
    here, there = (getattr(each, each.WhichOneof("attributes") or "") for each in (event, earlier))
    if field == "started_event_id" and hasattr(here, "timer_id"):
        assert here.timer_id == there.timer_id
    elif field == "started_event_id":
        assert _subject(here) == _subject(there)
    elif field == "accepted_event_id":
        assert here.meta.update_id == there.protocol_instance_id
    elif field == "latest_cancel_requested_event_id":
        assert here.scheduled_event_id == there.scheduled_event_id


def _subject(attributes: object, own_id: int = 0) -> int:
    """The event that began what `attributes` speak of; for a timer's start its own."""
    names = ("scheduled_event_id", "initiated_event_id", "started_event_id")
    return next((getattr(attributes, name) for name in names if getattr(attributes, name, 0)), own_id)


def commands_stand_together(events: list[HistoryEvent]) -> None:
    """No workflow task is scheduled between a completion and the last event of its commands."""
    completed_id, later_task = 0, False
    for event in events:
        if event.event_type in TASK_COMPLETED:
            completed_id, later_task = event.event_id, False
        elif event.event_type in TASK_SCHEDULED:
            later_task = True
        else:
            attributes = getattr(event, event.WhichOneof("attributes") or "")
            by = getattr(attributes, "workflow_task_completed_event_id", 0)
            if by and by == completed_id and event.event_type not in NEWS:
                assert not later_task, f"event {event.event_id} of completion {by} follows the next workflow task"


def news_have_a_task(run: Run, events: list[HistoryEvent]) -> None:
    """What the workflow has not been told of waits for a workflow task that is there, or for the first one's time."""
    info = run.info
    told = info.previous_started_event_id
    news = [event.event_id for event in events if event.event_type in NEWS and event.event_id > told]
    if news or run.buffered:
        assert info.HasField("task") or info.backoff_deadline_ns or run.is_paused, (
            f"nobody will be told of events {news}"
        )
    if run.buffered:
        assert info.task.started_event_id, "events are buffered though no workflow task is started"
    written = info.HasField("task") and info.task.kind != WorkflowTask.SPECULATIVE
    assert not (written and info.backoff_deadline_ns), "a workflow task during the back-off"


def tasks_are_pushed(run: Run, pushed: set[tuple[int, int, int]]) -> None:
    """Whatever waits for a worker has its row in the outbox."""
    task = run.info.task
    if run.info.HasField("task") and not task.started_event_id:
        assert not run.is_paused, "a workflow task waits though the run is paused"
        assert (Task.PUSH_WORKFLOW_TASK, task.scheduled_event_id, task.attempt) in pushed, "a task nobody pushes"
    for activity in run.activities.values():
        assert run.is_paused or not activity.held, "an activity waits for the end of a pause that is over"
        waits = not (activity.started_time_ns or activity.backing_off or activity.held)
        if waits and not activity.HasField("pause"):
            assert (Task.PUSH_ACTIVITY_TASK, activity.scheduled_event_id, activity.stamp) in pushed


def deadlines_are_covered(shell: Shell, stored: Run) -> None:
    first_ns = earliest(*deadlines(stored))
    for run in (shell.run, stored):
        of_run_itself = (run_deadline(run.info), task_deadline(run.info))
        assert earliest(*of_run_itself, next_deadline(run.fork())) == earliest(*deadlines(run)), "the agenda is wrong"
    if first_ns:
        assert shell.wakes, f"nothing wakes the run at {first_ns}"
        assert min(shell.wakes) <= first_ns, f"the first wake is {min(shell.wakes) - first_ns} ns late"
    armed_ns = stored.info.armed_wake_ns
    assert not armed_ns or armed_ns in shell.wakes, "the armed wake is not there"
    task_ns = task_deadline(shell.run.info)
    assert not task_ns or min([*shell.wakes, *shell.memory_wakes]) <= task_ns, "nothing wakes the workflow task"
    assert BUFFERED not in shell.run.activities
