"""What is told of an activity's attempts while they follow one another, and answers by id along the way."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import RetryPolicy

from tests.conformance.commands import (
    complete_workflow,
    continue_in_a_second,
    failure,
    oversize,
    payloads,
    schedule_activity,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import ONCE, answer_in_every_way, start_activity
from tests.conformance.scenarios.activity_operations import SOON, pause, unpause
from tests.conformance.scenarios.activity_resets import reset
from tests.conformance.wire import Wire


def complete_by_id(w: Wire, run_id: str = "") -> api.RespondActivityTaskCompletedByIdRequest:
    """Somebody completes the activity `a`."""
    return api.RespondActivityTaskCompletedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, run_id=run_id, activity_id="a", identity="someone"
    )


@scenario
async def activity_next_attempt_waits_for_a_worker(w: Wire) -> None:
    """The back-off is over and nobody polls."""
    policy = RetryPolicy(initial_interval=seconds(1))
    task = await start_activity(w, Schedule(retry_policy=policy))
    await w.fail_activity(task, failure("first"))
    await w.let_time_pass(2)
    await w.describe()
    again = await w.activity_task()
    await w.describe()
    await w.fail_activity(again, failure("second"))
    await w.describe()


@scenario
async def activity_attempt_that_timed_out(w: Wire) -> None:
    """Between a time-out and the next attempt."""
    policy = RetryPolicy(initial_interval=seconds(60))
    change = Schedule(start_to_close_timeout=seconds(2), heartbeat_timeout=seconds(1), retry_policy=policy)
    task = await start_activity(w, change)
    await w.heartbeat(task, payloads("halfway"))
    await w.let_time_pass(2)
    await w.describe()
    await answer_in_every_way(w, task, "timed out")
    await reset(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_of_a_run_before(w: Wire) -> None:
    """Answers by id that name the run that has ended, the one that goes on, or none."""
    first = await w.start()
    await w.turn(schedule_activity("a", w.queue))
    task = await w.activity_task()
    await w.signal()
    await w.turn(continue_in_a_second())
    await answer_in_every_way(w, task, "its run has continued as new")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, complete_by_id(w, first), note="the run that has ended")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, complete_by_id(w), note="the current run")
    beat = api.RecordActivityTaskHeartbeatByIdRequest(
        namespace=w.namespace, workflow_id=w.name, run_id=first, activity_id="a"
    )
    await w.attempt(w.rpc.RecordActivityTaskHeartbeatById, beat, note="the run that has ended")
    await w.turn(schedule_activity("a", w.queue))
    await w.call(w.rpc.RespondActivityTaskCompletedById, complete_by_id(w), note="the current run")
    await w.turn(complete_workflow())


@scenario
async def activity_oversize_by_id(w: Wire) -> None:
    """Blobs over the limit in answers by id."""
    await start_activity(w, Schedule(retry_policy=ONCE))
    complete = complete_by_id(w)
    complete.result.CopyFrom(oversize())
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, complete)
    await w.turn(schedule_activity("a", w.queue, Schedule(retry_policy=ONCE)))
    await w.activity_task()
    beat = api.RecordActivityTaskHeartbeatByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", details=oversize()
    )
    await w.attempt(w.rpc.RecordActivityTaskHeartbeatById, beat)
    await w.turn(complete_workflow())


@scenario
async def activity_paused_heartbeat_too_large(w: Wire) -> None:
    """It fails an activity that may be retried only when it is unpaused."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await pause(w)
    await w.heartbeat(task, oversize())
    await w.turn(complete_workflow())


@scenario
async def activity_operated_on_between_its_answers(w: Wire) -> None:
    """Details that come with a failure are those of the attempt that was reset, or is paused."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await reset(w, api.ResetActivityRequest(reset_heartbeat=True))
    request = api.RespondActivityTaskFailedRequest(
        namespace=w.namespace, task_token=task.task_token, failure=failure(), last_heartbeat_details=payloads("here")
    )
    await w.call(w.rpc.RespondActivityTaskFailed, request)
    await w.describe()
    task = await w.activity_task()
    await pause(w)
    request.task_token = task.task_token
    await w.call(w.rpc.RespondActivityTaskFailed, request)
    await w.describe()
    await unpause(w)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_asked_for_a_delay(w: Wire) -> None:
    """A delay that a paused activity's worker asks for is forgotten."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await pause(w)
    await w.fail_activity(task, failure(next_retry_delay=seconds(60)))
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_and_completed_by_id(w: Wire) -> None:
    """What nobody has taken, and is paused, can be completed."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await pause(w)
    await w.call(w.rpc.RespondActivityTaskCompletedById, complete_by_id(w))
    await w.turn(complete_workflow())


@scenario
async def activity_eager_and_paused(w: Wire) -> None:
    """An activity that came with the workflow task's answer hears of its pause like any other."""
    await w.start()
    running = await w.workflow_task()
    reply = await w.complete(running, schedule_activity("a", w.queue, Schedule(request_eager_execution=True)))
    (task,) = reply.activity_tasks
    await pause(w)
    await w.heartbeat(task)
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activities_of_many_kinds_paused(w: Wire) -> None:
    """Lists find the run by each of the types, once."""
    await w.start()
    names = ("a", "b", "c")
    await w.turn(*(schedule_activity(name, w.id(name)) for name in names))
    for name in names:
        await pause(w, api.PauseActivityRequest(id=name))
    await w.describe()
    await unpause(w, api.UnpauseActivityRequest(unpause_all=True))
    await w.terminate()
