"""Operators pause and unpause pending activities."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import ActivityType, RetryPolicy, WorkflowExecution

from tests.conformance.commands import complete_workflow, failure, payloads, schedule_activity, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import ONCE, answer_in_every_way, start_activity
from tests.conformance.scenarios.activity_ends import cancel_first_activity, canceled
from tests.conformance.wire import Wire, over

SOON = RetryPolicy(initial_interval=seconds(1), backoff_coefficient=1)
LATE = RetryPolicy(initial_interval=seconds(60))


def pause_request(w: Wire, change: api.PauseActivityRequest | None = None) -> api.PauseActivityRequest:
    """An operator pauses the activity `a`, with the fields of `change` laid over it."""
    return over(
        api.PauseActivityRequest(
            namespace=w.namespace, execution=w.execution(), identity="operator", id="a", reason="maintenance"
        ),
        change,
    )


def unpause_request(w: Wire, change: api.UnpauseActivityRequest | None = None) -> api.UnpauseActivityRequest:
    """An operator unpauses the activity `a`, with the fields of `change` laid over it."""
    return over(
        api.UnpauseActivityRequest(namespace=w.namespace, execution=w.execution(), identity="operator", id="a"), change
    )


async def pause(w: Wire, change: api.PauseActivityRequest | None = None) -> None:
    await w.call(w.rpc.PauseActivity, pause_request(w, change))


async def unpause(w: Wire, change: api.UnpauseActivityRequest | None = None) -> None:
    await w.call(w.rpc.UnpauseActivity, unpause_request(w, change))


async def schedule(w: Wire, *commands: Command, change: Schedule | None = None) -> None:
    """A workflow with the activity `a` that nobody has taken, and with what else `commands` ask for."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue, change), *commands)


def of_type(name: str, activity_id: str, queue: str) -> Command:
    """An activity of that type."""
    return schedule_activity(activity_id, queue, Schedule(activity_type=ActivityType(name=name)))


@scenario
async def activity_paused_unstarted(w: Wire) -> None:
    """A paused activity is not handed out; an unpaused one is, at the same attempt."""
    await schedule(w)
    await pause(w)
    await w.describe()
    await w.no_activity_task()
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_while_running(w: Wire) -> None:
    """The worker hears of it in heartbeats; a failure is not retried before the activity is unpaused."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await pause(w)
    await w.describe()
    await w.heartbeat(task, payloads("two"))
    beat = api.RecordActivityTaskHeartbeatByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.call(w.rpc.RecordActivityTaskHeartbeatById, beat)
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.no_activity_task()
    await w.describe()
    await unpause(w)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_and_unpaused_while_running(w: Wire) -> None:
    """The worker that runs it goes on."""
    task = await start_activity(w)
    await pause(w)
    await unpause(w)
    await w.describe()
    await w.heartbeat(task)
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_paused_completes(w: Wire) -> None:
    """What a worker has in hand ends as if nobody had paused it."""
    task = await start_activity(w)
    await pause(w)
    await w.complete_activity(task, payloads("out"))
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def activity_paused_fails_for_good(w: Wire) -> None:
    """One that may not be retried is no different when paused."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await pause(w)
    await w.fail_activity(task, failure(non_retryable=True))
    await w.turn(schedule_activity("a", w.queue, Schedule(retry_policy=RetryPolicy(non_retryable_error_types=["Bad"]))))
    task = await w.activity_task()
    await pause(w)
    await w.fail_activity(task, failure(kind="Bad"))
    await w.turn(complete_workflow())


@scenario
async def activity_paused_on_its_last_attempt(w: Wire) -> None:
    """Attempts are not counted while it is paused: there is another one."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    await pause(w)
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await unpause(w)
    await w.fail_activity(await w.activity_task(), failure("second"))
    await w.turn(complete_workflow())


@scenario
async def activity_paused_between_attempts(w: Wire) -> None:
    """The next attempt's time comes and goes; unpaused, it begins at once."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.fail_activity(task, failure("first"))
    await pause(w)
    await w.describe()
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_unpaused_before_its_next_attempt(w: Wire) -> None:
    """Whether unpausing shortens a back-off."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.fail_activity(task, failure("first"))
    await pause(w)
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_twice(w: Wire) -> None:
    """The first reason stays; the second unpause finds nothing to do."""
    await schedule(w)
    await pause(w)
    await w.call(w.rpc.PauseActivity, pause_request(w, api.PauseActivityRequest(identity="other", reason="again")))
    await w.describe()
    await unpause(w)
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())


@scenario
async def activity_unpaused_though_not_paused(w: Wire) -> None:
    """Nothing is reset, whatever was asked for."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await w.fail_activity(task, failure())
    task = await w.activity_task()
    await unpause(w, api.UnpauseActivityRequest(reset_attempts=True, reset_heartbeat=True))
    await w.describe()
    await w.complete_activity(task)


@scenario
async def activities_paused_by_type(w: Wire) -> None:
    """All of a type, and no other; a type that none has."""
    await schedule(w, of_type("Other", "b", w.id("b")), of_type("Other", "c", w.id("c")))
    by_type = api.PauseActivityRequest(namespace=w.namespace, execution=w.execution(), type="Other", reason="why")
    await w.call(w.rpc.PauseActivity, by_type)
    await w.describe()
    await w.activity_task()
    by_type.type = "Nobody's"
    await w.attempt(w.rpc.PauseActivity, by_type, note="no such type")
    unpause_type = api.UnpauseActivityRequest(namespace=w.namespace, execution=w.execution(), type="Nobody's")
    await w.attempt(w.rpc.UnpauseActivity, unpause_type, note="no such type")
    unpause_type.type = "Other"
    await w.call(w.rpc.UnpauseActivity, unpause_type)
    await w.activity_task(w.id("b"))
    await w.activity_task(w.id("c"))
    await w.describe()


@scenario
async def activities_unpaused_all(w: Wire) -> None:
    """Those that were paused go on; the others are left alone."""
    await schedule(w, schedule_activity("b", w.id("b")), schedule_activity("c", w.id("c")))
    await pause(w)
    await pause(w, api.PauseActivityRequest(id="b"))
    everything = api.UnpauseActivityRequest(namespace=w.namespace, execution=w.execution(), unpause_all=True)
    await w.call(w.rpc.UnpauseActivity, everything)
    await w.describe()
    await w.activity_task()
    await w.activity_task(w.id("b"))
    await w.call(w.rpc.UnpauseActivity, everything, note="none is paused")
    everything.unpause_all = False
    await w.attempt(w.rpc.UnpauseActivity, everything, note="not all")
    nothing = w.other("nothing")
    await nothing.start()
    everything.execution.workflow_id = nothing.name
    await w.attempt(w.rpc.UnpauseActivity, everything, note="nothing is pending")


@scenario
async def activity_unpaused_from_the_start(w: Wire) -> None:
    """Attempts and heartbeat details can be forgotten."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await pause(w)
    await w.fail_activity(task, failure("first"))
    await unpause(w, api.UnpauseActivityRequest(reset_attempts=True))
    await w.describe()
    task = await w.activity_task()
    await pause(w)
    await w.fail_activity(task, failure("second"))
    await unpause(w, api.UnpauseActivityRequest(reset_heartbeat=True))
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_unpaused_from_the_start_while_running(w: Wire) -> None:
    """A worker has the second attempt when its count is reset."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.fail_activity(task, failure("first"))
    task = await w.activity_task()
    await w.heartbeat(task, payloads("one"))
    await pause(w)
    await unpause(w, api.UnpauseActivityRequest(reset_attempts=True, reset_heartbeat=True))
    await w.describe()
    await answer_in_every_way(w, task, "attempts were reset")


@scenario
async def activity_heartbeat_forgotten_while_running(w: Wire) -> None:
    """Details are forgotten at once, and what comes later counts."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.heartbeat(task, payloads("one"))
    await pause(w)
    await unpause(w, api.UnpauseActivityRequest(reset_attempts=True, reset_heartbeat=True))
    await w.describe()
    await w.heartbeat(task, payloads("two"))
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_unpaused_with_jitter(w: Wire) -> None:
    """It begins again some time within the jitter."""
    await schedule(w)
    await pause(w)
    await unpause(w, api.UnpauseActivityRequest(jitter=seconds(1)))
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_nobody_takes(w: Wire) -> None:
    """Schedule-to-start while paused."""
    await schedule(w, change=Schedule(schedule_to_start_timeout=seconds(1)))
    await pause(w)
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def activity_paused_time_is_over(w: Wire) -> None:
    """Schedule-to-close while paused."""
    await schedule(w, change=Schedule(schedule_to_close_timeout=seconds(1)))
    await pause(w)
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def activity_paused_takes_too_long(w: Wire) -> None:
    """Start-to-close of the attempt that runs: the next one waits."""
    await start_activity(w, Schedule(start_to_close_timeout=seconds(1), retry_policy=SOON))
    await pause(w)
    await w.let_time_pass(3)
    await w.describe()
    await unpause(w)
    await w.activity_task()


@scenario
async def activity_paused_stops_beating(w: Wire) -> None:
    """Heartbeat time-out of the attempt that runs, the last one: it comes when the activity is unpaused."""
    task = await start_activity(w, Schedule(heartbeat_timeout=seconds(1), retry_policy=ONCE))
    await pause(w)
    await w.heartbeat(task, payloads("one"))
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def activity_paused_no_time_to_retry(w: Wire) -> None:
    """A failure of a paused activity whose next attempt would be too late."""
    task = await start_activity(w, Schedule(schedule_to_close_timeout=seconds(5), retry_policy=LATE))
    await pause(w)
    await w.fail_activity(task, failure())
    await w.describe()
    await unpause(w)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_then_cancelled(w: Wire) -> None:
    """The workflow cancels what an operator has paused, unstarted and running."""
    await schedule(w)
    await pause(w)
    await cancel_first_activity(w)
    await w.turn(complete_workflow())
    other = w.other("running")
    task = await start_activity(other)
    await pause(other)
    await cancel_first_activity(other)
    await other.describe()
    await other.heartbeat(task)
    await other.call(other.rpc.RespondActivityTaskCanceled, canceled(other, task))
    await other.turn(complete_workflow())


@scenario
async def activity_cancelled_then_paused(w: Wire) -> None:
    """A worker that was told to stop hears that it is paused, too."""
    task = await start_activity(w)
    await cancel_first_activity(w)
    await pause(w)
    await w.describe()
    await w.heartbeat(task)
    await w.fail_activity(task, failure())
    await w.turn(complete_workflow())


@scenario
async def activity_paused_late_answers(w: Wire) -> None:
    """Answers about an attempt that is over while the next one is paused; and one about what was never started."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await pause(w)
    await w.fail_activity(task, failure("first"))
    await answer_in_every_way(w, task, "waits for the next attempt")
    by_id = api.RespondActivityTaskCompletedByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, by_id, note="by id")
    await w.turn(complete_workflow())


@scenario
async def activity_paused_in_closed_workflow(w: Wire) -> None:
    """A workflow may close with a paused activity; nothing can be done about that any more."""
    await schedule(w)
    await pause(w)
    await w.terminate()
    await w.describe()
    await w.attempt(w.rpc.PauseActivity, pause_request(w), note="closed")
    await w.attempt(w.rpc.UnpauseActivity, unpause_request(w), note="closed")


@scenario
async def activity_paused_badly(w: Wire) -> None:
    """Requests that name nothing, or what is not there."""
    await w.attempt(w.rpc.PauseActivity, pause_request(w), note="no such workflow")
    await w.attempt(w.rpc.UnpauseActivity, unpause_request(w), note="no such workflow")
    await schedule(w)
    nothing = {
        "no namespace": api.PauseActivityRequest(execution=w.execution(), id="a"),
        "unknown namespace": api.PauseActivityRequest(namespace="nowhere", execution=w.execution(), id="a"),
        "no execution": api.PauseActivityRequest(namespace=w.namespace, id="a"),
        "no workflow id": api.PauseActivityRequest(namespace=w.namespace, execution=WorkflowExecution(), id="a"),
        "bad run id": api.PauseActivityRequest(namespace=w.namespace, execution=w.execution("", "run"), id="a"),
        "other run id": pause_request(
            w, api.PauseActivityRequest(execution=w.execution("", "0123abcd-0000-4000-8000-000000000000"))
        ),
        "no activity": api.PauseActivityRequest(namespace=w.namespace, execution=w.execution()),
        "empty id": api.PauseActivityRequest(namespace=w.namespace, execution=w.execution(), id=""),
        "empty type": api.PauseActivityRequest(namespace=w.namespace, execution=w.execution(), type=""),
        "unknown id": pause_request(w, api.PauseActivityRequest(id="nobody")),
        "long id": pause_request(w, api.PauseActivityRequest(id="x" * 1001)),
        "long identity": pause_request(w, api.PauseActivityRequest(identity="x" * 1001)),
        "long reason": pause_request(w, api.PauseActivityRequest(reason="x" * 1001)),
        "long request id": pause_request(w, api.PauseActivityRequest(request_id="x" * 1001)),
    }
    for note, request in nothing.items():
        await w.attempt(w.rpc.PauseActivity, request, note=note)
        other = api.UnpauseActivityRequest(namespace=request.namespace, identity=request.identity)
        if request.HasField("execution"):
            other.execution.CopyFrom(request.execution)
        if request.WhichOneof("activity"):
            setattr(other, request.WhichOneof("activity") or "", getattr(request, request.WhichOneof("activity") or ""))
        await w.attempt(w.rpc.UnpauseActivity, other, note=note)
    await w.describe()
    await w.signal()
    await pause(w, api.PauseActivityRequest(request_id="same"))
    newer = api.PauseActivityExecutionRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", request_id="same"
    )
    await w.attempt(w.rpc.PauseActivityExecution, newer, note="the same request, newer call")


@scenario
async def activity_paused_in_a_named_run(w: Wire) -> None:
    """The workflow goes on; its other activities do, too."""
    run_id = await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await pause(w, api.PauseActivityRequest(execution=w.execution("", run_id)))
    await w.signal()
    await w.turn(schedule_activity("b", w.id("b")))
    await w.activity_task(w.id("b"))
    await unpause(w, api.UnpauseActivityRequest(execution=w.execution("", run_id)))
    await w.activity_task()


@scenario
async def activity_paused_while_a_workflow_task_runs(w: Wire) -> None:
    """Operations write no events, so none are buffered."""
    await schedule(w)
    await w.signal()
    running = await w.workflow_task()
    await pause(w)
    await w.describe()
    await unpause(w)
    await w.complete(running, complete_workflow())


@scenario
async def activity_paused_is_listed(w: Wire) -> None:
    """Lists find workflows by what is paused in them."""
    await schedule(w, of_type("Other", "b", w.id("b")))
    await pause(w)
    found = api.ListWorkflowExecutionsRequest(
        namespace=w.namespace, query=f"TemporalPauseInfo IS NOT NULL AND WorkflowId = '{w.name}'"
    )
    await w.until(w.rpc.ListWorkflowExecutions, found, lambda reply: len(reply.executions) == 1)
    by_value = api.ListWorkflowExecutionsRequest(
        namespace=w.namespace, query=f"TemporalPauseInfo = 'property:activityType=Activity' AND WorkflowId = '{w.name}'"
    )
    await w.until(w.rpc.ListWorkflowExecutions, by_value, lambda reply: len(reply.executions) == 1)
    await unpause(w)
    await w.until(w.rpc.ListWorkflowExecutions, found, lambda reply: not reply.executions)
    await w.describe()


@scenario
async def activity_paused_stays_listed(w: Wire) -> None:
    """The end of a paused activity is no reason to look anew at what is paused; the next operation is."""
    await schedule(w, of_type("Other", "b", w.id("b")))
    task = await w.activity_task()
    await pause(w)
    await w.complete_activity(task)
    await w.describe()
    await unpause(w, api.UnpauseActivityRequest(id="b"))
    await w.describe()
    await pause(w, api.PauseActivityRequest(id="b"))
    await w.describe()
