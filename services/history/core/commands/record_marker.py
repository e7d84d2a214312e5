"""RecordMarker: something the SDK wants to find again when it replays."""

from temporalio.api.command.v1 import Command
from temporalio.api.history.v1 import MarkerRecordedEventAttributes

from services.history.core.commands.refusal import Cause, Completion, require, require_blob, require_length
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.record_marker_command_attributes
    require(
        command.HasField("record_marker_command_attributes"),
        BAD,
        "RecordMarkerCommandAttributes is not set on RecordMarkerCommand.",
    )
    require(asked.marker_name, BAD, "MarkerName is not set on RecordMarkerCommand.")
    require_length(asked.marker_name, draft.given.limits.id_length_max, BAD, "MarkerName", "RecordMarkerCommand")
    size = sum(len(name) + details.ByteSize() for name, details in asked.details.items())
    require_blob(draft, size, BAD, "RecordMarkerCommandAttributes.Details")
    draft.add(
        MarkerRecordedEventAttributes(
            marker_name=asked.marker_name,
            details=asked.details,
            workflow_task_completed_event_id=completion.event_id,
            header=asked.header if asked.HasField("header") else None,
            failure=asked.failure if asked.HasField("failure") else None,
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
