"""SignalExternalWorkflowExecution: the signal is sent by an outbox task; the answer comes back as an event."""

from temporalio.api.command.v1 import Command
from temporalio.api.history.v1 import SignalExternalWorkflowExecutionInitiatedEventAttributes

from services.history.core.commands.refusal import (
    Cause,
    Completion,
    is_uuid,
    require,
    require_blob,
    require_length,
)
from services.history.core.draft import Draft
from services.protos.run_pb2 import Task

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES
WHERE = "SignalExternalWorkflowExecutionCommand"


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.signal_external_workflow_execution_command_attributes
    require(
        command.HasField("signal_external_workflow_execution_command_attributes"),
        BAD,
        f"{WHERE}Attributes is not set on {WHERE}.",
    )
    require(
        not asked.namespace or asked.namespace == completion.namespace,
        BAD,
        "cross namespace commands are not allowed",
    )
    require(asked.HasField("execution"), BAD, f"Execution is not set on {WHERE}.")
    target = asked.execution
    ids = f"Namespace={asked.namespace} RunId={target.run_id}"
    require(target.workflow_id, BAD, f"WorkflowId is not set on {WHERE}. {ids} SignalName={asked.signal_name}")
    limit = draft.given.limits.id_length_max
    require_length(target.workflow_id, limit, BAD, "WorkflowId", WHERE, f" {ids} SignalName={asked.signal_name}")
    which = f"WorkflowId={target.workflow_id} {ids}"
    require(
        not target.run_id or is_uuid(target.run_id),
        BAD,
        f"Invalid RunId set on {WHERE}. {which} SignalName={asked.signal_name}",
    )
    require(asked.signal_name, BAD, f"SignalName is not set on {WHERE}. {which}")
    require_blob(draft, asked.input.ByteSize(), BAD, f"{WHERE}Attributes.Input")
    limit = draft.given.limits.external_signals_pending_max
    require(
        len(draft.run.signals) < limit,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED,
        f"the number of pending signals to external workflows, {len(draft.run.signals)}, has reached the "
        f"per-workflow limit of {limit}",
    )
    event = draft.add(
        SignalExternalWorkflowExecutionInitiatedEventAttributes(
            workflow_task_completed_event_id=completion.event_id,
            namespace=asked.namespace,
            namespace_id=draft.info.namespace_id,
            workflow_execution=asked.execution,
            signal_name=asked.signal_name,
            input=asked.input if asked.HasField("input") else None,
            control=asked.control,
            child_workflow_only=asked.child_workflow_only,
            header=asked.header if asked.HasField("header") else None,
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    draft.push(Task.SIGNAL_EXTERNAL, event.event_id)
