"""Options of a running workflow: its versioning override and its priority, and who is told of changes."""

import temporalio.api.workflowservice.v1 as api
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.command.v1 import (
    ScheduleActivityTaskCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes,
)
from temporalio.api.common.v1 import Priority, RetryPolicy, WorkerVersionStamp
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import EventType, VersioningBehavior
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions

from tests.conformance.commands import (
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    schedule_activity,
    seconds,
    start_child,
)
from tests.conformance.pausing import pause, unpause
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire, over

Start = api.StartWorkflowExecutionRequest
Pinned = VersioningOverride.PinnedOverride
PINNED = VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED
Change = api.UpdateWorkflowExecutionOptionsRequest

OLD_PINNED = VersioningBehavior.VERSIONING_BEHAVIOR_PINNED
OLD_AUTO = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
AUTO = VersioningOverride(auto_upgrade=True)
PIN = VersioningOverride(
    pinned=Pinned(
        behavior=PINNED,
        version=WorkerDeploymentVersion(deployment_name="shop", build_id="1"),
    )
)
URGENT = Priority(priority_key=1, fairness_key="tenant", fairness_weight=2.5)


def change(w: Wire, mask: str | None, options: WorkflowExecutionOptions | None = None, **more: object) -> Change:
    """A change of what `mask` (paths, separated by commas) names."""
    request = Change(
        namespace=w.namespace,
        workflow_execution=w.execution(),
        workflow_execution_options=options,
        update_mask=None if mask is None else FieldMask(paths=mask.split(",") if mask else []),
        identity="client",
    )
    return over(request, Change(**more) if more else None)  # type: ignore[arg-type]  # fields by name


async def update(w: Wire, note: str, request: Change) -> None:
    await w.attempt(w.rpc.UpdateWorkflowExecutionOptions, request, note=note)


@scenario
async def options_priority(w: Wire) -> None:
    """Priority, as a whole and field by field."""
    await w.start()
    await w.turn()
    options = WorkflowExecutionOptions
    await update(w, "whole", change(w, "priority", options(priority=URGENT)))
    await update(w, "the same again", change(w, "priority", options(priority=URGENT)))
    await w.describe()
    await update(w, "key", change(w, "priority.priority_key", options(priority=Priority(priority_key=4))))
    await update(w, "weight", change(w, "priority.fairness_weight", options(priority=Priority(fairness_weight=1))))
    await update(w, "camel case", change(w, "priority.fairnessKey", options(priority=Priority(fairness_key="other"))))
    await update(w, "no key given", change(w, "priority.priority_key", options()))
    await w.describe()
    await update(w, "nothing given", change(w, "priority", options()))
    await w.describe()
    await update(w, "nothing given again", change(w, "priority", options()))


@scenario
async def options_bad_priority(w: Wire) -> None:
    """Priorities that make no sense."""
    await w.start()
    cases = {
        "negative key": Priority(priority_key=-1),
        "large key": Priority(priority_key=99),
        "long fairness key": Priority(fairness_key="x" * 65),
        "negative weight": Priority(fairness_weight=-1),
    }
    for note, priority in cases.items():
        await update(w, note, change(w, "priority", WorkflowExecutionOptions(priority=priority)))


@scenario
async def options_override(w: Wire) -> None:
    """An override of the version, set and taken back."""
    await w.start()
    await w.turn()
    options = WorkflowExecutionOptions
    await update(w, "auto upgrade", change(w, "versioning_override", options(versioning_override=AUTO)))
    await w.describe()
    await update(w, "the same again", change(w, "versioning_override", options(versioning_override=AUTO)))
    await update(w, "pinned", change(w, "versioning_override", options(versioning_override=PIN)))
    await w.describe()
    await update(w, "none", change(w, "versioning_override", options()))
    await w.describe()
    await update(w, "none again", change(w, "versioning_override", options()))
    await w.describe()


@scenario
async def options_bad_override(w: Wire) -> None:
    """Overrides that make no sense."""
    await w.start()
    cases = {
        "empty": VersioningOverride(),
        "pinned without version": VersioningOverride(pinned=Pinned(behavior=PINNED)),
        "pinned without behavior": VersioningOverride(pinned=Pinned(version=PIN.pinned.version)),
        "pinned without build": VersioningOverride(
            pinned=Pinned(behavior=PINNED, version=WorkerDeploymentVersion(deployment_name="shop"))
        ),
        "old behavior pinned": VersioningOverride(behavior=OLD_PINNED),
        "old behavior pinned with version": VersioningOverride(behavior=OLD_PINNED, pinned_version="shop.1"),
        "old behavior auto upgrade": VersioningOverride(behavior=OLD_AUTO),
        "old behavior auto upgrade with version": VersioningOverride(behavior=OLD_AUTO, pinned_version="shop.1"),
        "auto upgrade false": VersioningOverride(auto_upgrade=False),
    }
    for note, override in cases.items():
        options = WorkflowExecutionOptions(versioning_override=override)
        await update(w, note, change(w, "versioning_override", options))


@scenario
async def options_masks(w: Wire) -> None:
    """What a mask may name."""
    await w.start()
    both = WorkflowExecutionOptions(versioning_override=AUTO, priority=URGENT)
    await update(w, "no mask", change(w, None, both))
    await update(w, "empty mask", change(w, "", both))
    await update(w, "unknown path", change(w, "colour", both))
    await update(w, "deep unknown path", change(w, "priority.colour", both))
    await update(w, "unknown beside known", change(w, "priority,colour", both))
    await update(w, "part of the override", change(w, "versioning_override.behavior", both))
    await update(w, "part of the override (deployment)", change(w, "versioning_override.deployment", both))
    await update(w, "both", change(w, "versioning_override,priority", both))
    await update(w, "camel case", change(w, "versioningOverride", WorkflowExecutionOptions()))
    await update(w, "no options", change(w, "priority"))
    await w.describe()


@scenario
async def options_refused(w: Wire) -> None:
    """Whose options cannot be changed."""
    options = WorkflowExecutionOptions(priority=URGENT)
    await update(w, "no such workflow", change(w, "priority", options))
    bare = Change(namespace=w.namespace, workflow_execution_options=options, update_mask=FieldMask(paths=["priority"]))
    await update(w, "no workflow", bare)
    bare.workflow_execution.run_id = "no uuid"
    await update(w, "no workflow id", bare)
    bare.workflow_execution.workflow_id = w.id()
    await update(w, "bad run id", bare)
    bare.workflow_execution.run_id = "00000000-0000-0000-0000-000000000000"
    await update(w, "no such run", bare)
    bare.namespace = "nowhere"
    await update(w, "no such namespace", bare)
    await w.start()
    await w.turn(complete_workflow())
    await update(w, "closed", change(w, "priority", options))


@scenario
async def options_with_task_started(w: Wire) -> None:
    """A change that comes while a worker has a workflow task waits for its end; it makes no new task."""
    await w.start()
    task = await w.workflow_task()
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.describe()
    await w.complete(task)
    await w.describe()


@scenario
async def options_with_task_started_that_completes_run(w: Wire) -> None:
    """Does a change count as something that the worker has not seen?"""
    await w.start()
    task = await w.workflow_task()
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))


@scenario
async def options_before_first_task(w: Wire) -> None:
    """A workflow task that waits stays as it is."""
    await w.start()
    both = WorkflowExecutionOptions(versioning_override=AUTO, priority=URGENT)
    await update(w, "both", change(w, "versioning_override,priority", both))
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def options_override_at_start(w: Wire) -> None:
    """A start may say an override; descriptions show it."""
    for name, override in {
        "auto": AUTO,
        "pinned": PIN,
        "old": VersioningOverride(behavior=OLD_PINNED, pinned_version="shop.1"),
        "old auto": VersioningOverride(behavior=OLD_AUTO),
    }.items():
        other = w.other(name.replace(" ", "-"))
        request = other.start_request(Start(versioning_override=override))
        reply = await other.attempt(other.rpc.StartWorkflowExecution, request, note=name)
        w.transcript.ran(other.name, reply.run_id if reply else "")
        if reply:
            await other.describe()


@scenario
async def options_override_at_signal_with_start(w: Wire) -> None:
    """So may a signal-with-start."""
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace,
        workflow_id=w.id(),
        workflow_type=w.start_request().workflow_type,
        task_queue=w.start_request().task_queue,
        signal_name="s",
        request_id="sws",
        versioning_override=AUTO,
        priority=URGENT,
    )
    reply = await w.call(w.rpc.SignalWithStartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.describe()


@scenario
async def options_of_next_run(w: Wire) -> None:
    """The next run of the chain has the options that this one came to have."""
    await w.start(Start(versioning_override=AUTO))
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.turn(continue_in_a_second())
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def options_taken_back_before_next_run(w: Wire) -> None:
    """The next run of the chain has the options that this one came to have."""
    await w.start(Start(versioning_override=AUTO, priority=URGENT))
    await update(w, "none", change(w, "versioning_override,priority", WorkflowExecutionOptions()))
    await w.turn(continue_in_a_second())
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def options_of_children_and_activities(w: Wire) -> None:
    """What a run's children and activities take from it."""
    await w.start(Start(versioning_override=AUTO, priority=URGENT))
    child, other = w.other("child"), w.other("other")
    more = StartChildWorkflowExecutionCommandAttributes(priority=Priority(priority_key=3))
    await w.turn(
        start_child(child.name, child.queue),
        start_child(other.name, other.queue, more),
        schedule_activity("a", w.queue),
    )
    await w.event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await child.workflow_task()
    await other.workflow_task()
    await w.activity_task()
    for name in (child.name, other.name):
        await w.describe(name)


@scenario
async def options_override_and_builds(w: Wire) -> None:
    """A run with an override is not found as an unversioned one; what builds have worked on it stays."""
    unset, auto = WorkflowExecutionOptions(), WorkflowExecutionOptions(versioning_override=AUTO)
    await w.start(Start(versioning_override=AUTO))
    await update(w, "none", change(w, "versioning_override", unset))
    await w.describe()
    for build_id in ("b1", "b2"):
        stamp = WorkerVersionStamp(build_id=build_id)
        done = api.RespondWorkflowTaskCompletedRequest(worker_version_stamp=stamp)
        await w.complete(await w.workflow_task(), change=done)
        await w.describe()
        await update(w, "auto upgrade", change(w, "versioning_override", auto))
        await w.describe()
        await w.signal()
    await update(w, "none", change(w, "versioning_override", unset))
    await w.describe()


@scenario
async def options_parts_of_override(w: Wire) -> None:
    """An override is replaced as a whole."""
    await w.start()
    auto = WorkflowExecutionOptions(versioning_override=AUTO, priority=URGENT)
    override = "versioning_override"
    for mask in (
        f"{override}.behavior,{override}.deployment",
        f"{override}.auto_upgrade",
        f"{override}.pinned",
        f"{override}.pinned_version",
        f"{override}.pinned.version",
        f"{override}.behavior,{override}.pinned_version",
        "priority.priority_key.x",
        "priority,priority.priority_key",
        "time_skipping_config",
    ):
        await update(w, mask, change(w, mask, auto))


@scenario
async def options_which_mistake_first(w: Wire) -> None:
    """Which of several mistakes is told."""
    await w.start()
    bad = WorkflowExecutionOptions(versioning_override=VersioningOverride(), priority=Priority(priority_key=-1))
    await update(w, "no mask", change(w, None, bad))
    await update(w, "bad mask", change(w, "colour", bad))
    await update(w, "priority", change(w, "priority", bad))
    await update(w, "override", change(w, "versioning_override", bad))
    bad.priority.priority_key = 1
    await update(w, "priority, with a bad override", change(w, "priority", bad))
    bad.versioning_override.CopyFrom(PIN)
    await update(w, "priority, with an override that cannot be", change(w, "priority", bad))
    bare = Change(namespace=w.namespace)
    await update(w, "nothing", bare)
    bare.workflow_execution.workflow_id = w.id()
    await update(w, "only a workflow id", bare)
    await w.terminate()
    await update(w, "closed, pinned", change(w, "versioning_override", bad))
    await update(w, "closed, a part", change(w, "versioning_override.behavior", bad))


@scenario
async def options_of_paused_run(w: Wire) -> None:
    """Options change while the run is paused; nothing else happens."""
    await w.start()
    await w.turn()
    await pause(w)
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def options_of_delayed_run(w: Wire) -> None:
    """A change does not hasten a run that waits for its first task."""
    await w.start(Start(workflow_start_delay=seconds(2)))
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)


@scenario
async def options_listed(w: Wire) -> None:
    """Lists show options, and find runs by what their override says."""
    await w.start(Start(versioning_override=AUTO, priority=URGENT))
    query = f"WorkflowId = '{w.id()}' AND TemporalWorkflowVersioningBehavior = 'AutoUpgrade'"
    request = api.ListWorkflowExecutionsRequest(namespace=w.namespace, query=query)
    await w.until(w.rpc.ListWorkflowExecutions, request, lambda reply: len(reply.executions) == 1)
    await update(w, "none", change(w, "versioning_override", WorkflowExecutionOptions()))
    request.query = f"WorkflowId = '{w.id()}' AND TemporalWorkflowVersioningBehavior IS NULL"
    await w.until(w.rpc.ListWorkflowExecutions, request, lambda reply: len(reply.executions) == 1)


@scenario
async def options_of_activity(w: Wire) -> None:
    """An activity's priority is filled in from its workflow's, field by field, when a worker gets it."""
    await w.start(Start(priority=URGENT))
    own = ScheduleActivityTaskCommandAttributes(priority=Priority(priority_key=4))
    await w.turn(schedule_activity("a", w.queue, own))
    await w.describe()
    await update(
        w, "other", change(w, "priority.fairness_key", WorkflowExecutionOptions(priority=Priority(fairness_key="new")))
    )
    await w.activity_task()


@scenario
async def options_of_retry(w: Wire) -> None:
    """The run that retries a failed one has its options."""
    await w.start(
        Start(versioning_override=AUTO, retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=seconds(0.1)))
    )
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.turn(fail_workflow())
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def options_of_cron(w: Wire) -> None:
    """So has the next run of a cron schedule."""
    await w.start(Start(versioning_override=AUTO, cron_schedule="@every 1s"))
    await update(w, "priority", change(w, "priority", WorkflowExecutionOptions(priority=URGENT)))
    await w.turn(complete_workflow())
    await w.workflow_task()
    await w.describe()
    await w.terminate()


@scenario
async def options_override_once(w: Wire) -> None:
    """An override for one workflow task."""
    target = WorkerDeploymentVersion(deployment_name="shop", build_id="1")
    cases = {
        "once": VersioningOverride(one_time=VersioningOverride.OneTimeOverride(target_deployment_version=target)),
        "once to nothing": VersioningOverride(one_time=VersioningOverride.OneTimeOverride()),
    }
    for note, override in cases.items():
        request = w.start_request(Start(request_id=note, versioning_override=override))
        await w.attempt(w.rpc.StartWorkflowExecution, request, note=note)
    await w.start()
    for note, override in cases.items():
        options = WorkflowExecutionOptions(versioning_override=override)
        await update(w, note, change(w, "versioning_override", options))
    await w.describe()
