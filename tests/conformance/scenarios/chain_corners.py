"""Chains of runs: times that run out in between, what goes from run to run, children of each run."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Header, Memo, RetryPolicy
from temporalio.api.enums.v1 import HistoryEventFilterType, ParentClosePolicy

from tests.conformance.commands import (
    cancel_external,
    complete_workflow,
    continue_as_new,
    continue_in_a_second,
    fail_workflow,
    failure,
    payload,
    payloads,
    seconds,
    shade,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.visibility import has, listing
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
SECOND = seconds(1)


@scenario
async def chain_time_runs_out_in_the_third_run(w: Wire) -> None:
    """The chain's time is one, whatever its runs ask for."""
    await w.start(Start(workflow_execution_timeout=seconds(4)))
    for _ in range(2):
        await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND, workflow_run_timeout=seconds(50))))
    await w.turn()
    await w.closed()
    await w.describe()


@scenario
async def chain_of_run_timeouts(w: Wire) -> None:
    """A run's time begins with its first task, after its back-off, in each run anew."""
    await w.start(Start(workflow_run_timeout=seconds(2)))
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(2))))
    await w.turn(start_timer("t", 60))
    await w.closed()


@scenario
async def chain_shorter_task_timeout(w: Wire) -> None:
    """The next run's task has no more time than the run."""
    await w.start()
    times = Continue(workflow_run_timeout=seconds(3), backoff_start_interval=SECOND)
    await w.turn(continue_as_new(times))
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def chain_to_another_queue_and_back(w: Wire) -> None:
    """A retry stays on the queue and type that its run was continued to."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=SECOND)))
    change = Continue(backoff_start_interval=SECOND, retry_policy=RetryPolicy(initial_interval=SECOND))
    change.task_queue.name = w.id("other")
    change.workflow_type.name = "Other"
    await w.turn(continue_as_new(change))
    await w.complete(await w.workflow_task(w.id("other")), fail_workflow())
    await w.complete(await w.workflow_task(w.id("other")), continue_in_a_second())
    await w.complete(await w.workflow_task(w.id("other")), complete_workflow())


@scenario
async def chain_header_and_input(w: Wire) -> None:
    """A retry has input and header of its run; a continuation has what its command says."""
    header = Header(fields={"trace": payload("on")})
    await w.start(Start(input=payloads("one"), header=header, retry_policy=RetryPolicy(initial_interval=SECOND)))
    await w.turn(fail_workflow())
    await w.turn(
        continue_as_new(
            Continue(
                input=payloads("two"),
                backoff_start_interval=SECOND,
                retry_policy=RetryPolicy(initial_interval=SECOND),
                memo=Memo(fields={"two": payload("2")}),
                search_attributes=shade("red"),
            )
        )
    )
    await w.turn(fail_workflow())
    await w.turn(complete_workflow())


@scenario
async def chain_last_results_of_a_continuation(w: Wire) -> None:
    """A last result and a failure that a command hands on; what a retry makes of them."""
    change = Continue(
        last_completion_result=payloads("last"),
        failure=failure("before"),
        backoff_start_interval=SECOND,
        retry_policy=RetryPolicy(initial_interval=SECOND),
    )
    await w.start()
    await w.turn(continue_as_new(change))
    await w.turn(fail_workflow(failure("now")))
    await w.turn(continue_in_a_second())
    await w.turn(complete_workflow())


@scenario
async def chain_followed_by_its_readers(w: Wire) -> None:
    """What is read of the first run's history, by who waits for its end and who does not."""
    first = await w.start()
    await w.turn(continue_in_a_second())
    await w.turn(complete_workflow())
    for wait in (False, True):
        for run_id in (first, ""):
            request = api.GetWorkflowExecutionHistoryRequest(
                namespace=w.namespace,
                execution=w.execution(run_id=run_id),
                wait_new_event=wait,
                history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
            )
            await w.call(w.rpc.GetWorkflowExecutionHistory, request)


@scenario
async def chain_children_of_each_run(w: Wire) -> None:
    """Each run of a chain starts a child of the same id: the first run's is ended before."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(2))))
    child = w.other("child")
    for _ in range(2):
        await w.turn(start_child(child.name, child.queue))
        await child.turn()
        await w.turn(fail_workflow())
        await child.closed()
    await w.terminate()


@scenario
async def chain_abandoned_child_of_the_run_before(w: Wire) -> None:
    """The id of a child that the run before has abandoned is taken."""
    await w.start()
    abandoned = StartChild(parent_close_policy=ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON)
    child = w.other("child")
    await w.turn(start_child(child.name, child.queue, abandoned))
    await child.turn()
    await w.turn(continue_in_a_second())
    await w.turn(start_child(child.name, child.queue, abandoned))
    await w.turn(complete_workflow())
    await child.terminate()


@scenario
async def chain_cron_with_an_execution_timeout_and_retries(w: Wire) -> None:
    """No attempt that would begin after the chain's end; the schedule is asked nevertheless."""
    await w.start(
        Start(
            cron_schedule="@every 1s",
            workflow_execution_timeout=seconds(30),
            retry_policy=RetryPolicy(initial_interval=seconds(60)),
        )
    )
    await w.turn(fail_workflow())
    await w.describe()
    await w.terminate()


@scenario
async def chain_cron_slot_after_the_end(w: Wire) -> None:
    """A slot that would come after the chain's end: it is waited for, and the end comes first."""
    await w.start(Start(cron_schedule="@every 1s", workflow_execution_timeout=seconds(3), memo=Memo()))
    await w.turn(complete_workflow("one"))
    await w.turn(fail_workflow(failure("two")))
    await w.closed()


@scenario
async def chain_attempts_of_odd_policies(w: Wire) -> None:
    """Coefficients and intervals at their limits."""
    policies = (
        RetryPolicy(initial_interval=seconds(60), backoff_coefficient=1),
        RetryPolicy(initial_interval=seconds(60), backoff_coefficient=1e12),
        RetryPolicy(initial_interval=seconds(60), maximum_interval=seconds(60)),
        RetryPolicy(initial_interval=seconds(60), maximum_attempts=2**31 - 1),
        RetryPolicy(initial_interval=seconds(60), non_retryable_error_types=["", "Boom "]),
        RetryPolicy(initial_interval=seconds(60), non_retryable_error_types=["boom"]),
    )
    for index, policy in enumerate(policies):
        other = w.other(str(index))
        await other.start(Start(retry_policy=policy))
        await other.turn(fail_workflow())


@scenario
async def chain_listed(w: Wire) -> None:
    """Each run of a chain is listed by itself, with its own status, memo and attributes; so are children."""
    await w.start(Start(memo=Memo(fields={"one": payload("1")}), retry_policy=RetryPolicy(initial_interval=SECOND)))
    await w.turn(fail_workflow())
    await w.turn(continue_as_new(Continue(backoff_start_interval=SECOND, search_attributes=shade("red"))))
    await w.turn(start_child(w.id("child"), w.id("child")))
    await w.turn(complete_workflow())
    await w.closed(w.id("child"))
    for workflow_id, count in ((w.name, 3), (w.id("child"), 1)):
        query = f"WorkflowId = '{workflow_id}' AND ExecutionStatus != 'Running'"
        await w.until(w.rpc.ListWorkflowExecutions, listing(w, query), has(count))


@scenario
async def chain_continued_with_no_schedule_at_all(w: Wire) -> None:
    """A schedule that is none is only found out by a start; a continuation takes it, and nothing follows from it."""
    await w.start()
    await w.turn(continue_as_new(Continue(cron_schedule="tea time", backoff_start_interval=SECOND)))
    await w.turn(complete_workflow("one"))
    await w.describe()
    other = w.other("failed")
    await other.start()
    await other.turn(continue_as_new(Continue(cron_schedule="0 0 30 2 *", backoff_start_interval=SECOND)))
    await other.turn(fail_workflow())


@scenario
async def chain_next_run_is_no_parent(w: Wire) -> None:
    """The next run is not the parent of the children that the run before has abandoned."""
    child = w.other("child")
    await w.start()
    abandoned = StartChild(parent_close_policy=ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON)
    await w.turn(start_child(child.name, child.queue, abandoned))
    await child.turn()
    await w.turn(continue_in_a_second())
    only = SignalExternal(execution=w.execution(child.name), signal_name="hi", child_workflow_only=True)
    await w.turn(signal_external(only))
    await w.turn(cancel_external(CancelExternal(workflow_id=child.name, child_workflow_only=True)))
    await w.turn(cancel_external(CancelExternal(workflow_id=child.name)))
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def chain_asked_to_stop_in_each_run(w: Wire) -> None:
    """A request holds for one run; the next attempt can be asked again, by the same request id."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=SECOND)))
    request = w.cancel_request(api.RequestCancelWorkflowExecutionRequest(request_id="one"))
    for _ in range(2):
        await w.call(w.rpc.RequestCancelWorkflowExecution, request)
        await w.turn(fail_workflow())
    await w.terminate()


@scenario
async def chain_cron_runs_described(w: Wire) -> None:
    """How a run of a schedule is described while it waits, while it works, and when it is over."""
    await w.start(Start(cron_schedule="@every 1s", workflow_run_timeout=seconds(30)))
    await w.describe()
    task = await w.workflow_task()
    await w.describe()
    await w.complete(task, fail_workflow())
    await w.describe()
    await w.terminate()
