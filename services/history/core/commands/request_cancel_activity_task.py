"""RequestCancelActivityTask: an activity that was not started is canceled at once; a started one learns of it."""

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.history.v1 import ActivityTaskCanceledEventAttributes, ActivityTaskCancelRequestedEventAttributes

from services.history.core.activities import cancel_unstarted
from services.history.core.commands.refusal import Cause, Completion, require
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES
NOT_STARTED = Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=b'"ACTIVITY_ID_NOT_STARTED"')])


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.request_cancel_activity_task_command_attributes
    require(
        command.HasField("request_cancel_activity_task_command_attributes"),
        BAD,
        "RequestCancelActivityTaskCommandAttributes is not set on RequestCancelActivityTaskCommand.",
    )
    scheduled_event_id = asked.scheduled_event_id
    require(scheduled_event_id > 0, BAD, "ScheduledEventId is not set on RequestCancelActivityTaskCommand.")
    activity = draft.run.activities.get(scheduled_event_id)
    require(
        (activity is not None and not activity.cancel_requested)
        or draft.has_buffered_ending("scheduled_event_id", scheduled_event_id),
        BAD,
        "invalid history builder state for action: add-activitytask-cancel-requested-event, "
        f"ScheduledEventID: {scheduled_event_id}",
    )
    requested = draft.add(
        ActivityTaskCancelRequestedEventAttributes(
            scheduled_event_id=scheduled_event_id, workflow_task_completed_event_id=completion.event_id
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
    if activity is not None and not activity.started_time_ns:
        cancel_unstarted(
            draft,
            draft.run.activities[scheduled_event_id],
            ActivityTaskCanceledEventAttributes(
                details=NOT_STARTED,
                latest_cancel_requested_event_id=requested.event_id,
                identity=completion.identity,
            ),
        )
