"""Runs that are tried again: which failures, how often, how long after, and within which time."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.common.v1 import Header, Memo, RetryPolicy
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.failure.v1 import (
    ActivityFailureInfo,
    CanceledFailureInfo,
    ChildWorkflowExecutionFailureInfo,
    Failure,
    ResetWorkflowFailureInfo,
    ServerFailureInfo,
    TerminatedFailureInfo,
    TimeoutFailureInfo,
)

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
    start_timer,
    upsert_search_attributes,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
FAST = RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)
TIMEOUTS = TimeoutType.items()


@scenario
async def retry_by_kind_of_failure(w: Wire) -> None:
    """Each kind of failure, retryable or not."""
    kinds = {
        "nothing": Failure(message="boom"),
        "server": Failure(message="boom", server_failure_info=ServerFailureInfo()),
        "server, not retryable": Failure(message="boom", server_failure_info=ServerFailureInfo(non_retryable=True)),
        "terminated": Failure(message="boom", terminated_failure_info=TerminatedFailureInfo()),
        "canceled": Failure(message="boom", canceled_failure_info=CanceledFailureInfo()),
        "reset": Failure(message="boom", reset_workflow_failure_info=ResetWorkflowFailureInfo()),
        "activity": Failure(
            message="boom", activity_failure_info=ActivityFailureInfo(), cause=failure(non_retryable=True)
        ),
        "child": Failure(message="boom", child_workflow_execution_failure_info=ChildWorkflowExecutionFailureInfo()),
        "type not in the list": failure(kind="Good"),
        "type in the list": failure(kind="Bad"),
        "no type": failure(kind=""),
    }
    policy = RetryPolicy(initial_interval=seconds(60), non_retryable_error_types=["Bad", "TemporalTimeout:Heartbeat"])
    for index, (note, why) in enumerate(kinds.items()):
        other = w.other(str(index))
        await other.start(Start(retry_policy=policy), note=note)
        await other.turn(fail_workflow(why))


@scenario
async def retry_by_kind_of_timeout(w: Wire) -> None:
    """A workflow that fails with a time-out of something it did."""
    policy = RetryPolicy(initial_interval=seconds(60), non_retryable_error_types=["TemporalTimeout:Heartbeat"])
    for name, kind in TIMEOUTS:
        other = w.other(str(kind))
        await other.start(Start(retry_policy=policy), note=name)
        why = Failure(message="late", timeout_failure_info=TimeoutFailureInfo(timeout_type=kind))
        await other.turn(fail_workflow(why))


@scenario
async def retry_without_a_policy(w: Wire) -> None:
    """No policy, an empty one, and one of a single attempt."""
    policies = {"none": None, "empty": RetryPolicy(), "single": RetryPolicy(maximum_attempts=1)}
    for note, policy in policies.items():
        other = w.other(note)
        await other.start(Start(retry_policy=policy))
        await other.turn(fail_workflow())


@scenario
async def retry_single_attempt_that_may_not(w: Wire) -> None:
    """Which reason is named, when there are two."""
    for index, why in enumerate((failure(non_retryable=True), failure(kind="Bad"), failure())):
        other = w.other(str(index))
        policy = RetryPolicy(maximum_attempts=1, non_retryable_error_types=["Bad"])
        await other.start(Start(retry_policy=policy, workflow_execution_timeout=seconds(10)))
        await other.turn(fail_workflow(why))


@scenario
async def retry_intervals_grow(w: Wire) -> None:
    """Each attempt waits longer, up to the maximum."""
    policy = RetryPolicy(initial_interval=seconds(0.3), backoff_coefficient=3, maximum_interval=seconds(1))
    await w.start(Start(retry_policy=policy))
    for number in range(4):
        await w.turn(fail_workflow(failure(str(number))))
    await w.turn(complete_workflow())


@scenario
async def retry_next_delay(w: Wire) -> None:
    """The delay that a failure asks for: none, longer than the maximum, after the execution's end."""
    policy = RetryPolicy(initial_interval=seconds(60), maximum_interval=seconds(90))
    for index, delay in enumerate((0, 120, 3600)):
        other = w.other(str(index))
        await other.start(Start(retry_policy=policy, workflow_execution_timeout=seconds(600)))
        await other.turn(fail_workflow(failure(next_retry_delay=seconds(delay))))


@scenario
async def retry_next_delay_nested(w: Wire) -> None:
    """Only the outermost failure's delay counts."""
    why = failure()
    why.cause.CopyFrom(failure(next_retry_delay=seconds(30)))
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await w.turn(fail_workflow(why))


@scenario
async def retry_carries_everything(w: Wire) -> None:
    """Input, memo as it became, search attributes as they became, header, metadata, times; results of none."""
    request = Start(
        input=payloads("in"),
        workflow_execution_timeout=seconds(100),
        workflow_run_timeout=seconds(50),
        workflow_task_timeout=seconds(5),
        memo=Memo(fields={"one": payload("1")}),
        search_attributes=shade("green"),
        header=Header(fields={"trace": payload("on")}),
        retry_policy=FAST,
    )
    request.user_metadata.summary.CopyFrom(payload("summary"))
    request.priority.priority_key = 2
    await w.start(request)
    await w.signal()
    changed = Modify(upserted_memo=Memo(fields={"two": payload("2")}))
    await w.turn(modify_properties(changed), upsert_search_attributes(shade("blue")), fail_workflow())
    await w.describe()
    await w.turn(complete_workflow("out"))
    await w.describe()


@scenario
async def retry_after_a_continuation(w: Wire) -> None:
    """A continued run counts its attempts anew, and goes by the policy it was continued with."""
    await w.start(Start(retry_policy=FAST))
    await w.turn(fail_workflow(failure("one")))
    await w.turn(continue_as_new(Continue(retry_policy=FAST, backoff_start_interval=seconds(1))))
    await w.turn(fail_workflow(failure("two")))
    await w.turn(fail_workflow(failure("three")))


@scenario
async def retry_lost_by_a_continuation(w: Wire) -> None:
    """A continuation that names no policy has none."""
    await w.start(Start(retry_policy=FAST))
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(1))))
    await w.turn(fail_workflow())


@scenario
async def retry_cancelled_workflow(w: Wire) -> None:
    """A workflow that gives up is not tried again, nor one that fails because it was cancelled."""
    await w.start(Start(retry_policy=FAST))
    await w.turn(cancel_workflow())
    other = w.other("failed")
    await other.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await other.call(w.rpc.RequestCancelWorkflowExecution, other.cancel_request())
    await other.turn(fail_workflow())


@scenario
async def retry_terminated_workflow(w: Wire) -> None:
    """A terminated run is not tried again; one that waits for its next attempt can be terminated."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await w.turn(fail_workflow())
    await w.describe()
    await w.terminate()
    await w.describe()


@scenario
async def retry_cancelled_between_attempts(w: Wire) -> None:
    """A request to cancel, while the next attempt waits, does not hasten it."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(3))))
    await w.turn(fail_workflow())
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.signal()
    await w.turn(cancel_workflow())


@scenario
async def retry_signal_with_start_between_attempts(w: Wire) -> None:
    """A signal with start, while the next attempt waits, brings it at once."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(60))))
    await w.turn(fail_workflow())
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace, workflow_id=w.name, signal_name="hi", identity="client", request_id="signal"
    )
    request.workflow_type.name = "Workflow"
    request.task_queue.name = w.queue
    await w.call(w.rpc.SignalWithStartWorkflowExecution, request)
    await w.turn(complete_workflow())


@scenario
async def retry_run_timeouts_until_the_chain_ends(w: Wire) -> None:
    """Each run is given what is left of the chain's time."""
    policy = RetryPolicy(initial_interval=seconds(1), backoff_coefficient=1)
    await w.start(Start(retry_policy=policy, workflow_run_timeout=seconds(2), workflow_execution_timeout=seconds(4)))
    await w.turn()
    await w.turn()
    await w.closed()
    await w.describe()


@scenario
async def retry_timed_out_by_type(w: Wire) -> None:
    """A policy that does not retry time-outs."""
    policy = RetryPolicy(initial_interval=seconds(60), non_retryable_error_types=["TemporalTimeout:StartToClose"])
    await w.start(Start(retry_policy=policy, workflow_run_timeout=seconds(1)))
    await w.closed()


@scenario
async def retry_timed_out_attempts(w: Wire) -> None:
    """Time-outs use up attempts like failures."""
    await w.start(Start(retry_policy=FAST, workflow_run_timeout=seconds(1)))
    await w.turn(fail_workflow())
    await w.closed()


@scenario
async def retry_timed_out_with_a_task_running(w: Wire) -> None:
    """The running task fails before its run's end, and what waited is written."""
    await w.start(Start(retry_policy=FAST, workflow_run_timeout=seconds(1)))
    await w.turn(start_timer("t", 60))
    await w.signal()
    task = await w.workflow_task()
    await w.signal()
    again = await w.workflow_task()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()), note="late")
    await w.complete(again, complete_workflow())


@scenario
async def timeout_starts_after_the_delay(w: Wire) -> None:
    """A run's time starts with its first task, the execution's with its start."""
    await w.start(Start(workflow_start_delay=seconds(2), workflow_run_timeout=seconds(1)))
    await w.describe()
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    await w.turn()
    await w.closed()
    other = w.other("execution")
    await other.start(Start(workflow_start_delay=seconds(60), workflow_execution_timeout=seconds(1)))
    await other.describe()
    await other.closed()


@scenario
async def timeout_of_the_chain_during_a_back_off(w: Wire) -> None:
    """A continued run that waits longer than the chain has time."""
    await w.start(Start(workflow_execution_timeout=seconds(2)))
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(60))))
    await w.describe()
    await w.closed()


@scenario
async def timeout_with_pending_things(w: Wire) -> None:
    """What was pending when the time ran out stays in the history as it was."""
    await w.start(Start(workflow_run_timeout=seconds(1)))
    await w.turn(start_timer("t", 60))
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.closed()
    await w.describe()


@scenario
async def timeouts_odd(w: Wire) -> None:
    """Run times longer than the execution's, of zero, of centuries; task times longer than both."""
    requests = (
        Start(workflow_execution_timeout=seconds(10), workflow_run_timeout=seconds(20)),
        Start(workflow_execution_timeout=seconds(0), workflow_run_timeout=seconds(20)),
        Start(workflow_run_timeout=seconds(3), workflow_task_timeout=seconds(5)),
        Start(workflow_task_timeout=seconds(600)),
        Start(workflow_execution_timeout=seconds(200 * 365 * 24 * 3600)),
        Start(workflow_task_timeout=seconds(0)),
    )
    for index, request in enumerate(requests):
        other = w.other(str(index))
        await other.start(request)
        await other.describe()
