"""Builders for the scenarios of resets."""

import temporalio.api.workflowservice.v1 as api

from tests.conformance.wire import Wire, over

Reset = api.ResetWorkflowExecutionRequest


def reset_request(w: Wire, finish: int, change: Reset | None = None) -> Reset:
    """A reset of the scenario's workflow to the end of a workflow task, with the fields of `change` laid over it."""
    request = Reset(
        namespace=w.namespace,
        workflow_execution=w.execution(),
        workflow_task_finish_event_id=finish,
        reason="again",
        request_id="reset",
        identity="resetter",
    )
    return over(request, change)


async def reset(w: Wire, finish: int, change: Reset | None = None) -> str:
    """Reset the workflow and return the id of the run that begins."""
    request = reset_request(w, finish, change)
    reply = await w.call(w.rpc.ResetWorkflowExecution, request)
    w.transcript.ran(request.workflow_execution.workflow_id, reply.run_id)
    return reply.run_id
