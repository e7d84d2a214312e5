"""FailWorkflowExecution."""

from temporalio.api.command.v1 import Command

from services.history.core.close import fail_run
from services.history.core.commands.refusal import Cause, Completion, require, require_blob
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.fail_workflow_execution_command_attributes
    require(
        command.HasField("fail_workflow_execution_command_attributes"),
        BAD,
        "FailWorkflowExecutionCommandAttributes is not set on FailWorkflowExecutionCommand.",
    )
    require(asked.HasField("failure"), BAD, "Failure is not set on FailWorkflowExecutionCommand.")
    require_blob(draft, asked.failure.ByteSize(), BAD, "FailWorkflowExecutionCommandAttributes.Failure")
    metadata = command.user_metadata if command.HasField("user_metadata") else None
    fail_run(draft, asked.failure, completion.event_id, metadata)
