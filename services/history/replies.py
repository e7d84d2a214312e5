"""What a worker is told when it takes a task. History travels as the bytes it is stored in."""

from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]  # varints have no public name
from temporalio.api.common.v1 import ActivityType, Priority, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes, History
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.history.cache import RunEntry, WorkflowEntry
from services.history.core.draft import task_scheduled_event, task_started_event
from services.history.core.options import inherited
from services.history.core.run import Run, copy_of
from services.history.core.times import timestamp
from services.history.core.updates import outgoing_messages
from services.history.engine import Engine
from services.protos.run_pb2 import Activity, HistoryPageToken, TaskToken, WorkflowTask

PAGE_BATCHES_MAX = 256
PAGE_BYTES_MAX = 7 * 1024 * 1024 // 2  # with the rest of the reply below what gRPC takes by default


def field_bytes(number: int, blob: bytes) -> bytes:
    """A length-delimited field of a message, ready to be concatenated to its serialized other fields."""
    return bytes(_VarintBytes(number << 3 | 2)) + bytes(_VarintBytes(len(blob))) + blob


HISTORY_IN_POLL = api.PollWorkflowTaskQueueResponse.HISTORY_FIELD_NUMBER


def task_token(run: Run) -> bytes:
    """The token of the started workflow task."""
    info, task = run.info, run.info.task
    return TaskToken(
        namespace_id=info.namespace_id,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        scheduled_event_id=task.scheduled_event_id,
        started_event_id=task.started_event_id,
        attempt=task.attempt,
        request_id=task.request_id,
    ).SerializeToString()


def activity_token(run: Run, activity: Activity, *, by_id: bool = False) -> bytes:
    info = run.info
    return TaskToken(
        namespace_id=info.namespace_id,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        scheduled_event_id=activity.scheduled_event_id,
        attempt=0 if by_id else activity.attempt,
        activity_id=activity.activity_id,
        activity_type=activity.activity_type,
    ).SerializeToString()


def unwritten_events(run: Run, *, to_reader: bool = False) -> list[bytes]:
    """The current workflow task's events that are only in memory, each as a serialized History.

    A transient attempt whose place was taken has none. `to_reader`: to others than its worker, who are not told of him.
    """
    task = run.info.task
    if not task.scheduled_written and task.scheduled_event_id != run.info.next_event_id:
        return []
    if to_reader and task.kind != WorkflowTask.NORMAL:
        task = copy_of(task)
        task.ClearField("identity")
    events = []
    if task.scheduled_event_id and not task.scheduled_written:
        events.append(History(events=[task_scheduled_event(run.info, task)]).SerializeToString())
    if task.started_event_id and not task.started_written:
        events.append(History(events=[task_started_event(task)]).SerializeToString())
    return events


async def workflow_task_reply(
    engine: Engine, workflow: WorkflowEntry, entry: RunEntry, namespace: str, *, sticky: bool
) -> bytes:
    """A serialized PollWorkflowTaskQueueResponse for the started workflow task.

    A sticky worker knows the history up to the last task it completed, and gets only what came since.
    """
    run = entry.run
    info, task = run.info, run.info.task
    first = info.previous_started_event_id + 1 if sticky else 1
    history, token = await history_for_task(engine, workflow, entry, first)
    reply = api.PollWorkflowTaskQueueResponse(
        task_token=task_token(run),
        workflow_execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
        workflow_type=WorkflowType(name=info.workflow_type),
        previous_started_event_id=info.previous_started_event_id,
        started_event_id=task.started_event_id,
        attempt=task.attempt,
        next_page_token=token,
        workflow_execution_task_queue=TaskQueue(name=info.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
        scheduled_time=timestamp(task.scheduled_time_ns),
        started_time=timestamp(task.started_time_ns),
    )
    if run.admitted:
        reply.messages.extend(outgoing_messages(run))
    for query_id, pending in entry.queries.items():
        reply.queries[query_id].CopyFrom(pending.query)
    return reply.SerializeToString() + field_bytes(HISTORY_IN_POLL, history)


async def history_for_task(
    engine: Engine, workflow: WorkflowEntry, entry: RunEntry, first_event_id: int
) -> tuple[bytes, bytes]:
    """Serialized events from `first_event_id` on, and a page token when they are more than one reply should carry."""
    run = entry.run
    info = run.info
    end = info.next_event_id
    batches = await engine.batches(workflow, entry, first_event_id, end, PAGE_BATCHES_MAX)
    blobs: list[bytes] = []
    size, next_event_id = 0, first_event_id
    for batch in batches:
        if blobs and size + len(batch.blob) > PAGE_BYTES_MAX:
            break
        blobs.append(batch.blob)
        size += len(batch.blob)
        next_event_id = batch.next_event_id
    if next_event_id >= end:
        return b"".join((*blobs, *unwritten_events(run))), b""
    token = HistoryPageToken(run_id=info.run_id, next_event_id=next_event_id, end_event_id=end, running=True)
    return b"".join(blobs), token.SerializeToString()


def activity_task_reply(
    namespace: str,
    run: Run,
    activity: Activity,
    scheduled: ActivityTaskScheduledEventAttributes,
    *,
    eager: bool = False,
) -> bytes:
    """A serialized PollActivityTaskQueueResponse for the started attempt.

    `eager`: it comes with a workflow task's completion, and tells no priority but its own. (the reference's)
    """
    info = run.info
    has_priority = activity.HasField("priority") or (info.HasField("priority") and not eager)
    reply = api.PollActivityTaskQueueResponse(
        task_token=activity_token(run, activity),
        workflow_namespace=namespace,
        workflow_type=WorkflowType(name=info.workflow_type),
        workflow_execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
        activity_type=ActivityType(name=activity.activity_type),
        activity_id=activity.activity_id,
        header=scheduled.header if scheduled.HasField("header") else None,
        input=scheduled.input if scheduled.HasField("input") else None,
        heartbeat_details=activity.heartbeat_details if activity.HasField("heartbeat_details") else None,
        scheduled_time=timestamp(activity.first_scheduled_time_ns),
        current_attempt_scheduled_time=timestamp(activity.scheduled_time_ns),
        started_time=timestamp(activity.started_time_ns),
        attempt=activity.attempt,
        # As the command had them, whatever operators have changed: that is what the reference tells workers.
        schedule_to_close_timeout=scheduled.schedule_to_close_timeout,
        start_to_close_timeout=scheduled.start_to_close_timeout,
        heartbeat_timeout=scheduled.heartbeat_timeout,
        retry_policy=activity.retry_policy if activity.HasField("retry_policy") else None,
        priority=inherited(activity.priority, Priority() if eager else info.priority) if has_priority else None,
    )
    return reply.SerializeToString()
