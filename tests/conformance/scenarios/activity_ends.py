"""Activities that end by time-out or cancellation."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import EventType

from tests.conformance.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    payloads,
    schedule_activity,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import ONCE, start_activity
from tests.conformance.wire import Wire


def canceled(w: Wire, task: api.PollActivityTaskQueueResponse) -> api.RespondActivityTaskCanceledRequest:
    """The worker's answer that it stopped."""
    return api.RespondActivityTaskCanceledRequest(
        namespace=w.namespace, task_token=task.task_token, details=payloads("stopped"), identity="worker"
    )


async def scheduled_event_id(w: Wire) -> int:
    """The event by which the scenario's first activity is known."""
    return (await w.event(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)).event_id


async def cancel_first_activity(w: Wire) -> None:
    """Let the workflow ask for the cancellation of its first activity."""
    await w.signal()
    await w.turn(cancel_activity(await scheduled_event_id(w)))


@scenario
async def activity_nobody_takes(w: Wire) -> None:
    """Schedule-to-start is never retried."""
    await w.start()
    await w.turn(schedule_activity("a", w.id("empty"), Schedule(schedule_to_start_timeout=seconds(1))))
    await w.turn(complete_workflow())


@scenario
async def activity_takes_too_long(w: Wire) -> None:
    """Start-to-close without retries; the late answer finds nothing."""
    task = await start_activity(w, Schedule(start_to_close_timeout=seconds(1), retry_policy=ONCE))
    running = await w.workflow_task()
    late = api.RespondActivityTaskCompletedRequest(namespace=w.namespace, task_token=task.task_token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, late)
    await w.complete(running, complete_workflow())


@scenario
async def activity_takes_too_long_twice(w: Wire) -> None:
    """Start-to-close is retried; the next attempt is told of the time-out."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    await start_activity(w, Schedule(start_to_close_timeout=seconds(1), retry_policy=policy))
    await w.activity_task()
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def activity_time_is_over(w: Wire) -> None:
    """Schedule-to-close ends an activity that runs."""
    await start_activity(w, Schedule(schedule_to_close_timeout=seconds(1)))
    await w.turn(complete_workflow())


@scenario
async def activity_time_is_over_unstarted(w: Wire) -> None:
    """Schedule-to-close ends an activity that nobody took."""
    await w.start()
    await w.turn(schedule_activity("a", w.id("empty"), Schedule(schedule_to_close_timeout=seconds(1))))
    await w.turn(complete_workflow())


@scenario
async def activity_time_is_over_between_attempts(w: Wire) -> None:
    """A time-out of one attempt leaves no time for another."""
    times = Schedule(schedule_to_close_timeout=seconds(2), start_to_close_timeout=seconds(1.5))
    await start_activity(w, times)
    await w.turn(complete_workflow())


@scenario
async def activity_stops_beating(w: Wire) -> None:
    """A heartbeat time-out keeps the last details."""
    task = await start_activity(w, Schedule(heartbeat_timeout=seconds(1), retry_policy=ONCE))
    await w.heartbeat(task, payloads("halfway"))
    await w.turn(complete_workflow())


@scenario
async def activity_stops_beating_and_retries(w: Wire) -> None:
    """The next attempt gets the details of the one that went silent."""
    policy = RetryPolicy(initial_interval=seconds(1))
    task = await start_activity(w, Schedule(heartbeat_timeout=seconds(1), retry_policy=policy))
    await w.heartbeat(task, payloads("halfway"))
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_timeout_not_retried_by_policy(w: Wire) -> None:
    """A policy can name time-outs among what is not retried."""
    policy = RetryPolicy(non_retryable_error_types=["TemporalTimeout:StartToClose"])
    await start_activity(w, Schedule(start_to_close_timeout=seconds(1), retry_policy=policy))
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_in_the_task_that_schedules_it(w: Wire) -> None:
    """Schedule and cancel in one list of commands."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue), cancel_activity(5), complete_workflow())


@scenario
async def activity_cancelled_unstarted(w: Wire) -> None:
    """Cancelling what nobody took ends it at once, and no worker gets it any more."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await cancel_first_activity(w)
    await w.turn()
    await w.no_activity_task()
    await w.terminate()


@scenario
async def activity_cancelled_while_running(w: Wire) -> None:
    """The worker learns of it by heartbeat and says that it stopped."""
    task = await start_activity(w)
    await w.heartbeat(task)
    await cancel_first_activity(w)
    await w.describe()
    await w.heartbeat(task, payloads("halfway"))
    await w.call(w.rpc.RespondActivityTaskCanceled, canceled(w, task))
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_by_id(w: Wire) -> None:
    """The worker's answer by the ids of workflow and activity."""
    await start_activity(w)
    request = api.RespondActivityTaskCanceledByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", details=payloads("stopped"), identity="someone"
    )
    await w.attempt(w.rpc.RespondActivityTaskCanceledById, request, note="not asked for")
    await cancel_first_activity(w)
    await w.call(w.rpc.RespondActivityTaskCanceledById, request)
    await w.turn(complete_workflow())


@scenario
async def activity_cancels_unasked(w: Wire) -> None:
    """A worker cannot cancel what nobody asked it to."""
    task = await start_activity(w)
    await w.attempt(w.rpc.RespondActivityTaskCanceled, canceled(w, task))
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_ignores_cancellation(w: Wire) -> None:
    """An activity may complete though it was asked to stop."""
    task = await start_activity(w)
    await cancel_first_activity(w)
    await w.complete_activity(task, payloads("done anyway"))
    await w.turn(complete_workflow())


@scenario
async def activity_fails_after_cancellation(w: Wire) -> None:
    """What was asked to stop is not retried."""
    task = await start_activity(w)
    await cancel_first_activity(w)
    await w.fail_activity(task, failure())
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_between_attempts(w: Wire) -> None:
    """Cancelling what waits for its next attempt ends it at once."""
    policy = RetryPolicy(initial_interval=seconds(60))
    task = await start_activity(w, Schedule(retry_policy=policy))
    await w.fail_activity(task, failure())
    await cancel_first_activity(w)
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_twice(w: Wire) -> None:
    """A second request fails the workflow task."""
    await start_activity(w)
    await cancel_first_activity(w)
    await w.signal()
    request = w.completion(await w.workflow_task(), cancel_activity(await scheduled_event_id(w)))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_where_none_is(w: Wire) -> None:
    """Requests about events that are no pending activity."""
    await w.each_alone({"unknown": cancel_activity(5), "zero": cancel_activity(0), "no activity": cancel_activity(1)})


@scenario
async def activity_cancellation_buffered_completion(w: Wire) -> None:
    """Cancelling an activity whose completion waits for the task to end."""
    task = await start_activity(w)
    await w.signal()
    running = await w.workflow_task()
    await w.complete_activity(task)
    request = w.completion(running, cancel_activity(await scheduled_event_id(w)))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.turn(complete_workflow())
