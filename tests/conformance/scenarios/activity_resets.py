"""Operators reset pending activities: their attempts, their back-off, their heartbeat details."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import WorkflowExecution

from tests.conformance.commands import complete_workflow, failure, payloads, schedule_activity, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import answer_in_every_way, start_activity
from tests.conformance.scenarios.activity_ends import cancel_first_activity
from tests.conformance.scenarios.activity_operations import (
    LATE,
    SOON,
    of_type,
    pause,
    schedule,
    unpause,
)
from tests.conformance.wire import Wire, over


def reset_request(w: Wire, change: api.ResetActivityRequest | None = None) -> api.ResetActivityRequest:
    """An operator resets the activity `a`, with the fields of `change` laid over it."""
    return over(
        api.ResetActivityRequest(namespace=w.namespace, execution=w.execution(), identity="operator", id="a"), change
    )


async def reset(w: Wire, change: api.ResetActivityRequest | None = None) -> None:
    await w.call(w.rpc.ResetActivity, reset_request(w, change))


async def second_attempt(w: Wire, change: Schedule | None = None) -> api.PollActivityTaskQueueResponse:
    """A workflow with an activity that failed once and runs again."""
    task = await start_activity(w, change or Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await w.fail_activity(task, failure("first"))
    return await w.activity_task()


@scenario
async def activity_reset_unstarted(w: Wire) -> None:
    """What nobody has taken is handed out once."""
    await schedule(w)
    await reset(w)
    await w.describe()
    task = await w.activity_task()
    await w.no_activity_task()
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_reset_between_attempts(w: Wire) -> None:
    """The back-off is over, and the next attempt is the first; its heartbeat details are kept."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.heartbeat(task, payloads("one"))
    await w.fail_activity(task, failure("first"))
    await reset(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_with_heartbeat_between_attempts(w: Wire) -> None:
    """The details are forgotten when that is asked for."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.heartbeat(task, payloads("one"))
    await w.fail_activity(task, failure("first"))
    await reset(w, api.ResetActivityRequest(reset_heartbeat=True))
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_while_running(w: Wire) -> None:
    """The worker hears of it in heartbeats; its failure is followed by another attempt."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("two"))
    await reset(w)
    await w.describe()
    await w.heartbeat(task, payloads("three"))
    beat = api.RecordActivityTaskHeartbeatByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.call(w.rpc.RecordActivityTaskHeartbeatById, beat)
    await w.fail_activity(task, failure("second"))
    await w.describe()
    task = await w.activity_task()
    await w.heartbeat(task)
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_reset_with_heartbeat_while_running(w: Wire) -> None:
    """The details are forgotten at the end of the attempt."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await reset(w, api.ResetActivityRequest(reset_heartbeat=True))
    await w.describe()
    await w.heartbeat(task, payloads("two"))
    await w.describe()
    await w.fail_activity(task, failure("second"))
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_completes(w: Wire) -> None:
    """The attempt that was running when the activity was reset may complete it, if it was the first."""
    task = await start_activity(w)
    await reset(w)
    await w.complete_activity(task, payloads("out"))
    await w.turn(complete_workflow())


@scenario
async def activity_reset_on_a_later_attempt(w: Wire) -> None:
    """A worker that has a later attempt is no longer heard."""
    task = await second_attempt(w)
    await reset(w, api.ResetActivityRequest(reset_heartbeat=True))
    await w.describe()
    await answer_in_every_way(w, task, "reset")


@scenario
async def activity_reset_takes_too_long(w: Wire) -> None:
    """The attempt that was running times out: the next one is the first."""
    await second_attempt(w, Schedule(start_to_close_timeout=seconds(1), retry_policy=SOON))
    await reset(w)
    task = await w.activity_task()
    await w.describe()
    await w.heartbeat(task)


@scenario
async def activity_reset_on_its_last_attempt(w: Wire) -> None:
    """Its time-out is that of a first attempt: there are all the attempts again that the policy allows."""
    policy = Schedule(start_to_close_timeout=seconds(1), retry_policy=SOON)
    policy.retry_policy.maximum_attempts = 2
    await second_attempt(w, policy)
    await reset(w)
    await w.fail_activity(await w.activity_task(), failure("last"))
    await w.turn(complete_workflow())


@scenario
async def activity_reset_while_paused(w: Wire) -> None:
    """Reset takes the pause away."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.fail_activity(task, failure("first"))
    await pause(w)
    await reset(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_and_kept_paused(w: Wire) -> None:
    """Unless it is asked to be kept."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.fail_activity(task, failure("first"))
    await pause(w)
    await reset(w, api.ResetActivityRequest(keep_paused=True))
    await w.describe()
    await w.no_activity_task()
    await w.describe()
    await unpause(w)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_while_paused_and_running(w: Wire) -> None:
    """A worker has the paused activity: with the pause kept, and then without."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await pause(w)
    await reset(w, api.ResetActivityRequest(keep_paused=True))
    await w.describe()
    await w.heartbeat(task)
    await reset(w)
    await w.describe()
    await w.heartbeat(task)
    await w.fail_activity(task, failure("first"))
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_and_kept_paused_while_running(w: Wire) -> None:
    """The attempt that was reset fails while the activity is paused; then it is unpaused."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await pause(w)
    await reset(w, api.ResetActivityRequest(keep_paused=True, reset_heartbeat=True))
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await unpause(w)
    await w.describe()
    task = await w.activity_task()
    await w.heartbeat(task)
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activities_reset_by_type_and_all(w: Wire) -> None:
    """All of a type, a type that none has, and all there are."""
    await schedule(w, of_type("Other", "b", w.id("b")), of_type("Other", "c", w.id("c")))
    request = api.ResetActivityRequest(namespace=w.namespace, execution=w.execution(), type="Other")
    await w.call(w.rpc.ResetActivity, request)
    await w.activity_task(w.id("b"))
    request.type = "Nobody's"
    await w.attempt(w.rpc.ResetActivity, request, note="no such type")
    request.match_all = True
    await w.call(w.rpc.ResetActivity, request, note="all")
    await w.describe()
    await w.activity_task(w.id("c"))
    await w.activity_task()
    request.match_all = False
    await w.attempt(w.rpc.ResetActivity, request, note="not all")
    nothing = w.other("nothing")
    await nothing.start()
    request.execution.workflow_id = nothing.name
    await w.attempt(w.rpc.ResetActivity, request, note="nothing is pending")


@scenario
async def activity_reset_with_jitter(w: Wire) -> None:
    """It begins again some time within the jitter."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.fail_activity(task, failure("first"))
    await reset(w, api.ResetActivityRequest(jitter=seconds(1)))
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_reset_cancelled(w: Wire) -> None:
    """What was asked to stop is not begun again."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await cancel_first_activity(w)
    await reset(w)
    await w.describe()
    await w.heartbeat(task)
    await w.fail_activity(task, failure("second"))
    await w.turn(complete_workflow())


@scenario
async def activity_reset_restarts_its_time(w: Wire) -> None:
    """Which times begin anew: what is described of schedule-to-close, and when schedule-to-start ends the activity."""
    await schedule(w, change=Schedule(schedule_to_close_timeout=seconds(20), schedule_to_start_timeout=seconds(3)))
    await w.let_time_pass(2)
    before = (await w.describe()).pending_activities[0]
    await reset(w)
    after = (await w.describe()).pending_activities[0]
    w.note(f"expires {round(after.expiration_time.seconds - before.expiration_time.seconds)} s later")
    w.note(f"scheduled {round(after.scheduled_time.seconds - before.scheduled_time.seconds) > 0} later")
    await w.let_time_pass(2)
    await w.describe()


@scenario
async def activity_reset_badly(w: Wire) -> None:
    """Requests that name nothing, or what is not there."""
    await w.attempt(w.rpc.ResetActivity, reset_request(w), note="no such workflow")
    await schedule(w, schedule_activity("b", w.id("b")))
    requests = {
        "no namespace": api.ResetActivityRequest(execution=w.execution(), id="a"),
        "no execution": api.ResetActivityRequest(namespace=w.namespace, id="a"),
        "no workflow id": api.ResetActivityRequest(namespace=w.namespace, execution=WorkflowExecution(), id="a"),
        "bad run id": api.ResetActivityRequest(namespace=w.namespace, execution=w.execution("", "run"), id="a"),
        "no activity": api.ResetActivityRequest(namespace=w.namespace, execution=w.execution()),
        "empty id": api.ResetActivityRequest(namespace=w.namespace, execution=w.execution(), id=""),
        "empty type": api.ResetActivityRequest(namespace=w.namespace, execution=w.execution(), type=""),
        "unknown id": reset_request(w, api.ResetActivityRequest(id="nobody")),
        "long identity": reset_request(w, api.ResetActivityRequest(identity="x" * 1001)),
    }
    for note, request in requests.items():
        await w.attempt(w.rpc.ResetActivity, request, note=note)
    await w.describe()
    await w.terminate()
    await w.attempt(w.rpc.ResetActivity, reset_request(w), note="closed")
