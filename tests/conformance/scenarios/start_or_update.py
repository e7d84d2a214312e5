"""Updates that start their workflow if need be: every policy, runs that are closed, failures of either part."""

import asyncio
from contextlib import suppress

import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy

from tests.conformance.commands import complete_workflow, fail_workflow, oversize, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.update_with_start import Start, both
from tests.conformance.scenarios.updates import (
    Completed,
    accept,
    admitted,
    ask,
    idle_workflow,
    reject,
    respond,
    say,
    update,
    wait,
)
from tests.conformance.wire import Wire

Asked = asyncio.Task[api.ExecuteMultiOperationResponse | None]


def policy(name: str) -> WorkflowIdConflictPolicy.ValueType:
    """A conflict policy."""
    return WorkflowIdConflictPolicy.Value(f"WORKFLOW_ID_CONFLICT_POLICY_{name}")


def reuse(name: str) -> Start:
    """A start with a reuse policy."""
    return Start(workflow_id_reuse_policy=WorkflowIdReusePolicy.Value(f"WORKFLOW_ID_REUSE_POLICY_{name}"))


def on_its_way(w: Wire, request: api.ExecuteMultiOperationRequest, note: str = "") -> Asked:
    """An update with start, while the scenario plays the worker."""
    return asyncio.create_task(w.attempt(w.rpc.ExecuteMultiOperation, request, note=note))


async def served(w: Wire, request: api.ExecuteMultiOperationRequest, note: str = "") -> None:
    """An update with start that is accepted and completed."""
    asked = on_its_way(w, request, note)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def start_or_update_conflict_policies(w: Wire) -> None:
    """Every policy on a running workflow that knows nothing of the update."""
    for name in ("UNSPECIFIED", "FAIL", "USE_EXISTING", "TERMINATE_EXISTING"):
        other = w.other(name.lower())
        await idle_workflow(other)
        if name in ("UNSPECIFIED", "FAIL"):
            await w.attempt(w.rpc.ExecuteMultiOperation, both(other, policy(name)), note=name)
            continue
        asked = on_its_way(w, both(other, policy(name)), note=name)
        await admitted(other)
        task = await other.workflow_task()
        await say(other, task, accept(task), respond())
        await asked


@scenario
async def start_or_update_reuse_policies(w: Wire) -> None:
    """Every policy on a workflow that completed, and on one that failed."""
    for close in (complete_workflow(), fail_workflow()):
        for name in ("ALLOW_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE", "TERMINATE_IF_RUNNING"):
            other = w.other(f"{close.command_type}-{name.lower()}")
            await other.start()
            await other.turn(close)
            request = both(other, policy("USE_EXISTING"), reuse(name))
            refused = name in ("REJECT_DUPLICATE", "TERMINATE_IF_RUNNING") or (
                name == "ALLOW_DUPLICATE_FAILED_ONLY" and close == complete_workflow()
            )
            if refused:
                await w.attempt(w.rpc.ExecuteMultiOperation, request, note=name)
            else:
                asked = on_its_way(w, request, note=name)
                await admitted(other)
                task = await other.workflow_task()
                await say(other, task, accept(task), respond(), then=complete_workflow())
                await asked


@scenario
async def start_or_update_terminates_if_running(w: Wire) -> None:
    """The old policy on a running workflow."""
    await idle_workflow(w)
    request = both(w, policy("UNSPECIFIED"), reuse("TERMINATE_IF_RUNNING"))
    asked = on_its_way(w, request)
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def start_or_update_repeated(w: Wire) -> None:
    """The same start and the same update again, at each stage."""
    first = on_its_way(w, both(w))
    await admitted(w)
    second = on_its_way(w, both(w), note="while it is admitted")
    task = await w.workflow_task()
    await say(w, task, accept(task))
    early = both(w)
    early.operations[1].update_workflow.wait_policy.CopyFrom(wait("ACCEPTED"))
    await w.attempt(w.rpc.ExecuteMultiOperation, early, note="while it is accepted")
    await w.signal()
    await say(w, await w.workflow_task(), respond())
    await asyncio.gather(first, second)
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w), note="when it is completed")
    fails = both(w, policy("FAIL"))
    await w.attempt(w.rpc.ExecuteMultiOperation, fails, note="with policy FAIL")
    fails.operations[0].start_workflow.request_id = "another start"
    await w.attempt(w.rpc.ExecuteMultiOperation, fails, note="with policy FAIL, another start")


@scenario
async def start_or_update_repeated_after_the_close(w: Wire) -> None:
    """A completed update of a closed run is found; another one starts anew."""
    asked = on_its_way(w, both(w))
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w), note="again")
    anew = both(w)
    anew.operations[0].start_workflow.request_id = "another start"
    await w.attempt(w.rpc.ExecuteMultiOperation, anew, note="another start, the same update")
    anew.operations[1].update_workflow.request.meta.update_id = "v"
    asked = on_its_way(w, anew, note="another start, another update")
    await admitted(w, "v")
    task = await w.workflow_task()
    await say(w, task, accept(task), respond("v"), then=complete_workflow())
    await asked


@scenario
async def start_or_update_same_start_another_update(w: Wire) -> None:
    """The start is known by its request id, the update is new."""
    asked = on_its_way(w, both(w))
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked
    request = both(w, policy("FAIL"))
    request.operations[1].update_workflow.request.meta.update_id = "v"
    asked = on_its_way(w, request)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond("v"))
    await asked


@scenario
async def start_or_update_same_start_of_a_closed_run(w: Wire) -> None:
    """The start is known by its request id, but its run is closed; the update is new."""
    asked = on_its_way(w, both(w))
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked
    request = both(w)
    request.operations[1].update_workflow.request.meta.update_id = "v"
    await w.attempt(w.rpc.ExecuteMultiOperation, request, limit_s=4)


@scenario
async def start_or_update_rejected(w: Wire) -> None:
    """A rejected update of a workflow that it started, and of one that ran."""
    asked = on_its_way(w, both(w))
    await admitted(w)
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked
    asked = on_its_way(w, both(w), note="again")
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked


@scenario
async def start_or_update_closed_over_it(w: Wire) -> None:
    """The workflow that was started completes without a word about the update; another over its acceptance."""
    asked = on_its_way(w, both(w))
    await admitted(w)
    await w.turn(complete_workflow())
    await asked
    other = w.other("accepted")
    asked = on_its_way(other, both(other))
    await admitted(other)
    task = await other.workflow_task()
    await say(other, task, accept(task), then=complete_workflow())
    await asked


@scenario
async def start_or_update_terminated_meanwhile(w: Wire) -> None:
    """The workflow is terminated while the caller waits."""
    asked = on_its_way(w, both(w))
    await admitted(w)
    await w.terminate()
    await asked


@scenario
async def start_or_update_terminated_while_it_ran(w: Wire) -> None:
    """The same with a workflow that ran before, the update in its worker's hand."""
    await idle_workflow(w)
    asked = on_its_way(w, both(w))
    await w.workflow_task()
    await w.terminate()
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def start_or_update_too_many(w: Wire) -> None:
    """The update fails: the workflow is there, and takes no more updates."""
    await w.start()
    asked = []
    for number in range(10):
        asked.append(ask(w, update(w, str(number))))
        await admitted(w, str(number))
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w))
    for each in asked:
        each.cancel()
    await w.terminate()


@scenario
async def start_or_update_failing_workflow(w: Wire) -> None:
    """The update fails: the workflow's task keeps failing."""
    await w.start()
    for _ in range(3):
        await w.fail_workflow_task(await w.workflow_task())
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w))


@scenario
async def start_or_update_for_a_stage(w: Wire) -> None:
    """The caller waits for acceptance, for nothing in particular, for what cannot be waited for."""
    request = both(w)
    request.operations[1].update_workflow.wait_policy.CopyFrom(wait("ACCEPTED"))
    asked = on_its_way(w, request)
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task))
    await asked
    for stage in ("UNSPECIFIED", "ADMITTED"):
        request.operations[1].update_workflow.wait_policy.CopyFrom(wait(stage))
        await w.attempt(w.rpc.ExecuteMultiOperation, request, note=stage)
    request.operations[1].update_workflow.ClearField("wait_policy")
    await w.attempt(w.rpc.ExecuteMultiOperation, request, note="no policy")


@scenario
async def start_or_update_bad_parts(w: Wire) -> None:
    """Fields of either part that cannot be."""
    changes = {
        "delay": Start(workflow_start_delay=seconds(1)),
        "no type": Start(workflow_type=None),
        "negative": Start(workflow_run_timeout=seconds(-1)),
        "two policies": reuse("TERMINATE_IF_RUNNING"),
        "oversize": Start(input=oversize()),
        "bad retry": Start(cron_schedule="bad"),
    }
    for note, change in changes.items():
        request = both(w, policy("USE_EXISTING"), change)
        if note == "no type":
            request.operations[0].start_workflow.workflow_type.name = ""
        await w.attempt(w.rpc.ExecuteMultiOperation, request, note=note)
    for note, field in {"run id": "run_id", "first run id": "first_execution_run_id"}.items():
        request = both(w)
        of_update = request.operations[1].update_workflow
        target = of_update.workflow_execution if field == "run_id" else of_update
        setattr(target, field, "11111111-1111-1111-1111-111111111111")
        await w.attempt(w.rpc.ExecuteMultiOperation, request, note=note)
    both_bad = both(w, policy("USE_EXISTING"), Start(workflow_run_timeout=seconds(-1)))
    both_bad.operations[1].update_workflow.request.input.name = ""
    await w.attempt(w.rpc.ExecuteMultiOperation, both_bad, note="both")


@scenario
async def start_or_update_where_nobody_works(w: Wire) -> None:
    """The caller's patience ends; the workflow stays, and the update waits for its worker."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await w.unrecorded(w.rpc.ExecuteMultiOperation, both(w))
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w), note="again")
