"""The table of calls against the API it serves, and the document that is made of it."""

import inspect
from importlib import import_module

import pytest
import temporalio.api.workflowservice.v1 as api

from services.errors import Unimplemented
from services.frontend import compatibility
from services.frontend.table import (
    ABOUT_THE_CLUSTER,
    APIS,
    BY_NAMESPACE,
    BY_TASK_TOKEN,
    OPERATOR,
    built,
    method_names,
    served_by,
)
from tests.unit.frontend.conftest import Desk

HANDLERS = (*BY_NAMESPACE, *BY_TASK_TOKEN, *ABOUT_THE_CLUSTER, *OPERATOR)


@pytest.mark.parametrize("service", APIS)
async def test_every_method_of_the_api_is_in_the_table(desk: Desk, service: str) -> None:
    package, _, name = service.rpartition(".")
    descriptor = import_module(f"temporalio.api.{package.removeprefix('temporal.api.')}.service_pb2").DESCRIPTOR
    names = sorted(method.name for method in descriptor.services_by_name[name].methods)
    assert method_names(APIS[service]) == names
    assert sorted(path.rpartition("/")[2] for path in desk.table if path.startswith(f"/{service}/")) == names


@pytest.mark.parametrize("kind", HANDLERS)
def test_every_handler_serves_a_call(kind: type) -> None:
    public = [name for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction) if not name.startswith("_")]
    assert len(served_by(kind)) == len(public), f"{public} and {served_by(kind)}"


def test_no_call_is_served_twice() -> None:
    served = [name for kind in HANDLERS for name in served_by(kind)]
    assert len(served) == len(set(served)) == sum(map(len, built().values()))


async def test_what_is_not_built_says_so(desk: Desk) -> None:
    with pytest.raises(Unimplemented, match="CreateSchedule is not built in Perdure yet"):
        await desk.ask(api.CreateScheduleRequest(namespace="default"))


def test_the_document_says_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert compatibility.main(["--check"]) == 0, capsys.readouterr().err
    assert set(compatibility.LIMITATIONS) <= set().union(*built().values())
