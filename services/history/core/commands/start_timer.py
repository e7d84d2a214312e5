"""StartTimer."""

from temporalio.api.command.v1 import Command
from temporalio.api.history.v1 import TimerStartedEventAttributes

from services.history.core.commands.refusal import Cause, Completion, require, require_length
from services.history.core.draft import Draft
from services.history.core.times import duration, ns_of, why_invalid_duration

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.start_timer_command_attributes
    require(
        command.HasField("start_timer_command_attributes"),
        BAD,
        "StartTimerCommandAttributes is not set on StartTimerCommand.",
    )
    require(asked.timer_id, BAD, "TimerId is not set on StartTimerCommand.")
    limit = draft.given.limits.id_length_max
    require_length(asked.timer_id, limit, BAD, "TimerId", "StartTimerCommand")
    why = why_invalid_duration(asked.start_to_fire_timeout)
    require(
        why is None, BAD, f"An invalid StartToFireTimeout is set on StartTimerCommand: {why}. TimerId={asked.timer_id}"
    )
    require(
        asked.timer_id not in draft.run.timers,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID,
        f"invalid history builder state for action: add-timer-started-event, TimerID: {asked.timer_id}",
    )
    draft.add(
        TimerStartedEventAttributes(
            timer_id=asked.timer_id,
            start_to_fire_timeout=duration(ns_of(asked.start_to_fire_timeout)),
            workflow_task_completed_event_id=completion.event_id,
        ),
        user_metadata=command.user_metadata if command.HasField("user_metadata") else None,
    )
