"""A pause is as durable as all else: the next life of a host holds back what this one did."""

from pathlib import Path

from temporalio.api.workflowservice import v1 as api

from tests.unit.engine.house import COMPLETE, SCHEDULE, House, live, open_store


async def pause(house: House, workflow_id: str) -> None:
    request = api.PauseWorkflowExecutionRequest(workflow_id=workflow_id, request_id="pause")
    await house.history.pause_workflow_execution(house.call, request)


async def unpause(house: House, workflow_id: str) -> None:
    request = api.UnpauseWorkflowExecutionRequest(workflow_id=workflow_id, request_id="unpause")
    await house.history.unpause_workflow_execution(house.call, request)


async def test_a_paused_run_stays_so_over_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path / "db") as store:
        house = await live(store)
        await house.begin("paused")
        await house.answer(await house.task(), SCHEDULE)
        await pause(house, "paused")
        await house.signal("paused", "hello")
        house = await live(store)
        await house.begin("other")  # whose tasks come although they were filed after those of the paused run
        task = await house.task()
        assert task.workflow_execution.workflow_id == "other"
        await house.answer(task, SCHEDULE)
        activity = await house.activity()
        assert activity.workflow_execution.workflow_id == "other"
        await unpause(house, "paused")
        await house.activity_done(await house.activity())
        await house.answer(await house.task(), COMPLETE)
        assert (await house.event_names("paused"))[-1] == "WORKFLOW_EXECUTION_COMPLETED"
