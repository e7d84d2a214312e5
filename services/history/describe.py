"""What DescribeWorkflowExecution and lists say of a run."""

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import ActivityType, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    EventType,
    PendingActivityState,
    PendingWorkflowTaskState,
    TaskQueueKind,
    VersioningBehavior,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import (
    PendingActivityInfo,
    PendingChildExecutionInfo,
    PendingWorkflowTaskInfo,
    RequestIdInfo,
    WorkflowExecutionConfig,
    WorkflowExecutionExtendedInfo,
    WorkflowExecutionInfo,
)
from temporalio.api.workflowservice import v1 as api

from services.history.callback_info import callback_info
from services.history.core.activity_options import options_of
from services.history.core.deadlines import expiry
from services.history.core.run import Run, copy_fields
from services.history.core.times import duration, timestamp
from services.protos.run_pb2 import Activity, Pause, WorkflowTask

State = PendingActivityState
NO_TIME = Timestamp(seconds=-62135596800)  # year 1: how the reference says that there is none


def execution_info(run: Run) -> WorkflowExecutionInfo:
    """The part of a description that lists show too."""
    info = run.info
    described = WorkflowExecutionInfo(
        execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
        type=WorkflowType(name=info.workflow_type),
        start_time=timestamp(info.start_time_ns),
        execution_time=timestamp(info.execution_time_ns),
        status=info.status,
        history_length=info.next_event_id - 1 + _unwritten_start(info.task),
        task_queue=info.task_queue,
        state_transition_count=info.state_transitions,
        history_size_bytes=info.history_bytes,
        first_run_id=info.first_execution_run_id,
        root_execution=info.root,
        memo=info.memo,
        search_attributes=info.search_attributes,
        auto_reset_points=info.reset_points,
    )
    if info.HasField("priority"):
        described.priority.CopyFrom(info.priority)
    if info.HasField("worker_version"):
        described.most_recent_worker_version_stamp.CopyFrom(info.worker_version)
    if info.HasField("versioning_info"):
        described.versioning_info.CopyFrom(info.versioning_info)
        if info.versioning_info.versioning_override.auto_upgrade:
            described.versioning_info.versioning_override.behavior = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
    if info.HasField("parent"):
        described.parent_namespace_id = info.parent.namespace_id
        described.parent_execution.CopyFrom(
            WorkflowExecution(workflow_id=info.parent.workflow_id, run_id=info.parent.run_id)
        )
    if info.close_time_ns:
        described.close_time.CopyFrom(timestamp(info.close_time_ns))
        described.execution_duration.CopyFrom(duration(info.close_time_ns - info.execution_time_ns))
    return described


def _unwritten_start(task: WorkflowTask) -> int:
    """A started workflow task is an event to everyone who asks, though it may not be written yet."""
    return int(task.kind == WorkflowTask.NORMAL and bool(task.started_event_id) and not task.started_written)


def description(run: Run, now_ns: int) -> api.DescribeWorkflowExecutionResponse:
    """All that is known of a run."""
    info = run.info
    described = api.DescribeWorkflowExecutionResponse(
        execution_config=WorkflowExecutionConfig(
            task_queue=TaskQueue(name=info.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
            workflow_execution_timeout=duration(info.execution_timeout_ns) if info.execution_timeout_given else None,
            workflow_run_timeout=duration(info.run_timeout_ns) if info.run_timeout_given else None,
            default_workflow_task_timeout=duration(info.task_timeout_ns),
            user_metadata=info.user_metadata if info.HasField("user_metadata") else None,
        ),
        workflow_execution_info=execution_info(run),
        workflow_extended_info=_extended(run),
    )
    described.pending_activities.extend(_activity(activity, now_ns) for activity in run.activities.values())
    for child in run.children.values():
        described.pending_children.append(
            PendingChildExecutionInfo(
                workflow_id=child.workflow_id,
                run_id=child.run_id,
                workflow_type_name=child.workflow_type,
                initiated_id=child.initiated_event_id,
                parent_close_policy=child.parent_close_policy,
            )
        )
    described.callbacks.extend(callback_info(callback) for callback in run.callbacks.values())
    if info.HasField("task"):
        described.pending_workflow_task.CopyFrom(_task(info.task))
    return described


def _extended(run: Run) -> WorkflowExecutionExtendedInfo:
    info = run.info
    extended = WorkflowExecutionExtendedInfo(
        cancel_requested=info.cancel_requested,
        original_start_time=timestamp(info.start_time_ns),
        run_expiration_time=timestamp(info.run_deadline_ns) if info.run_deadline_ns else NO_TIME,
    )
    if info.HasField("pause"):
        extended.pause_info.identity, extended.pause_info.reason = info.pause.identity, info.pause.reason
        extended.pause_info.paused_time.CopyFrom(timestamp(info.pause.time_ns))
    if info.HasField("reset_origin"):
        extended.original_start_time.CopyFrom(timestamp(info.reset_origin.original_start_time_ns))
        extended.last_reset_time.CopyFrom(timestamp(info.start_time_ns))
    extended.reset_run_id = info.reset_run_id
    if info.execution_deadline_ns:
        extended.execution_expiration_time.CopyFrom(timestamp(info.execution_deadline_ns))
    extended.request_id_infos[info.create_request_id].CopyFrom(
        RequestIdInfo(
            event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
            event_id=2 if info.create_request_id in run.signal_requests else 1,  # the signal that came with the start
        )
    )
    for attached in info.attached_requests:
        extended.request_id_infos[attached.request_id].CopyFrom(
            RequestIdInfo(
                event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
                event_id=max(attached.event_id, 0),
                buffered=attached.event_id < 0,
            )
        )
    for update in run.updates.values():
        if update.request_id and update.accepted_event_id:
            extended.request_id_infos[update.request_id].CopyFrom(
                RequestIdInfo(
                    event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
                    event_id=update.accepted_event_id,
                )
            )
    return extended


def _task(task: WorkflowTask) -> PendingWorkflowTaskInfo:
    states = PendingWorkflowTaskState
    started = bool(task.started_event_id)
    pending = PendingWorkflowTaskInfo(
        state=states.PENDING_WORKFLOW_TASK_STATE_STARTED if started else states.PENDING_WORKFLOW_TASK_STATE_SCHEDULED,
        scheduled_time=timestamp(task.scheduled_time_ns),
        original_scheduled_time=timestamp(task.original_scheduled_time_ns),
        attempt=task.attempt,
    )
    if started:
        pending.started_time.CopyFrom(timestamp(task.started_time_ns))
    return pending


def _activity(activity: Activity, now_ns: int) -> PendingActivityInfo:
    pending = PendingActivityInfo(
        activity_id=activity.activity_id,
        activity_type=ActivityType(name=activity.activity_type),
        state=_activity_state(activity),
        attempt=activity.attempt,
        last_worker_identity=activity.last_worker_identity,
        activity_options=_options(activity),
    )
    if activity.HasField("retry_policy"):
        pending.maximum_attempts = activity.retry_policy.maximum_attempts
    copy_fields(activity, pending, ("heartbeat_details", "last_failure", "priority"))
    started = bool(activity.started_time_ns)
    backs_off = activity.scheduled_time_ns > now_ns and not activity.HasField("pause")
    times = {
        "last_heartbeat_time": activity.last_heartbeat_time_ns,
        "last_started_time": activity.last_started_time_ns if started else 0,
        "scheduled_time": activity.scheduled_time_ns,
        "expiration_time": expiry(activity),
        "last_attempt_complete_time": activity.last_attempt_complete_time_ns,
        "next_attempt_schedule_time": activity.scheduled_time_ns if backs_off else 0,
    }
    for name, at_ns in times.items():
        if at_ns:
            getattr(pending, name).CopyFrom(timestamp(at_ns))
    if activity.HasField("pause"):
        pending.paused = True
        pending.pause_info.CopyFrom(_pause_info(activity.pause))
    if activity.current_retry_interval_ns and backs_off:
        pending.current_retry_interval.CopyFrom(duration(activity.current_retry_interval_ns))
    return pending


def _pause_info(pause: Pause) -> PendingActivityInfo.PauseInfo:
    return PendingActivityInfo.PauseInfo(
        pause_time=timestamp(pause.time_ns),
        manual=PendingActivityInfo.PauseInfo.Manual(identity=pause.identity, reason=pause.reason),
    )


def _activity_state(activity: Activity) -> PendingActivityState.ValueType:
    if activity.cancel_requested:
        return State.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
    if activity.HasField("pause"):
        started = bool(activity.started_time_ns)
        return State.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED if started else State.PENDING_ACTIVITY_STATE_PAUSED
    if activity.started_time_ns:
        return State.PENDING_ACTIVITY_STATE_STARTED
    return State.PENDING_ACTIVITY_STATE_SCHEDULED


def _options(activity: Activity) -> ActivityOptions:
    options = options_of(activity)
    options.task_queue.normal_name = activity.task_queue
    options.retry_policy.ClearField("non_retryable_error_types")
    return options
