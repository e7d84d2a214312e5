"""RequestCancelExternalWorkflowExecution: asked by an outbox task; the answer comes back as an event."""

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import RequestCancelExternalWorkflowExecutionInitiatedEventAttributes

from services.history.core.commands.refusal import Cause, Completion, is_uuid, require, require_length
from services.history.core.draft import Draft
from services.protos.run_pb2 import Task

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES
WHERE = "RequestCancelExternalWorkflowExecutionCommand"


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.request_cancel_external_workflow_execution_command_attributes
    require(
        command.HasField("request_cancel_external_workflow_execution_command_attributes"),
        BAD,
        f"{WHERE}Attributes is not set on {WHERE}.",
    )
    require(
        not asked.namespace or asked.namespace == completion.namespace,
        BAD,
        "cross namespace commands are not allowed",
    )
    ids = f"RunId={asked.run_id} Namespace={asked.namespace}"
    require(
        asked.workflow_id, BAD, f"WorkflowId is not set on {WHERE}. Namespace={asked.namespace} RunId={asked.run_id}"
    )
    require_length(asked.workflow_id, draft.given.limits.id_length_max, BAD, "WorkflowId", WHERE, f" {ids}")
    require(
        not asked.run_id or is_uuid(asked.run_id),
        BAD,
        f"Invalid RunId set on {WHERE}. WorkflowId={asked.workflow_id} {ids}",
    )
    require(
        asked.workflow_id not in completion.children,
        BAD,
        "Start and RequestCancel for child workflow is not allowed in same workflow task. "
        f"WorkflowId={asked.workflow_id} {ids}",
    )
    limit = draft.given.limits.external_cancels_pending_max
    require(
        len(draft.run.cancels) < limit,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED,
        f"the number of pending requests to cancel external workflows, {len(draft.run.cancels)}, has reached the "
        f"per-workflow limit of {limit}",
    )
    event = draft.add(
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(
            workflow_task_completed_event_id=completion.event_id,
            namespace=asked.namespace,
            namespace_id=draft.info.namespace_id,
            workflow_execution=WorkflowExecution(workflow_id=asked.workflow_id, run_id=asked.run_id),
            control=asked.control,
            child_workflow_only=asked.child_workflow_only,
            reason=asked.reason,
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    draft.push(Task.CANCEL_EXTERNAL, event.event_id)
