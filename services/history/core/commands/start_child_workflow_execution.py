"""StartChildWorkflowExecution: the child is started by an outbox task; its start and its end come back as events."""

from temporalio.api.command.v1 import Command, StartChildWorkflowExecutionCommandAttributes
from temporalio.api.enums.v1 import ParentClosePolicy, WorkflowIdReusePolicy
from temporalio.api.history.v1 import StartChildWorkflowExecutionInitiatedEventAttributes

from services.history.core.commands.refusal import (
    BadCommand,
    Cause,
    Completion,
    checked_ns,
    queue_asked,
    require,
    require_blob,
    require_length,
    require_search_attributes,
    told_queue,
    why_invalid_priority,
    why_invalid_task_queue,
)
from services.history.core.draft import Draft
from services.history.core.retry_policy import normalised, why_invalid
from services.history.core.run import copy_fields
from services.history.core.start import drop_nothings, task_timeout_ns
from services.history.core.times import duration, ns_of
from services.protos.run_pb2 import Task

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES
WHERE = "StartChildWorkflowExecutionCommand"


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.start_child_workflow_execution_command_attributes
    require(
        command.HasField("start_child_workflow_execution_command_attributes"),
        BAD,
        f"{WHERE}Attributes is not set on {WHERE}.",
    )
    _check(draft, asked, completion)
    require_blob(draft, asked.input.ByteSize(), BAD, f"{WHERE}Attributes. Input")
    if asked.memo.ByteSize() > draft.given.limits.memo_bytes_max:
        raise BadCommand(BAD, f"{WHERE}Attributes.Memo exceeds size limit.", terminates=True)
    limit = draft.given.limits.children_pending_max
    require(
        len(draft.run.children) < limit,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED,
        f"the number of pending child workflow executions, {len(draft.run.children)}, has reached the per-workflow "
        f"limit of {limit}",
    )
    event = draft.add(
        _initiated(draft, asked, completion),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    completion.children.add(asked.workflow_id)
    draft.push(Task.START_CHILD, event.event_id)


def _check(draft: Draft, asked: StartChildWorkflowExecutionCommandAttributes, completion: Completion) -> None:
    require(
        not asked.namespace or asked.namespace == completion.namespace,
        BAD,
        "cross namespace commands are not allowed",
    )
    child, kind = asked.workflow_id, asked.workflow_type.name
    namespace = f"Namespace={completion.namespace}"
    require(child, BAD, f"Required field WorkflowId is not set on {WHERE}. WorkflowType={kind} {namespace}")
    require(kind, BAD, f"Required field WorkflowType is not set on {WHERE}. WorkflowId={child} {namespace}")
    limit = draft.given.limits.id_length_max
    require_length(child, limit, BAD, "WorkflowId", WHERE, f" WorkflowType={kind} {namespace}")
    require_length(kind, limit, BAD, f"WorkflowId={child} WorkflowType", WHERE, f" {namespace}")
    which = f"WorkflowId={child} WorkflowType={kind} {namespace}"
    checked_ns(asked.workflow_execution_timeout, BAD, "WorkflowExecutionTimeout", WHERE, which)
    checked_ns(asked.workflow_run_timeout, BAD, "WorkflowRunTimeout", WHERE, which)
    checked_ns(asked.workflow_task_timeout, BAD, "WorkflowTaskTimeout", WHERE, which)
    why = why_invalid(asked.retry_policy, draft.given.limits) if asked.HasField("retry_policy") else None
    require(why is None, BAD, f"invalid WorkflowRetryPolicy on {WHERE}: {why}. {which}")
    why = draft.given.why_invalid_cron(asked.cron_schedule) if asked.cron_schedule else None
    require(why is None, BAD, f"invalid CronSchedule on {WHERE}: {why}. {which}")
    queue = asked.task_queue.name or draft.info.task_queue
    why = why_invalid_task_queue(queue, limit)
    require(why is None, BAD, f"invalid TaskQueue on {WHERE}: {why}. {which} {told_queue(queue)}")
    why = why_invalid_priority(asked.priority)
    require(why is None, BAD, why)
    require_search_attributes(draft, asked.search_attributes, "StartChildWorkflowCommand", which)


def _initiated(
    draft: Draft, asked: StartChildWorkflowExecutionCommandAttributes, completion: Completion
) -> StartChildWorkflowExecutionInitiatedEventAttributes:
    info = draft.info
    execution_ns, run_ns = ns_of(asked.workflow_execution_timeout), ns_of(asked.workflow_run_timeout)
    if execution_ns and (not run_ns or run_ns > execution_ns):
        run_ns = execution_ns
    initiated = StartChildWorkflowExecutionInitiatedEventAttributes(
        namespace=completion.namespace,
        namespace_id=info.namespace_id,
        workflow_id=asked.workflow_id,
        workflow_type=asked.workflow_type,
        task_queue=queue_asked(asked.task_queue, info.task_queue),
        workflow_execution_timeout=asked.workflow_execution_timeout
        if asked.HasField("workflow_execution_timeout")
        else None,
        workflow_run_timeout=duration(run_ns),
        workflow_task_timeout=duration(task_timeout_ns(ns_of(asked.workflow_task_timeout), run_ns, draft.given.limits)),
        parent_close_policy=asked.parent_close_policy or ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
        control=asked.control,
        workflow_task_completed_event_id=completion.event_id,
        workflow_id_reuse_policy=asked.workflow_id_reuse_policy
        or WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
        cron_schedule=asked.cron_schedule,
        inherit_build_id=asked.inherit_build_id,
    )
    copy_fields(asked, initiated, ("input", "header", "memo", "search_attributes", "priority"))
    drop_nothings(initiated)
    if asked.HasField("retry_policy"):
        initiated.retry_policy.CopyFrom(normalised(asked.retry_policy, draft.given.limits))
    return initiated
