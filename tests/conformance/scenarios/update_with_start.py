"""Updates that start their workflow if need be."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy

from tests.conformance.commands import complete_workflow
from tests.conformance.registry import scenario
from tests.conformance.scenarios.updates import accept, admitted, respond, say, update
from tests.conformance.wire import Wire

Operation = api.ExecuteMultiOperationRequest.Operation
Start = api.StartWorkflowExecutionRequest

USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL


def both(
    w: Wire, policy: WorkflowIdConflictPolicy.ValueType = USE_EXISTING, change: Start | None = None
) -> api.ExecuteMultiOperationRequest:
    """A start, with the fields of `change` laid over it, and an update."""
    start = w.start_request(Start(workflow_id_conflict_policy=policy))
    start.request_id = "with update"
    if change is not None:
        start.MergeFrom(change)
    operations = [Operation(start_workflow=start), Operation(update_workflow=update(w))]
    return api.ExecuteMultiOperationRequest(namespace=w.namespace, operations=operations)


@scenario
async def update_with_start_new(w: Wire) -> None:
    """Nobody is there: the first task brings the update."""
    asked = asyncio.create_task(w.attempt(w.rpc.ExecuteMultiOperation, both(w)))
    await admitted(w)
    task = await w.workflow_task()
    await say(w, task, accept(task), respond(), then=complete_workflow())
    await asked


@scenario
async def update_with_start_running(w: Wire) -> None:
    """A running workflow is just updated."""
    await w.start()
    await w.turn()
    asked = asyncio.create_task(w.attempt(w.rpc.ExecuteMultiOperation, both(w)))
    task = await w.workflow_task()
    await say(w, task, accept(task), respond())
    await asked
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w), note="repeated")


@scenario
async def update_with_start_refused(w: Wire) -> None:
    """When the start fails, the update is aborted."""
    await w.start()
    await w.attempt(w.rpc.ExecuteMultiOperation, both(w, FAIL))


@scenario
async def update_with_start_bad_input(w: Wire) -> None:
    """Pairs that are none, and starts that cannot carry an update."""
    await w.attempt(w.rpc.ExecuteMultiOperation, api.ExecuteMultiOperationRequest(namespace=w.namespace), note="none")
    for note, kept in {"start alone": [0], "update alone": [1], "reversed": [1, 0], "two starts": [0, 0]}.items():
        request = both(w)
        operations = [request.operations[index] for index in kept]
        pair = api.ExecuteMultiOperationRequest(namespace=w.namespace, operations=operations)
        await w.attempt(w.rpc.ExecuteMultiOperation, pair, note=note)
    changes = {"cron": Start(cron_schedule="@every 1h"), "eager": Start(request_eager_execution=True)}
    for note, change in changes.items():
        await w.attempt(w.rpc.ExecuteMultiOperation, both(w, change=change), note=note)
    other_workflow = both(w)
    other_workflow.operations[1].update_workflow.workflow_execution.workflow_id = "someone"
    await w.attempt(w.rpc.ExecuteMultiOperation, other_workflow, note="another workflow")
    no_name = both(w)
    no_name.operations[1].update_workflow.request.input.name = ""
    await w.attempt(w.rpc.ExecuteMultiOperation, no_name, note="no update name")
