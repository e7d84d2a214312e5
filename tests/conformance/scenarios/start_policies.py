"""What a start does when its workflow is there already, or is to wait: policies, attachments, delays, eagerness."""

from itertools import product

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes
from temporalio.api.common.v1 import Link, Priority, RetryPolicy
from temporalio.api.enums.v1 import EventType, WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflow.v1 import OnConflictOptions, VersioningOverride

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    payloads,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.options import AUTO, OLD_AUTO, OLD_PINNED, PIN, PINNED, Pinned
from tests.conformance.scenarios.start import CONFLICT, REUSE
from tests.conformance.scenarios.updates import accept, admitted, ask, reject, respond, say, update
from tests.conformance.wire import Wire, over

Start = api.StartWorkflowExecutionRequest
SignalWithStart = api.SignalWithStartWorkflowExecutionRequest
CONTINUE_IN_TWO_SECONDS = continue_as_new(
    ContinueAsNewWorkflowExecutionCommandAttributes(backoff_start_interval=seconds(2))
)
POLICIES = list(product(REUSE.items(), CONFLICT.items()))
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
REJECT = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
LINK = Link(workflow_event=Link.WorkflowEvent(namespace="default", workflow_id="cause", run_id="run"))


def signal_with_start(w: Wire, change: SignalWithStart | None = None) -> SignalWithStart:
    """A signal-with-start of the scenario's workflow, with the fields of `change` laid over it."""
    start = w.start_request()
    request = SignalWithStart(
        namespace=w.namespace,
        workflow_id=start.workflow_id,
        workflow_type=start.workflow_type,
        task_queue=start.task_queue,
        signal_name="signal",
        identity="client",
        request_id="signal-with-start",
    )
    return over(request, change)


async def try_start(w: Wire, change: Start, note: str = "") -> None:
    request = w.start_request()
    request.ClearField("request_id")
    reply = await w.attempt(w.rpc.StartWorkflowExecution, over(request, change), note=note)
    w.transcript.ran(w.name, reply.run_id if reply else "")


async def try_signal_with_start(w: Wire, change: SignalWithStart | None = None, note: str = "") -> None:
    reply = await w.attempt(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w, change), note=note)
    w.transcript.ran(w.name, reply.run_id if reply else "")


@scenario
async def policies_signal_with_start_running(w: Wire) -> None:
    """Every policy of a signal-with-start on an id whose workflow runs."""
    for index, ((reuse, reuse_policy), (conflict, conflict_policy)) in enumerate(
        product(REUSE.items(), CONFLICT.items())
    ):
        other = w.other(str(index))
        await other.start()
        change = SignalWithStart(workflow_id_reuse_policy=reuse_policy, workflow_id_conflict_policy=conflict_policy)
        await try_signal_with_start(other, change, f"reuse {reuse}, conflict {conflict}")


@scenario
async def policies_signal_with_start_closed(w: Wire) -> None:
    """Every policy of a signal-with-start on an id whose workflow completed."""
    for index, ((reuse, reuse_policy), (conflict, conflict_policy)) in enumerate(
        product(REUSE.items(), CONFLICT.items())
    ):
        other = w.other(str(index))
        await other.start()
        await other.turn(complete_workflow())
        change = SignalWithStart(workflow_id_reuse_policy=reuse_policy, workflow_id_conflict_policy=conflict_policy)
        await try_signal_with_start(other, change, f"reuse {reuse}, conflict {conflict}")


@scenario
async def policies_attach_everything(w: Wire) -> None:
    """Request id and links are attached; a second event for the next request."""
    await w.start()
    await w.turn()
    every = OnConflictOptions(attach_request_id=True, attach_links=True)
    change = Start(
        workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=every, links=[LINK], input=payloads("ignored")
    )
    await try_start(w, over(Start(request_id="second"), change), "attach")
    await try_start(w, over(Start(request_id="third"), change), "attach another")
    await try_start(w, over(Start(request_id="second"), change), "the first again")
    await w.describe()


@scenario
async def policies_attach_parts(w: Wire) -> None:
    """Each part alone."""
    await w.start()
    await w.turn()
    options = {
        "nothing": OnConflictOptions(),
        "links": OnConflictOptions(attach_links=True),
        "request id": OnConflictOptions(attach_request_id=True),
        "callbacks": OnConflictOptions(attach_completion_callbacks=True),
        "request id and callbacks": OnConflictOptions(attach_request_id=True, attach_completion_callbacks=True),
    }
    for note, option in options.items():
        change = Start(
            request_id=note, workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=option, links=[LINK]
        )
        await try_start(w, change, note)
    await w.describe()


@scenario
async def policies_attach_without_request_id(w: Wire) -> None:
    """The server makes up the request id that is attached."""
    await w.start()
    await w.turn()
    change = Start(
        workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=OnConflictOptions(attach_request_id=True)
    )
    await try_start(w, change, "no request id")


@scenario
async def policies_conflict_options_without_conflict(w: Wire) -> None:
    """Where nothing runs, or another policy holds, the options mean nothing."""
    options = OnConflictOptions(attach_request_id=True, attach_links=True)
    await try_start(w, Start(request_id="1", on_conflict_options=options, links=[LINK]), "nothing runs")
    await try_start(w, Start(request_id="2", on_conflict_options=options), "fail")
    change = Start(request_id="3", on_conflict_options=options, workflow_id_conflict_policy=TERMINATE)
    await try_start(w, change, "terminate")


@scenario
async def policies_attach_with_task_started(w: Wire) -> None:
    """An attachment waits for the workflow task; one that completes the run has not seen it."""
    await w.start()
    task = await w.workflow_task()
    change = Start(
        request_id="second",
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
    )
    await try_start(w, change, "attach")
    await w.describe()
    await try_start(w, change, "again")
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.describe()
    await w.turn(complete_workflow())
    await try_start(w, change, "again, after the close")


@scenario
async def policies_attached_request_is_of_its_run(w: Wire) -> None:
    """The next run of the chain does not know whom the one before was attached to."""
    await w.start()
    change = Start(
        request_id="second",
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
    )
    await try_start(w, change, "attach")
    await w.turn(CONTINUE_IN_TWO_SECONDS)
    await w.describe()
    await try_start(w, change, "again, to the next run")
    await try_start(w, Start(request_id="start", workflow_id_conflict_policy=USE_EXISTING), "the first start")
    await w.turn(complete_workflow())


@scenario
async def policies_use_existing_after_close(w: Wire) -> None:
    """A closed workflow is not used: the reuse policy decides."""
    await w.start()
    await w.turn(complete_workflow())
    await try_start(
        w, Start(request_id="2", workflow_id_conflict_policy=USE_EXISTING, workflow_id_reuse_policy=REJECT), "reject"
    )
    await try_start(w, Start(request_id="3", workflow_id_conflict_policy=USE_EXISTING), "allow")


@scenario
async def policies_terminate_what_is_delayed(w: Wire) -> None:
    """A run that has not begun yet is terminated like any other."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    await try_start(w, Start(request_id="2", workflow_id_conflict_policy=TERMINATE), "terminate")


@scenario
async def policies_terminate_buffered(w: Wire) -> None:
    """What the old run had not written yet is written before its end."""
    await w.start()
    await w.workflow_task()
    await w.signal()
    await try_start(w, Start(request_id="2", workflow_id_conflict_policy=TERMINATE), "terminate")
    await try_start(w, Start(request_id="2", workflow_id_conflict_policy=TERMINATE), "repeated")


@scenario
async def policies_signal_with_start_repeated(w: Wire) -> None:
    """A request id is taken once: as a start, and as a signal."""
    await try_signal_with_start(w, note="first")
    await try_signal_with_start(w, note="repeated")
    await try_signal_with_start(w, SignalWithStart(request_id="other"), note="other")
    await try_signal_with_start(w, SignalWithStart(request_id="other"), note="other, repeated")
    await w.turn(complete_workflow())
    await try_signal_with_start(w, SignalWithStart(request_id="other"), note="other, after the close")


@scenario
async def delay_signal_with_start_hastens(w: Wire) -> None:
    """A signal-with-start of a delayed run makes its first workflow task at once."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    await try_signal_with_start(w)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def delay_of_signal_with_start(w: Wire) -> None:
    """A signal-with-start may be delayed itself: its signal waits with it."""
    await try_signal_with_start(w, SignalWithStart(workflow_start_delay=seconds(2)))
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def delay_and_cancel(w: Wire) -> None:
    """A request to cancel does not hasten a delayed run."""
    await w.start(Start(workflow_start_delay=seconds(1)))
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def delay_and_terminate(w: Wire) -> None:
    """A delayed run can be terminated."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    await w.terminate()
    await w.describe()


@scenario
async def delay_and_update(w: Wire) -> None:
    """An update of a delayed run makes its first workflow task at once; even a rejected one ends the delay."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    waits = ask(w, update(w))
    await admitted(w)
    await w.describe()
    task = await w.workflow_task()
    await say(w, task, reject(task))
    await waits
    await w.describe()


@scenario
async def delay_ended_by_an_update(w: Wire) -> None:
    """An update that is accepted begins the run."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    waits = ask(w, update(w))
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await waits
    await w.describe()
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def delay_and_timeouts(w: Wire) -> None:
    """A run's time begins after the delay; the execution's does not."""
    await w.start(Start(workflow_start_delay=seconds(1), workflow_run_timeout=seconds(1)))
    await w.describe()
    await w.closed()
    other = w.other("execution")
    await other.start(Start(workflow_start_delay=seconds(2), workflow_execution_timeout=seconds(1)))
    await other.describe()
    await other.closed()


@scenario
async def delay_of_nothing(w: Wire) -> None:
    """A delay of zero is none; a negative one is refused."""
    await w.start(Start(workflow_start_delay=seconds(0)))
    await w.turn(complete_workflow())
    request = w.start_request(Start(request_id="2", workflow_start_delay=seconds(-1)))
    await w.attempt(w.rpc.StartWorkflowExecution, request, note="negative")


@scenario
async def delay_and_options(w: Wire) -> None:
    """Attaching to a delayed run does not hasten it."""
    await w.start(Start(workflow_start_delay=seconds(2)))
    change = Start(
        request_id="second",
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
    )
    await try_start(w, change)
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)


async def try_eager(w: Wire, change: Start, note: str) -> None:
    await try_start(w, over(Start(request_id="start", request_eager_execution=True), change), note)


@scenario
async def eager_where_it_cannot_be(w: Wire) -> None:
    """A run that waits before its first task is not started eagerly."""
    await try_eager(w.other("delay"), Start(workflow_start_delay=seconds(60)), "delay")
    await try_eager(w.other("cron"), Start(cron_schedule="0 0 1 1 *"), "cron")
    await try_eager(w.other("zero"), Start(workflow_start_delay=seconds(0)), "delay of zero")


@scenario
async def eager_repeated(w: Wire) -> None:
    """A repetition of the start gets the task again, as long as it is started and not answered."""
    await try_eager(w, Start(), "first")
    await try_eager(w, Start(), "repeated")
    request = w.start_request(Start(request_eager_execution=True))
    reply = await w.call(w.rpc.StartWorkflowExecution, request, note="again")
    await w.complete(reply.eager_workflow_task)
    await try_eager(w, Start(), "repeated after the answer")


@scenario
async def eager_repeated_after_failure(w: Wire) -> None:
    """The second attempt of the task comes from the queue."""
    request = w.start_request(Start(request_eager_execution=True))
    reply = await w.call(w.rpc.StartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.fail_workflow_task(reply.eager_workflow_task)
    await try_eager(w, Start(), "repeated")
    await w.turn(complete_workflow())


@scenario
async def eager_with_policies(w: Wire) -> None:
    """A start that finds a run gets no task; one that replaces it does."""
    await w.start()
    await try_eager(w, Start(request_id="-use", workflow_id_conflict_policy=USE_EXISTING), "use existing")
    await try_eager(w, Start(request_id="-terminate", workflow_id_conflict_policy=TERMINATE), "terminate")


@scenario
async def eager_task_times_out(w: Wire) -> None:
    """A task that the client does not answer comes from the queue after its time."""
    await try_eager(w, Start(workflow_task_timeout=seconds(1)), "start")
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    await w.workflow_task()
    await w.terminate()


@scenario
async def start_bad_override(w: Wire) -> None:
    """Overrides that make no sense, and whether it matters that the workflow is there already."""
    cases = {
        "empty": VersioningOverride(),
        "pinned without version": VersioningOverride(pinned=Pinned(behavior=PINNED)),
        "pinned without behavior": VersioningOverride(pinned=Pinned(version=PIN.pinned.version)),
        "pinned with neither": VersioningOverride(pinned=Pinned()),
        "old pinned": VersioningOverride(behavior=OLD_PINNED),
        "old pinned with version": VersioningOverride(behavior=OLD_PINNED, pinned_version="shop.1"),
        "old pinned with odd version": VersioningOverride(behavior=OLD_PINNED, pinned_version="shop"),
        "old auto upgrade with version": VersioningOverride(behavior=OLD_AUTO, pinned_version="shop.1"),
        "auto upgrade false": VersioningOverride(auto_upgrade=False),
        "pinned": PIN,
    }
    for note, override in cases.items():
        await try_start(w, Start(request_id="start", versioning_override=override), note)
    await w.start()
    for note in ("empty", "pinned"):
        await try_start(w, Start(request_id="start", versioning_override=cases[note]), f"{note}, repeated")
        await try_start(w, Start(request_id="other", versioning_override=cases[note]), f"{note}, running")
        change = SignalWithStart(versioning_override=cases[note])
        await try_signal_with_start(w, change, f"{note}, running")


@scenario
async def start_override_survives_reuse(w: Wire) -> None:
    """A new run of the same id has what its own start says."""
    await w.start(Start(versioning_override=AUTO, priority=Priority(priority_key=2)))
    await w.turn(complete_workflow())
    await w.start(Start(request_id="second"))
    await w.describe()


@scenario
async def policies_many_attached(w: Wire) -> None:
    """How many requests a run can be attached to."""
    await w.start()
    await w.turn()
    for number in range(30):
        change = Start(
            request_id=f"request {number}",
            workflow_id_conflict_policy=USE_EXISTING,
            on_conflict_options=OnConflictOptions(attach_request_id=True),
        )
        await try_start(w, change, str(number))
    await w.describe()


@scenario
async def policies_request_of_a_signal(w: Wire) -> None:
    """The request id of a signal is not that of a start."""
    await w.start()
    await w.signal(api.SignalWorkflowExecutionRequest(request_id="signal"))
    await try_start(w, Start(request_id="signal"), "the signal's")
    await w.describe()


@scenario
async def policies_signal_with_start_of_started(w: Wire) -> None:
    """A signal-with-start with the request id of the start that made the run signals it."""
    await w.start()
    await try_signal_with_start(w, SignalWithStart(request_id="start"), "the start's")


@scenario
async def policies_signal_with_start_repeated_after_close(w: Wire) -> None:
    """Is a signal-with-start taken twice if the run that it made has closed?"""
    await try_signal_with_start(w, note="first")
    await w.turn(complete_workflow())
    await try_signal_with_start(w, note="repeated")


@scenario
async def policies_terminate_by_signal_with_start(w: Wire) -> None:
    """A signal-with-start may replace the running workflow."""
    await w.start()
    await w.workflow_task()
    await try_signal_with_start(w, SignalWithStart(workflow_id_conflict_policy=TERMINATE))


@scenario
async def policies_terminate_by_signal_with_start_repeated(w: Wire) -> None:
    """Does a repetition replace the run that the first one made?"""
    await w.start()
    change = SignalWithStart(workflow_id_conflict_policy=TERMINATE)
    await try_signal_with_start(w, change, "first")
    await try_signal_with_start(w, change, "repeated")


@scenario
async def policies_start_with_cron_running(w: Wire) -> None:
    """A cron workflow that waits for its slot runs."""
    await w.start(Start(cron_schedule="0 0 1 1 *"))
    await try_start(w, Start(request_id="2"), "fail")
    await try_start(w, Start(request_id="3", workflow_id_conflict_policy=USE_EXISTING), "use existing")
    await try_signal_with_start(w, note="signal")
    await w.describe()


@scenario
async def delay_cron_and_cancel(w: Wire) -> None:
    """A request to cancel makes the first task of a cron workflow at once."""
    await w.start(Start(cron_schedule="0 0 1 1 *"))
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.describe()
    await w.turn(cancel_workflow())


@scenario
async def delay_with_retry(w: Wire) -> None:
    """A retry waits for its back-off, not for the delay of the start."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(0.2))
    await w.start(Start(workflow_start_delay=seconds(1), retry_policy=policy))
    await w.turn(fail_workflow())
    await w.turn(complete_workflow())


@scenario
async def delay_and_query(w: Wire) -> None:
    """A query before the first task is refused."""
    await w.start(Start(workflow_start_delay=seconds(60)))
    query = api.QueryWorkflowRequest(
        namespace=w.namespace, execution=w.execution(), query=WorkflowQuery(query_type="q")
    )
    await w.attempt(w.rpc.QueryWorkflow, query)
