"""CompleteWorkflowExecution."""

from temporalio.api.command.v1 import Command

from services.history.core.close import complete_run
from services.history.core.commands.refusal import Cause, Completion, require, require_blob
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES

OVERSIZE = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.complete_workflow_execution_command_attributes
    require(
        command.HasField("complete_workflow_execution_command_attributes"),
        BAD,
        "CompleteWorkflowExecutionCommandAttributes is not set on CompleteWorkflowExecutionCommand.",
    )
    # The cause is the reference's, which tools may look for. (events_commands.md section 2)
    require_blob(draft, asked.result.ByteSize(), OVERSIZE, "CompleteWorkflowExecutionCommandAttributes.Result")
    metadata = command.user_metadata if command.HasField("user_metadata") else None
    complete_run(draft, asked.result if asked.HasField("result") else None, completion.event_id, metadata)
