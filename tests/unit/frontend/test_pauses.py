"""Pausing is off unless it is enabled; what is paused may go on in any case."""

import pytest
import temporalio.api.workflowservice.v1 as api

from services.errors import Unimplemented
from tests.unit.frontend.conftest import Desk


async def test_pausing_is_off_unless_enabled(desk: Desk) -> None:
    with pytest.raises(Unimplemented, match="workflow pause is not enabled for namespace: default"):
        await desk.ask(api.PauseWorkflowExecutionRequest(namespace="default", workflow_id="w"))
    assert not desk.history.requests


async def test_a_pause_can_be_ended_where_pausing_is_off(desk: Desk) -> None:
    await desk.ask(api.UnpauseWorkflowExecutionRequest(namespace="default", workflow_id="w", reason="back"))
    assert desk.history.only("unpause_workflow_execution").reason == "back"
