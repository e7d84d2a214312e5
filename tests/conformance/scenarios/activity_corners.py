"""Corners in the life of an activity: late answers, odd ids, times that cross, failures that are long."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import (
    ApplicationFailureInfo,
    CanceledFailureInfo,
    Failure,
    ServerFailureInfo,
    TimeoutFailureInfo,
)

from tests.conformance.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    oversize,
    payloads,
    schedule_activity,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import ONCE, answer_in_every_way, start_activity
from tests.conformance.scenarios.activity_ends import cancel_first_activity, canceled, scheduled_event_id
from tests.conformance.wire import Wire

SOON = RetryPolicy(initial_interval=seconds(1), backoff_coefficient=1)


@scenario
async def activity_failure_cut_short(w: Wire) -> None:
    """What a pending activity remembers of a long failure, at each of its parts; the event tells as much."""
    for index, long in enumerate(
        (
            Failure(message="x" * 5000, application_failure_info=ApplicationFailureInfo(type="Long")),
            Failure(message="m", stack_trace="x" * 5000, application_failure_info=ApplicationFailureInfo(type="Long")),
            Failure(
                message="m",
                application_failure_info=ApplicationFailureInfo(type="Long", details=payloads("x" * 5000)),
            ),
            Failure(
                message="m",
                cause=Failure(message="x" * 5000),
                application_failure_info=ApplicationFailureInfo(type="Long"),
            ),
            Failure(
                message="m",
                source="worker",
                cause=Failure(
                    message="x" * 5000,
                    source="cause",
                    application_failure_info=ApplicationFailureInfo(type="Longer"),
                    cause=Failure(message="too deep"),
                ),
                application_failure_info=ApplicationFailureInfo(type="Long"),
            ),
            Failure(
                message="m",
                cause=Failure(
                    message="x" * 4000, server_failure_info=ServerFailureInfo(), cause=Failure(message="y" * 100)
                ),
                application_failure_info=ApplicationFailureInfo(type="Long"),
            ),
            Failure(
                message="m",
                cause=Failure(message="x" * 4000, timeout_failure_info=TimeoutFailureInfo()),
                stack_trace="y" * 100,
                application_failure_info=ApplicationFailureInfo(type="Long"),
            ),
            Failure(
                message="x" * 2000,
                stack_trace="y" * 3000,
                source="worker",
                application_failure_info=ApplicationFailureInfo(type="Long"),
            ),
        )
    ):
        other = w.other(str(index))
        task = await start_activity(other, Schedule(retry_policy=RetryPolicy(maximum_attempts=2)))
        await other.fail_activity(task, long)
        await other.describe()
        await other.fail_activity(await other.activity_task(), failure("last"))
        await other.turn(complete_workflow())


@scenario
async def activity_failure_cut_between_letters(w: Wire) -> None:
    """A message in letters of several bytes is cut to whole ones."""
    for index in range(2):
        other = w.other(str(index))
        task = await start_activity(other, Schedule(retry_policy=RetryPolicy(maximum_attempts=2)))
        long = Failure(message="x" * index + "äöü€" * 2000, application_failure_info=ApplicationFailureInfo())
        await other.fail_activity(task, long)
        await other.describe()


@scenario
async def activity_failure_just_fits(w: Wire) -> None:
    """Around the limit of four KiB."""
    for index, length in enumerate((4080, 4088, 4090, 4092, 4096)):
        other = w.other(str(index))
        task = await start_activity(other, Schedule(retry_policy=RetryPolicy(maximum_attempts=2)))
        long = Failure(message="x" * length, application_failure_info=ApplicationFailureInfo())
        other.note(f"a failure of {long.ByteSize()} bytes")
        await other.fail_activity(task, long)
        last = (await other.describe()).pending_activities[0].last_failure
        other.note(f"{last.message[:30]!r}: {len(last.message)} and {len(last.cause.message)}")


@scenario
async def activity_next_retry_delay_of_none(w: Wire) -> None:
    """A delay of nothing is the end of all attempts."""
    task = await start_activity(w, Schedule(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await w.fail_activity(task, failure(next_retry_delay=seconds(0)))
    await w.turn(complete_workflow())


@scenario
async def activity_next_retry_delay_too_long(w: Wire) -> None:
    """A delay beyond schedule-to-close is not waited for; the longest interval of the policy does not hold for it."""
    task = await start_activity(w, Schedule(schedule_to_close_timeout=seconds(30)))
    await w.fail_activity(task, failure(next_retry_delay=seconds(60)))
    policy = RetryPolicy(initial_interval=seconds(1), maximum_interval=seconds(2))
    await w.turn(schedule_activity("b", w.queue, Schedule(retry_policy=policy)))
    await w.fail_activity(await w.activity_task(), failure(next_retry_delay=seconds(60)))
    await w.describe()


@scenario
async def activity_next_retry_delay_on_the_last_attempt(w: Wire) -> None:
    """A delay gives no further attempt, and none to what is not retried."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    await w.fail_activity(task, failure(next_retry_delay=seconds(1)))
    await w.turn(schedule_activity("b", w.queue))
    await w.fail_activity(await w.activity_task(), failure(next_retry_delay=seconds(1), non_retryable=True))
    await w.turn(complete_workflow())


@scenario
async def activity_back_off_grows(w: Wire) -> None:
    """By the coefficient, up to the longest interval."""
    policy = RetryPolicy(initial_interval=seconds(0.1), backoff_coefficient=4, maximum_interval=seconds(0.5))
    task = await start_activity(w, Schedule(retry_policy=policy))
    for number in range(3):
        await w.fail_activity(task, failure(str(number)))
        await w.describe()
        task = await w.activity_task()
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_time_is_over_while_backing_off(w: Wire) -> None:
    """Schedule-to-close comes while the next attempt is waited for: it cannot, so there is no waiting."""
    change = Schedule(schedule_to_close_timeout=seconds(3), retry_policy=RetryPolicy(initial_interval=seconds(2)))
    task = await start_activity(w, change)
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.fail_activity(await w.activity_task(), failure("second"))
    await w.turn(complete_workflow())


@scenario
async def activity_next_attempt_nobody_takes(w: Wire) -> None:
    """Schedule-to-start of a later attempt keeps the last failure and the details."""
    change = Schedule(schedule_to_start_timeout=seconds(1), retry_policy=SOON)
    task = await start_activity(w, change)
    await w.heartbeat(task, payloads("halfway"))
    await w.fail_activity(task, failure("first"))
    await w.turn(complete_workflow())


@scenario
async def activity_time_is_over_on_a_later_attempt(w: Wire) -> None:
    """Schedule-to-close of a second attempt that runs."""
    change = Schedule(schedule_to_close_timeout=seconds(2), retry_policy=SOON)
    task = await start_activity(w, change)
    await w.heartbeat(task, payloads("halfway"))
    await w.fail_activity(task, failure("first"))
    await w.activity_task()
    await w.turn(complete_workflow())


@scenario
async def activity_heartbeat_before_its_time(w: Wire) -> None:
    """Beats push the time-out on; the last one counts."""
    task = await start_activity(w, Schedule(heartbeat_timeout=seconds(2), retry_policy=ONCE))
    for text in ("one", "two"):
        await w.let_time_pass(1)
        await w.heartbeat(task, payloads(text))
    await w.let_time_pass(1)
    await w.heartbeat(task)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def activity_heartbeat_timeout_named_as_final(w: Wire) -> None:
    """A policy can name heartbeat time-outs among what is not retried, or other time-outs."""
    policy = RetryPolicy(non_retryable_error_types=["TemporalTimeout:Heartbeat"])
    task = await start_activity(w, Schedule(heartbeat_timeout=seconds(1), retry_policy=policy))
    await w.heartbeat(task, payloads("halfway"))
    await w.turn(complete_workflow())


@scenario
async def activity_fails_with_other_kinds(w: Wire) -> None:
    """Failures that are no application's are refused, whatever they would mean; but not by id."""
    task = await start_activity(w)
    kinds = {
        "canceled": Failure(message="m", canceled_failure_info=CanceledFailureInfo()),
        "server": Failure(message="m", server_failure_info=ServerFailureInfo()),
        "timeout": Failure(
            message="m", timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE)
        ),
    }
    for note, kind in kinds.items():
        request = api.RespondActivityTaskFailedRequest(namespace=w.namespace, task_token=task.task_token, failure=kind)
        await w.attempt(w.rpc.RespondActivityTaskFailed, request, note=note)
    by_id = api.RespondActivityTaskFailedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", failure=kinds["canceled"]
    )
    await w.attempt(w.rpc.RespondActivityTaskFailedById, by_id, note="by id")
    await w.turn(complete_workflow())


@scenario
async def activity_by_odd_ids(w: Wire) -> None:
    """Answers by ids that are not well written, or that are another run's."""
    await start_activity(w)
    ids = {
        "no activity id": api.RespondActivityTaskFailedByIdRequest(workflow_id=w.name),
        "bad run id": api.RespondActivityTaskFailedByIdRequest(workflow_id=w.name, activity_id="a", run_id="run"),
        "other run": api.RespondActivityTaskFailedByIdRequest(
            workflow_id=w.name, activity_id="a", run_id="0123abcd-0000-4000-8000-000000000000"
        ),
        "no workflow id": api.RespondActivityTaskFailedByIdRequest(activity_id="a"),
        "long identity": api.RespondActivityTaskFailedByIdRequest(
            workflow_id=w.name, activity_id="a", identity="x" * 1001
        ),
        "long activity id": api.RespondActivityTaskFailedByIdRequest(workflow_id=w.name, activity_id="x" * 1001),
        "long workflow id": api.RespondActivityTaskFailedByIdRequest(workflow_id="x" * 1001, activity_id="a"),
    }
    for note, request in ids.items():
        request.namespace = w.namespace
        canceling = api.RespondActivityTaskCanceledByIdRequest(
            namespace=w.namespace,
            workflow_id=request.workflow_id,
            run_id=request.run_id,
            activity_id=request.activity_id,
            identity=request.identity,
        )
        await w.attempt(w.rpc.RespondActivityTaskCanceledById, canceling, note=note)
        request.failure.CopyFrom(failure())
        await w.attempt(w.rpc.RespondActivityTaskFailedById, request, note=note)
    await w.describe()


@scenario
async def activity_failed_by_id_unstarted(w: Wire) -> None:
    """What nobody has taken cannot fail."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue, Schedule(retry_policy=RetryPolicy(maximum_attempts=2))))
    request = api.RespondActivityTaskFailedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", failure=failure(), identity="someone"
    )
    await w.attempt(w.rpc.RespondActivityTaskFailedById, request, note="first")
    await w.describe()
    await w.attempt(w.rpc.RespondActivityTaskFailedById, request, note="second")
    await w.describe()


@scenario
async def activity_answered_by_id_between_attempts(w: Wire) -> None:
    """Completed while it waits for its next attempt."""
    task = await start_activity(w, Schedule(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await w.fail_activity(task, failure("first"))
    beat = api.RecordActivityTaskHeartbeatByIdRequest(namespace=w.namespace, workflow_id=w.name, activity_id="a")
    await w.attempt(w.rpc.RecordActivityTaskHeartbeatById, beat)
    complete = api.RespondActivityTaskCompletedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", result=payloads("out"), identity="someone"
    )
    await w.attempt(w.rpc.RespondActivityTaskCompletedById, complete)
    await w.turn(complete_workflow())


@scenario
async def activity_answered_by_id_after_its_worker(w: Wire) -> None:
    """The worker that has the task hears that it is no more."""
    task = await start_activity(w)
    complete = api.RespondActivityTaskCompletedByIdRequest(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", identity="someone"
    )
    await w.call(w.rpc.RespondActivityTaskCompletedById, complete)
    await answer_in_every_way(w, task, "completed by id")
    await w.turn(complete_workflow())


@scenario
async def activity_times_out_after_cancellation(w: Wire) -> None:
    """What was asked to stop and did not is not retried when it times out."""
    change = Schedule(start_to_close_timeout=seconds(2), heartbeat_timeout=seconds(1), retry_policy=SOON)
    task = await start_activity(w, change)
    await cancel_first_activity(w)
    await w.heartbeat(task, payloads("halfway"))
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_while_its_end_is_buffered(w: Wire) -> None:
    """The worker says that it stopped while the workflow decides something else."""
    task = await start_activity(w)
    await cancel_first_activity(w)
    await w.signal()
    running = await w.workflow_task()
    await w.call(w.rpc.RespondActivityTaskCanceled, canceled(w, task))
    await w.attempt(w.rpc.RespondActivityTaskCanceled, canceled(w, task), note="again")
    await w.complete(running)
    await w.turn(complete_workflow())


@scenario
async def activity_cancelled_and_scheduled_again(w: Wire) -> None:
    """One list of commands cancels an activity nobody took and schedules one of the same id."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.signal()
    running = await w.workflow_task()
    again = schedule_activity("a", w.id("again"))
    request = w.completion(running, cancel_activity(await scheduled_event_id(w)), again)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.turn(complete_workflow())


@scenario
async def activity_details_too_large(w: Wire) -> None:
    """Details of a cancellation and of a failure over the limit of a blob."""
    task = await start_activity(w, Schedule(retry_policy=ONCE))
    await cancel_first_activity(w)
    request = canceled(w, task)
    request.details.CopyFrom(oversize())
    await w.attempt(w.rpc.RespondActivityTaskCanceled, request)
    await w.turn(schedule_activity("b", w.queue, Schedule(retry_policy=ONCE)))
    task = await w.activity_task()
    failed = api.RespondActivityTaskFailedRequest(
        namespace=w.namespace, task_token=task.task_token, failure=failure(), last_heartbeat_details=oversize()
    )
    await w.attempt(w.rpc.RespondActivityTaskFailed, failed)
    await w.turn(complete_workflow())


@scenario
async def activity_times_of_the_run(w: Wire) -> None:
    """No time of an activity is longer than its run's; a heartbeat no longer than an attempt."""
    cases = {
        "all longer": Schedule(
            schedule_to_close_timeout=seconds(90),
            schedule_to_start_timeout=seconds(80),
            start_to_close_timeout=seconds(70),
            heartbeat_timeout=seconds(60),
        ),
        "start to close alone": Schedule(start_to_close_timeout=seconds(90)),
        "schedule to close alone": Schedule(schedule_to_close_timeout=seconds(90), heartbeat_timeout=seconds(95)),
        "to start over to close": Schedule(schedule_to_close_timeout=seconds(5), schedule_to_start_timeout=seconds(9)),
    }
    for index, (note, change) in enumerate(cases.items()):
        other = w.other(str(index))
        await other.start(api.StartWorkflowExecutionRequest(workflow_run_timeout=seconds(50)), note=note)
        await other.turn(schedule_activity("a", other.queue, change))
        task = await other.activity_task()
        await other.complete_activity(task)


@scenario
async def activity_retry_policies(w: Wire) -> None:
    """What events say of policies that leave things open, or that are odd."""
    policies = {
        "empty": RetryPolicy(),
        "once": RetryPolicy(maximum_attempts=1, backoff_coefficient=0.5),
        "interval only": RetryPolicy(initial_interval=seconds(0.5)),
        "types": RetryPolicy(non_retryable_error_types=["", "Bad", "Bad"]),
        "timeouts": RetryPolicy(non_retryable_error_types=["TemporalTimeout:ScheduleToClose"]),
        "unknown timeout": RetryPolicy(non_retryable_error_types=["TemporalTimeout:Lunch"]),
        "coefficient one": RetryPolicy(backoff_coefficient=1),
        "negative attempts": RetryPolicy(maximum_attempts=-1),
        "maximum below initial": RetryPolicy(initial_interval=seconds(5), maximum_interval=seconds(1)),
        "negative initial": RetryPolicy(initial_interval=seconds(-5)),
        "negative maximum": RetryPolicy(maximum_interval=seconds(-5)),
    }
    await w.each_alone(
        {note: schedule_activity("a", w.queue, Schedule(retry_policy=policy)) for note, policy in policies.items()}
    )


@scenario
async def activity_fails_after_the_workflow_was_told_to_cancel(w: Wire) -> None:
    """A request to cancel the workflow is nothing to its activities."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.heartbeat(task)
    await w.fail_activity(task, failure("first"))
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activities_that_end_together(w: Wire) -> None:
    """Ends of several kinds during one workflow task keep their order."""
    await w.start()
    names = ("a", "b", "c")
    await w.turn(*(schedule_activity(name, w.id(name), Schedule(retry_policy=ONCE)) for name in names))
    tasks = {name: await w.activity_task(w.id(name)) for name in names}
    await w.signal()
    running = await w.workflow_task()
    await w.fail_activity(tasks["b"], failure())
    await w.signal()
    await w.complete_activity(tasks["c"])
    await w.complete_activity(tasks["a"])
    await w.complete(running)
    await w.turn(complete_workflow())
