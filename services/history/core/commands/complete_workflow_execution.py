"""CompleteWorkflowExecution."""

from temporalio.api.command.v1 import Command

from services.history.core.close import complete_run
from services.history.core.commands.refusal import Cause, Completion, require, require_blob
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.complete_workflow_execution_command_attributes
    require(
        command.HasField("complete_workflow_execution_command_attributes"),
        BAD,
        "CompleteWorkflowExecutionCommandAttributes is not set on CompleteWorkflowExecutionCommand.",
    )
    require_blob(draft, asked.result.ByteSize(), BAD, "CompleteWorkflowExecutionCommandAttributes.Result")
    complete_run(draft, asked.result if asked.HasField("result") else None, completion.event_id)
