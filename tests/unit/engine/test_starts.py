"""Starts that are refused by settings that are off unless set."""

from pathlib import Path

import pytest
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.errors import ResourceExhausted
from tests.unit.engine.house import live, open_store

WATCHED = {"history.enableWorkflowIdReuseStartTimeValidation": True, "history.workflowIdReuseMinimalInterval": "1h"}


async def test_an_id_is_not_used_again_at_once(tmp_path: Path) -> None:
    async with open_store(tmp_path / "db") as store:
        house = await live(store)
        house.history.engine.config = DynamicConfig(overrides=WATCHED)
        await house.begin("w", "first")
        await house.begin("w", "first")  # the same request is answered
        again = api.StartWorkflowExecutionRequest(
            workflow_id="w",
            request_id="second",
            workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
        )
        told = r"^Too many restarts for workflow w\. Time since last start: \d+ ms$"
        with pytest.raises(ResourceExhausted, match=told):
            await house.history.start_workflow_execution(house.call, again)
        request = api.TerminateWorkflowExecutionRequest()
        request.workflow_execution.workflow_id = "w"
        await house.history.terminate_workflow_execution(house.call, request)
        with pytest.raises(ResourceExhausted, match=r"^Too many starts for workflow w\."):
            await house.begin("w", "third")
