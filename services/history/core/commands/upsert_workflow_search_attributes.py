"""UpsertWorkflowSearchAttributes."""

from temporalio.api.command.v1 import Command
from temporalio.api.history.v1 import UpsertWorkflowSearchAttributesEventAttributes

from services.history.core.commands.refusal import Cause, Completion, require, require_search_attributes
from services.history.core.draft import Draft
from services.protos.run_pb2 import Task

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.upsert_workflow_search_attributes_command_attributes
    require(
        command.HasField("upsert_workflow_search_attributes_command_attributes"),
        BAD,
        "UpsertWorkflowSearchAttributesCommandAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
    )
    require(
        asked.HasField("search_attributes"),
        BAD,
        "SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
    )
    require(
        asked.search_attributes.indexed_fields,
        BAD,
        "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.",
    )
    require_search_attributes(draft, asked.search_attributes)
    draft.add(
        UpsertWorkflowSearchAttributesEventAttributes(
            workflow_task_completed_event_id=completion.event_id, search_attributes=asked.search_attributes
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    draft.push(Task.UPDATE_VISIBILITY)
