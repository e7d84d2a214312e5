"""What becomes of updates: together, in tasks that are lost or dropped, and for those who ask again."""

import asyncio
from contextlib import suppress

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command, ProtocolMessageCommandAttributes
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import CommandType, EventType
from temporalio.api.protocol.v1 import Message

from tests.conformance.commands import (
    complete_workflow,
    record_marker,
    schedule_activity,
    seconds,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.updates import (
    Completed,
    accept,
    admitted,
    ask,
    idle_workflow,
    poll,
    reject,
    respond,
    say,
    update,
)
from tests.conformance.scenarios.workflow_task import Start, start_and_stick, stick, sticky_task
from tests.conformance.wire import Wire

CAN_FORGET = Completed.Capabilities(discard_speculative_workflow_task_with_events=True)


def order(*messages: Message | str) -> list[Command]:
    """The commands that say when messages take effect."""
    return [
        Command(
            command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE,
            protocol_message_command_attributes=ProtocolMessageCommandAttributes(
                message_id=each if isinstance(each, str) else each.id
            ),
        )
        for each in messages
    ]


async def asked_together(w: Wire, *update_ids: str) -> list[asyncio.Task[api.UpdateWorkflowExecutionResponse | None]]:
    """Updates that wait for one task."""
    asked = []
    for update_id in update_ids:
        asked.append(ask(w, update(w, update_id)))
        await admitted(w, update_id)
    return asked


@scenario
async def updates_of_mixed_fates(w: Wire) -> None:
    """Of three updates one is completed, one rejected, one accepted; the last ends later."""
    await idle_workflow(w)
    asked = await asked_together(w, "one", "two", "three")
    task = await w.workflow_task()
    await say(w, task, accept(task, 0), respond("one"), reject(task, 1), accept(task, 2))
    await asyncio.gather(*asked[:2])
    await w.signal()
    await say(w, await w.workflow_task(), respond("three"), then=complete_workflow())
    await asyncio.gather(*asked)


@scenario
async def updates_all_rejected(w: Wire) -> None:
    """Several updates, all rejected, leave nothing."""
    await idle_workflow(w)
    asked = await asked_together(w, "one", "two")
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task, 0), reject(task, 1)]))
    await asyncio.gather(*asked)


@scenario
async def updates_rejected_and_unanswered(w: Wire) -> None:
    """One is rejected, of the other nothing is said."""
    await idle_workflow(w)
    asked = await asked_together(w, "one", "two")
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task, 0)]))
    await asyncio.gather(*asked)


@scenario
async def update_comes_while_another_is_worked_on(w: Wire) -> None:
    """It waits for the next task; when the first one is rejected, too."""
    await idle_workflow(w)
    first = ask(w, update(w, "first"))
    task = await w.workflow_task()
    second = ask(w, update(w, "second"))
    await admitted(w, "second")
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await first
    task = await w.workflow_task()
    await say(w, task, accept(task), respond("second"))
    await second


@scenario
async def update_comes_while_a_task_is_in_hand(w: Wire) -> None:
    """An update during a task with news comes in a task after it, which may come with the reply."""
    await w.start()
    task = await w.workflow_task()
    asked = ask(w)
    await admitted(w)
    reply = await w.complete(task, start_timer("t", 60), change=Completed(return_new_workflow_task=True))
    task = reply.workflow_task
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked


async def rejected_after(w: Wire, events: int, capabilities: Completed.Capabilities | None) -> None:
    """An update that is rejected after the last task brought this many events about."""
    await w.start()
    await w.turn(*(record_marker("m") for _ in range(events)))
    asked = ask(w)
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)], capabilities=capabilities))
    await asked


@scenario
async def update_rejected_after_events(w: Wire) -> None:
    """Whether the task leaves a trace depends on how many events came before it, and on the worker."""
    await rejected_after(w.other("bare"), 0, None)
    await rejected_after(w.other("one"), 1, None)
    await rejected_after(w.other("one, able"), 1, CAN_FORGET)
    await rejected_after(w.other("eight, able"), 8, CAN_FORGET)
    await rejected_after(w.other("nine, able"), 9, CAN_FORGET)
    await rejected_after(w.other("ten, able"), 10, CAN_FORGET)
    await rejected_after(w.other("eleven, able"), 11, CAN_FORGET)


@scenario
async def update_rejected_with_a_heartbeat(w: Wire) -> None:
    """A worker that rejects and asks for a new task."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    change = Completed(messages=[reject(task)], force_create_new_workflow_task=True)
    await w.complete(task, change=change)
    await asked
    await w.turn(complete_workflow())


@scenario
async def update_rejected_on_the_sticky_queue(w: Wire) -> None:
    """The task of an update goes to the sticky queue; dropped, it leaves the stickiness as the worker wants it."""
    await start_and_stick(w)
    asked = ask(w)
    task = await sticky_task(w)
    await w.complete(task, change=Completed(messages=[reject(task)], sticky_attributes=stick(w).sticky_attributes))
    await asked
    await w.signal()
    await w.complete(await sticky_task(w), complete_workflow())


@scenario
async def update_rejected_without_stickiness(w: Wire) -> None:
    """A worker that drops a task and says nothing of stickiness."""
    await start_and_stick(w)
    asked = ask(w)
    task = await sticky_task(w)
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked
    await w.describe()


@scenario
async def update_whose_sticky_task_nobody_takes(w: Wire) -> None:
    """The task of an update times out on the sticky queue and comes on the normal one."""
    await start_and_stick(w, 1)
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def update_whose_task_nobody_takes(w: Wire) -> None:
    """The task of an update that nobody takes for five seconds."""
    await idle_workflow(w)
    asked = ask(w)
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def update_then_a_signal(w: Wire) -> None:
    """A signal before the update's task is taken makes that task one like others."""
    await idle_workflow(w)
    asked = ask(w)
    await admitted(w)
    await w.signal()
    await w.describe()
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked


@scenario
async def update_then_the_end_of_an_activity(w: Wire) -> None:
    """So does the end of an activity, before and while it is in hand."""
    await w.start()
    await w.turn(schedule_activity("a", w.id("a")), schedule_activity("b", w.id("b")))
    activities = [await w.activity_task(w.id("a")), await w.activity_task(w.id("b"))]
    asked = ask(w)
    await admitted(w)
    await w.complete_activity(activities[0])
    task = await w.workflow_task()
    await w.complete_activity(activities[1])
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked
    await w.turn(complete_workflow())


@scenario
async def update_described(w: Wire) -> None:
    """The task of an update, before and after it is taken, is a pending task, but no event."""
    await idle_workflow(w)
    asked = ask(w)
    await admitted(w)
    await w.describe()
    task = await w.workflow_task()
    await w.describe()
    w.note(f"{len(await w.events())} events")
    await say(w, task, accept(task))
    await w.describe()
    await w.terminate()
    await asked


@scenario
async def update_on_a_second_attempt(w: Wire) -> None:
    """A workflow whose task failed once takes an update with its next attempt."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    asked = ask(w)
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def update_comes_again_after_a_failure(w: Wire) -> None:
    """A task fails with the update that it carried; the next attempt carries it again."""
    await idle_workflow(w)
    asked = ask(w)
    await w.fail_workflow_task(await w.workflow_task())
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked


@scenario
async def update_same_id_at_every_stage(w: Wire) -> None:
    """Who asks again waits for the same update, wherever it is."""
    await idle_workflow(w)
    first = ask(w)
    await admitted(w)
    second = ask(w, update(w, stage="ACCEPTED"))
    task = await w.workflow_task()
    await say(w, task, accept(task))
    await second
    await w.call(w.rpc.UpdateWorkflowExecution, update(w, stage="ACCEPTED"), note="accepted")
    third = ask(w)
    await w.signal()
    await say(w, await w.workflow_task(), respond())
    await asyncio.gather(first, third)
    await w.call(w.rpc.UpdateWorkflowExecution, update(w, stage="ACCEPTED"), note="completed")
    await w.no_workflow_task()


@scenario
async def update_same_id_after_a_rejection(w: Wire) -> None:
    """A rejected update is forgotten: it may be asked for again."""
    await idle_workflow(w)
    asked = ask(w)
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)]))
    await asked
    asked = ask(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked


@scenario
async def update_polled_at_every_stage(w: Wire) -> None:
    """A poll waits for what it asks for, or tells what there is."""
    await idle_workflow(w)
    asked = ask(w)
    await admitted(w)
    await w.call(w.rpc.PollWorkflowExecutionUpdate, poll(w, stage="ADMITTED"), note="admitted")
    waits = asyncio.create_task(w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w, stage="ACCEPTED")))
    task = await w.workflow_task()
    await say(w, task, accept(task))
    await waits
    await w.call(w.rpc.PollWorkflowExecutionUpdate, poll(w, stage="UNSPECIFIED"), note="whatever there is")
    no_policy = poll(w)
    no_policy.ClearField("wait_policy")
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, no_policy, note="no policy")
    await w.signal()
    await say(w, await w.workflow_task(), respond(), then=complete_workflow())
    await asked
    for stage in ("UNSPECIFIED", "ADMITTED", "ACCEPTED", "COMPLETED"):
        await w.call(w.rpc.PollWorkflowExecutionUpdate, poll(w, stage=stage), note=f"{stage} after the close")
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w, "unknown"), note="unknown after the close")


@scenario
async def update_polled_in_an_older_run(w: Wire) -> None:
    """An update belongs to its run: the one after it does not know it."""
    run_id = await w.start()
    asked = ask(w)
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked
    await w.start(Start(request_id="again"))
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, poll(w), note="of the new run")
    of_run = poll(w)
    of_run.update_ref.workflow_execution.CopyFrom(WorkflowExecution(workflow_id=w.id(), run_id=run_id))
    await w.attempt(w.rpc.PollWorkflowExecutionUpdate, of_run, note="of the old run")
    first = update(w)
    first.first_execution_run_id = run_id
    await w.attempt(w.rpc.UpdateWorkflowExecution, first, note="of the old chain")
    await w.turn(complete_workflow())


@scenario
async def update_nobody_waits_for(w: Wire) -> None:
    """A caller without patience; the update goes on."""
    await idle_workflow(w)
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await w.unrecorded(w.rpc.UpdateWorkflowExecution, update(w))
            w.note("an answer came")
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await w.unrecorded(w.rpc.PollWorkflowExecutionUpdate, poll(w))
            w.note("an answer to the poll came")
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await w.call(w.rpc.PollWorkflowExecutionUpdate, poll(w))


@scenario
async def updates_over_their_number(w: Wire) -> None:
    """A run takes so many updates (fifteen here), and suggests to continue as new before."""
    await idle_workflow(w)
    for number in range(15):
        asked = ask(w, update(w, str(number)))
        task = await w.workflow_task()
        await say(w, task, accept(task), respond(str(number)))
        await asked
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, "one more"))
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, "3"), note="known")


@scenario
async def update_while_the_start_is_delayed(w: Wire) -> None:
    """An update does not bring a delayed workflow's first task forward."""
    await w.start(Start(workflow_start_delay=seconds(2)))
    asked = ask(w)
    await admitted(w)
    await w.describe()
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked


@scenario
async def update_rejected_after_one_that_was_completed(w: Wire) -> None:
    """The task that an update gets when it came during another task leaves no trace either."""
    await w.start()
    await w.turn()
    first = ask(w, update(w, "first"))
    task = await w.workflow_task()
    second = ask(w, update(w, "second"))
    await admitted(w, "second")
    await say(w, task, accept(task), respond("first"))
    await first
    task = await w.workflow_task()
    await w.complete(task, change=Completed(messages=[reject(task)], capabilities=CAN_FORGET))
    await second
