"""How a run begins: by a client, as a child, or as the run that follows another one in its chain."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Link, WorkflowExecution
from temporalio.api.enums.v1 import ContinueAsNewInitiator, TaskQueueKind
from temporalio.api.history.v1 import (
    StartChildWorkflowExecutionInitiatedEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from services.history.core.decision import Given, Limits
from services.history.core.draft import Draft
from services.history.core.indexed import KEPT_BY_SERVER
from services.history.core.memo import is_nothing
from services.history.core.options import modern
from services.history.core.run import Run, copy_fields
from services.history.core.times import duration, ns_of, timestamp
from services.history.core.workflow_task import schedule_task
from services.protos.run_pb2 import Parent, RunInfo, Task


def begin_run(
    given: Given,
    *,
    namespace_id: str,
    workflow_id: str,
    run_id: str,
    create_request_id: str,
    started: WorkflowExecutionStartedEventAttributes,
    user_metadata: UserMetadata | None = None,
    links: Iterable[Link] = (),
    schedule_first_task: bool = True,
) -> Draft:
    """A draft of a new run whose first event is `started`. The first workflow task follows unless it is to wait."""
    info = RunInfo(
        namespace_id=namespace_id,
        workflow_id=workflow_id,
        run_id=run_id,
        create_request_id=create_request_id,
        next_event_id=1,
    )
    draft = Draft(Run(info), given)
    draft.add(started, user_metadata=user_metadata, links=links)
    if schedule_first_task and not draft.info.backoff_deadline_ns:
        schedule_task(draft)
    draft.push(Task.UPDATE_VISIBILITY)
    return draft


COPIED = (
    "retry_policy",
    "memo",
    "search_attributes",
    "header",
    "priority",
    "last_completion_result",
    "continued_failure",
)


def drop_nothings(
    start: WorkflowExecutionStartedEventAttributes | StartChildWorkflowExecutionInitiatedEventAttributes,
) -> None:
    """Leaves out what a memo or search attributes say that they have not."""
    for fields in (start.memo.fields, start.search_attributes.indexed_fields):
        for key in [key for key, payload in fields.items() if is_nothing(payload)]:
            del fields[key]
    if not start.memo.fields:
        start.ClearField("memo")
    if not start.search_attributes.indexed_fields:
        start.ClearField("search_attributes")


def started_attributes(
    request: StartWorkflowExecutionRequest,
    *,
    run_id: str,
    now_ns: int,
    limits: Limits,
    parent: Parent | None = None,
    root: WorkflowExecution | None = None,
    cron_backoff_ns: int = 0,
) -> WorkflowExecutionStartedEventAttributes:
    """Event 1 of a run that a client or a parent asked for; `request` was validated and normalised by the frontend."""
    run_timeout_ns = _run_timeout_ns(request)
    started = WorkflowExecutionStartedEventAttributes(
        workflow_type=request.workflow_type,
        workflow_id=request.workflow_id,
        task_queue=TaskQueue(
            name=request.task_queue.name,
            kind=request.task_queue.kind or TaskQueueKind.TASK_QUEUE_KIND_NORMAL,
            normal_name=request.task_queue.normal_name,
        ),
        input=request.input if request.HasField("input") else None,
        identity=request.identity,
        original_execution_run_id=run_id,
        first_execution_run_id=run_id,
        attempt=1,
        cron_schedule=request.cron_schedule,
        completion_callbacks=request.completion_callbacks,
        workflow_task_timeout=duration(task_timeout_ns(ns_of(request.workflow_task_timeout), run_timeout_ns, limits)),
        first_workflow_task_backoff=duration(cron_backoff_ns or ns_of(request.workflow_start_delay)),
    )
    copy_fields(request, started, COPIED)
    if request.HasField("versioning_override"):
        started.versioning_override.CopyFrom(modern(request.versioning_override))
    if request.cron_schedule:
        started.initiator = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
    execution_timeout_ns = ns_of(request.workflow_execution_timeout)
    if run_timeout_ns or request.HasField("workflow_run_timeout"):  # a zero that was asked for is shown
        started.workflow_run_timeout.CopyFrom(duration(run_timeout_ns))
    if request.HasField("workflow_execution_timeout"):
        started.workflow_execution_timeout.CopyFrom(duration(execution_timeout_ns))
    if execution_timeout_ns:
        # The chain's time runs from its start, whatever its first workflow task waits for.
        started.workflow_execution_expiration_time.CopyFrom(timestamp(now_ns + execution_timeout_ns))
    if parent is not None:
        started.parent_workflow_namespace = parent.namespace
        started.parent_workflow_namespace_id = parent.namespace_id
        started.parent_workflow_execution.CopyFrom(
            WorkflowExecution(workflow_id=parent.workflow_id, run_id=parent.run_id)
        )
        started.parent_initiated_event_id = parent.initiated_event_id
    if root is not None:
        started.root_workflow_execution.CopyFrom(root)
    return started


def _run_timeout_ns(request: StartWorkflowExecutionRequest) -> int:
    """The run's time is at most the chain's. (limits_errors.md; events_commands.md section 7)"""
    execution_ns, run_ns = ns_of(request.workflow_execution_timeout), ns_of(request.workflow_run_timeout)
    if not run_ns or (execution_ns and run_ns > execution_ns):
        return execution_ns
    return run_ns


def task_timeout_ns(asked_ns: int, run_timeout_ns: int, limits: Limits) -> int:
    """A workflow task's time: the default when none is asked for, at most the server's limit and the run's time."""
    timeout_ns = min(asked_ns or limits.task_timeout_default_ns, limits.task_timeout_max_ns)
    return min(timeout_ns, run_timeout_ns) if run_timeout_ns else timeout_ns


def following_attributes(
    draft: Draft,
    run_id: str,
    initiator: ContinueAsNewInitiator.ValueType,
    backoff: Duration | None = None,
) -> WorkflowExecutionStartedEventAttributes:
    """Event 1 of the run that follows this one in its chain: this one's, but for what the caller replaces."""
    info, first = draft.info, draft.given.started
    assert first is not None, f"run {info.run_id} is to be followed, but its first event was not given"
    started = WorkflowExecutionStartedEventAttributes()
    started.CopyFrom(first)
    started.original_execution_run_id = run_id
    started.continued_execution_run_id = info.run_id
    started.initiator = initiator
    started.attempt = 1
    started.eager_execution_accepted = False
    started.identity = ""
    started.ClearField("first_workflow_task_backoff")
    if backoff is not None:
        started.first_workflow_task_backoff.CopyFrom(backoff)
    _forget_indexed(started)
    _take_options(info, started)
    started.ClearField("continued_failure")
    started.ClearField("completion_callbacks")
    if initiator != ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE:
        started.completion_callbacks.extend(callback.callback for callback in draft.run.callbacks.values())
    started.prev_auto_reset_points.CopyFrom(info.reset_points)
    for point in started.prev_auto_reset_points.points:
        if not point.HasField("expire_time"):
            point.expire_time.CopyFrom(timestamp(draft.now_ns + draft.given.retention_ns))
    return started


def _forget_indexed(started: WorkflowExecutionStartedEventAttributes) -> None:
    """The next run is found by the builds of the workers that will complete its own tasks, and is not paused."""
    if started.HasField("search_attributes"):
        for name in KEPT_BY_SERVER:
            started.search_attributes.indexed_fields.pop(name, None)
        if not started.search_attributes.indexed_fields:
            started.ClearField("search_attributes")


def _take_options(info: RunInfo, started: WorkflowExecutionStartedEventAttributes) -> None:
    """A run that continues as new has the next one begin with the priority that it came to have; a retry has not.

    To upgrade is for each run to be told anew.
    """
    if started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW:
        started.ClearField("priority")
        copy_fields(info, started, ("priority",))
    if not started.versioning_override.HasField("pinned"):
        started.ClearField("versioning_override")


def follow(draft: Draft, run_id: str, started: WorkflowExecutionStartedEventAttributes) -> None:
    """Makes the next run of the chain part of this decision."""
    info = draft.info
    draft.successor = begin_run(
        draft.given,
        namespace_id=info.namespace_id,
        workflow_id=info.workflow_id,
        run_id=run_id,
        create_request_id=draft.given.request_id or run_id,
        started=started,
    ).decision()
