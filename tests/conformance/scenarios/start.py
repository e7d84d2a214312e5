"""Starting workflows: what is stored, policies about ids, deduplication."""

from collections.abc import Iterator
from itertools import product

import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import Header, Link, Memo, Priority, RetryPolicy
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflow.v1 import OnConflictOptions

from tests.conformance.commands import complete_workflow, fail_workflow, payload, payloads, seconds, shade
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest

REUSE = {
    "default": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED,
    "allow": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "failed only": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
    "reject": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
    "terminate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING,
}
CONFLICT = {
    "default": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED,
    "fail": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
    "use existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    "terminate": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
}


def again(w: Wire) -> Iterator[tuple[str, Start]]:
    """A second start under each combination of policies."""
    for (reuse, reuse_policy), (conflict, conflict_policy) in product(REUSE.items(), CONFLICT.items()):
        request = w.start_request(
            Start(workflow_id_reuse_policy=reuse_policy, workflow_id_conflict_policy=conflict_policy)
        )
        request.request_id = f"again {reuse} {conflict}"
        yield f"reuse {reuse}, conflict {conflict}", request


async def start_again(w: Wire, note: str, request: Start) -> None:
    """Start under a policy, and remember the run that came of it."""
    reply = await w.attempt(w.rpc.StartWorkflowExecution, request, note=note)
    w.transcript.ran(request.workflow_id, reply.run_id if reply else "")


@scenario
async def start_with_everything(w: Wire) -> None:
    """Whatever a start says is in the first event and in the description."""
    request = Start(
        input=payloads("a", "b"),
        workflow_execution_timeout=seconds(100),
        workflow_run_timeout=seconds(50),
        workflow_task_timeout=seconds(20),
        retry_policy=RetryPolicy(maximum_attempts=2),
        memo=Memo(fields={"one": payload("1"), "two": payload("2")}),
        search_attributes=shade("green"),
        header=Header(fields={"trace": payload("on")}),
        user_metadata=UserMetadata(summary=payload("short"), details=payload("long")),
        priority=Priority(priority_key=2, fairness_key="tenant", fairness_weight=2),
        links=[Link(workflow_event=Link.WorkflowEvent(namespace="default", workflow_id="cause", run_id="run"))],
    )
    await w.start(request)
    await w.describe()
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def start_running_workflow_again(w: Wire) -> None:
    """Every policy on an id whose workflow runs."""
    for index, (note, request) in enumerate(again(w)):
        other = w.other(str(index))
        await other.start()
        request.workflow_id = request.task_queue.name = other.name
        await start_again(w, note, request)


@scenario
async def start_completed_workflow_again(w: Wire) -> None:
    """Every policy on an id whose workflow completed."""
    for index, (note, request) in enumerate(again(w)):
        other = w.other(str(index))
        await other.start()
        await other.turn(complete_workflow())
        request.workflow_id = request.task_queue.name = other.name
        await start_again(w, note, request)


@scenario
async def start_failed_workflow_again(w: Wire) -> None:
    """Each reuse policy on an id whose workflow failed."""
    for index, (reuse, policy) in enumerate(REUSE.items()):
        other = w.other(str(index))
        await other.start()
        await other.turn(fail_workflow())
        request = other.start_request(Start(workflow_id_reuse_policy=policy))
        request.request_id = "again"
        await start_again(other, f"reuse {reuse}", request)


@scenario
async def start_terminated_workflow_again(w: Wire) -> None:
    """A terminated workflow counts as failed."""
    await w.start()
    await w.terminate()
    request = w.start_request(Start(workflow_id_reuse_policy=REUSE["failed only"]))
    request.request_id = "again"
    await start_again(w, "failed only", request)


@scenario
async def start_same_request_id(w: Wire) -> None:
    """A repeated request gives the run it made, while that run is the current one; also when it is closed."""
    await w.start()
    await w.start(note="repeated")
    await w.turn(complete_workflow())
    await w.start(note="repeated after the close")
    await w.start(Start(workflow_id_reuse_policy=REUSE["reject"]), note="repeated, though duplicates are rejected")


@scenario
async def start_request_id_of_an_older_run(w: Wire) -> None:
    """A request id is remembered by its run; a later run does not know it."""
    await w.start()
    await w.turn(complete_workflow())
    await w.start(Start(request_id="second"))
    await start_again(w, "the first request again", w.start_request())


@scenario
async def start_use_existing_attaches_request_id(w: Wire) -> None:
    """A start that finds the workflow running can attach its request id."""
    await w.start()
    request = w.start_request(
        Start(
            workflow_id_conflict_policy=CONFLICT["use existing"],
            on_conflict_options=OnConflictOptions(attach_request_id=True),
        )
    )
    request.request_id = "second"
    await start_again(w, "attach", request)
    await start_again(w, "attach again", request)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def start_terminate_existing_with_a_task_running(w: Wire) -> None:
    """The old run ends with its workflow task failed; the worker's answer finds nothing."""
    await w.start()
    task = await w.workflow_task()
    request = w.start_request(Start(workflow_id_conflict_policy=CONFLICT["terminate"]))
    request.request_id = "second"
    await start_again(w, "terminate", request)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def start_times_normalised(w: Wire) -> None:
    """Timeouts that contradict each other are brought in line."""
    cases = {
        "run over execution": Start(workflow_execution_timeout=seconds(10), workflow_run_timeout=seconds(20)),
        "execution alone": Start(workflow_execution_timeout=seconds(30)),
        "run alone": Start(workflow_run_timeout=seconds(30)),
        "task over run": Start(workflow_run_timeout=seconds(5), workflow_task_timeout=seconds(60)),
        "task over the maximum": Start(workflow_task_timeout=seconds(500)),
        "execution over 100 years": Start(workflow_execution_timeout=seconds(101 * 366 * 86400)),
        "task of 0": Start(workflow_task_timeout=seconds(0)),
    }
    for index, (note, change) in enumerate(cases.items()):
        other = w.other(str(index))
        await other.start(change, note=note)
        await other.describe()


@scenario
async def start_retry_policy_normalised(w: Wire) -> None:
    """A retry policy is completed with the defaults before it is stored."""
    cases = {
        "empty": RetryPolicy(),
        "initial interval": RetryPolicy(initial_interval=seconds(3)),
        "attempts": RetryPolicy(maximum_attempts=1),
        "types": RetryPolicy(non_retryable_error_types=["Boom"], backoff_coefficient=1),
    }
    for index, (note, policy) in enumerate(cases.items()):
        await w.other(str(index)).start(Start(retry_policy=policy), note=note)


@scenario
async def start_bad_retry_policy(w: Wire) -> None:
    """Retry policies that make no sense are refused."""
    cases = {
        "negative attempts": RetryPolicy(maximum_attempts=-1),
        "coefficient below 1": RetryPolicy(backoff_coefficient=0.5),
        "negative initial interval": RetryPolicy(initial_interval=seconds(-1)),
        "negative maximum interval": RetryPolicy(maximum_interval=seconds(-1)),
        "maximum below initial": RetryPolicy(initial_interval=seconds(5), maximum_interval=seconds(1)),
        "unknown timeout type": RetryPolicy(non_retryable_error_types=["TemporalTimeout:Tea"]),
    }
    for note, policy in cases.items():
        request = w.start_request(Start(retry_policy=policy))
        await w.attempt(w.rpc.StartWorkflowExecution, request, note=note)


@scenario
async def start_delay(w: Wire) -> None:
    """The first workflow task waits for the delay; a signal in between does not hasten it."""
    await w.start(Start(workflow_start_delay=seconds(2)))
    await w.describe()
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def start_delay_with_cron(w: Wire) -> None:
    """A delay and a cron schedule exclude each other."""
    request = w.start_request(Start(workflow_start_delay=seconds(2), cron_schedule="0 0 1 1 *"))
    await w.attempt(w.rpc.StartWorkflowExecution, request)


@scenario
async def start_cron(w: Wire) -> None:
    """A cron workflow waits for its first slot, and starts again after it completed."""
    await w.start(Start(cron_schedule="@every 1s"), note="every second")
    await w.turn(complete_workflow("first"))
    await w.turn(complete_workflow("second"))
    await w.terminate()


@scenario
async def start_bad_cron(w: Wire) -> None:
    """Schedules that are no schedules are refused."""
    for text in ("tea time", "* * * *", "61 * * * *", "@every never", "CRON_TZ=Nowhere/Land * * * * *"):
        await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(Start(cron_schedule=text)), note=text)


@scenario
async def start_search_attributes(w: Wire) -> None:
    """Attributes must be registered, of the right type, and not the system's own."""
    for name, value in {"Unheard": "x", "WorkflowId": "x", "Weight": "heavy"}.items():
        request = w.start_request()
        request.search_attributes.indexed_fields[name].CopyFrom(payload(value))
        await w.attempt(w.rpc.StartWorkflowExecution, request, note=name)


@scenario
async def start_eagerly(w: Wire) -> None:
    """The first workflow task can come with the reply."""
    request = w.start_request(Start(request_eager_execution=True))
    reply = await w.call(w.rpc.StartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.complete(reply.eager_workflow_task, complete_workflow())


@scenario
async def start_timeouts_run_out(w: Wire) -> None:
    """A run that takes too long is timed out; what its worker says then finds nothing."""
    await w.start(Start(workflow_run_timeout=seconds(1)))
    task = await w.workflow_task()
    await w.closed()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.describe()


@scenario
async def start_execution_timeout_runs_out(w: Wire) -> None:
    """The execution timeout ends a run, even when a retry policy would start another."""
    await w.start(Start(workflow_execution_timeout=seconds(1), retry_policy=RetryPolicy(maximum_attempts=3)))
    await w.closed()
    await w.describe()
