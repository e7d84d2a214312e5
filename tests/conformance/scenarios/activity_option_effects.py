"""What changed options do to a pending activity: to the attempt that runs, to the next one, to its times."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import complete_workflow, failure, schedule_activity, seconds
from tests.conformance.pausing import pause as pause_run
from tests.conformance.pausing import unpause as unpause_run
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import start_activity
from tests.conformance.scenarios.activity_operations import LATE, SOON, pause, schedule, unpause
from tests.conformance.scenarios.activity_options import restore, update, update_request
from tests.conformance.scenarios.activity_resets import reset
from tests.conformance.wire import SILENCE_S, Wire


@scenario
async def activity_moved_to_another_queue(w: Wire) -> None:
    """Unstarted, it is handed out there and no longer here."""
    await schedule(w)
    await update(w, ActivityOptions(task_queue=TaskQueue(name=w.id("other"))), "task_queue.name")
    task = await w.activity_task(w.id("other"))
    await w.no_activity_task()
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_moved_between_attempts(w: Wire) -> None:
    """The next attempt goes to the new queue."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.fail_activity(task, failure("first"))
    await update(w, ActivityOptions(task_queue=TaskQueue(name=w.id("other"))), "task_queue.name")
    await w.describe()
    await w.complete_activity(await w.activity_task(w.id("other")))
    await w.turn(complete_workflow())


@scenario
async def activity_moved_while_running(w: Wire) -> None:
    """The attempt that runs is left alone; the next one goes to the new queue."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await update(w, ActivityOptions(task_queue=TaskQueue(name=w.id("other"))), "task_queue.name")
    await w.describe()
    await w.heartbeat(task)
    await w.fail_activity(task, failure("first"))
    await w.complete_activity(await w.activity_task(w.id("other")))
    await w.turn(complete_workflow())


@scenario
async def activity_moved_while_paused(w: Wire) -> None:
    """A paused activity stays paused with its new options."""
    await schedule(w)
    await pause(w)
    await update(w, ActivityOptions(task_queue=TaskQueue(name=w.id("other"))), "task_queue.name")
    await w.describe()
    await w.no_activity_task(w.id("other"))
    await unpause(w)
    await w.complete_activity(await w.activity_task(w.id("other")))
    await w.turn(complete_workflow())


@scenario
async def activity_options_shorten_the_attempt(w: Wire) -> None:
    """A shorter start-to-close counts for the attempt that runs."""
    await start_activity(w, Schedule(retry_policy=RetryPolicy(maximum_attempts=1)))
    await update(w, ActivityOptions(start_to_close_timeout=seconds(1)), "start_to_close_timeout")
    await w.turn(complete_workflow())


@scenario
async def activity_options_lengthen_the_attempt(w: Wire) -> None:
    """So does a longer one."""
    change = Schedule(start_to_close_timeout=seconds(2), retry_policy=RetryPolicy(maximum_attempts=1))
    task = await start_activity(w, change)
    await update(w, ActivityOptions(start_to_close_timeout=seconds(20)), "start_to_close_timeout")
    await w.let_time_pass(3)
    await w.describe()
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_options_add_a_heartbeat(w: Wire) -> None:
    """A heartbeat time-out counts for the attempt that runs."""
    await start_activity(w, Schedule(retry_policy=RetryPolicy(maximum_attempts=1)))
    await update(w, ActivityOptions(heartbeat_timeout=seconds(1)), "heartbeat_timeout")
    await w.turn(complete_workflow())


@scenario
async def activity_options_shorten_its_time(w: Wire) -> None:
    """Schedule-to-close and schedule-to-start of what nobody takes."""
    await schedule(w, change=Schedule(schedule_to_close_timeout=seconds(60)))
    await update(w, ActivityOptions(schedule_to_close_timeout=seconds(1)), "schedule_to_close_timeout")
    await w.turn(schedule_activity("a", w.id("b")))
    await update(w, ActivityOptions(schedule_to_start_timeout=seconds(1)), "schedule_to_start_timeout")
    await w.turn(complete_workflow())


@scenario
async def activity_options_move_its_end(w: Wire) -> None:
    """Which end counts for retries, which is described, and which is kept: the first schedule-to-close or the last."""
    policy = RetryPolicy(initial_interval=seconds(4))
    task = await start_activity(w, Schedule(schedule_to_close_timeout=seconds(60), retry_policy=policy))
    before = (await w.describe()).pending_activities[0].expiration_time
    await update(w, ActivityOptions(schedule_to_close_timeout=seconds(3)), "schedule_to_close_timeout")
    after = (await w.describe()).pending_activities[0].expiration_time
    w.note(f"ends {after.seconds - before.seconds} s later")
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def activity_options_move_its_end_later(w: Wire) -> None:
    """The same, with more time than there was, and with an end where there was none."""
    policy = RetryPolicy(initial_interval=seconds(4))
    task = await start_activity(w, Schedule(schedule_to_close_timeout=seconds(3), retry_policy=policy))
    await update(w, ActivityOptions(schedule_to_close_timeout=seconds(60)), "schedule_to_close_timeout")
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.turn(schedule_activity("b", w.queue, Schedule(retry_policy=policy)))
    task = await w.activity_task()
    request = update_request(w, ActivityOptions(schedule_to_close_timeout=seconds(3)), "schedule_to_close_timeout")
    request.id = "b"
    await w.call(w.rpc.UpdateActivityOptions, request)
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def activity_options_of_the_next_retry(w: Wire) -> None:
    """A new retry policy for what waits for its next attempt."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.fail_activity(task, failure("first"))
    await update(
        w, ActivityOptions(retry_policy=RetryPolicy(initial_interval=seconds(1))), "retry_policy.initial_interval"
    )
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_options_restored_between_attempts(w: Wire) -> None:
    """The back-off is that of the policy as it is restored."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.fail_activity(task, failure("first"))
    await update(w, ActivityOptions(retry_policy=LATE), "retry_policy")
    await w.describe()
    await restore(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_options_error_types(w: Wire) -> None:
    """A policy that replaces another leaves what is not retried as it was."""
    policy = RetryPolicy(initial_interval=seconds(0.1), non_retryable_error_types=["Bad"])
    task = await start_activity(w, Schedule(retry_policy=policy))
    policy.non_retryable_error_types[:] = ["Worse"]
    await update(w, ActivityOptions(retry_policy=policy), "retry_policy")
    await w.fail_activity(task, failure(kind="Worse"))
    await w.fail_activity(await w.activity_task(), failure(kind="Bad"))
    await w.turn(complete_workflow())


@scenario
async def activity_options_of_an_empty_policy(w: Wire) -> None:
    """A policy that comes as a whole is neither filled in nor judged; with nothing in it there are no retries."""
    task = await start_activity(w)
    await update(w, ActivityOptions(retry_policy=RetryPolicy()), "retry_policy")
    await w.fail_activity(task, failure())
    await w.turn(schedule_activity("a", w.queue))
    task = await w.activity_task()
    await update(w, ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=-1)), "retry_policy")
    await w.fail_activity(task, failure())
    await w.turn(schedule_activity("a", w.queue))
    task = await w.activity_task()
    policy = RetryPolicy(initial_interval=seconds(-1), maximum_interval=seconds(1))
    await update(w, ActivityOptions(retry_policy=policy), "retry_policy")
    await w.fail_activity(task, failure())
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_options_after_a_timeout(w: Wire) -> None:
    """Nobody has answered yet, so there is no answer to count a new back-off from."""
    change = Schedule(start_to_close_timeout=seconds(1), schedule_to_start_timeout=seconds(30), retry_policy=LATE)
    await start_activity(w, change)
    await w.let_time_pass(2)
    await w.describe()
    await update(w, ActivityOptions(heartbeat_timeout=seconds(5)), "heartbeat_timeout")
    await w.let_time_pass(1)
    await w.describe()


@scenario
async def activity_options_no_attempts_left(w: Wire) -> None:
    """Fewer attempts than were made already."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await w.fail_activity(task, failure("first"))
    await update(w, ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=1)), "retry_policy.maximum_attempts")
    await w.describe()
    await w.fail_activity(await w.activity_task(), failure("second"))
    await w.turn(complete_workflow())


@scenario
async def activity_operations_in_a_paused_run(w: Wire) -> None:
    """An operator who dispatches an activity anew does so in spite of the run's pause."""
    for note in ("unpause", "reset", "update"):
        other = w.other(note)
        await schedule(other)
        await pause_run(other)
        if note == "unpause":
            await pause(other)
            await unpause(other)
        elif note == "reset":
            await reset(other)
        else:
            await update(other, ActivityOptions(heartbeat_timeout=seconds(5)), "heartbeat_timeout")
        await other.describe()
        request = api.PollActivityTaskQueueRequest(namespace=w.namespace, task_queue=TaskQueue(name=other.queue))
        await other.attempt(w.rpc.PollActivityTaskQueue, request, limit_s=SILENCE_S)
        await unpause_run(other)
        await other.attempt(w.rpc.PollActivityTaskQueue, request, limit_s=SILENCE_S)


@scenario
async def activity_paused_in_a_paused_run(w: Wire) -> None:
    """It stays paused when the run goes on; lists and descriptions tell of both."""
    await schedule(w)
    await pause(w)
    await pause_run(w)
    await w.describe()
    await unpause_run(w)
    await w.describe()
    await w.no_activity_task()
    await unpause(w)
    await w.activity_task()
