"""Resets: which events of a history are points, whatever has written them."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue

from tests.conformance.commands import (
    cancel_timer,
    complete_workflow,
    record_marker,
    schedule_activity,
    seconds,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.resetting import Reset, reset, reset_request
from tests.conformance.scenarios import updates
from tests.conformance.wire import Wire

Completed = api.RespondWorkflowTaskCompletedRequest
Signal = api.SignalWorkflowExecutionRequest
Start = api.StartWorkflowExecutionRequest


async def try_every_event(w: Wire, run_id: str) -> None:
    """Reset the run to each of its events, one after the other; the last run that this makes is finished."""
    base = Reset(workflow_execution=w.execution(run_id=run_id))
    for event in await w.events(run_id=run_id):
        base.request_id = base.reason = f"to {event.event_id}"
        request = reset_request(w, event.event_id, base)
        reply = await w.attempt(w.rpc.ResetWorkflowExecution, request, note=base.reason)
        if reply is not None:
            w.transcript.ran(w.name, reply.run_id)
    await w.turn(complete_workflow())


@scenario
async def reset_points_of_plain_tasks(w: Wire) -> None:
    """Tasks with commands of many kinds, and what comes back."""
    run_id = await w.start()
    await w.turn(schedule_activity("a", w.queue), start_timer("t", 0.1), record_marker("m"), start_timer("late", 60))
    await w.event(EventType.EVENT_TYPE_TIMER_FIRED)
    await w.turn()
    await w.complete_activity(await w.activity_task())
    await w.turn(cancel_timer("late"))
    await w.signal()
    await try_every_event(w, run_id)


@scenario
async def reset_points_of_buffered_events(w: Wire) -> None:
    """Events that waited for a task to end are written behind it."""
    run_id = await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.signal()
    task = await w.workflow_task()
    await w.signal(Signal(signal_name="buffered"))
    await w.complete_activity(await w.activity_task())
    await w.complete(task, start_timer("t", 60))
    await w.turn()
    await try_every_event(w, run_id)


@scenario
async def reset_points_of_attempts(w: Wire) -> None:
    """A task that fails three times before it is completed, with a signal in between."""
    run_id = await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    await w.fail_workflow_task(await w.workflow_task())
    await w.turn(start_timer("t", 60))
    await w.signal()
    await w.fail_workflow_task(await w.workflow_task())
    await w.signal(Signal(signal_name="second"))
    await w.turn()
    await try_every_event(w, run_id)


@scenario
async def reset_points_of_heartbeats(w: Wire) -> None:
    """Tasks that go on: by force, and straight into the hands of the worker."""
    run_id = await w.start()
    again = Completed(force_create_new_workflow_task=True)
    await w.complete(await w.workflow_task(), start_timer("t", 60), change=again)
    sticky = StickyExecutionAttributes(
        worker_task_queue=TaskQueue(
            name=w.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=w.queue
        ),
        schedule_to_start_timeout=seconds(10),
    )
    again = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True, sticky_attributes=sticky)
    reply = await w.complete(await w.workflow_task(), change=again)
    await w.complete(reply.workflow_task)
    await try_every_event(w, run_id)


@scenario
async def reset_points_of_an_eager_start(w: Wire) -> None:
    """The first task travelled with the start's answer."""
    request = w.start_request(Start(request_eager_execution=True))
    reply = await w.call(w.rpc.StartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.complete(reply.eager_workflow_task, start_timer("t", 60))
    await try_every_event(w, reply.run_id)


@scenario
async def reset_points_of_updates(w: Wire) -> None:
    """Tasks that were made for updates."""
    run_id = await w.start()
    await w.turn(start_timer("t", 60))
    asked = updates.ask(w, updates.update(w, stage="ACCEPTED"))
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task))
    await asked
    asked = updates.ask(w, updates.update(w, "second"))
    task = await w.workflow_task()
    await w.signal()
    await updates.say(w, task, updates.accept(task), updates.respond("second"))
    await asked
    await updates.say(w, await w.workflow_task(), updates.respond())
    await try_every_event(w, run_id)


@scenario
async def reset_points_of_a_signal_with_start(w: Wire) -> None:
    """A start, a signal and the first task in one."""
    request = api.SignalWithStartWorkflowExecutionRequest(
        namespace=w.namespace,
        workflow_id=w.name,
        workflow_type=w.start_request().workflow_type,
        task_queue=w.start_request().task_queue,
        request_id="start",
        signal_name="signal",
        identity="client",
    )
    reply = await w.call(w.rpc.SignalWithStartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.signal(Signal(signal_name="second"))
    await w.turn(start_timer("t", 60))
    await try_every_event(w, reply.run_id)


@scenario
async def reset_points_of_a_reset(w: Wire) -> None:
    """What a reset has written, with a signal and an update that were taken along."""
    await w.start()
    await w.turn(start_timer("t", 60))
    asked = updates.ask(w)
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task), updates.respond())
    await asked
    await w.signal()
    run_id = await reset(w, 3)
    await w.turn()
    await try_every_event(w, run_id)
