"""The calls that pause a workflow and let it go on, with what scenarios say in them."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import EventType

from tests.conformance.wire import Wire, over


def pause_request(
    w: Wire, change: api.PauseWorkflowExecutionRequest | None = None
) -> api.PauseWorkflowExecutionRequest:
    """A pause of the scenario's workflow, with the fields of `change` laid over it."""
    return over(
        api.PauseWorkflowExecutionRequest(
            namespace=w.namespace, workflow_id=w.id(), identity="client", reason="lunch", request_id="pause"
        ),
        change,
    )


def unpause_request(
    w: Wire, change: api.UnpauseWorkflowExecutionRequest | None = None
) -> api.UnpauseWorkflowExecutionRequest:
    """The end of that pause, with the fields of `change` laid over it."""
    return over(
        api.UnpauseWorkflowExecutionRequest(
            namespace=w.namespace, workflow_id=w.id(), identity="client", reason="back", request_id="unpause"
        ),
        change,
    )


async def pause(w: Wire) -> None:
    """Pause the scenario's workflow."""
    await w.call(w.rpc.PauseWorkflowExecution, pause_request(w))


async def unpause(w: Wire) -> None:
    """Let the scenario's workflow go on."""
    await w.call(w.rpc.UnpauseWorkflowExecution, unpause_request(w))


async def unpause_attempt(w: Wire, note: str) -> None:
    """Ask for the end of a pause that may be refused."""
    await w.attempt(w.rpc.UnpauseWorkflowExecution, unpause_request(w), note=note)


async def pause_attempt(w: Wire, note: str) -> None:
    """Ask for a pause that may be refused."""
    await w.attempt(w.rpc.PauseWorkflowExecution, pause_request(w), note=note)


async def until_event(w: Wire, kind: EventType.ValueType) -> None:
    """Wait until the run has an event of this type; a paused run answers who waits for the next one at once."""
    request = api.GetWorkflowExecutionHistoryRequest(namespace=w.namespace, execution=w.execution())
    await w.until(
        w.rpc.GetWorkflowExecutionHistory,
        request,
        lambda reply: any(event.event_type == kind for event in reply.history.events),
    )
