"""Updates at the end of their run."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    seconds,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.update_fates import asked_together, order
from tests.conformance.scenarios.updates import (
    Completed,
    Task,
    accept,
    ask,
    idle_workflow,
    poll,
    respond,
    say,
    update,
)
from tests.conformance.scenarios.workflow_task import Start
from tests.conformance.wire import Wire


async def both_stages(w: Wire) -> tuple[list[asyncio.Task[api.UpdateWorkflowExecutionResponse | None]], Task]:
    """One update that was accepted, one that a task in hand carries."""
    accepted = ask(w, update(w, "accepted"))
    task = await w.workflow_task()
    await say(w, task, accept(task))
    sent = ask(w, update(w, "sent"))
    return [accepted, sent], await w.workflow_task()


@scenario
async def updates_when_the_workflow_completes(w: Wire) -> None:
    """An accepted one fails, one that the worker ignored is rejected, one that it never saw is aborted."""
    await idle_workflow(w)
    asked, task = await both_stages(w)
    asked += await asked_together(w, "admitted")
    await w.complete(task, complete_workflow())
    await asyncio.gather(*asked)


@scenario
async def updates_when_the_workflow_fails(w: Wire) -> None:
    """The same when it fails for good."""
    await idle_workflow(w)
    asked, task = await both_stages(w)
    asked += await asked_together(w, "admitted")
    await w.complete(task, fail_workflow())
    await asyncio.gather(*asked)


@scenario
async def updates_when_the_workflow_is_cancelled(w: Wire) -> None:
    """The same when it gives in."""
    await idle_workflow(w)
    asked, task = await both_stages(w)
    asked += await asked_together(w, "admitted")
    await w.complete(task, cancel_workflow())
    await asyncio.gather(*asked)


@scenario
async def updates_when_the_workflow_is_terminated(w: Wire) -> None:
    """Termination has no regard for stages."""
    await idle_workflow(w)
    asked, _ = await both_stages(w)
    asked += await asked_together(w, "admitted")
    await w.terminate()
    await asyncio.gather(*asked)
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w, "accepted"), note="accepted")
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, "accepted"), note="accepted, again")


@scenario
async def updates_no_worker_saw_at_the_termination(w: Wire) -> None:
    """What they are told depends on the task they would have come with."""
    for name in ("first task", "idle", "signal after", "signal before", "second attempt"):
        other = w.other(name)
        await other.start()
        if name == "second attempt":
            await other.fail_workflow_task(await other.workflow_task())
        elif name != "first task":
            await other.turn()
        if name == "signal before":
            await other.signal()
        asked = await asked_together(other, "u")
        if name == "signal after":
            await other.signal()
        await other.terminate()
        await asyncio.gather(*asked)


@scenario
async def updates_when_the_run_times_out(w: Wire) -> None:
    """Nor has time."""
    await w.start(Start(workflow_run_timeout=seconds(2)))
    await w.turn()
    asked, _ = await both_stages(w)
    asked += await asked_together(w, "admitted")
    await asyncio.gather(*asked)
    await w.closed()


@scenario
async def updates_when_the_workflow_continues(w: Wire) -> None:
    """Who was not accepted has to ask the next run."""
    await w.start()
    await w.turn()
    asked, task = await both_stages(w)
    asked += await asked_together(w, "late")
    await w.complete(task, continue_in_a_second())
    await asyncio.gather(*asked)
    await w.turn(complete_workflow())


@scenario
async def updates_accepted_as_the_workflow_continues(w: Wire) -> None:
    """What the last task says before it continues is kept."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=continue_in_a_second())
    await asked


@scenario
async def updates_accepted_as_the_workflow_completes(w: Wire) -> None:
    """The same with the end."""
    for name in ("unordered", "ordered"):
        other = w.other(name)
        await idle_workflow(other)
        asked = ask(other)
        task = await other.workflow_task()
        said = [accept(task), respond()]
        commands = order(*said) if name == "ordered" else []
        await other.complete(task, *commands, complete_workflow(), change=Completed(messages=said))
        await asked


@scenario
async def updates_when_the_workflow_is_retried(w: Wire) -> None:
    """When a retry follows, too."""
    await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(1), maximum_attempts=2)))
    task = await w.workflow_task()
    asked = await asked_together(w, "late")
    await w.complete(task, fail_workflow())
    await asyncio.gather(*asked)
    await w.turn(complete_workflow())


@scenario
async def updates_when_cron_follows(w: Wire) -> None:
    """When the next run of a schedule follows, too."""
    await w.start(Start(cron_schedule="@every 1s"))
    task = await w.workflow_task()
    asked = await asked_together(w, "late")
    await w.complete(task, complete_workflow())
    await asyncio.gather(*asked)
    task = await w.workflow_task()
    await w.terminate()


@scenario
async def updates_when_a_workflow_takes_its_place(w: Wire) -> None:
    """A start that terminates the run before it."""
    await w.start()
    await w.turn()
    asked, _ = await both_stages(w)
    policy = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    await w.start(Start(request_id="other", workflow_id_conflict_policy=policy))
    await asyncio.gather(*asked)
    await w.turn(complete_workflow())
