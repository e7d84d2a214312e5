"""Cron schedules: which forms there are, when they are due, and what one slot hands to the next."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import grpc
import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Memo, RetryPolicy

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    modify_properties,
    payload,
    payloads,
    seconds,
    shade,
    start_child,
    upsert_search_attributes,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest


async def tell_slots(w: Wire, *forms: str) -> None:
    """Tell when each schedule is first due, or why it is refused. Times are told to the second, in UTC."""
    for index, form in enumerate(forms):
        other = w.other(str(index))
        request = other.start_request(Start(cron_schedule=form))
        try:
            await w.rpc.StartWorkflowExecution(request, timeout=5)  # type: ignore[misc]  # the stub's is an aio one
        except grpc.aio.AioRpcError as error:
            w.note(f"{form!r}: {error.code().name} {error.details()}")
            continue
        started = (await other.events())[0]
        backoff = started.workflow_execution_started_event_attributes.first_workflow_task_backoff.ToTimedelta()
        due = started.event_time.ToDatetime(UTC) + backoff
        shown = f"after {backoff.total_seconds():g} s" if "@every" in form or not backoff else f"{due:%Y-%m-%d %H:%M}"
        w.note(f"{form!r}: {shown}")


@scenario
async def cron_fields(w: Wire) -> None:
    """Numbers, lists, ranges, steps and names in five fields."""
    await tell_slots(
        w,
        "30 5 1 1 *",
        "0 5 1,15 6,7 *",
        "15-20 5 3-4 2-3 ?",
        "*/7 4 29 2 *",
        "5/20 */6 10/10 3 *",
        "0 0 1-20/10 4 *",
        "0 12 ? JAN SUN",
        "0 12 * feb-APR mon-WED",
        "0 3 * * 6",
        "0 3 13 8 fri",
        "0 3 */2 8 fri",
        "0 3 13 8 */3",
        "0 3 */1 8 fri",
        "+5 03 1 2 *",
        "*-5 2 1 2 *",
        "  30   5  1  1   *  ",
        "30\t5\t1\t1\t*",
        "59 23 31 12 *",
    )


@scenario
async def cron_shorthands(w: Wire) -> None:
    """@yearly and the like, and periods."""
    await tell_slots(
        w,
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "CRON_TZ=Asia/Tokyo @monthly",
        "@every 1h",
        "@every 90m30s",
        "@every 1.5h",
        "@every 1h30m10s",
        "@every 500ms",
        "@every 1500ms",
        "@every -5s",
        "@every 0",
        "@every +2m",
        "@every 3s500ms7us",
        "@every .5h",
        "@every 5.s",
        "TZ=Europe/Paris @every 2h",
    )


@scenario
async def cron_refused(w: Wire) -> None:
    """What is no schedule."""
    await tell_slots(
        w,
        " ",
        "*",
        "* * * *",
        "* * * * * *",
        "0 0 0 1 *",
        "60 * * * *",
        "* 24 * * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * 0 *",
        "* * * * 7",
        "* * * * -1",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "*/0 * * * *",
        "*/-1 * * * *",
        "*/x * * * *",
        "* * * month *",
        "* * * * sunday",
        "* * * january *",
        "* * L * *",
        "* * * * 1#2",
        "1.5 * * * *",
        "@Hourly",
        "@hourly x",
        "@reboot",
        "@every",
        "@every ",
        "@every 5",
        "@every 1d",
        "@every 1h 30m",
        "@every  1h",
        "@every x",
        "@",
        "cron_tz=UTC * * * * *",
    )


@scenario
async def cron_lists_odd(w: Wire) -> None:
    """Lists with holes, and days that never come."""
    await tell_slots(w, "0,, 0 1 1 *", ", 0 1 1 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 29 2 *")


@scenario
async def cron_time_zones(w: Wire) -> None:
    """A schedule in the time of a place."""
    await tell_slots(
        w,
        "CRON_TZ=Asia/Tokyo 30 5 1 2 *",
        "TZ=Asia/Kolkata 30 5 1 2 *",
        "TZ=America/New_York 30 22 31 12 *",
        "CRON_TZ=UTC 30 5 1 2 *",
        "TZ= 30 5 1 2 *",
        "CRON_TZ=Etc/GMT+5   30 5 1 2 *",
        "TZ=Nowhere/Land 30 5 1 2 *",
        "TZ=../x 30 5 1 2 *",
        "CRON_TZ=EST5EDT 30 5 1 7 *",
        "  TZ=UTC 30 5 1 2 *",
    )


def _shifts(zone: ZoneInfo, spring: bool) -> datetime:
    """The local day of the next change to or from daylight saving, at noon."""
    day = datetime.now(zone).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=2)
    while True:
        before, after = (day - timedelta(days=1)).utcoffset(), day.utcoffset()
        if before is not None and after is not None and before != after and (after > before) == spring:
            return day
        day += timedelta(days=1)


@scenario
async def cron_daylight_saving(w: Wire) -> None:
    """Times of day that a change of the clocks leaves out, or has twice."""
    forms: list[str] = []
    for name in ("America/New_York", "Europe/Berlin", "America/Santiago"):
        for spring in (True, False):
            day = _shifts(ZoneInfo(name), spring)
            times = ("30 0", "30 1", "30 2", "30 3", "0 0", "0 1-4", "*/30 2")
            forms.extend(f"CRON_TZ={name} {time} {day.day} {day.month} *" for time in times)
    await tell_slots(w, *forms)


@scenario
async def cron_carries_results_and_failures(w: Wire) -> None:
    """The last result is kept over failures; the failure is told to the next run only."""
    request = Start(cron_schedule="@every 1s", input=payloads("in"), memo=Memo(fields={"one": payload("1")}))
    request.user_metadata.summary.CopyFrom(payload("summary"))
    await w.start(request)
    changed = Modify(upserted_memo=Memo(fields={"two": payload("2")}))
    await w.turn(modify_properties(changed), upsert_search_attributes(shade("blue")), complete_workflow("first"))
    await w.turn(fail_workflow(failure("second")))
    await w.turn(fail_workflow(failure("third")))
    await w.turn(complete_workflow("fourth"))
    await w.turn(complete_workflow())
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_with_retries(w: Wire) -> None:
    """A failure is retried first; when the attempts are used up, the next slot follows with fresh ones."""
    policy = RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)
    await w.start(Start(cron_schedule="@every 1s", retry_policy=policy))
    await w.turn(complete_workflow("result"))
    await w.turn(fail_workflow(failure("one")))
    await w.turn(fail_workflow(failure("two")))
    await w.turn(fail_workflow(failure("three")))
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_failure_that_may_not_be_retried(w: Wire) -> None:
    """The next slot follows nevertheless."""
    policy = RetryPolicy(initial_interval=seconds(1))
    await w.start(Start(cron_schedule="@every 1s", retry_policy=policy))
    await w.turn(fail_workflow(failure(non_retryable=True)))
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_run_times_out(w: Wire) -> None:
    """A run that took too long is followed by the next slot."""
    await w.start(Start(cron_schedule="@every 1s", workflow_run_timeout=seconds(1)))
    await w.turn()
    await w.turn(complete_workflow())
    await w.terminate()


@scenario
async def cron_chain_times_out(w: Wire) -> None:
    """The chain's time ends it, also while it waits for a slot."""
    await w.start(Start(cron_schedule="@every 1s", workflow_execution_timeout=seconds(3)))
    await w.turn(complete_workflow("one"))
    await w.turn()
    await w.closed()
    await w.describe()


@scenario
async def cron_cancelled(w: Wire) -> None:
    """A workflow that gives up has no further slots."""
    await w.start(Start(cron_schedule="@every 1s"))
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn(cancel_workflow("enough"))
    await w.describe()


@scenario
async def cron_cancel_requested_but_completed(w: Wire) -> None:
    """A workflow that completes although it was asked to stop: the next slot follows."""
    await w.start(Start(cron_schedule="@every 1s"))
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn(complete_workflow("done"))
    await w.describe()
    await w.terminate()


@scenario
async def cron_signalled_before_its_slot(w: Wire) -> None:
    """A signal does not hasten a slot; a signal with start does."""
    await w.start(Start(cron_schedule="0 0 1 1 *"))
    await w.signal()
    await w.no_workflow_task()
    await w.terminate()
    other = w.other("signal-with-start")
    await other.start(Start(cron_schedule="0 0 1 1 *"))
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace, workflow_id=other.name, signal_name="hi", identity="client", request_id="signal"
    )
    request.workflow_type.name = "Workflow"
    request.task_queue.name = other.queue
    await other.call(w.rpc.SignalWithStartWorkflowExecution, request)
    await other.turn()
    await other.terminate()


@scenario
async def cron_started_by_a_signal(w: Wire) -> None:
    """A signal that starts a cron workflow."""
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace, workflow_id=w.name, signal_name="hi", identity="client", request_id="signal"
    )
    request.workflow_type.name = "Workflow"
    request.task_queue.name = w.queue
    request.cron_schedule = "@every 2s"
    reply = await w.call(w.rpc.SignalWithStartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.turn()
    await w.terminate()


@scenario
async def cron_slots_missed(w: Wire) -> None:
    """Slots that pass while a run goes on are left out."""
    await w.start(Start(cron_schedule="@every 1s"))
    task = await w.workflow_task()
    await w.let_time_pass(3)
    await w.complete(task, complete_workflow())
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_continued_with_its_schedule(w: Wire) -> None:
    """A run that continues as new and names the schedule again."""
    await w.start(Start(cron_schedule="@every 1s"))
    await w.turn(complete_workflow("one"))
    await w.turn(continue_as_new(Continue(cron_schedule="@every 1s", backoff_start_interval=seconds(1))))
    await w.turn(complete_workflow("two"))
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_times_out_and_is_retried(w: Wire) -> None:
    """A time-out that is retried: what becomes of the last result."""
    policy = RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)
    await w.start(Start(cron_schedule="@every 1s", retry_policy=policy, workflow_run_timeout=seconds(2)))
    await w.turn(complete_workflow("one"))
    await w.turn()
    await w.turn(fail_workflow())
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_bad_input_of_children(w: Wire) -> None:
    """Schedules of children that are none, or never due."""
    await w.each_alone(
        {
            form: start_child(w.id("child"), w.queue, StartChild(cron_schedule=form))
            for form in ("tea time", "0 0 30 2 *")
        }
    )
