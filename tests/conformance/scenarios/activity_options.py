"""Operators change the options of pending activities, and restore them."""

import temporalio.api.workflowservice.v1 as api
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import Priority, RetryPolicy, WorkflowExecution
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import failure, schedule_activity, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import start_activity
from tests.conformance.scenarios.activity_operations import (
    LATE,
    SOON,
    of_type,
    schedule,
)
from tests.conformance.scenarios.activity_resets import reset
from tests.conformance.wire import Wire

Update = api.UpdateActivityOptionsRequest


def update_request(w: Wire, options: ActivityOptions | None, *paths: str) -> Update:
    """An operator changes these options of the activity `a`."""
    mask = FieldMask(paths=paths) if paths else None
    return Update(
        namespace=w.namespace,
        execution=w.execution(),
        identity="operator",
        id="a",
        activity_options=options,
        update_mask=mask,
    )


async def update(w: Wire, options: ActivityOptions, *paths: str) -> None:
    await w.call(w.rpc.UpdateActivityOptions, update_request(w, options, *paths))


async def restore(w: Wire) -> None:
    await w.call(
        w.rpc.UpdateActivityOptions,
        Update(namespace=w.namespace, execution=w.execution(), id="a", restore_original=True),
        note="restore",
    )


def every_option(queue: str) -> ActivityOptions:
    return ActivityOptions(
        task_queue=TaskQueue(name=queue),
        schedule_to_close_timeout=seconds(50),
        schedule_to_start_timeout=seconds(40),
        start_to_close_timeout=seconds(30),
        heartbeat_timeout=seconds(20),
        retry_policy=RetryPolicy(
            initial_interval=seconds(2),
            backoff_coefficient=3,
            maximum_interval=seconds(9),
            maximum_attempts=7,
            non_retryable_error_types=["Bad"],
        ),
        priority=Priority(priority_key=2, fairness_key="us", fairness_weight=1.5),
    )


PATHS = (
    "task_queue.name",
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
    "retry_policy",
    "retry_policy.initial_interval",
    "retry_policy.backoff_coefficient",
    "retry_policy.maximum_interval",
    "retry_policy.maximum_attempts",
    "priority",
    "priority.priority_key",
    "priority.fairness_key",
    "priority.fairness_weight",
)


@scenario
async def activity_options_one_by_one(w: Wire) -> None:
    """Each path of the mask, and no other option."""
    await schedule(w)
    for path in PATHS:
        request = update_request(w, every_option(w.id("other")), path)
        await w.attempt(w.rpc.UpdateActivityOptions, request, note=path)
    await w.describe()
    await w.activity_task(w.id("other"))


@scenario
async def activity_options_odd_paths(w: Wire) -> None:
    """Paths that are written otherwise, that nobody knows, that come twice, and none."""
    await schedule(w)
    odd = {
        "camel case": ["startToCloseTimeout"],
        "camel case inside": ["retryPolicy.maximumAttempts"],
        "unknown": ["colour"],
        "unknown inside": ["retry_policy.colour"],
        "non-retryable types": ["retry_policy.non_retryable_error_types"],
        "task queue": ["task_queue"],
        "start delay": ["start_delay"],
        "twice": ["start_to_close_timeout", "start_to_close_timeout"],
        "known and unknown": ["heartbeat_timeout", "colour"],
        "empty path": [""],
        "star": ["*"],
        "both policy and its part": ["retry_policy", "retry_policy.maximum_attempts"],
    }
    for note, paths in odd.items():
        await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, every_option(w.id("other")), *paths), note=note)
    await w.describe()


@scenario
async def activity_options_left_out(w: Wire) -> None:
    """Paths whose option the request does not have."""
    await schedule(w, change=Schedule(heartbeat_timeout=seconds(5), priority=Priority(priority_key=3)))
    for path in PATHS:
        await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, ActivityOptions(), path), note=path)
    await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, None, "heartbeat_timeout"), note="no options")
    await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, ActivityOptions()), note="no mask")
    await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, None), note="neither")
    empty_mask = update_request(w, every_option("q"))
    empty_mask.update_mask.CopyFrom(FieldMask())
    await w.attempt(w.rpc.UpdateActivityOptions, empty_mask, note="empty mask")
    await w.describe()


@scenario
async def activity_options_bad_values(w: Wire) -> None:
    """Values that a command could not have either."""
    await schedule(w)
    bad = {
        "negative start to close": ("start_to_close_timeout", ActivityOptions(start_to_close_timeout=seconds(-1))),
        "negative schedule to close": (
            "schedule_to_close_timeout",
            ActivityOptions(schedule_to_close_timeout=seconds(-1)),
        ),
        "negative schedule to start": (
            "schedule_to_start_timeout",
            ActivityOptions(schedule_to_start_timeout=seconds(-1)),
        ),
        "negative heartbeat": ("heartbeat_timeout", ActivityOptions(heartbeat_timeout=seconds(-1))),
        "long queue": ("task_queue.name", ActivityOptions(task_queue=TaskQueue(name="x" * 1001))),
        "empty queue": ("task_queue.name", ActivityOptions(task_queue=TaskQueue(name=""))),
        "reserved queue": ("task_queue.name", ActivityOptions(task_queue=TaskQueue(name="/_sys/other/1"))),
        "coefficient": (
            "retry_policy.backoff_coefficient",
            ActivityOptions(retry_policy=RetryPolicy(backoff_coefficient=0.1)),
        ),
        "attempts": ("retry_policy.maximum_attempts", ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=-1))),
        "interval": (
            "retry_policy.initial_interval",
            ActivityOptions(retry_policy=RetryPolicy(initial_interval=seconds(-1))),
        ),
        "maximum under initial": (
            "retry_policy",
            ActivityOptions(retry_policy=RetryPolicy(initial_interval=seconds(5), maximum_interval=seconds(1))),
        ),
        "priority": ("priority", ActivityOptions(priority=Priority(priority_key=-1))),
        "fairness key": ("priority.fairness_key", ActivityOptions(priority=Priority(fairness_key="x" * 65))),
    }
    for note, (path, options) in bad.items():
        await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, options, path), note=note)
    await w.describe()


@scenario
async def activity_options_normalised(w: Wire) -> None:
    """Times are cut to what the others and the run allow."""
    await w.start(api.StartWorkflowExecutionRequest(workflow_run_timeout=seconds(50)))
    await w.turn(schedule_activity("a", w.queue))
    await update(w, ActivityOptions(start_to_close_timeout=seconds(90)), "start_to_close_timeout")
    await update(w, ActivityOptions(schedule_to_close_timeout=seconds(20)), "schedule_to_close_timeout")
    await update(w, ActivityOptions(heartbeat_timeout=seconds(90)), "heartbeat_timeout")
    await update(w, ActivityOptions(start_to_close_timeout=seconds(0)), "start_to_close_timeout")
    await update(w, ActivityOptions(retry_policy=RetryPolicy()), "retry_policy")
    await w.describe()


@scenario
async def activity_options_restored(w: Wire) -> None:
    """All options are those of the command again; nothing else may be asked for then."""
    await schedule(w, change=Schedule(heartbeat_timeout=seconds(5), retry_policy=LATE))
    await update(w, every_option(w.id("other")), *PATHS[:6], "priority")
    await w.describe()
    await restore(w)
    await w.describe()
    both = update_request(w, every_option(w.id("other")), "heartbeat_timeout")
    both.restore_original = True
    await w.attempt(w.rpc.UpdateActivityOptions, both, note="options and restore")
    both.ClearField("activity_options")
    await w.attempt(w.rpc.UpdateActivityOptions, both, note="mask and restore")
    await w.describe()
    await w.activity_task()


@scenario
async def activity_options_restored_by_reset(w: Wire) -> None:
    """A reset keeps the options, or restores them when that is asked for."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.fail_activity(task, failure("first"))
    await update(w, ActivityOptions(heartbeat_timeout=seconds(5)), "heartbeat_timeout")
    await reset(w)
    task = await w.activity_task()
    await w.fail_activity(task, failure("second"))
    await reset(w, api.ResetActivityRequest(restore_original_options=True))
    await w.describe()
    await w.activity_task()


@scenario
async def activity_options_restored_by_reset_while_running(w: Wire) -> None:
    """The attempt that runs, and the one that follows it."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await update(w, ActivityOptions(heartbeat_timeout=seconds(5)), "heartbeat_timeout")
    await reset(w, api.ResetActivityRequest(restore_original_options=True))
    await w.describe()
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await w.activity_task()


@scenario
async def activity_options_restored_unchanged(w: Wire) -> None:
    """The reply has all that the command asked for, by both calls."""
    change = Schedule(
        heartbeat_timeout=seconds(5),
        retry_policy=RetryPolicy(non_retryable_error_types=["Bad"]),
        priority=Priority(priority_key=3),
    )
    await schedule(w, change=change)
    await restore(w)
    await update(w, ActivityOptions(heartbeat_timeout=seconds(3)), "heartbeat_timeout")
    await restore(w)
    request = update_request(w, ActivityOptions(heartbeat_timeout=seconds(3)))
    request.restore_original = True
    await w.attempt(w.rpc.UpdateActivityOptions, request, note="restore, with options")
    request.update_mask.CopyFrom(FieldMask())
    await w.attempt(w.rpc.UpdateActivityOptions, request, note="restore, with an empty mask")
    await w.describe()


@scenario
async def activity_options_part_by_part(w: Wire) -> None:
    """Parts of policy and priority that are nothing, or that fit no other part."""
    await schedule(w)
    parts = {
        "retry_policy.maximum_interval": RetryPolicy(maximum_interval=seconds(0.5)),
        "retry_policy.backoff_coefficient": RetryPolicy(),
        "retry_policy.initial_interval": RetryPolicy(initial_interval=seconds(200)),
        "retry_policy.maximum_attempts": RetryPolicy(maximum_attempts=-1),
    }
    for path, policy in parts.items():
        request = update_request(w, ActivityOptions(retry_policy=policy), path)
        await w.attempt(w.rpc.UpdateActivityOptions, request, note=path)
    for path in ("retry_policy.maximum_interval", "retry_policy.initial_interval"):
        request = update_request(w, ActivityOptions(retry_policy=RetryPolicy()), path)
        await w.attempt(w.rpc.UpdateActivityOptions, request, note=f"no {path}")
    once = ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=1, backoff_coefficient=0.1))
    await update(w, once, "retry_policy.maximum_attempts")
    await update(w, once, "retry_policy.backoff_coefficient")
    await update(w, ActivityOptions(priority=Priority()), "priority.priority_key")
    long = ActivityOptions(start_to_close_timeout=seconds(200 * 365 * 24 * 3600))
    await update(w, long, "start_to_close_timeout")
    await w.describe()


@scenario
async def activities_options_by_type_and_all(w: Wire) -> None:
    """All of a type, a type that none has, and all there are."""
    await schedule(w, of_type("Other", "b", w.id("b")), of_type("Other", "c", w.id("c")))
    request = Update(
        namespace=w.namespace,
        execution=w.execution(),
        type="Other",
        activity_options=ActivityOptions(heartbeat_timeout=seconds(5)),
        update_mask=FieldMask(paths=["heartbeat_timeout"]),
    )
    await w.unrecorded(w.rpc.UpdateActivityOptions, request)  # the reply is about one of them, never mind which
    await w.describe()
    request.type = "Nobody's"
    await w.attempt(w.rpc.UpdateActivityOptions, request, note="no such type")
    request.match_all = True
    request.activity_options.heartbeat_timeout.seconds = 6
    await w.unrecorded(w.rpc.UpdateActivityOptions, request)
    await w.describe()
    request.match_all = False
    request.activity_options.heartbeat_timeout.seconds = 7
    await w.unrecorded(w.rpc.UpdateActivityOptions, request)
    await w.describe()
    nothing = w.other("nothing")
    await nothing.start()
    request.execution.workflow_id = nothing.name
    await w.attempt(w.rpc.UpdateActivityOptions, request, note="nothing is pending")


@scenario
async def activity_options_changed_badly(w: Wire) -> None:
    """Requests that name nothing, or what is not there."""
    options, mask = ActivityOptions(heartbeat_timeout=seconds(5)), FieldMask(paths=["heartbeat_timeout"])
    await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, options, *mask.paths), note="no such workflow")
    await schedule(w)
    requests = {
        "no namespace": Update(execution=w.execution(), id="a"),
        "no execution": Update(namespace=w.namespace, id="a"),
        "no workflow id": Update(namespace=w.namespace, execution=WorkflowExecution(), id="a"),
        "bad run id": Update(namespace=w.namespace, execution=w.execution("", "run"), id="a"),
        "no activity": Update(namespace=w.namespace, execution=w.execution()),
        "empty id": Update(namespace=w.namespace, execution=w.execution(), id=""),
        "empty type": Update(namespace=w.namespace, execution=w.execution(), type=""),
        "unknown id": Update(namespace=w.namespace, execution=w.execution(), id="nobody"),
        "long identity": Update(namespace=w.namespace, execution=w.execution(), id="a", identity="x" * 1001),
    }
    for note, request in requests.items():
        request.activity_options.CopyFrom(options)
        request.update_mask.CopyFrom(mask)
        await w.attempt(w.rpc.UpdateActivityOptions, request, note=note)
    restoring = Update(namespace=w.namespace, execution=w.execution(), id="nobody", restore_original=True)
    await w.attempt(w.rpc.UpdateActivityOptions, restoring, note="unknown id, restore")
    await w.describe()
    await w.terminate()
    await w.attempt(w.rpc.UpdateActivityOptions, update_request(w, options, *mask.paths), note="closed")
