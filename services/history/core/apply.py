"""The fold of events into a run: the only way in which what events say changes a run.

The same functions build the live state, rebuild it from history, and take in events that are still buffered (whose ids
are BUFFERED until they are written). Every event type is in `APPLY`, or in `NO_STATE` because it leaves none.
"""

from collections.abc import Callable
from enum import IntEnum

from temporalio.api.common.v1 import Payload, SearchAttributes, WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    ParentClosePolicy,
    TaskQueueKind,
    WorkflowExecutionStatus,
    WorkflowTaskFailedCause,
)
from temporalio.api.history.v1 import HistoryEvent

from services.history.core.admitted import answer_admitted
from services.history.core.forked import restart
from services.history.core.indexed import index_build, index_pause, note_problem, set_override, unset_override
from services.history.core.memo import merged
from services.history.core.registered import register
from services.history.core.run import PAUSED, RUNNING, Run, copy_fields, copy_of
from services.history.core.times import ns_of
from services.protos.run_pb2 import Activity, Child, External, Parent, Pause, Timer, Update, WorkflowTask

RESET = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
RESET_POINTS_MAX = 20  # history.historyMaxAutoResetPoints
BUFFERED = -123  # the id of an event that waits to be written (events_commands.md section 3)


class Item(IntEnum):
    """The maps of a run whose entries are stored one by one. The numbers are stored."""

    ACTIVITY = 1
    TIMER = 2
    CHILD = 3
    EXTERNAL_SIGNAL = 4
    EXTERNAL_CANCEL = 5
    SIGNAL_REQUEST = 6
    BUFFERED = 7
    UPDATE = 8
    CALLBACK = 20


Changes = set[tuple[Item, int | str]]  # which entries a fold has touched


def apply(run: Run, event: HistoryEvent, changes: Changes) -> None:
    """Folds one event into `run` (a fork of ours), noting in `changes` the entries it touched."""
    fold = APPLY.get(event.event_type)
    if fold is not None:
        fold(run, event, changes)
    else:
        assert event.event_type in NO_STATE, f"no fold for event type {event.event_type}"


def _started(run: Run, event: HistoryEvent, changes: Changes) -> None:
    info, started = run.info, event.workflow_execution_started_event_attributes
    event_time_ns = ns_of(event.event_time)
    info.status = RUNNING
    info.workflow_id = started.workflow_id
    info.workflow_type = started.workflow_type.name
    info.task_queue = started.task_queue.name
    info.start_time_ns = event_time_ns
    backoff_ns = ns_of(started.first_workflow_task_backoff)
    info.execution_time_ns = event_time_ns + backoff_ns
    info.backoff_deadline_ns = event_time_ns + backoff_ns if backoff_ns else 0
    info.execution_timeout_ns = ns_of(started.workflow_execution_timeout)
    info.run_timeout_ns = ns_of(started.workflow_run_timeout)
    info.execution_timeout_given = started.HasField("workflow_execution_timeout")
    info.run_timeout_given = started.HasField("workflow_run_timeout")
    info.task_timeout_ns = ns_of(started.workflow_task_timeout)
    if started.HasField("workflow_execution_expiration_time"):
        info.execution_deadline_ns = ns_of(started.workflow_execution_expiration_time)
    if info.run_timeout_ns:
        info.run_deadline_ns = info.execution_time_ns + info.run_timeout_ns
        if info.execution_deadline_ns:
            info.run_deadline_ns = min(info.run_deadline_ns, info.execution_deadline_ns)
    info.first_execution_run_id = started.first_execution_run_id
    info.original_run_id = started.original_execution_run_id
    info.continued_execution_run_id = started.continued_execution_run_id
    info.attempt = started.attempt
    info.cron_schedule = started.cron_schedule
    if started.HasField("prev_auto_reset_points"):
        info.reset_points.CopyFrom(started.prev_auto_reset_points)
    copy_fields(started, info, ("retry_policy", "memo", "search_attributes", "priority"))
    if event.HasField("user_metadata"):
        info.user_metadata.CopyFrom(event.user_metadata)
    for number in register(run, started.completion_callbacks, event_time_ns):
        changes.add((Item.CALLBACK, number))
    if started.HasField("versioning_override"):
        set_override(run, started.versioning_override)
    if started.HasField("parent_workflow_execution"):
        info.parent.CopyFrom(
            Parent(
                namespace=started.parent_workflow_namespace,
                namespace_id=started.parent_workflow_namespace_id,
                workflow_id=started.parent_workflow_execution.workflow_id,
                run_id=started.parent_workflow_execution.run_id,
                initiated_event_id=started.parent_initiated_event_id,
            )
        )
    if started.HasField("root_workflow_execution"):
        info.root.CopyFrom(started.root_workflow_execution)
    else:
        info.root.CopyFrom(WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id))


def _closed(status: WorkflowExecutionStatus.ValueType) -> Callable[[Run, HistoryEvent, Changes], None]:
    def fold(run: Run, event: HistoryEvent, _: Changes) -> None:
        info = run.info
        info.status = status
        info.close_time_ns = ns_of(event.event_time)
        info.close_event_id = event.event_id
        attributes = getattr(event, event.WhichOneof("attributes") or "")
        info.new_execution_run_id = getattr(attributes, "new_execution_run_id", "")
        info.backoff_deadline_ns = 0

    return fold


def _cancel_requested(run: Run, _event: HistoryEvent, _: Changes) -> None:
    run.info.cancel_requested = True


def _signaled(run: Run, event: HistoryEvent, changes: Changes) -> None:
    run.info.signal_count += 1
    request_id = event.workflow_execution_signaled_event_attributes.request_id
    if request_id:
        run.signal_requests.add(request_id)
        changes.add((Item.SIGNAL_REQUEST, request_id))


def _task_scheduled(run: Run, event: HistoryEvent, _: Changes) -> None:
    scheduled = event.workflow_task_scheduled_event_attributes
    at_ns = ns_of(event.event_time)
    run.info.backoff_deadline_ns = 0
    run.info.task.CopyFrom(
        WorkflowTask(
            scheduled_event_id=event.event_id,
            attempt=scheduled.attempt,
            scheduled_time_ns=at_ns,
            original_scheduled_time_ns=at_ns,
            timeout_ns=ns_of(scheduled.start_to_close_timeout),
            task_queue=scheduled.task_queue.name,
            sticky=scheduled.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY,
            scheduled_written=True,
        )
    )


def _task_started(run: Run, event: HistoryEvent, _: Changes) -> None:
    started = event.workflow_task_started_event_attributes
    task = run.info.task
    task.started_event_id = event.event_id
    task.request_id = started.request_id
    task.identity = started.identity
    task.started_time_ns = ns_of(event.event_time)
    task.history_bytes = started.history_size_bytes
    task.start_to_close_deadline_ns = task.started_time_ns + task.timeout_ns
    task.suggest_continue_as_new = started.suggest_continue_as_new
    task.suggest_continue_as_new_reasons[:] = started.suggest_continue_as_new_reasons
    copy_fields(started, task, ("worker_version",))
    task.started_written = True


def _task_completed(run: Run, event: HistoryEvent, changes: Changes) -> None:
    completed = event.workflow_task_completed_event_attributes
    if run.info.previous_started_event_id < run.info.reset_origin.fork_event_id:
        changes.update((Item.UPDATE, update_id) for update_id in answer_admitted(run, event.event_id))
    run.info.previous_started_event_id = completed.started_event_id
    run.info.completed_task_event_id = event.event_id
    run.info.task_attempts_since_success = 0
    run.info.worker_identity = completed.identity
    if completed.HasField("worker_version"):
        run.info.worker_version.CopyFrom(completed.worker_version)
    run.info.ClearField("task")
    _note_build(run, event)


def _note_build(run: Run, event: HistoryEvent) -> None:
    """The first task that a build of the workers completes: reset by build can go back to it, and lists find the run.

    (events_commands.md section 9, "auto reset points", and section 13, BuildIds)
    """
    info, completed = run.info, event.workflow_task_completed_event_attributes
    checksum, build_id = completed.binary_checksum, completed.worker_version.build_id
    points = info.reset_points.points
    if not any(point.binary_checksum == checksum and point.build_id == build_id for point in points):
        points.add(
            binary_checksum=checksum,
            build_id=build_id,
            run_id=info.run_id,
            first_workflow_task_completed_id=event.event_id,
            create_time=event.event_time,
            resettable=True,
        )
        del points[:-RESET_POINTS_MAX]
    if run.build_id != build_id:
        run.build_id = build_id
        index_build(run, build_id)


def _task_ended(run: Run, _event: HistoryEvent, _: Changes) -> None:
    run.info.ClearField("task")


def _task_timed_out(run: Run, event: HistoryEvent, changes: Changes) -> None:
    _task_ended(run, event, changes)
    note_problem(run, event)


def _task_failed(run: Run, event: HistoryEvent, changes: Changes) -> None:
    _task_ended(run, event, changes)
    note_problem(run, event)
    failed = event.workflow_task_failed_event_attributes
    if failed.cause == RESET and failed.new_run_id:  # workers may give that cause, too
        restart(run, event)
        changes.update((Item.ACTIVITY, scheduled_event_id) for scheduled_event_id in run.activities)


def _activity_scheduled(run: Run, event: HistoryEvent, changes: Changes) -> None:
    scheduled = event.activity_task_scheduled_event_attributes
    at_ns = ns_of(event.event_time)
    activity = Activity(
        scheduled_event_id=event.event_id,
        activity_id=scheduled.activity_id,
        activity_type=scheduled.activity_type.name,
        task_queue=scheduled.task_queue.name,
        schedule_to_close_timeout_ns=ns_of(scheduled.schedule_to_close_timeout),
        schedule_to_start_timeout_ns=ns_of(scheduled.schedule_to_start_timeout),
        start_to_close_timeout_ns=ns_of(scheduled.start_to_close_timeout),
        heartbeat_timeout_ns=ns_of(scheduled.heartbeat_timeout),
        retry_policy=scheduled.retry_policy if scheduled.HasField("retry_policy") else None,
        priority=scheduled.priority if scheduled.HasField("priority") else None,
        attempt=1,
        stamp=1,
        first_scheduled_time_ns=at_ns,
        scheduled_time_ns=at_ns,
    )
    run.activities[event.event_id] = activity
    run.activity_ids[activity.activity_id] = event.event_id
    changes.add((Item.ACTIVITY, event.event_id))


def _activity_cancel_requested(run: Run, event: HistoryEvent, changes: Changes) -> None:
    scheduled_event_id = event.activity_task_cancel_requested_event_attributes.scheduled_event_id
    if scheduled_event_id not in run.activities:
        return  # it has ended, and only the buffered event of its end is still to be written
    activity = copy_of(run.activities[scheduled_event_id])
    activity.cancel_requested = True
    activity.cancel_requested_event_id = event.event_id
    run.activities[scheduled_event_id] = activity
    changes.add((Item.ACTIVITY, scheduled_event_id))


def _activity_closed(run: Run, event: HistoryEvent, changes: Changes) -> None:
    scheduled_event_id = getattr(event, event.WhichOneof("attributes") or "").scheduled_event_id
    activity = run.activities.pop(scheduled_event_id, None)
    if activity is not None:
        if run.activity_ids.get(activity.activity_id) == scheduled_event_id:
            del run.activity_ids[activity.activity_id]
        changes.add((Item.ACTIVITY, scheduled_event_id))


def _timer_started(run: Run, event: HistoryEvent, changes: Changes) -> None:
    started = event.timer_started_event_attributes
    run.timers[started.timer_id] = Timer(
        started_event_id=event.event_id,
        timer_id=started.timer_id,
        fire_time_ns=ns_of(event.event_time) + ns_of(started.start_to_fire_timeout),
    )
    changes.add((Item.TIMER, started.timer_id))


def _timer_ended(run: Run, event: HistoryEvent, changes: Changes) -> None:
    ended = getattr(event, event.WhichOneof("attributes") or "")
    timer = run.timers.get(ended.timer_id)
    if timer is not None and timer.started_event_id == ended.started_event_id:  # its id may be in use again
        del run.timers[ended.timer_id]
        changes.add((Item.TIMER, ended.timer_id))


def _child_initiated(run: Run, event: HistoryEvent, changes: Changes) -> None:
    initiated = event.start_child_workflow_execution_initiated_event_attributes
    policy = initiated.parent_close_policy or ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
    run.children[event.event_id] = Child(
        initiated_event_id=event.event_id,
        namespace=initiated.namespace,
        namespace_id=initiated.namespace_id,
        workflow_id=initiated.workflow_id,
        workflow_type=initiated.workflow_type.name,
        parent_close_policy=policy,
    )
    changes.add((Item.CHILD, event.event_id))


def _child_started(run: Run, event: HistoryEvent, changes: Changes) -> None:
    started = event.child_workflow_execution_started_event_attributes
    if started.initiated_event_id not in run.children:
        return
    child = copy_of(run.children[started.initiated_event_id])
    child.started_event_id = event.event_id
    child.run_id = started.workflow_execution.run_id
    run.children[started.initiated_event_id] = child
    changes.add((Item.CHILD, started.initiated_event_id))


def _child_closed(run: Run, event: HistoryEvent, changes: Changes) -> None:
    initiated_event_id = getattr(event, event.WhichOneof("attributes") or "").initiated_event_id
    run.children.pop(initiated_event_id, None)
    changes.add((Item.CHILD, initiated_event_id))


def _signal_initiated(run: Run, event: HistoryEvent, changes: Changes) -> None:
    initiated = event.signal_external_workflow_execution_initiated_event_attributes
    run.signals[event.event_id] = External(
        initiated_event_id=event.event_id,
        namespace=initiated.namespace,
        namespace_id=initiated.namespace_id,
        workflow_id=initiated.workflow_execution.workflow_id,
        run_id=initiated.workflow_execution.run_id,
        child_workflow_only=initiated.child_workflow_only,
    )
    changes.add((Item.EXTERNAL_SIGNAL, event.event_id))


def _signal_answered(run: Run, event: HistoryEvent, changes: Changes) -> None:
    initiated_event_id = getattr(event, event.WhichOneof("attributes") or "").initiated_event_id
    run.signals.pop(initiated_event_id, None)
    changes.add((Item.EXTERNAL_SIGNAL, initiated_event_id))


def _cancel_initiated(run: Run, event: HistoryEvent, changes: Changes) -> None:
    initiated = event.request_cancel_external_workflow_execution_initiated_event_attributes
    run.cancels[event.event_id] = External(
        initiated_event_id=event.event_id,
        namespace=initiated.namespace,
        namespace_id=initiated.namespace_id,
        workflow_id=initiated.workflow_execution.workflow_id,
        run_id=initiated.workflow_execution.run_id,
        child_workflow_only=initiated.child_workflow_only,
    )
    changes.add((Item.EXTERNAL_CANCEL, event.event_id))


def _cancel_answered(run: Run, event: HistoryEvent, changes: Changes) -> None:
    initiated_event_id = getattr(event, event.WhichOneof("attributes") or "").initiated_event_id
    run.cancels.pop(initiated_event_id, None)
    changes.add((Item.EXTERNAL_CANCEL, initiated_event_id))


def _search_attributes_upserted(run: Run, event: HistoryEvent, _: Changes) -> None:
    upserted = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    fields = run.info.search_attributes.indexed_fields
    merged = {name: upserted.get(name) or fields[name] for name in {*fields, *upserted}}
    kept = {name: payload for name, payload in merged.items() if not _is_nil(payload)}
    run.info.search_attributes.CopyFrom(SearchAttributes(indexed_fields=kept))


def _is_nil(payload: Payload) -> bool:
    """Setting nothing is deleting: null, or an empty list."""
    encoding = payload.metadata.get("encoding")
    return encoding == b"binary/null" or (encoding == b"json/plain" and payload.data in (b"null", b"[]"))


def _properties_modified(run: Run, event: HistoryEvent, _: Changes) -> None:
    upserted = event.workflow_properties_modified_event_attributes.upserted_memo
    run.info.memo.CopyFrom(merged(run.info.memo, upserted))


def _update_admitted(run: Run, event: HistoryEvent, changes: Changes) -> None:
    update_id = event.workflow_execution_update_admitted_event_attributes.request.meta.update_id
    run.updates[update_id] = Update(update_id=update_id, admitted_event_id=event.event_id)
    run.open_updates[update_id] = None
    changes.add((Item.UPDATE, update_id))


def _update_accepted(run: Run, event: HistoryEvent, changes: Changes) -> None:
    accepted = event.workflow_execution_update_accepted_event_attributes
    update_id = accepted.protocol_instance_id
    request_id = accepted.accepted_request.request_id
    run.updates[update_id] = Update(update_id=update_id, accepted_event_id=event.event_id, request_id=request_id)
    run.open_updates[update_id] = None
    run.admitted.pop(update_id, None)
    run.info.update_count += 1
    changes.add((Item.UPDATE, update_id))


def _update_completed(run: Run, event: HistoryEvent, changes: Changes) -> None:
    completed = event.workflow_execution_update_completed_event_attributes
    update_id = completed.meta.update_id
    known = run.updates.get(update_id)
    run.updates[update_id] = Update(
        update_id=update_id,
        accepted_event_id=completed.accepted_event_id,
        completed_event_id=event.event_id,
        request_id=known.request_id if known is not None else "",
    )
    run.open_updates.pop(update_id, None)
    changes.add((Item.UPDATE, update_id))


def _options_updated(run: Run, event: HistoryEvent, changes: Changes) -> None:
    updated = event.workflow_execution_options_updated_event_attributes
    if updated.attached_request_id:
        run.info.attached_requests.add(request_id=updated.attached_request_id, event_id=event.event_id)
    callbacks, request_id = updated.attached_completion_callbacks, updated.attached_request_id
    for number in register(run, callbacks, ns_of(event.event_time), request_id):
        changes.add((Item.CALLBACK, number))
    copy_fields(updated, run.info, ("priority",))
    if updated.HasField("versioning_override"):
        set_override(run, updated.versioning_override)
    elif updated.unset_versioning_override:
        unset_override(run)


def _paused(run: Run, event: HistoryEvent, _: Changes) -> None:
    paused = event.workflow_execution_paused_event_attributes
    run.info.status = PAUSED
    run.info.pause.CopyFrom(
        Pause(
            identity=paused.identity,
            reason=paused.reason,
            request_id=paused.request_id,
            time_ns=ns_of(event.event_time),
        )
    )
    index_pause(run)


def _unpaused(run: Run, _event: HistoryEvent, _: Changes) -> None:
    run.info.status = RUNNING
    run.info.ClearField("pause")
    index_pause(run)


_S = WorkflowExecutionStatus
_E = EventType

APPLY: dict[int, Callable[[Run, HistoryEvent, Changes], None]] = {
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: _started,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: _closed(_S.WORKFLOW_EXECUTION_STATUS_COMPLETED),
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: _closed(_S.WORKFLOW_EXECUTION_STATUS_FAILED),
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: _closed(_S.WORKFLOW_EXECUTION_STATUS_TIMED_OUT),
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: _closed(_S.WORKFLOW_EXECUTION_STATUS_CANCELED),
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: _closed(_S.WORKFLOW_EXECUTION_STATUS_TERMINATED),
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: _closed(_S.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW),
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _cancel_requested,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: _signaled,
    _E.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: _task_scheduled,
    _E.EVENT_TYPE_WORKFLOW_TASK_STARTED: _task_started,
    _E.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: _task_completed,
    _E.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: _task_timed_out,
    _E.EVENT_TYPE_WORKFLOW_TASK_FAILED: _task_failed,
    _E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: _activity_scheduled,
    _E.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: _activity_cancel_requested,
    _E.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: _activity_closed,
    _E.EVENT_TYPE_ACTIVITY_TASK_FAILED: _activity_closed,
    _E.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: _activity_closed,
    _E.EVENT_TYPE_ACTIVITY_TASK_CANCELED: _activity_closed,
    _E.EVENT_TYPE_TIMER_STARTED: _timer_started,
    _E.EVENT_TYPE_TIMER_FIRED: _timer_ended,
    _E.EVENT_TYPE_TIMER_CANCELED: _timer_ended,
    _E.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: _child_initiated,
    _E.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: _child_closed,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: _child_started,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: _child_closed,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: _child_closed,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: _child_closed,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: _child_closed,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: _child_closed,
    _E.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _signal_initiated,
    _E.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _signal_answered,
    _E.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: _signal_answered,
    _E.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _cancel_initiated,
    _E.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _cancel_answered,
    _E.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _cancel_answered,
    _E.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: _search_attributes_upserted,
    _E.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: _properties_modified,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: _update_admitted,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: _update_accepted,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: _update_completed,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: _options_updated,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED: _paused,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED: _unpaused,
}

NO_STATE = frozenset({_E.EVENT_TYPE_ACTIVITY_TASK_STARTED, _E.EVENT_TYPE_MARKER_RECORDED})
