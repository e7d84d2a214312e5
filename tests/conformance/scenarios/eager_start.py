"""The first workflow task comes with the reply to the start."""

from tests.conformance.commands import complete_workflow, seconds
from tests.conformance.registry import scenario
from tests.conformance.scenarios.workflow_task import Start
from tests.conformance.wire import Wire


@scenario
async def eager_start_repeated(w: Wire) -> None:
    """The same start again gives the task again, until it is over."""
    request = Start(request_eager_execution=True)
    await w.start(request)
    reply = await w.call(w.rpc.StartWorkflowExecution, w.start_request(request), note="again")
    await w.complete(reply.eager_workflow_task)
    await w.call(w.rpc.StartWorkflowExecution, w.start_request(request), note="after the task")
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def eager_start_fails(w: Wire) -> None:
    """The next attempt goes to the task queue."""
    request = w.start_request(Start(request_eager_execution=True))
    reply = await w.call(w.rpc.StartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.fail_workflow_task(reply.eager_workflow_task)
    await w.call(w.rpc.StartWorkflowExecution, request, note="again")
    await w.turn(complete_workflow())


@scenario
async def eager_start_times_out(w: Wire) -> None:
    """A client that does nothing with its task."""
    request = w.start_request(Start(request_eager_execution=True))
    request.workflow_task_timeout.CopyFrom(seconds(1))
    reply = await w.call(w.rpc.StartWorkflowExecution, request)
    w.transcript.ran(w.name, reply.run_id)
    await w.turn(complete_workflow())


@scenario
async def eager_start_of_a_running_workflow(w: Wire) -> None:
    """Who finds the workflow there gets no task."""
    await w.start()
    request = w.start_request(Start(request_eager_execution=True, request_id="other"))
    await w.attempt(w.rpc.StartWorkflowExecution, request)
    delayed = w.other("delayed").start_request(Start(request_eager_execution=True, workflow_start_delay=seconds(60)))
    await w.attempt(w.rpc.StartWorkflowExecution, delayed, note="delayed")
    cron = w.other("cron").start_request(Start(request_eager_execution=True, cron_schedule="@every 1h"))
    await w.attempt(w.rpc.StartWorkflowExecution, cron, note="cron")
