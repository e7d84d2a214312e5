"""What travels along with calls and commands: links, headers, priorities and descriptions for people."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Header, Link, Payload, Priority, WorkflowExecution
from temporalio.api.enums.v1 import EventType, QueryResultType, WorkflowIdConflictPolicy
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.sdk.v1 import UserMetadata

from tests.conformance.commands import (
    complete_workflow,
    continue_as_new,
    payload,
    payloads,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.updates import accept, admitted, ask, idle_workflow, respond, say, update
from tests.conformance.wire import Wire

EVENT = Link(
    workflow_event=Link.WorkflowEvent(
        namespace="default",
        workflow_id="caller",
        run_id="caller-run",
        event_ref=Link.WorkflowEvent.EventReference(
            event_id=7, event_type=EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED
        ),
    )
)
REQUEST = Link(
    workflow_event=Link.WorkflowEvent(
        namespace="default",
        workflow_id="caller",
        run_id="caller-run",
        request_id_ref=Link.WorkflowEvent.RequestIdReference(
            request_id="request", event_type=EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED
        ),
    )
)
JOB = Link(batch_job=Link.BatchJob(job_id="job"))
Start = api.StartWorkflowExecutionRequest
Signal = api.SignalWorkflowExecutionRequest


def header(text: str) -> Header:
    """A header of one field."""
    return Header(fields={"trace": payload(text)})


def with_start(
    w: Wire, change: api.SignalWithStartWorkflowExecutionRequest
) -> api.SignalWithStartWorkflowExecutionRequest:
    """A signal to the scenario's workflow, which is started if it is not there."""
    start = w.start_request()
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace,
        workflow_id=w.id(),
        workflow_type=start.workflow_type,
        task_queue=start.task_queue,
        identity="client",
        request_id="with-start",
        signal_name="signal",
    )
    request.MergeFrom(change)
    return request


@scenario
async def links_of_calls(w: Wire) -> None:
    """The events that calls cause carry the calls' links; replies tell where they are."""
    await w.start(Start(links=[EVENT, JOB]))
    await w.signal(Signal(links=[REQUEST], request_id="signal"))
    await w.turn()
    cancel = w.cancel_request(api.RequestCancelWorkflowExecutionRequest(links=[EVENT, REQUEST]))
    await w.call(w.rpc.RequestCancelWorkflowExecution, cancel)
    await w.workflow_task()
    end = w.terminate_request(api.TerminateWorkflowExecutionRequest(links=[JOB]))
    await w.call(w.rpc.TerminateWorkflowExecution, end)


@scenario
async def links_of_signal_with_start(w: Wire) -> None:
    """Both events of a signal with start carry the links; to a running workflow there is one."""
    request = with_start(w, api.SignalWithStartWorkflowExecutionRequest(links=[EVENT]))
    await w.call(w.rpc.SignalWithStartWorkflowExecution, request)
    request.request_id = "again"
    await w.call(w.rpc.SignalWithStartWorkflowExecution, request)


@scenario
async def links_while_task_is_started(w: Wire) -> None:
    """Events that wait for a task keep their links."""
    await w.start()
    task = await w.workflow_task()
    await w.signal(Signal(links=[EVENT], request_id="waiting"))
    await w.describe()
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def links_of_kinds(w: Wire) -> None:
    """Which kinds of links a start may have, and what they must say."""
    links = {
        "none": Link(),
        "no reference": Link(workflow_event=Link.WorkflowEvent(namespace="n", workflow_id="w", run_id="r")),
        "no namespace": Link(workflow_event=Link.WorkflowEvent(workflow_id="w", run_id="r")),
        "no workflow": Link(workflow_event=Link.WorkflowEvent(namespace="n", run_id="r")),
        "no run": Link(workflow_event=Link.WorkflowEvent(namespace="n", workflow_id="w")),
        "event id without type": Link(
            workflow_event=Link.WorkflowEvent(
                namespace="n",
                workflow_id="w",
                run_id="r",
                event_ref=Link.WorkflowEvent.EventReference(event_id=3),
            )
        ),
        "request without id": Link(
            workflow_event=Link.WorkflowEvent(
                namespace="n", workflow_id="w", run_id="r", request_id_ref=Link.WorkflowEvent.RequestIdReference()
            )
        ),
        "batch job": JOB,
        "batch job without id": Link(batch_job=Link.BatchJob()),
        "activity": Link(activity=Link.Activity(namespace="n", activity_id="a", run_id="r")),
        "activity without id": Link(activity=Link.Activity(namespace="n", run_id="r")),
        "activity without namespace": Link(activity=Link.Activity(activity_id="a", run_id="r")),
        "activity without run": Link(activity=Link.Activity(namespace="n", activity_id="a")),
        "nexus operation without namespace": Link(nexus_operation=Link.NexusOperation(operation_id="o", run_id="r")),
        "nexus operation without run": Link(nexus_operation=Link.NexusOperation(namespace="n", operation_id="o")),
        "callback": Link(callback=Link.Callback(namespace="n")),
        "nexus operation": Link(nexus_operation=Link.NexusOperation(namespace="n", operation_id="o", run_id="r")),
        "nexus operation without id": Link(nexus_operation=Link.NexusOperation(namespace="n", run_id="r")),
        "workflow": Link(workflow=Link.Workflow(namespace="n", workflow_id="w", run_id="r", reason="why")),
        "workflow without id": Link(workflow=Link.Workflow(namespace="n", run_id="r")),
    }
    for number, (note, link) in enumerate(links.items()):
        other = w.other(str(number))
        await other.attempt(w.rpc.StartWorkflowExecution, other.start_request(Start(links=[link])), note=note)


@scenario
async def links_too_many(w: Wire) -> None:
    """Ten links are taken with each call, eleven are not."""
    many = [JOB] * 11
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(Start(links=many)))
    await w.attempt(
        w.rpc.SignalWithStartWorkflowExecution,
        with_start(w, api.SignalWithStartWorkflowExecutionRequest(links=many)),
    )
    await w.start(Start(links=many[:10]))
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(links=many)))
    cancel = api.RequestCancelWorkflowExecutionRequest(links=many)
    await w.attempt(w.rpc.RequestCancelWorkflowExecution, w.cancel_request(cancel))
    end = api.TerminateWorkflowExecutionRequest(links=many)
    await w.attempt(w.rpc.TerminateWorkflowExecution, w.terminate_request(end))


@scenario
async def links_too_large(w: Wire) -> None:
    """A link has a size."""
    large = Link(batch_job=Link.BatchJob(job_id="x" * 4000))
    await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(Start(links=[JOB, large])))
    await w.start()
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(links=[large])))


@scenario
async def links_of_updates(w: Wire) -> None:
    """An update's links are with the event of its acceptance; its reply tells where that is."""
    await idle_workflow(w)
    request = update(w)
    request.request.links.extend([EVENT, JOB])
    request.request.request_id = "update-request"
    asked = ask(w, request)
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked
    await w.describe()


@scenario
async def links_of_start_that_finds_it_running(w: Wire) -> None:
    """A start that only finds its workflow there leaves no links, unless it asks for it."""
    await w.start()
    use_existing = Start(
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        links=[EVENT],
    )
    use_existing.request_id = "another"
    await w.call(w.rpc.StartWorkflowExecution, w.start_request(use_existing))


@scenario
async def link_of_query(w: Wire) -> None:
    """The reply to a query of a closed workflow has its link."""
    await w.start()
    await w.turn(complete_workflow())
    query = api.QueryWorkflowRequest(
        namespace=w.namespace, execution=w.execution(), query=WorkflowQuery(query_type="q", header=header("query"))
    )
    waiting = asyncio.create_task(w.attempt(w.rpc.QueryWorkflow, query))
    task = await w.workflow_task()
    await w.call(
        w.rpc.RespondQueryTaskCompleted,
        api.RespondQueryTaskCompletedRequest(
            namespace=w.namespace,
            task_token=task.task_token,
            completed_type=QueryResultType.QUERY_RESULT_TYPE_ANSWERED,
            query_result=payloads("answer"),
        ),
    )
    await waiting


@scenario
async def headers_travel(w: Wire) -> None:
    """Headers of starts, signals and commands reach the events and whoever is asked."""
    await w.start(Start(header=header("start")))
    await w.signal(Signal(header=header("signal")))
    await w.turn(
        schedule_activity("a", w.id("activities"), Schedule(header=header("activity"))),
    )
    await w.complete_activity(await w.activity_task(w.id("activities")))
    await w.turn(start_child(w.id("child"), w.id("child"), StartChild(header=header("child"))))
    child = WorkflowExecution(workflow_id=w.id("child"))
    await w.turn(signal_external(SignalExternal(execution=child, signal_name="s", header=header("external"))))
    await w.turn()
    await w.other("child").turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def headers_of_the_next_run(w: Wire) -> None:
    """The run that continues another has the header of the command, or none."""
    await w.start(Start(header=header("first")))
    await w.turn(continue_as_new(Continue(header=header("second"), backoff_start_interval=seconds(1))))
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(1))))
    await w.turn(complete_workflow())


@scenario
async def priorities_of_activities(w: Wire) -> None:
    """What an activity's priority leaves open is its workflow's, where tasks are given out."""
    whole = Priority(priority_key=2, fairness_key="fair", fairness_weight=2.5)
    await w.start(Start(priority=whole))
    partial = {
        "none": Schedule(),
        "key": Schedule(priority=Priority(priority_key=4)),
        "fairness": Schedule(priority=Priority(fairness_key="other")),
        "weight": Schedule(priority=Priority(fairness_weight=0.5)),
        "all": Schedule(priority=Priority(priority_key=1, fairness_key="all", fairness_weight=9)),
    }
    for name, change in partial.items():
        await w.turn(schedule_activity(name, w.id(name), change))
        await w.complete_activity(await w.activity_task(w.id(name)))
    await w.turn(complete_workflow())


@scenario
async def priorities_of_children(w: Wire) -> None:
    """So is what a child's leaves open."""
    await w.start(Start(priority=Priority(priority_key=2, fairness_key="fair", fairness_weight=2.5)))
    partial = {
        "none": StartChild(),
        "key": StartChild(priority=Priority(priority_key=4)),
        "weight": StartChild(priority=Priority(fairness_weight=0.5)),
    }
    for name, change in partial.items():
        await w.turn(start_child(w.id(name), w.id(name), change))
        await w.turn()  # it is told that its child has begun
        child = w.other(name)
        await child.turn(complete_workflow())
        await child.describe()
    await w.turn(complete_workflow())


@scenario
async def priority_of_the_next_run(w: Wire) -> None:
    """The run that continues another has its priority."""
    await w.start(Start(priority=Priority(priority_key=5, fairness_key="fair")))
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(1))))
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def metadata_of_starts(w: Wire) -> None:
    """What a start says for people is in its event, in descriptions, and in the run that follows."""
    words = UserMetadata(summary=payload("short"), details=payload("long"))
    await w.start(Start(user_metadata=words))
    await w.describe()
    await w.turn(continue_as_new(Continue(backoff_start_interval=seconds(1))))
    await w.workflow_task()
    await w.describe()
    other = w.other("with-start")
    request = with_start(other, api.SignalWithStartWorkflowExecutionRequest(user_metadata=words))
    await other.call(w.rpc.SignalWithStartWorkflowExecution, request)
    await other.describe()


@scenario
async def metadata_too_large(w: Wire) -> None:
    """A summary or details that are too large are refused."""
    for note, words in {
        "summary": UserMetadata(summary=Payload(data=b"x" * 400)),
        "details": UserMetadata(details=Payload(data=b"x" * 20_000)),
        "both": UserMetadata(summary=Payload(data=b"x" * 400), details=Payload(data=b"x" * 20_000)),
        "fitting": UserMetadata(summary=Payload(data=b"x" * 397), details=Payload(data=b"x" * 19_996)),
    }.items():
        await w.attempt(w.rpc.StartWorkflowExecution, w.start_request(Start(user_metadata=words)), note=note)
        request = with_start(w, api.SignalWithStartWorkflowExecutionRequest(user_metadata=words))
        await w.attempt(w.rpc.SignalWithStartWorkflowExecution, request, note=note)
