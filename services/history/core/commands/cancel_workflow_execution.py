"""CancelWorkflowExecution."""

from temporalio.api.command.v1 import Command

from services.history.core.close import cancel_run
from services.history.core.commands.refusal import Cause, Completion, require
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.cancel_workflow_execution_command_attributes
    require(
        command.HasField("cancel_workflow_execution_command_attributes"),
        BAD,
        "CancelWorkflowExecutionCommandAttributes is not set on CancelWorkflowExecutionCommand.",
    )
    metadata = command.user_metadata if command.HasField("user_metadata") else None
    cancel_run(draft, asked.details if asked.HasField("details") else None, completion.event_id, metadata)
