"""Timers: firing, cancelling, and what happens when both meet."""

from tests.conformance.commands import cancel_timer, complete_workflow, start_timer
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire


@scenario
async def timer_fires(w: Wire) -> None:
    """A timer that fires brings a workflow task."""
    await w.start()
    await w.turn(start_timer("t", 1))
    await w.turn(complete_workflow("done"))


@scenario
async def timers_fire_in_order(w: Wire) -> None:
    """Timers fire by their time, not by the order of their commands."""
    await w.start()
    await w.turn(start_timer("late", 2), start_timer("soon", 1))
    await w.turn()
    await w.turn(complete_workflow())


@scenario
async def timer_cancelled(w: Wire) -> None:
    """A cancelled timer never fires and brings no workflow task."""
    await w.start()
    await w.turn(start_timer("long", 1), start_timer("short", 1.5))
    await w.signal()
    await w.turn(cancel_timer("long"))
    await w.turn(complete_workflow())


@scenario
async def timer_cancelled_in_the_task_that_starts_it(w: Wire) -> None:
    """Start and cancel in one list of commands."""
    await w.start()
    await w.turn(start_timer("t", 60), cancel_timer("t"), complete_workflow())


@scenario
async def timer_id_used_again(w: Wire) -> None:
    """An id is free again once its timer has fired."""
    await w.start()
    await w.turn(start_timer("t", 1))
    await w.turn(start_timer("t", 1))
    await w.turn(complete_workflow())


@scenario
async def timer_of_no_time(w: Wire) -> None:
    """A timer of zero seconds fires like any other."""
    await w.start()
    await w.turn(start_timer("t", 0))
    await w.turn(complete_workflow())


@scenario
async def timer_duplicate_id(w: Wire) -> None:
    """Two pending timers of one id fail the workflow task."""
    await w.start()
    task = await w.workflow_task()
    request = w.completion(task, start_timer("t", 60), start_timer("t", 60))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.turn(complete_workflow())


@scenario
async def timer_cancelled_after_it_fired(w: Wire) -> None:
    """A firing that waits for the workflow task to end is taken back by the cancellation."""
    await w.start()
    await w.turn(start_timer("t", 1))
    await w.signal()
    task = await w.workflow_task()
    await w.let_time_pass(2)
    await w.complete(task, cancel_timer("t"))
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def timer_firings_buffered_while_a_task_runs(w: Wire) -> None:
    """Firings during a workflow task come with the next one."""
    await w.start()
    await w.turn(start_timer("t", 1))
    await w.signal()
    task = await w.workflow_task()
    await w.let_time_pass(2)
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def timer_bad_commands(w: Wire) -> None:
    """Commands about timers that make no sense."""
    await w.each_alone(
        {
            "no id": start_timer("", 1),
            "negative": start_timer("t", -1),
            "id of 1001 bytes": start_timer("x" * 1001, 1),
            "cancel unknown": cancel_timer("nobody"),
            "cancel without id": cancel_timer(""),
        }
    )
