"""When runs are deleted, on a clock turned by hand: nothing of them stays, whatever was on its way to the lists."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import TerminateWorkflowExecutionRequest

from services.persistence import StoreError, TaskCategory
from services.protos.run_pb2 import Task
from tests.unit.history.conftest import HOUR_S, House, happened

SECOND_NS = 1_000_000_000


async def test_a_closed_run_is_deleted_when_its_retention_is_over(house: House) -> None:
    run_id = await house.start("wf")
    await house.clock.advance(60)
    closed_ns = house.clock.now_ns()
    execution = WorkflowExecution(workflow_id="wf")
    request = TerminateWorkflowExecutionRequest(workflow_execution=execution)
    await house.history.terminate_workflow_execution(house.call, request)

    rows = await house.store.read_tasks(1, TaskCategory.TIMER, (0, 0), 2**62, 100)
    due = [row.fire_time_ns for row in rows if Task.FromString(row.blob).kind == Task.DELETE_RUN]
    assert due == [closed_ns + HOUR_S * SECOND_NS]

    await house.clock.advance(HOUR_S - 1)
    assert await house.is_stored("wf", run_id)
    assert await house.listed() == ["wf"]
    await house.clock.advance(1)
    await happened(house.store.hidden)
    assert not await house.is_stored("wf", run_id)
    assert await house.store.read_current(1, house.call.namespace_id, "wf") is None
    assert await house.listed() == []


async def test_a_record_on_its_way_to_the_lists_does_not_bring_a_deleted_run_back(house: House) -> None:
    house.store.gate.clear()
    run_id = await house.start("wf")
    await house.clock.advance(1)
    await happened(house.store.upserting)
    await house.delete("wf")
    await house.clock.advance(1)
    assert not await house.is_stored("wf", run_id)
    assert not house.store.hiding.is_set()
    house.store.gate.set()
    await happened(house.store.hidden)
    await house.clock.advance(1)
    assert await house.listed() == []


async def test_a_deletion_that_was_interrupted_is_finished(house: House) -> None:
    await house.start("wf")
    await house.clock.advance(1)
    assert await house.listed() == ["wf"]
    house.store.failures.append(StoreError("not now"))
    await house.delete("wf")
    await house.clock.advance(0)
    await happened(house.store.hiding)
    await house.clock.advance(1)
    await happened(house.store.hidden)
    assert await house.listed() == []


async def test_a_workflow_id_can_be_used_anew_after_its_current_run_was_deleted(house: House) -> None:
    first = await house.start("wf")
    await house.delete("wf")
    await house.clock.advance(1)
    await happened(house.store.hidden)
    second = await house.start("wf")
    await house.clock.advance(1)
    current = await house.store.read_current(1, house.call.namespace_id, "wf")
    assert (current.run_id, first != second) == (second, True)
    assert await house.listed() == ["wf"]
