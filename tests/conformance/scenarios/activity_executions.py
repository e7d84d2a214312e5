"""The newer calls that operate on activities, as far as they are about activities of workflows."""

import temporalio.api.workflowservice.v1 as api
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import RetryPolicy

from tests.conformance.commands import complete_workflow, failure, payloads, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import start_activity
from tests.conformance.scenarios.activity_operations import LATE, SOON, schedule
from tests.conformance.scenarios.activity_options import PATHS, every_option
from tests.conformance.wire import R, Wire, over

Pause = api.PauseActivityExecutionRequest
Unpause = api.UnpauseActivityExecutionRequest
Reset = api.ResetActivityExecutionRequest
Update = api.UpdateActivityExecutionOptionsRequest
OPTIONS = ActivityOptions(heartbeat_timeout=seconds(5))
MASK = FieldMask(paths=["heartbeat_timeout"])


def like(ids: Pause, request: R) -> R:
    """The request about the same activity, by the same operator."""
    known = request.DESCRIPTOR.fields_by_name
    for field, value in ids.ListFields():
        if field.name in known:
            setattr(request, field.name, value)
    return request


async def pause(w: Wire, change: Pause | None = None, note: str = "") -> None:
    request = Pause(
        namespace=w.namespace, workflow_id=w.name, activity_id="a", identity="operator", reason="maintenance"
    )
    await w.attempt(w.rpc.PauseActivityExecution, over(request, change), note=note)


async def unpause(w: Wire, change: Unpause | None = None, note: str = "") -> None:
    request = Unpause(namespace=w.namespace, workflow_id=w.name, activity_id="a", identity="operator", reason="done")
    await w.attempt(w.rpc.UnpauseActivityExecution, over(request, change), note=note)


async def reset(w: Wire, change: Reset | None = None, note: str = "") -> None:
    request = Reset(namespace=w.namespace, workflow_id=w.name, activity_id="a", identity="operator")
    await w.attempt(w.rpc.ResetActivityExecution, over(request, change), note=note)


async def update(w: Wire, change: Update, note: str = "") -> None:
    request = Update(namespace=w.namespace, workflow_id=w.name, activity_id="a", identity="operator")
    await w.attempt(w.rpc.UpdateActivityExecutionOptions, over(request, change), note=note)


@scenario
async def activity_execution_paused(w: Wire) -> None:
    """Pause and unpause what nobody has taken."""
    await schedule(w)
    await pause(w)
    await w.describe()
    await pause(w, Pause(request_id="second"), note="again")
    await unpause(w)
    await pause(w, Pause(request_id="third"))
    await pause(w, Pause(request_id="third", reason="other"), note="the same request")
    await w.no_activity_task()
    await unpause(w)
    await unpause(w, note="again")
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_execution_paused_while_running(w: Wire) -> None:
    """The worker hears of it; the attempts go on counting when it is unpaused."""
    task = await start_activity(w, Schedule(retry_policy=SOON))
    await pause(w)
    await w.heartbeat(task, payloads("one"))
    await w.fail_activity(task, failure("first"))
    await w.describe()
    await unpause(w, Unpause(jitter=seconds(1)))
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_execution_reset(w: Wire) -> None:
    """Reset with what may come along."""
    task = await start_activity(w, Schedule(retry_policy=LATE))
    await w.heartbeat(task, payloads("one"))
    await w.fail_activity(task, failure("first"))
    await pause(w)
    await reset(w, Reset(keep_paused=True, jitter=seconds(1), reset_heartbeat=True))
    await w.describe()
    await reset(w)
    await w.describe()
    task = await w.activity_task()
    await reset(w)
    await w.heartbeat(task)
    await w.complete_activity(task)
    await w.turn(complete_workflow())


@scenario
async def activity_execution_options(w: Wire) -> None:
    """Options changed and restored."""
    await schedule(w)
    await update(w, Update(activity_options=OPTIONS, update_mask=MASK))
    await w.describe()
    await update(w, Update(restore_original=True), note="restore")
    await w.describe()
    await update(w, Update(activity_options=OPTIONS), note="no mask")
    await update(w, Update(update_mask=MASK), note="no options")
    await update(w, Update(activity_options=OPTIONS, update_mask=FieldMask(paths=["colour"])), note="unknown path")
    await update(w, Update(activity_options=OPTIONS, update_mask=MASK, restore_original=True), note="all of it")
    start_delay = ActivityOptions(start_delay=seconds(5))
    await update(w, Update(activity_options=start_delay, update_mask=FieldMask(paths=["start_delay"])), note="delay")


@scenario
async def activity_execution_operations_refused(w: Wire) -> None:
    """What is not there, not named, or not well named."""
    await pause(w, note="no such workflow")
    run_id = await w.start()
    for note, ids in {
        "unknown activity": Pause(activity_id="nobody"),
        "bad run id": Pause(run_id="run"),
        "other run id": Pause(run_id="0123abcd-0000-4000-8000-000000000000"),
        "right run id": Pause(run_id=run_id),
        "long identity": Pause(identity="x" * 1001),
        "long reason": Pause(reason="x" * 1001),
        "long request id": Pause(request_id="x" * 1001),
        "long activity id": Pause(activity_id="x" * 1001),
        "resource id": Pause(resource_id="workflow:other"),
    }.items():
        await pause(w, ids, note=note)
        await unpause(w, like(ids, Unpause()), note=note)
        await reset(w, like(ids, Reset()), note=note)
        await update(w, like(ids, Update(activity_options=OPTIONS, update_mask=MASK)), note=note)
    await w.terminate()
    await pause(w, note="closed")
    await unpause(w, note="closed")
    await reset(w, note="closed")
    await update(w, Update(activity_options=OPTIONS, update_mask=MASK), note="closed")


@scenario
async def activity_execution_operations_without_ids(w: Wire) -> None:
    """Without an activity; without a workflow, where activities of their own are meant, and there is none."""
    for note, activity_id in {"no activity": "", "no workflow": "a"}.items():
        ids = Pause(namespace=w.namespace, workflow_id="" if activity_id else w.name, activity_id=activity_id)
        await w.attempt(w.rpc.PauseActivityExecution, ids, note=note)
        await w.attempt(w.rpc.UnpauseActivityExecution, like(ids, Unpause()), note=note)
        await w.attempt(w.rpc.ResetActivityExecution, like(ids, Reset()), note=note)
        request = like(ids, Update(activity_options=OPTIONS, update_mask=MASK))
        await w.attempt(w.rpc.UpdateActivityExecutionOptions, request, note=note)
        restoring = like(ids, Update(restore_original=True))
        await w.attempt(w.rpc.UpdateActivityExecutionOptions, restoring, note=f"{note}, restore")


@scenario
async def activity_execution_options_path_by_path(w: Wire) -> None:
    """Which paths a mask may have, and what they leave of an option that the request does not have."""
    await schedule(w, change=Schedule(retry_policy=RetryPolicy(non_retryable_error_types=["Bad"])))
    paths = (*PATHS, "start_delay", "taskQueue.name", "HeartbeatTimeout", "task_queue", "task_queue.kind", "", "*")
    for path in (*paths, "retry_policy.non_retryable_error_types"):
        mask = FieldMask(paths=[path])
        await update(w, Update(activity_options=every_option(w.id("other")), update_mask=mask), note=path)
    for path in PATHS:
        await update(
            w, Update(activity_options=ActivityOptions(), update_mask=FieldMask(paths=[path])), note=f"no {path}"
        )
    await update(w, Update(activity_options=OPTIONS, update_mask=FieldMask()), note="empty mask")
    await update(w, Update(restore_original=True), note="restore")


@scenario
async def activity_execution_options_judged(w: Wire) -> None:
    """Values that a command could not have either; a policy is filled in and judged as a whole."""
    await schedule(w)
    policies = {
        "coefficient": RetryPolicy(backoff_coefficient=0.1),
        "attempts": RetryPolicy(maximum_attempts=-1),
        "initial": RetryPolicy(initial_interval=seconds(-1)),
        "maximum": RetryPolicy(initial_interval=seconds(5), maximum_interval=seconds(1)),
        "type": RetryPolicy(non_retryable_error_types=["TemporalTimeout:Lunch"]),
        "filled in": RetryPolicy(initial_interval=seconds(3), maximum_attempts=4),
    }
    for note, policy in policies.items():
        change = Update(
            activity_options=ActivityOptions(retry_policy=policy), update_mask=FieldMask(paths=["retry_policy"])
        )
        await update(w, change, note=note)
    part = ActivityOptions(retry_policy=RetryPolicy(maximum_interval=seconds(0.5)))
    await update(
        w, Update(activity_options=part, update_mask=FieldMask(paths=["retry_policy.maximum_interval"])), note="part"
    )
    negative = ActivityOptions(start_to_close_timeout=seconds(-1))
    await update(
        w, Update(activity_options=negative, update_mask=FieldMask(paths=["start_to_close_timeout"])), note="negative"
    )
    await w.describe()
