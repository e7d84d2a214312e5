"""A run made anew from its events, and what is left of a live run when only its events are believed: they are equal.

Resets and repairs start from `rebuild`; a property test holds it against every live state.
"""

from collections.abc import Iterable, Mapping

from temporalio.api.history.v1 import History

from services.history.core.activity_options import set_original
from services.history.core.apply import Changes, apply
from services.history.core.entries import Entries
from services.history.core.indexed import forget_paused_activities, forget_problem
from services.history.core.registered import settled_callback
from services.history.core.run import Run, copy_of
from services.history.core.sizes import entries_bytes
from services.protos.run_pb2 import Activity, Buffered, Child, RunInfo, WorkflowTask

# Of the run: attempts, counters and places that leave no event.
UNSPOKEN = (
    "cancel_request_id",
    "reset_run_id",
    "sticky",
    "state_transitions",
    "armed_wake_ns",
    "task_attempts_since_success",
    "buffered_next",
)

# Of a pending activity: what its scheduling and a request to cancel it say; all else is of attempts.
SPOKEN_OF_ACTIVITY = (
    "scheduled_event_id",
    "activity_id",
    "activity_type",
    "task_queue",
    "schedule_to_close_timeout_ns",
    "schedule_to_start_timeout_ns",
    "start_to_close_timeout_ns",
    "heartbeat_timeout_ns",
    "first_scheduled_time_ns",
    "cancel_requested",
    "cancel_requested_event_id",
)

STARTED_OF_TASK = (
    "started_event_id",
    "started_time_ns",
    "start_to_close_deadline_ns",
    "request_id",
    "identity",
    "history_bytes",
    "suggest_continue_as_new",
    "suggest_continue_as_new_reasons",
    "worker_version",
)


def rebuild(
    *,
    namespace_id: str,
    run_id: str,
    create_request_id: str,
    batches: Iterable[bytes],
    buffered: Mapping[int, Buffered],
) -> Run:
    """The run that these batches of events, and then the events that are still buffered, make."""
    run = Run(
        RunInfo(namespace_id=namespace_id, run_id=run_id, create_request_id=create_request_id, next_event_id=1),
        buffered=Entries(buffered),
    )
    changes: Changes = set()
    for blob in batches:
        for event in History.FromString(blob).events:
            assert event.event_id == run.info.next_event_id, f"event {event.event_id} where one is missing before it"
            run.info.next_event_id += 1
            apply(run, event, changes)
        run.info.history_bytes += len(blob)
    for entry in buffered.values():
        apply(run, entry.event, changes)
    _settle(run)
    run.entries_bytes = entries_bytes(run)
    return run


def settled(run: Run) -> Run:
    """A copy of `run` without what no event speaks of."""
    bare = run.fork()
    bare.admitted.clear()
    for name in UNSPOKEN:
        bare.info.ClearField(name)  # type: ignore[arg-type]  # the stubs know literals only
    if bare.info.HasField("reset_origin"):
        bare.info.reset_origin.ClearField("request_id")
    _settle_task(bare.info)
    forget_problem(bare)
    forget_paused_activities(bare)
    bare.activities = Entries({key: _settled_activity(activity, bare.info) for key, activity in run.activities.items()})
    bare.children = Entries({key: _settled_child(child) for key, child in run.children.items()})
    bare.callbacks = Entries({number: settled_callback(callback) for number, callback in run.callbacks.items()})
    _settle(bare)
    bare.entries_bytes = entries_bytes(bare)
    return bare


def _settle(run: Run) -> None:
    """A closed run has no activities: one that its last commands canceled has ended without an event."""
    run.build_id, run.agenda, run.closing = None, None, False
    if not run.is_open:
        run.activities.clear()
        run.activity_ids.clear()


def _settle_task(info: RunInfo) -> None:
    """A workflow task is as far as its events are written: not at all, scheduled, or started."""
    task = info.task
    if not task.scheduled_written:
        info.ClearField("task")
        return
    task.kind = WorkflowTask.NORMAL
    task.original_scheduled_time_ns = task.scheduled_time_ns
    task.ClearField("schedule_to_start_deadline_ns")
    if not task.started_written:
        for name in STARTED_OF_TASK:
            task.ClearField(name)  # type: ignore[arg-type]  # the stubs know literals only


def _settled_child(child: Child) -> Child:
    bare = copy_of(child)
    bare.ClearField("start_request_id")
    return bare


def _settled_activity(activity: Activity, info: RunInfo) -> Activity:
    bare = copy_of(activity)
    set_original(bare)
    for field in Activity.DESCRIPTOR.fields:
        if field.name not in (*SPOKEN_OF_ACTIVITY, "retry_policy", "priority"):
            bare.ClearField(field.name)  # type: ignore[arg-type]  # the stubs know literals only
    bare.attempt = bare.stamp = 1
    is_forked = activity.scheduled_event_id < info.reset_origin.fork_event_id  # a reset schedules it anew
    bare.scheduled_time_ns = info.start_time_ns if is_forked else bare.first_scheduled_time_ns
    return bare
