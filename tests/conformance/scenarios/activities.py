"""Activities that run: completion, failure, retries, heartbeats, completion by id."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import ActivityType, Header, Priority, RetryPolicy
from temporalio.api.failure.v1 import Failure, TimeoutFailureInfo
from temporalio.api.sdk.v1 import UserMetadata

from tests.conformance.commands import (
    complete_workflow,
    failure,
    oversize,
    payload,
    payloads,
    schedule_activity,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

ONCE = RetryPolicy(maximum_attempts=1)


async def start_activity(w: Wire, change: Schedule | None = None) -> api.PollActivityTaskQueueResponse:
    """A workflow with one activity, whose task is taken."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue, change))
    return await w.activity_task()


@scenario
async def activity_completes(w: Wire) -> None:
    """Input and header reach the worker; the result reaches the workflow."""
    change = Schedule(
        input=payloads("in"),
        header=Header(fields={"trace": payload("on")}),
        schedule_to_close_timeout=seconds(60),
        schedule_to_start_timeout=seconds(30),
        start_to_close_timeout=seconds(20),
        heartbeat_timeout=seconds(10),
        retry_policy=RetryPolicy(maximum_attempts=3, non_retryable_error_types=["Boom"]),
        priority=Priority(priority_key=1),
    )
    command = schedule_activity("a", w.queue, change)
    command.user_metadata.CopyFrom(UserMetadata(summary=payload("short")))
    await w.start()
    await w.turn(command)
    task = await w.activity_task()
    await w.describe()
    await w.complete_activity(task, payloads("out"))
    await w.turn(complete_workflow())


@scenario
async def activity_times_normalised(w: Wire) -> None:
    """The event has the timeouts and the retry policy that the server will use."""
    cases = {
        "start to close": Schedule(start_to_close_timeout=seconds(5)),
        "schedule to close": Schedule(schedule_to_close_timeout=seconds(5)),
        "both": Schedule(start_to_close_timeout=seconds(9), schedule_to_close_timeout=seconds(5)),
        "heartbeat over start to close": Schedule(start_to_close_timeout=seconds(5), heartbeat_timeout=seconds(9)),
        "start over close": Schedule(schedule_to_close_timeout=seconds(5), schedule_to_start_timeout=seconds(9)),
        "retry": Schedule(retry_policy=RetryPolicy(initial_interval=seconds(2), maximum_attempts=4)),
    }
    for index, (note, change) in enumerate(cases.items()):
        other = w.other(str(index))
        await other.start(api.StartWorkflowExecutionRequest(workflow_run_timeout=seconds(50)), note=note)
        await other.turn(schedule_activity("a", other.queue, change))


@scenario
async def activity_fails(w: Wire) -> None:
    """A failure that may not be retried reaches the workflow."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    await w.fail_activity(task, failure())
    await w.turn(complete_workflow())


@scenario
async def activity_fails_for_good(w: Wire) -> None:
    """Failures marked non-retryable, and types the policy does not retry."""
    task = await start_activity(w)
    await w.fail_activity(task, failure(non_retryable=True))
    await w.turn(schedule_activity("b", w.queue, Schedule(retry_policy=RetryPolicy(non_retryable_error_types=["Bad"]))))
    await w.fail_activity(await w.activity_task(), failure(kind="Bad"))
    await w.turn(complete_workflow())


@scenario
async def activity_fails_with_odd_failures(w: Wire) -> None:
    """A worker that does not say why, and one that says it without a kind."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    request = api.RespondActivityTaskFailedRequest(namespace=w.namespace, task_token=task.task_token)
    await w.attempt(w.rpc.RespondActivityTaskFailed, request, note="no failure")
    request.failure.message = "boom"
    await w.attempt(w.rpc.RespondActivityTaskFailed, request, note="no kind")
    request.failure.CopyFrom(failure())
    await w.attempt(w.rpc.RespondActivityTaskFailed, request, note="after all")


@scenario
async def activity_retries(w: Wire) -> None:
    """Retried attempts leave no events; the last one tells the attempt and the failure before."""
    task = await start_activity(w)
    await w.fail_activity(task, failure("first"))
    await w.describe()
    again = await w.activity_task()
    waited = again.scheduled_time.ToDatetime() - task.started_time.ToDatetime()
    w.note(f"waited {round(waited.total_seconds())} s")
    await w.describe()
    await w.complete_activity(again)
    await w.turn(complete_workflow())


@scenario
async def activity_attempts_run_out(w: Wire) -> None:
    """The last attempt's failure reaches the workflow."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    task = await start_activity(w, Schedule(retry_policy=policy))
    await w.fail_activity(task, failure("first"))
    await w.fail_activity(await w.activity_task(), failure("second"))
    await w.turn(complete_workflow())


@scenario
async def activity_next_retry_delay(w: Wire) -> None:
    """The worker can say when to try again."""
    policy = RetryPolicy(initial_interval=seconds(60), maximum_attempts=2)
    task = await start_activity(w, Schedule(retry_policy=policy))
    await w.fail_activity(task, failure(next_retry_delay=seconds(1)))
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_no_time_to_retry(w: Wire) -> None:
    """A retry that would come after schedule-to-close is not made."""
    policy = RetryPolicy(initial_interval=seconds(60))
    task = await start_activity(w, Schedule(schedule_to_close_timeout=seconds(5), retry_policy=policy))
    await w.fail_activity(task, failure())
    await w.turn(complete_workflow())


@scenario
async def activity_heartbeats(w: Wire) -> None:
    """Details are kept for the description and for the next attempt."""
    task = await start_activity(w, Schedule(heartbeat_timeout=seconds(5)))
    await w.heartbeat(task, payloads("halfway"))
    await w.describe()
    await w.fail_activity(task, failure())
    again = await w.activity_task()
    await w.complete_activity(again)
    await w.turn(complete_workflow())


@scenario
async def activity_fails_with_heartbeat_details(w: Wire) -> None:
    """The last details can come with the failure."""
    task = await start_activity(w)
    request = api.RespondActivityTaskFailedRequest(
        namespace=w.namespace, task_token=task.task_token, failure=failure(), last_heartbeat_details=payloads("here")
    )
    await w.call(w.rpc.RespondActivityTaskFailed, request)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_completed_by_id(w: Wire) -> None:
    """Heartbeat and completion by the ids of workflow and activity."""
    await start_activity(w)
    beat = api.RecordActivityTaskHeartbeatByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", details=payloads("halfway"), identity="someone"
    )
    await w.call(w.rpc.RecordActivityTaskHeartbeatById, beat)
    complete = api.RespondActivityTaskCompletedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", result=payloads("out"), identity="someone"
    )
    await w.call(w.rpc.RespondActivityTaskCompletedById, complete)
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, complete, note="again")
    await w.turn(complete_workflow())
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, complete, note="closed")


@scenario
async def activity_failed_by_id(w: Wire) -> None:
    """Failure by the ids of workflow and activity."""
    await start_activity(w, Schedule(retry_policy=ONCE))
    request = api.RespondActivityTaskFailedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", failure=failure(), identity="someone"
    )
    await w.call(w.rpc.RespondActivityTaskFailedById, request)
    await w.turn(complete_workflow())


@scenario
async def activity_by_id_where_nobody_is(w: Wire) -> None:
    """Unknown workflows, unknown activities, activities that nobody has taken."""
    request = api.RespondActivityTaskCompletedByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, request, note="unknown workflow")
    await w.start()
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, request, note="unknown activity")
    beat = api.RecordActivityTaskHeartbeatByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.attempt(w.rpc.RecordActivityTaskHeartbeatById, beat, note="unknown activity")
    await w.turn(schedule_activity("a", w.queue))
    await w.attempt(w.rpc.RecordActivityTaskHeartbeatById, beat, note="not started")
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, request, note="not started")
    await w.describe()


async def answer_in_every_way(w: Wire, task: api.PollActivityTaskQueueResponse, note: str) -> None:
    """All that a worker can say of a task."""
    space, token = w.namespace, task.task_token
    await w.attempt(
        w.rpc.RespondActivityTaskCompleted,
        api.RespondActivityTaskCompletedRequest(namespace=space, task_token=token),
        note=note,
    )
    await w.attempt(
        w.rpc.RespondActivityTaskFailed,
        api.RespondActivityTaskFailedRequest(namespace=space, task_token=token, failure=failure()),
        note=note,
    )
    await w.attempt(
        w.rpc.RespondActivityTaskCanceled,
        api.RespondActivityTaskCanceledRequest(namespace=space, task_token=token),
        note=note,
    )
    await w.attempt(
        w.rpc.RecordActivityTaskHeartbeat,
        api.RecordActivityTaskHeartbeatRequest(namespace=space, task_token=token),
        note=note,
    )


@scenario
async def activity_answered_twice(w: Wire) -> None:
    """The second answer finds nothing, whatever it says."""
    task = await start_activity(w)
    await w.complete_activity(task)
    await answer_in_every_way(w, task, "completed")
    await w.turn(complete_workflow())
    await answer_in_every_way(w, task, "closed")


@scenario
async def activity_token_of_an_earlier_attempt(w: Wire) -> None:
    """The worker of a lost attempt cannot speak for the next one."""
    early = await start_activity(w)
    await w.fail_activity(early, failure())
    await answer_in_every_way(w, early, "before the next attempt")
    task = await w.activity_task()
    await answer_in_every_way(w, early, "during the next attempt")
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_outlives_its_workflow(w: Wire) -> None:
    """A closed workflow's activity is told to stop."""
    task = await start_activity(w)
    await w.terminate()
    await answer_in_every_way(w, task, "terminated")


@scenario
async def activity_results_buffered(w: Wire) -> None:
    """Completions during a workflow task stand after its commands; a signal between them comes first."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    task = await w.activity_task()
    await w.signal()
    running = await w.workflow_task()
    await w.complete_activity(task)
    await w.signal()
    await w.complete(running)
    await w.turn(complete_workflow())


@scenario
async def activities_side_by_side(w: Wire) -> None:
    """Several at once, completed in another order than scheduled."""
    await w.start()
    names = ("a", "b", "c")
    await w.turn(*(schedule_activity(name, w.id(name)) for name in names))
    tasks = {name: await w.activity_task(w.id(name)) for name in names}
    for name in ("b", "c", "a"):
        await w.complete_activity(tasks[name], payloads(name))
    await w.turn(complete_workflow())


@scenario
async def activity_id_used_twice(w: Wire) -> None:
    """An id is unique among pending activities, and free again afterwards."""
    task = await start_activity(w)
    await w.complete_activity(task)
    await w.turn(schedule_activity("a", w.queue))
    await w.signal()
    request = w.completion(await w.workflow_task(), schedule_activity("a", w.queue))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.turn(complete_workflow())


@scenario
async def activity_bad_commands(w: Wire) -> None:
    """Activities that cannot be scheduled."""
    no_time = schedule_activity("a", w.queue)
    no_time.schedule_activity_task_command_attributes.ClearField("start_to_close_timeout")
    no_type = schedule_activity("a", w.queue)
    no_type.schedule_activity_task_command_attributes.ClearField("activity_type")
    changes = {
        "negative start to close": Schedule(start_to_close_timeout=seconds(-1)),
        "negative schedule to close": Schedule(schedule_to_close_timeout=seconds(-1)),
        "negative schedule to start": Schedule(schedule_to_start_timeout=seconds(-1)),
        "negative heartbeat": Schedule(heartbeat_timeout=seconds(-1)),
        "bad retry policy": Schedule(retry_policy=RetryPolicy(backoff_coefficient=0.1)),
        "long type": Schedule(activity_type=ActivityType(name="x" * 1001)),
        "bad priority": Schedule(priority=Priority(priority_key=-1)),
        "long fairness key": Schedule(priority=Priority(fairness_key="x" * 65)),
    }
    await w.each_alone(
        {
            "no id": schedule_activity("", w.queue),
            "long id": schedule_activity("x" * 1001, w.queue),
            "no time": no_time,
            "no type": no_type,
            "no queue": schedule_activity("a", ""),
            "long queue": schedule_activity("a", "x" * 1001),
            "reserved queue": schedule_activity("a", "/_sys/other/1"),
            **{note: schedule_activity("a", w.queue, change) for note, change in changes.items()},
        }
    )


@scenario
async def activity_oversize(w: Wire) -> None:
    """Blobs over the limit: a result, heartbeat details, and an input, which ends the workflow."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    await w.complete_activity(task, oversize())
    await w.turn(schedule_activity("b", w.queue, Schedule(retry_policy=ONCE)))
    await w.heartbeat(await w.activity_task(), oversize())
    task_with_input = await w.workflow_task()
    command = schedule_activity("c", w.queue, Schedule(input=oversize()))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task_with_input, command))


@scenario
async def activity_fails_with_a_foreign_timeout(w: Wire) -> None:
    """A failure keeps the cause its worker gave it."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    cause = Failure(message="late", timeout_failure_info=TimeoutFailureInfo())
    whole = failure()
    whole.cause.CopyFrom(cause)
    whole.encoded_attributes.CopyFrom(payload("secret"))
    await w.fail_activity(task, whole)
    await w.turn(complete_workflow())
