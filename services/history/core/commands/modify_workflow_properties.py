"""ModifyWorkflowProperties: entries of the memo are set, or deleted by a null payload."""

from temporalio.api.command.v1 import Command
from temporalio.api.history.v1 import WorkflowPropertiesModifiedEventAttributes

from services.history.core.commands.refusal import BadCommand, Cause, Completion, require, require_blob
from services.history.core.draft import Draft
from services.protos.run_pb2 import Task

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.modify_workflow_properties_command_attributes
    require(
        command.HasField("modify_workflow_properties_command_attributes"),
        BAD,
        "ModifyWorkflowPropertiesCommandAttributes is not set on ModifyWorkflowPropertiesCommand.",
    )
    require(asked.HasField("upserted_memo"), BAD, "UpsertedMemo is not set on ModifyWorkflowPropertiesCommand.")
    require(asked.upserted_memo.fields, BAD, "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.")
    require_blob(draft, asked.upserted_memo.ByteSize(), BAD, "ModifyWorkflowPropertiesCommandAttributes")
    draft.add(
        WorkflowPropertiesModifiedEventAttributes(
            workflow_task_completed_event_id=completion.event_id, upserted_memo=asked.upserted_memo
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    if draft.info.memo.ByteSize() > draft.given.limits.memo_bytes_max:
        raise BadCommand(BAD, "ModifyWorkflowPropertiesCommandAttributes. Memo exceeds size limit.", terminates=True)
    draft.push(Task.UPDATE_VISIBILITY)
