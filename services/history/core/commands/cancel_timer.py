"""CancelTimer. A timer that fired while the workflow task was on its way is taken back from the buffer."""

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import TimerCanceledEventAttributes

from services.history.core.commands.refusal import BadCommand, Cause, Completion, require
from services.history.core.draft import Draft

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.cancel_timer_command_attributes
    require(
        command.HasField("cancel_timer_command_attributes"),
        BAD,
        "CancelTimerCommandAttributes is not set on CancelTimerCommand.",
    )
    require(asked.timer_id, BAD, "TimerId is not set on CancelTimerCommand.")
    timer = draft.run.timers.get(asked.timer_id)
    if timer is not None:
        started_event_id = timer.started_event_id
    else:
        fired = draft.discard_buffered(EventType.EVENT_TYPE_TIMER_FIRED, "timer_id", asked.timer_id)
        if fired is None:
            raise BadCommand(
                BAD, f"invalid history builder state for action: add-timer-canceled-event, TimerID: {asked.timer_id}"
            )
        started_event_id = fired.timer_fired_event_attributes.started_event_id
    draft.add(
        TimerCanceledEventAttributes(
            timer_id=asked.timer_id,
            started_event_id=started_event_id,
            workflow_task_completed_event_id=completion.event_id,
            identity=completion.identity,
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
