"""A host learns of a namespace before it does anything in it."""

from typing import Any, cast

import pytest
from temporalio.api.workflowservice import v1 as api

from services.host.assembly import knowing
from services.namespaces import NamespaceRegistry
from services.protos.history_pb2 import RecordChildClosedRequest
from services.rpc import HISTORY, Call, Wire


class Registry:
    """Knows what it has looked for."""

    def __init__(self) -> None:
        self.known = {"mine"}

    def knows(self, namespace_id: str) -> bool:
        return namespace_id in self.known

    async def look_again(self) -> None:
        self.known |= {"theirs"}


@pytest.mark.parametrize(
    ("wire", "call", "request_"),
    [
        ("describe_workflow_execution", Call(namespace_id="theirs"), api.DescribeWorkflowExecutionRequest()),
        ("record_child_closed", Call(namespace_id="mine"), RecordChildClosedRequest(namespace_id="theirs")),
    ],
)
async def test_the_namespace_of_a_call_and_that_of_what_it_is_about_are_looked_for(
    wire: str, call: Call, request_: object
) -> None:
    registry = Registry()

    async def send(_wire: Wire, _call: Call, _request: Any) -> bool:
        return registry.knows("theirs")

    assert await knowing(cast(NamespaceRegistry, registry), send)(HISTORY[wire], call, request_)
