"""Resets: where to, of which runs, and what becomes of what is pending."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as ScheduleActivity
from temporalio.api.common.v1 import Memo, RetryPolicy, WorkerVersionStamp
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue

from tests.conformance.commands import (
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    failure,
    modify_properties,
    payload,
    payloads,
    schedule_activity,
    seconds,
    shade,
    start_timer,
    upsert_search_attributes,
)
from tests.conformance.registry import scenario
from tests.conformance.resetting import Reset, reset, reset_request
from tests.conformance.scenarios import queries, updates, visibility
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
Completed = api.RespondWorkflowTaskCompletedRequest
FIRED = EventType.EVENT_TYPE_TIMER_FIRED
TIMED_OUT = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT


async def wait_in_first_task(w: Wire, start: Start | None = None) -> str:
    """A run whose first task (events 2 to 4) has left a timer that takes a minute."""
    run_id = await w.start(start)
    await w.turn(start_timer("minute", 60))
    return run_id


@scenario
async def reset_to_first_task(w: Wire) -> None:
    """The current run is terminated; the new one goes on from the task that was."""
    first = await wait_in_first_task(w, Start(input=payloads("in")))
    second = await reset(w, 4)
    await w.describe(run_id=first)
    await w.describe(run_id=second)
    await w.turn(complete_workflow("out"))
    await w.describe()


@scenario
async def reset_to_a_later_task(w: Wire) -> None:
    """What the tasks before have left is there."""
    await wait_in_first_task(w)
    await w.signal()
    await w.turn(start_timer("other", 60))
    await reset(w, 9)
    await w.turn(complete_workflow())


@scenario
async def reset_to_scheduled_task(w: Wire) -> None:
    """A task that is scheduled is started, to be failed."""
    await wait_in_first_task(w)
    await reset(w, 3)
    await w.turn(complete_workflow())


@scenario
async def reset_to_pending_tasks(w: Wire) -> None:
    """The task of the current run that nobody has taken yet, or that a worker has in hand."""
    await w.start()
    await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 2))
    await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 3))
    task = await w.workflow_task()
    await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 3, Reset(request_id="scheduled")))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    task = await w.workflow_task()
    await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 4, Reset(request_id="started")))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def reset_to_failed_task(w: Wire) -> None:
    """The end of a task that failed is as good as that of one that was completed."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    await reset(w, 4)
    await w.turn(complete_workflow())


@scenario
async def reset_to_timed_out_task(w: Wire) -> None:
    """And so is that of one that took too long."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.workflow_task()
    await w.event(TIMED_OUT)
    await reset(w, 4)
    await w.turn(complete_workflow())


@scenario
async def reset_after_a_failed_task(w: Wire) -> None:
    """The attempt that follows is scheduled and started, to be failed: no event speaks of it yet."""
    first = await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.fail_workflow_task(await w.workflow_task())
    await w.turn(start_timer("minute", 60))
    base = Reset(workflow_execution=w.execution(run_id=first))
    await reset(w, 5, base)
    base.request_id = "the last of the attempts"
    await reset(w, 7, base)
    await w.turn(complete_workflow())


@scenario
async def reset_after_a_timed_out_task(w: Wire) -> None:
    """The same after a task that took too long, and for all that the run has been told since."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.workflow_task()
    await w.event(TIMED_OUT)
    await w.turn(start_timer("minute", 60))
    await w.signal()
    await reset(w, 5)
    await w.turn(complete_workflow())


@scenario
async def reset_to_what_a_reset_wrote(w: Wire) -> None:
    """The start of the task that a reset has failed is a point like any other; what was taken along is not."""
    await wait_in_first_task(w)
    await w.signal()
    await reset(w, 3)
    for event_id in (5, 6, 7):
        request = reset_request(w, event_id, Reset(request_id=str(event_id)))
        await w.attempt(w.rpc.ResetWorkflowExecution, request, note=str(event_id))
    await reset(w, 4, Reset(request_id="second"))
    await w.turn(complete_workflow())


@scenario
async def reset_to_no_task(w: Wire) -> None:
    """Events that are no end of a task, or that are not there."""
    await wait_in_first_task(w)
    await w.signal()
    for event_id in (-1, 0, 1, 2, 5, 6, 7, 8, 9, 99):
        await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, event_id), note=str(event_id))
    await w.describe()


@scenario
async def reset_bad_requests(w: Wire) -> None:
    """Requests that cannot be understood, and runs that are not there."""
    await wait_in_first_task(w)
    nobody = "11111111-2222-3333-4444-555555555555"
    requests = {
        "no run": Reset(workflow_execution=w.execution(run_id=nobody)),
        "bad run id": Reset(workflow_execution=w.execution(run_id="bad")),
        "no workflow": Reset(workflow_execution=w.execution("nobody")),
        "long workflow id": Reset(workflow_execution=w.execution("x" * 1001)),
        "long request id": Reset(request_id="x" * 1001),
        "long reason": Reset(reason="x" * 1001, request_id="long"),
        "odd exclude type": Reset(reset_reapply_exclude_types=[9], request_id="odd"),  # type: ignore[list-item]  # as above
        "no namespace": Reset(namespace="nowhere"),
    }
    for note, change in requests.items():
        await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 4, change), note=note)
    unnamed = Reset(namespace=w.namespace, request_id="reset", workflow_task_finish_event_id=4)
    await w.attempt(w.rpc.ResetWorkflowExecution, unnamed, note="no execution")
    unnamed.workflow_execution.run_id = nobody
    await w.attempt(w.rpc.ResetWorkflowExecution, unnamed, note="no workflow id")
    unnamed.request_id = ""
    await w.attempt(w.rpc.ResetWorkflowExecution, unnamed, note="no request id either")
    bare = Reset(namespace=w.namespace, workflow_execution=w.execution(), workflow_task_finish_event_id=4)
    await w.attempt(w.rpc.ResetWorkflowExecution, bare, note="no request id")
    bare.request_id = "reset"
    await w.call(w.rpc.ResetWorkflowExecution, bare, note="no more than needed")
    await w.turn(complete_workflow())


@scenario
async def reset_asked_twice(w: Wire) -> None:
    """A client that did not hear the answer asks again."""
    first = await wait_in_first_task(w)
    base = Reset(workflow_execution=w.execution(run_id=first))
    await reset(w, 4, base)
    await reset(w, 4, base)


@scenario
async def reset_asked_by_others(w: Wire) -> None:
    """Each request makes a run, even of the same one; but not the one that the current run began with."""
    first = await wait_in_first_task(w)
    base = Reset(workflow_execution=w.execution(run_id=first))
    for request_id in ("one", "two", "start"):
        base.request_id = request_id
        await reset(w, 4, base)
    await w.describe(run_id=first)
    await w.turn(complete_workflow())


@scenario
async def reset_asked_by_the_id_of_the_start(w: Wire) -> None:
    """The request that started the current run is taken for a repetition."""
    await wait_in_first_task(w)
    await reset(w, 4, Reset(request_id="start"))


@scenario
async def reset_of_closed_runs(w: Wire) -> None:
    """A run that is over can be done again: nothing is terminated."""
    first = await w.start()
    await w.turn(complete_workflow("out"))
    await reset(w, 4)
    await w.describe(run_id=first)
    await w.turn(fail_workflow())
    await reset(w, 4, Reset(request_id="other"))
    await w.terminate()
    await reset(w, 4, Reset(request_id="third"))
    await w.turn(complete_workflow())


@scenario
async def reset_of_an_earlier_run(w: Wire) -> None:
    """A run that another start has followed: that one is terminated, and the new one belongs to the first chain."""
    first = await w.start()
    await w.turn(complete_workflow())
    second = await w.start(Start(request_id="second"))
    await w.turn(start_timer("minute", 60))
    await reset(w, 4, Reset(workflow_execution=w.execution(run_id=first)))
    await w.describe(run_id=second)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_of_a_reset_run(w: Wire) -> None:
    """Chains of resets: to the same point, and to where the reset itself has failed the task."""
    await wait_in_first_task(w)
    await reset(w, 4)
    await reset(w, 4, Reset(request_id="second"))
    await w.turn(start_timer("minute", 60))
    await reset(w, 7, Reset(request_id="third"))
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_with_a_worker_at_work(w: Wire) -> None:
    """The worker's answer comes too late; what was buffered meanwhile is reapplied."""
    await wait_in_first_task(w)
    await w.signal()
    task = await w.workflow_task()
    await w.signal(api.SignalWorkflowExecutionRequest(signal_name="buffered"))
    await reset(w, 4)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def reset_after_transient_attempts(w: Wire) -> None:
    """Tasks that fail again and again: the new run begins with a first attempt."""
    await wait_in_first_task(w)
    await w.signal()
    await w.fail_workflow_task(await w.workflow_task())
    await w.fail_workflow_task(await w.workflow_task())
    task = await w.workflow_task()
    await reset(w, 9)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def reset_on_a_sticky_queue(w: Wire) -> None:
    """The new run's task is for any worker."""
    sticky = StickyExecutionAttributes(
        worker_task_queue=TaskQueue(
            name=w.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=w.queue
        ),
        schedule_to_start_timeout=seconds(10),
    )
    await w.start()
    await w.complete(await w.workflow_task(), change=Completed(sticky_attributes=sticky))
    await w.signal()
    await reset(w, 4)
    await w.turn(complete_workflow())


@scenario
async def reset_with_activities(w: Wire) -> None:
    """One that is at work, and one that failed once: both are done anew, from the first try."""
    await w.start()
    retry = ScheduleActivity(retry_policy=RetryPolicy(initial_interval=seconds(60), maximum_attempts=3))
    await w.turn(
        schedule_activity("started", w.queue, ScheduleActivity(heartbeat_timeout=seconds(5))),
        schedule_activity("failed", w.id("failed"), retry),
    )
    started = await w.activity_task()
    await w.heartbeat(started, payloads("beat"))
    await w.fail_activity(await w.activity_task(w.id("failed")), failure())
    await w.signal()
    await w.turn()
    await reset(w, 9)
    request = api.RespondActivityTaskCompletedRequest(namespace=w.namespace, task_token=started.task_token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, request)
    await w.complete_activity(await w.activity_task(), payloads("anew"))
    await w.describe()
    await w.complete_activity(await w.activity_task(w.id("failed")), payloads("anew"))
    await w.turn(complete_workflow())


@scenario
async def reset_before_activities_end(w: Wire) -> None:
    """An activity that has ended since is done once more: its end is not taken along."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.signal()
    task = await w.workflow_task()
    await w.complete_activity(await w.activity_task(), payloads("first"))
    await w.complete(task)
    await w.turn()
    await reset(w, 8)
    await w.complete_activity(await w.activity_task(), payloads("second"))
    await w.turn(complete_workflow())


@scenario
async def reset_with_timers(w: Wire) -> None:
    """A timer keeps its time; one that has fired since fires again, at once."""
    await w.start()
    await w.turn(start_timer("short", 0.5), start_timer("long", 60))
    await w.event(FIRED)
    await w.signal()
    await w.turn()
    await w.signal()
    await w.turn()
    await reset(w, 4)
    await w.turn(start_timer("short", 0.1))
    await w.event(FIRED)
    await w.turn(complete_workflow())


@scenario
async def reset_with_a_timer_that_fired(w: Wire) -> None:
    """A timer that was pending at the point of the reset and has fired since fires in the new run, too."""
    await w.start()
    await w.turn(start_timer("short", 2))
    await w.signal()
    await w.turn()
    await w.event(FIRED)
    await w.turn()
    await reset(w, 8)
    await w.event(FIRED)
    await w.turn(complete_workflow())


@scenario
async def reset_and_its_properties(w: Wire) -> None:
    """Memo and search attributes are what they were at that point."""
    first = await w.start(Start(memo=Memo(fields={"one": payload("1")}), search_attributes=shade("green")))
    await w.turn(
        upsert_search_attributes(shade("blue")),
        modify_properties(Modify(upserted_memo=Memo(fields={"two": payload("2")}))),
    )
    await w.signal()
    await w.turn(upsert_search_attributes(shade("red")))
    await reset(w, 9)
    await w.describe()
    listed = f"WorkflowId = '{w.name}' AND Shade = 'blue' AND ExecutionStatus = 'Running' AND RunId != '{first}'"
    await w.until(w.rpc.ListWorkflowExecutions, visibility.listing(w, listed), visibility.has(1))
    listed = f"RunId = '{first}' AND Shade = 'red' AND ExecutionStatus = 'Terminated'"
    await w.until(w.rpc.ListWorkflowExecutions, visibility.listing(w, listed), visibility.has(1))
    await w.turn(complete_workflow())


@scenario
async def reset_and_builds(w: Wire) -> None:
    """The points that a run can be reset to, by the builds of its workers."""
    await w.start()
    for number in range(3):
        change = Completed(worker_version_stamp=WorkerVersionStamp(build_id=f"build-{number}"))
        await w.complete(await w.workflow_task(), change=change)
        await w.signal()
    await w.describe()
    await reset(w, 12)
    await w.describe()
    change = Completed(worker_version_stamp=WorkerVersionStamp(build_id="build-9"))
    await w.complete(await w.workflow_task(), change=change)
    await w.describe()


@scenario
async def reset_of_a_run_whose_time_was_over(w: Wire) -> None:
    """The new run has the whole time once more."""
    first = await wait_in_first_task(
        w, Start(workflow_execution_timeout=seconds(100), workflow_run_timeout=seconds(2), request_id="limited")
    )
    await w.event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT)
    second = await reset(w, 4)
    await w.closed(run_id=second)
    await w.describe(run_id=first)
    await w.describe(run_id=second)


@scenario
async def reset_of_a_retried_run(w: Wire) -> None:
    """An attempt that failed is reset; what it is to be followed by is not changed."""
    policy = RetryPolicy(initial_interval=seconds(1), maximum_attempts=3)
    first = await w.start(Start(retry_policy=policy))
    await w.turn(fail_workflow())
    await w.turn(start_timer("minute", 60))
    await reset(w, 4, Reset(workflow_execution=w.execution(run_id=first)))
    await w.turn(fail_workflow())
    await w.turn(complete_workflow())


@scenario
async def reset_of_a_later_attempt(w: Wire) -> None:
    """The second attempt stays the second."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)))
    await w.turn(fail_workflow())
    await w.turn(start_timer("minute", 60))
    await reset(w, 4)
    await w.describe()
    await w.turn(fail_workflow())


@scenario
async def reset_of_a_cron_run(w: Wire) -> None:
    """The schedule goes on with the new run."""
    await w.start(Start(cron_schedule="@every 1s"))
    await w.turn(start_timer("minute", 60))
    await reset(w, 4)
    await w.turn(complete_workflow("one"))
    await w.turn(start_timer("minute", 60))
    await w.terminate()


@scenario
async def reset_of_a_continued_run(w: Wire) -> None:
    """The second run of a chain stays the second."""
    await w.start()
    await w.turn(continue_in_a_second())
    await w.turn(start_timer("minute", 60))
    await reset(w, 4)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_of_a_delayed_run(w: Wire) -> None:
    """A run that has had no task cannot be reset; one that has had its first does not wait again."""
    await w.start(Start(workflow_start_delay=seconds(1)))
    await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 1))
    await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, 2))
    await w.turn(start_timer("minute", 60))
    await reset(w, 4)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_of_a_waiting_run(w: Wire) -> None:
    """A signal that came while the first task was not to be made yet is no task."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    await w.signal()
    for event_id in (2, 3):
        await w.attempt(w.rpc.ResetWorkflowExecution, reset_request(w, event_id), note=str(event_id))


@scenario
async def reset_and_go_on(w: Wire) -> None:
    """Signals, queries and updates reach the new run."""
    await wait_in_first_task(w)
    await reset(w, 4)
    await w.turn()
    await w.signal()
    await w.turn()
    asked = queries.ask(w)
    await w.call(w.rpc.RespondQueryTaskCompleted, queries.answer(w, await w.workflow_task()))
    await asked
    updated = updates.ask(w)
    await updates.admitted(w)
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task), updates.respond())
    await updated
    await w.signal()
    await w.turn(complete_workflow())
