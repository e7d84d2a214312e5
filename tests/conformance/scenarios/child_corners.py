"""Children at the corners: every end of a parent or a child, chains of runs on either side, ids in use."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Header, Memo, Payload, RetryPolicy, SearchAttributes
from temporalio.api.enums.v1 import EventType, ParentClosePolicy, WorkflowIdReusePolicy

from tests.conformance.commands import (
    cancel_workflow,
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
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.children import STARTED, start_with_child
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
ABANDON = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
CANCEL = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
POLICIES = (ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE, CANCEL, ABANDON)


async def with_three_children(w: Wire, start: Start | None = None) -> list[Wire]:
    """A parent with a child of each parent close policy, all started; gives hands on the children."""
    children = [w.other(name) for name in ("terminate", "cancel", "abandon")]
    await w.start(start)
    for child, policy in zip(children, POLICIES, strict=True):
        await w.turn(start_child(child.name, child.queue, StartChild(parent_close_policy=policy)))
        await child.turn()
    return children


async def after_the_parent(children: list[Wire]) -> None:
    """Hold what the close of the parent did to the children: ended, asked, left alone."""
    ended, asked, alone = children
    await ended.closed()
    await asked.turn(cancel_workflow())
    await alone.describe()
    await alone.terminate()


@scenario
async def child_parent_completes(w: Wire) -> None:
    """Each parent close policy when the parent completes."""
    children = await with_three_children(w)
    await w.turn(complete_workflow())
    await after_the_parent(children)


@scenario
async def child_parent_fails(w: Wire) -> None:
    """Each parent close policy when the parent fails."""
    children = await with_three_children(w)
    await w.turn(fail_workflow())
    await after_the_parent(children)


@scenario
async def child_parent_cancelled(w: Wire) -> None:
    """Each parent close policy when the parent gives in to a cancellation."""
    children = await with_three_children(w)
    await w.turn(cancel_workflow())
    await after_the_parent(children)


@scenario
async def child_parent_terminated(w: Wire) -> None:
    """Each parent close policy when the parent is terminated."""
    children = await with_three_children(w)
    await w.terminate()
    await after_the_parent(children)


@scenario
async def child_parent_times_out(w: Wire) -> None:
    """Each parent close policy when the parent's time is over."""
    children = await with_three_children(w, Start(workflow_run_timeout=seconds(3)))
    await w.turn()
    await after_the_parent(children)


@scenario
async def child_parent_continues_as_new(w: Wire) -> None:
    """Each parent close policy when the parent goes on in a new run."""
    children = await with_three_children(w)
    await w.turn(continue_in_a_second())
    await after_the_parent(children)
    await w.turn(complete_workflow())


@scenario
async def child_parent_retried(w: Wire) -> None:
    """Each parent close policy when the parent fails and is tried again."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    children = await with_three_children(w, Start(retry_policy=policy))
    await w.turn(fail_workflow())
    await after_the_parent(children)
    await w.turn(complete_workflow())


@scenario
async def child_parent_with_cron(w: Wire) -> None:
    """Each parent close policy when the parent's next slot follows."""
    children = await with_three_children(w, Start(cron_schedule="@every 1s"))
    await w.turn(complete_workflow())
    await after_the_parent(children)
    await w.turn()
    await w.terminate()


@scenario
async def child_closes_with_details(w: Wire) -> None:
    """What the parent learns of a child that gave up, failed in a wrapped way, or returned nothing."""
    why = failure("outer")
    why.cause.CopyFrom(failure("inner", "Inner"))
    for index, close in enumerate((cancel_workflow("why", "not"), fail_workflow(why), complete_workflow())):
        other = w.other(str(index))
        child = await start_with_child(other)
        await child.turn(close)
        await other.turn(complete_workflow())


@scenario
async def child_that_times_out_is_retried(w: Wire) -> None:
    """The parent hears of the last attempt's time-out only."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    await start_with_child(w, StartChild(retry_policy=policy, workflow_run_timeout=seconds(1)))
    await w.turn(complete_workflow())


@scenario
async def child_with_an_execution_timeout(w: Wire) -> None:
    """The time of the whole chain ends a child that continues as new."""
    child = await start_with_child(w, StartChild(workflow_execution_timeout=seconds(3)))
    await child.turn(continue_in_a_second())
    await child.turn()
    await w.turn(complete_workflow())


@scenario
async def child_with_cron(w: Wire) -> None:
    """A child that comes again: the parent waits until the chain is ended."""
    child = await start_with_child(w, StartChild(cron_schedule="@every 1s"))
    await child.turn(complete_workflow("one"))
    await child.turn(fail_workflow())
    await child.terminate()
    await w.turn(complete_workflow())


@scenario
async def child_with_cron_cancelled(w: Wire) -> None:
    """A cron child that gives up ends the chain."""
    child = await start_with_child(w, StartChild(cron_schedule="@every 1s"))
    await child.turn(complete_workflow("one"))
    await child.turn(cancel_workflow("enough"))
    await w.turn(complete_workflow())


@scenario
async def child_continues_then_fails(w: Wire) -> None:
    """Continue-as-new, retry, and then an end that the parent hears of, with the last run's id."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    child = await start_with_child(w, StartChild(retry_policy=policy))
    await child.turn(continue_as_new(Continue(backoff_start_interval=seconds(1), retry_policy=policy)))
    await child.turn(fail_workflow(failure("first")))
    await w.describe()
    await child.turn(fail_workflow(failure("second")))
    await w.turn(complete_workflow())


@scenario
async def child_continues_as_another_type(w: Wire) -> None:
    """The parent knows the child by the type it was started as."""
    child = await start_with_child(w)
    change = Continue(backoff_start_interval=seconds(1))
    change.workflow_type.name = "Other"
    await child.turn(continue_as_new(change))
    await child.describe()
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_id_in_use_by_policies(w: Wire) -> None:
    """Each reuse policy against a running workflow of that id."""
    taken = w.other("taken")
    await taken.start()
    await w.start()
    for policy in WorkflowIdReusePolicy.values():
        if policy != WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
            await w.turn(start_child(taken.name, taken.queue, StartChild(workflow_id_reuse_policy=policy)))
    await w.turn(complete_workflow())
    await taken.describe()


@scenario
async def child_id_in_use_terminate(w: Wire) -> None:
    """A child that replaces a running workflow of its id."""
    taken = w.other("taken")
    first = await taken.start()
    await w.start()
    policy = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    await w.turn(start_child(taken.name, taken.queue, StartChild(workflow_id_reuse_policy=policy)))
    await w.turn(complete_workflow())
    await taken.closed()
    await taken.describe("", first)


@scenario
async def child_id_closed_by_policies(w: Wire) -> None:
    """Each reuse policy against a workflow of that id that completed, or failed."""
    for index, close in enumerate((complete_workflow(), fail_workflow())):
        for name in ("ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE", "ALLOW_DUPLICATE"):
            other = w.other(f"{index}-{name}")
            taken = other.other("taken")
            await taken.start()
            await taken.turn(close)
            await other.start()
            policy = WorkflowIdReusePolicy.Value(f"WORKFLOW_ID_REUSE_POLICY_{name}")
            change = StartChild(workflow_id_reuse_policy=policy, control="mine")
            await other.turn(start_child(taken.name, taken.queue, change))
            await other.turn(complete_workflow())
            if name == "ALLOW_DUPLICATE" or (name == "ALLOW_DUPLICATE_FAILED_ONLY" and index):
                await taken.event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED)


@scenario
async def child_of_the_parents_id(w: Wire) -> None:
    """A workflow cannot be its own child."""
    await w.start()
    await w.turn(start_child(w.name, w.queue))
    await w.turn(complete_workflow())


@scenario
async def child_same_id_twice(w: Wire) -> None:
    """Two children of one id in a row: the second does not start."""
    child = await start_with_child(w)
    await w.signal()
    await w.turn(start_child(child.name, child.queue))
    await w.turn()
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_inherits_nothing(w: Wire) -> None:
    """A child gets what its command says, not its parent's memo, header, attributes, priority or policies."""
    request = Start(
        workflow_execution_timeout=seconds(100),
        workflow_run_timeout=seconds(50),
        workflow_task_timeout=seconds(5),
        memo=Memo(fields={"one": payload("1")}),
        search_attributes=shade("green"),
        header=Header(fields={"trace": payload("on")}),
        retry_policy=RetryPolicy(maximum_attempts=3),
    )
    request.priority.priority_key = 2
    request.priority.fairness_key = "fair"
    child = w.other("child")
    await w.start(request)
    change = StartChild()
    change.priority.fairness_key = "fairer"
    await w.turn(start_child(child.name, child.queue, change))
    await w.turn()
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_timeouts_fitted(w: Wire) -> None:
    """A child's run time is fitted to its execution time, and its task time to its run time."""
    changes = (
        StartChild(workflow_execution_timeout=seconds(10), workflow_run_timeout=seconds(20)),
        StartChild(workflow_execution_timeout=seconds(10)),
        StartChild(workflow_run_timeout=seconds(5), workflow_task_timeout=seconds(9)),
        StartChild(workflow_task_timeout=seconds(600)),
        StartChild(workflow_execution_timeout=seconds(0), workflow_run_timeout=seconds(0)),
    )
    await w.start()
    for index, change in enumerate(changes):
        await w.turn(start_child(w.id(f"c{index}"), w.id("nobody"), change))
    await w.turn(complete_workflow())
    for index in range(len(changes)):
        await w.closed(w.id(f"c{index}"))


@scenario
async def child_of_a_child(w: Wire) -> None:
    """Three generations: the root is the first; the end of the first takes all with it."""
    child = await start_with_child(w)
    await child.turn(start_child(w.id("grandchild"), w.id("grandchild")))
    await child.event(STARTED)
    await child.describe(w.id("grandchild"))
    await w.terminate()
    await child.closed()
    await child.closed(w.id("grandchild"))


@scenario
async def child_signalled_before_it_has_a_task(w: Wire) -> None:
    """A signal in the list that starts the child: it shares the child's first task."""
    child = w.other("child")
    await w.start()
    await w.turn(start_child(child.name, child.queue))
    await w.turn(signal_external(SignalExternal(execution=w.execution(child.name), signal_name="hi")))
    await w.turn()
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_cancelled_by_a_client_before_it_has_a_task(w: Wire) -> None:
    """A client's request reaches the child before its worker does."""
    child = await start_with_child(w)
    await child.call(w.rpc.RequestCancelWorkflowExecution, child.cancel_request())
    await child.turn(cancel_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_abandoned_in_the_last_task(w: Wire) -> None:
    """A child that is started by the list that closes its parent is not started, though it is to be left alone."""
    await w.start()
    child = w.other("child")
    await w.turn(start_child(child.name, child.queue, StartChild(parent_close_policy=ABANDON)), complete_workflow())
    await child.no_workflow_task()


@scenario
async def child_to_be_cancelled_in_the_last_task(w: Wire) -> None:
    """A child that is started by the list that closes its parent, and is to be asked to stop."""
    await w.start()
    await w.turn(start_child(w.id("child"), w.id("child"), StartChild(parent_close_policy=CANCEL)), complete_workflow())


@scenario
async def child_closes_while_its_parent_works(w: Wire) -> None:
    """The end of a child waits for the parent's task, and refuses the parent's completion."""
    child = await start_with_child(w)
    await w.signal()
    task = await w.workflow_task()
    await child.turn(complete_workflow("out"))
    # Nothing tells when the buffered event has come; the next signal's turn shows its place.
    await w.let_time_pass(1)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def child_starts_while_its_parent_works(w: Wire) -> None:
    """Start and end of a child during one task of the parent: both wait, the start comes first."""
    child = w.other("child")
    await w.start()
    first = await w.workflow_task()
    await w.signal()
    change = api.RespondWorkflowTaskCompletedRequest(return_new_workflow_task=True)
    reply = await w.complete(first, start_child(child.name, child.queue), change=change)
    await child.turn(complete_workflow("out"))
    await w.let_time_pass(1)
    await w.complete(reply.workflow_task)
    await w.turn(complete_workflow())


@scenario
async def child_crowd_ends_with_its_parent(w: Wire) -> None:
    """More than ten children: their ends take a way of their own."""
    await w.start()
    for index in range(12):
        policy = CANCEL if index == 3 else ABANDON if index == 4 else POLICIES[0]
        await w.turn(start_child(w.id(f"c{index}"), w.id("nobody"), StartChild(parent_close_policy=policy)))
    await w.turn()
    for index in range(12):
        await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, w.id(f"c{index}"))
    await w.terminate()
    await w.event(CANCEL_REQUESTED, w.id("c3"))
    for index in (0, 1, 2, *range(5, 12)):
        await w.closed(w.id(f"c{index}"))


@scenario
async def child_retried_parent_told_of_nothing(w: Wire) -> None:
    """A child of an attempt that was followed by another does not tell the next attempt of its end."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    child = w.other("child")
    await w.start(Start(retry_policy=policy))
    await w.turn(start_child(child.name, child.queue, StartChild(parent_close_policy=ABANDON)))
    await w.turn(fail_workflow())
    await child.turn(complete_workflow("out"))
    await w.turn(complete_workflow())


@scenario
async def child_delayed_by_cron_is_cancelled_with_its_parent(w: Wire) -> None:
    """A child that waits for its slot is asked to stop: it keeps waiting."""
    await w.start()
    change = StartChild(parent_close_policy=CANCEL, cron_schedule="0 0 1 1 *", input=payloads("in"))
    await w.turn(start_child(w.id("child"), w.id("child"), change))
    await w.turn(complete_workflow())
    await w.event(CANCEL_REQUESTED, w.id("child"))


@scenario
async def child_bad_attributes(w: Wire) -> None:
    """Search attributes and memos that a child cannot have, and those that count as none."""
    nothing = Payload(metadata={"encoding": b"binary/null"})
    fields = {
        "wrong value": ("Weight", payload("heavy")),
        "system's": ("RunId", payload("x")),
        "null": ("Shade", nothing),
    }
    changes = {
        note: StartChild(search_attributes=SearchAttributes(indexed_fields={name: value}))
        for note, (name, value) in fields.items()
    }
    changes["large memo"] = StartChild(memo=Memo(fields={"big": Payload(data=b"x" * (2 * 1024 * 1024 + 1))}))
    changes["memo of nothing"] = StartChild(memo=Memo(fields={"one": nothing, "two": Payload()}))
    changes["empty memo"] = StartChild(memo=Memo())
    changes["empty attributes"] = StartChild(search_attributes=SearchAttributes())
    await w.each_alone({note: start_child(w.id(note), w.id("nobody"), change) for note, change in changes.items()})


@scenario
async def child_told_of_nothing_is_described(w: Wire) -> None:
    """A child whose memo and attributes count as none."""
    nothing = Payload(metadata={"encoding": b"binary/null"})
    change = StartChild(
        memo=Memo(fields={"one": nothing, "two": payload("2")}),
        search_attributes=SearchAttributes(indexed_fields={"Shade": nothing}),
    )
    child = await start_with_child(w, change)
    await child.describe()
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())
