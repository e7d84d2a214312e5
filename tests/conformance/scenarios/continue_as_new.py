"""Runs that go on in another run: what the next one is given, and what it is not."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.common.v1 import Header, Memo, Payload, RetryPolicy, SearchAttributes
from temporalio.api.enums.v1 import ContinueAsNewInitiator, EventType
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
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
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
SECOND = seconds(1)


@scenario
async def continue_field_by_field(w: Wire) -> None:
    """A run with everything is continued with one field of its own at a time."""
    start = Start(
        input=payloads("in"),
        workflow_execution_timeout=seconds(1000),
        workflow_run_timeout=seconds(500),
        workflow_task_timeout=seconds(5),
        memo=Memo(fields={"one": payload("1")}),
        search_attributes=shade("green"),
        header=Header(fields={"trace": payload("on")}),
        retry_policy=RetryPolicy(maximum_attempts=3),
    )
    start.user_metadata.summary.CopyFrom(payload("summary"))
    start.priority.priority_key = 2
    changes = {
        "input": Continue(input=payloads("other")),
        "header": Continue(header=Header(fields={"trace": payload("off")})),
        "memo": Continue(memo=Memo(fields={"two": payload("2")})),
        "empty memo": Continue(memo=Memo()),
        "search attributes": Continue(search_attributes=shade("blue")),
        "empty search attributes": Continue(search_attributes=SearchAttributes()),
        "retry policy": Continue(retry_policy=RetryPolicy(initial_interval=seconds(3))),
        "run timeout": Continue(workflow_run_timeout=seconds(5000)),
        "task timeout": Continue(workflow_task_timeout=seconds(7)),
        "long task timeout": Continue(workflow_task_timeout=seconds(700)),
        "queue": Continue(task_queue=TaskQueue(name=w.id("other"))),
        "last result": Continue(last_completion_result=payloads("last")),
        "failure": Continue(failure=failure()),
        "initiated by retry": Continue(initiator=ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY),
        "initiated by cron": Continue(initiator=ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE),
    }
    for index, (note, change) in enumerate(changes.items()):
        other = w.other(str(index))
        change.backoff_start_interval.CopyFrom(seconds(60))
        await other.start(start, note=note)
        await other.turn(continue_as_new(change))


@scenario
async def continue_described(w: Wire) -> None:
    """How the next run is described, while it waits and when it is done."""
    await w.start(Start(workflow_execution_timeout=seconds(100)))
    await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND)))
    await w.describe()
    await w.turn(complete_workflow("done"))
    await w.describe()


@scenario
async def continue_with_things_pending(w: Wire) -> None:
    """Timers and activities end with their run; the worker of such an activity hears that it is gone."""
    await w.start()
    await w.turn(start_timer("t", 60), schedule_activity("a", w.queue))
    activity = await w.activity_task()
    await w.signal()
    await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND)))
    request = api.RespondActivityTaskCompletedRequest(
        namespace=w.namespace, task_token=activity.task_token, identity="worker"
    )
    await w.attempt(w.rpc.RespondActivityTaskCompleted, request)
    await w.attempt(
        w.rpc.RecordActivityTaskHeartbeat,
        api.RecordActivityTaskHeartbeatRequest(namespace=w.namespace, task_token=activity.task_token),
    )
    await w.turn(complete_workflow())


@scenario
async def continue_over_an_activity(w: Wire) -> None:
    """The end of an activity that the worker has not seen refuses the continuation."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    activity = await w.activity_task()
    await w.signal()
    task = await w.workflow_task()
    await w.complete_activity(activity)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, continue_as_new()))
    await w.turn(complete_workflow())


@scenario
async def continue_with_changes_in_the_same_task(w: Wire) -> None:
    """Of changed memo and attributes, and those of the command, the command's are the next run's."""
    await w.start(Start(memo=Memo(fields={"one": payload("1")}), search_attributes=shade("green")))
    change = Continue(
        memo=Memo(fields={"three": payload("3")}), search_attributes=shade("red"), backoff_start_interval=SECOND
    )
    await w.turn(
        modify_properties(Modify(upserted_memo=Memo(fields={"two": payload("2")}))),
        upsert_search_attributes(shade("blue")),
        continue_as_new(change),
    )
    await w.describe()


@scenario
async def continue_drops_what_was_unset(w: Wire) -> None:
    """Entries that the old run deleted do not come back."""
    null = Payload(metadata={"encoding": b"binary/null"})
    await w.start(Start(memo=Memo(fields={"one": payload("1")}), search_attributes=shade("green")))
    await w.turn(
        modify_properties(Modify(upserted_memo=Memo(fields={"one": null}))),
        upsert_search_attributes(SearchAttributes(indexed_fields={"Shade": null})),
        continue_as_new(Continue(backoff_start_interval=SECOND)),
    )
    await w.describe()


@scenario
async def continue_and_cancel(w: Wire) -> None:
    """A request to cancel does not pass to the next run; one that comes while it waits does not hasten it."""
    await w.start()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(2))))
    await w.describe()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn(cancel_workflow())


@scenario
async def continue_and_cancel_by_first_run(w: Wire) -> None:
    """A request that names the chain's first run reaches the current one; one by the old run id finds it closed."""
    first = await w.start()
    await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND)))
    change = api.RequestCancelWorkflowExecutionRequest(first_execution_run_id=first)
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(change), note="by first run")
    change = api.RequestCancelWorkflowExecutionRequest(workflow_execution=w.execution(run_id=first))
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(change), note="the old run")
    terminate = api.TerminateWorkflowExecutionRequest(workflow_execution=w.execution(run_id=first))
    await w.attempt(w.rpc.TerminateWorkflowExecution, w.terminate_request(terminate), note="the old run")
    await w.turn(cancel_workflow())


@scenario
async def continue_three_runs(w: Wire) -> None:
    """Each run names the one before it and the first one; the last one fails."""
    await w.start(Start(input=payloads("one")))
    for text in ("two", "three"):
        await w.turn(continue_as_new(Continue(input=payloads(text), backoff_start_interval=SECOND)))
    await w.turn(fail_workflow())


@scenario
async def continue_signal_dedup(w: Wire) -> None:
    """The next run knows nothing of the request ids that the old one has taken."""
    await w.start()
    again = api.SignalWorkflowExecutionRequest(request_id="one")
    await w.signal(again)
    await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND)))
    await w.signal(again)
    await w.turn(complete_workflow())


@scenario
async def continue_start_request_id(w: Wire) -> None:
    """The request that started the chain is not known to its second run."""
    await w.start()
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(60))))
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(), note="the same request")


@scenario
async def continue_wait_for_the_chain(w: Wire) -> None:
    """Whoever waits for the first run's end is told of the next run, not of the chain's end."""
    first = await w.start()
    await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND)))
    end = await w.closed("", first)
    w.note(EventType.Name(end.event_type))
    await w.turn(complete_workflow())


@scenario
async def continue_bad_fields(w: Wire) -> None:
    """Fields of the next run that cannot be."""
    wrong = Continue()
    wrong.search_attributes.indexed_fields["Weight"].CopyFrom(payload("heavy"))
    system = Continue()
    system.search_attributes.indexed_fields["RunId"].CopyFrom(payload("x"))
    large = Continue(memo=Memo(fields={"big": Payload(data=b"x" * (2 * 1024 * 1024 + 1))}))
    cases = {
        "long queue": Continue(task_queue=TaskQueue(name="x" * 1001)),
        "reserved queue": Continue(task_queue=TaskQueue(name="/_sys/other/1")),
        "wrong attribute": wrong,
        "system attribute": system,
        "large memo": large,
        "bad cron": Continue(cron_schedule="tea time"),
        "bad initiator": Continue(initiator=ContinueAsNewInitiator.ValueType(99)),
    }
    for change in cases.values():
        change.backoff_start_interval.CopyFrom(seconds(60))
    await w.each_alone({note: continue_as_new(change) for note, change in cases.items()})


@scenario
async def continue_with_a_schedule(w: Wire) -> None:
    """A continuation may name a cron schedule; the old run's is not kept without."""
    await w.start()
    await w.turn(continue_as_new(Continue(cron_schedule="@every 1s", backoff_start_interval=SECOND)))
    await w.turn(complete_workflow("one"))
    await w.describe()
    await w.terminate()


@scenario
async def continue_a_run_with_a_schedule(w: Wire) -> None:
    """What becomes of the schedule when a run of it is continued."""
    await w.start(Start(cron_schedule="@every 1s"))
    await w.turn(continue_as_new())
    await w.turn(complete_workflow("one"))
    await w.describe()


@scenario
async def continue_with_nothings(w: Wire) -> None:
    """Entries of the next run's memo and attributes that count as none."""
    nothing = Payload(metadata={"encoding": b"binary/null"})
    change = Continue(
        memo=Memo(fields={"one": nothing, "two": payload("2")}),
        search_attributes=SearchAttributes(indexed_fields={"Shade": nothing}),
        backoff_start_interval=SECOND,
    )
    await w.start(Start(memo=Memo(fields={"one": payload("1")}), search_attributes=shade("green")))
    await w.turn(continue_as_new(change))
    await w.describe()
