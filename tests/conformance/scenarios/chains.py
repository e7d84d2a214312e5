"""Runs that follow runs: continue-as-new, retry, cron."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.common.v1 import Header, Memo, RetryPolicy, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import (
    complete_workflow,
    continue_as_new,
    continue_in_a_second,
    fail_workflow,
    failure,
    modify_properties,
    payload,
    payloads,
    seconds,
    shade,
    upsert_search_attributes,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest


@scenario
async def continue_with_defaults(w: Wire) -> None:
    """What the command leaves out comes from the old run."""
    request = Start(
        input=payloads("in"),
        workflow_execution_timeout=seconds(100),
        workflow_run_timeout=seconds(50),
        workflow_task_timeout=seconds(5),
        memo=Memo(fields={"one": payload("1")}),
        search_attributes=shade("green"),
        header=Header(fields={"trace": payload("on")}),
        retry_policy=RetryPolicy(maximum_attempts=3),
    )
    await w.start(request)
    await w.turn(continue_in_a_second())
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def continue_with_everything(w: Wire) -> None:
    """What the command says holds for the new run."""
    await w.start(Start(memo=Memo(fields={"one": payload("1")}), search_attributes=shade("green")))
    change = Continue(
        workflow_type=WorkflowType(name="Other"),
        task_queue=TaskQueue(name=w.id("other")),
        input=payloads("in"),
        workflow_run_timeout=seconds(30),
        workflow_task_timeout=seconds(5),
        backoff_start_interval=seconds(2),
        header=Header(fields={"trace": payload("on")}),
        memo=Memo(fields={"two": payload("2")}),
        search_attributes=shade("blue"),
        retry_policy=RetryPolicy(maximum_attempts=2),
    )
    await w.turn(continue_as_new(change))
    await w.complete(await w.workflow_task(w.id("other")), complete_workflow())


@scenario
async def continue_after_a_second(w: Wire) -> None:
    """A run that took longer than a second is followed by the next one at once."""
    await w.start()
    task = await w.workflow_task()
    await w.let_time_pass(2)
    await w.complete(task, continue_as_new())
    await w.turn(complete_workflow())


@scenario
async def continue_after_changes(w: Wire) -> None:
    """Memo and search attributes that the old run changed go on."""
    await w.start(Start(memo=Memo(fields={"one": payload("1")})))
    changed = Memo(fields={"two": payload("2")})
    await w.turn(
        modify_properties(Modify(upserted_memo=changed)), upsert_search_attributes(shade("blue")), continue_as_new()
    )
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def continue_over_a_signal(w: Wire) -> None:
    """A workflow cannot go on over a signal it has not seen."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, continue_in_a_second()))
    await w.turn(complete_workflow())


@scenario
async def continue_and_signal_the_old_run(w: Wire) -> None:
    """The chain goes on; the old run is closed; termination of the chain needs its first run."""
    first = await w.start()
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(30))))
    old = w.signal_request(api.SignalWorkflowExecutionRequest(workflow_execution=w.execution(run_id=first)))
    await w.attempt(w.rpc.SignalWorkflowExecution, old, note="the old run")
    await w.signal()
    request = w.terminate_request(api.TerminateWorkflowExecutionRequest(first_execution_run_id=first))
    await w.call(w.rpc.TerminateWorkflowExecution, request)


@scenario
async def continue_bad_commands(w: Wire) -> None:
    """Commands to go on that make no sense."""
    unknown = Continue()
    unknown.search_attributes.indexed_fields["Unheard"].CopyFrom(payload("x"))
    cases = {
        "negative run timeout": Continue(workflow_run_timeout=seconds(-1)),
        "negative task timeout": Continue(workflow_task_timeout=seconds(-1)),
        "negative backoff": Continue(backoff_start_interval=seconds(-1)),
        "long type": Continue(workflow_type=WorkflowType(name="x" * 1001)),
        "bad retry policy": Continue(retry_policy=RetryPolicy(maximum_attempts=-1)),
        "unknown search attribute": unknown,
    }
    await w.each_alone({note: continue_as_new(change) for note, change in cases.items()})


@scenario
async def retry_failed_workflow(w: Wire) -> None:
    """A failed run is followed by another, until the attempts run out."""
    await w.start(Start(retry_policy=RetryPolicy(maximum_attempts=2), input=payloads("in")))
    await w.turn(fail_workflow())
    await w.describe()
    await w.turn(fail_workflow(failure("second")))
    await w.describe()


@scenario
async def retry_failed_workflow_that_may_not(w: Wire) -> None:
    """Failures marked non-retryable, and types the policy does not retry."""
    policy = RetryPolicy(maximum_attempts=3, non_retryable_error_types=["Bad"])
    for index, why in enumerate((failure(non_retryable=True), failure(kind="Bad"))):
        other = w.other(str(index))
        await other.start(Start(retry_policy=policy))
        await other.turn(fail_workflow(why))


@scenario
async def retry_timed_out_workflow(w: Wire) -> None:
    """A run that took too long is retried, too."""
    await w.start(Start(retry_policy=RetryPolicy(maximum_attempts=2), workflow_run_timeout=seconds(1)))
    await w.turn()
    await w.turn(complete_workflow())


@scenario
async def retry_with_next_retry_delay(w: Wire) -> None:
    """The failure can say when to try again."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(60))
    await w.start(Start(retry_policy=policy))
    await w.turn(fail_workflow(failure(next_retry_delay=seconds(1))))
    await w.turn(complete_workflow())


@scenario
async def retry_without_time(w: Wire) -> None:
    """An attempt after the execution timeout is not made."""
    policy = RetryPolicy(initial_interval=seconds(60))
    await w.start(Start(retry_policy=policy, workflow_execution_timeout=seconds(10)))
    await w.turn(fail_workflow())


@scenario
async def cron_after_a_failure(w: Wire) -> None:
    """A failed slot is followed by the next one, which is told of the failure and of the last result."""
    await w.start(Start(cron_schedule="@every 1s"))
    await w.turn(complete_workflow("first"))
    await w.turn(fail_workflow())
    await w.workflow_task()
    await w.terminate()


@scenario
async def cron_first_slot_far_away(w: Wire) -> None:
    """A workflow that waits for its slot has no task."""
    await w.start(Start(cron_schedule="@every 1h", workflow_execution_timeout=seconds(1)))
    await w.closed()
