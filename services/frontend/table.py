"""The frontend's calls, and what answers each: read from the handler classes, so that no list can lie."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Final, NoReturn

from temporalio.api.operatorservice import v1 as operator_api
from temporalio.api.workflowservice import v1 as workflow_api

from services.errors import Unimplemented
from services.frontend import about
from services.frontend.activity_operations import ActivityOperations
from services.frontend.answers import Answers
from services.frontend.answers_by_id import AnswersById
from services.frontend.backends import Backends, Handlers
from services.frontend.cluster import Cluster
from services.frontend.metrics import counting
from services.frontend.namespaces import Namespaces
from services.frontend.operator import Operator
from services.frontend.options import Options
from services.frontend.pauses import Pauses
from services.frontend.polls import Polls
from services.frontend.resets import Resets
from services.frontend.update_with_start import UpdateWithStart
from services.frontend.visibility import Visibility
from services.frontend.workflows import Workflows
from services.rpc import Call
from services.rpc.server import Method, about_nobody

WORKFLOW_SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
OPERATOR_SERVICE = "temporal.api.operatorservice.v1.OperatorService"
APIS: Final[Mapping[str, ModuleType]] = {WORKFLOW_SERVICE: workflow_api, OPERATOR_SERVICE: operator_api}

BY_NAMESPACE: Final = (
    Workflows,
    Resets,
    UpdateWithStart,
    Polls,
    AnswersById,
    Visibility,
    Pauses,
    Options,
    ActivityOperations,
)
BY_TASK_TOKEN: Final = (Answers,)
ABOUT_THE_CLUSTER: Final = (Namespaces, Cluster)
OPERATOR: Final = (Operator,)
# Refused where a namespace is deprecated: they may start a workflow.
STARTS: Final = frozenset(("StartWorkflowExecution", "SignalWithStartWorkflowExecution", "ExecuteMultiOperation"))
# What metrics call a call, where that depends on the request.
OPERATIONS: Final[Mapping[str, Callable[[Any], str]]] = {
    "GetWorkflowExecutionHistory": lambda request: (
        "PollWorkflowExecutionHistory" if request.wait_new_event else "GetWorkflowExecutionHistory"
    ),
}


def methods(backends: Backends) -> dict[str, Method]:
    """Every method of the API by its full name. Those without a handler answer UNIMPLEMENTED."""
    named = about.named(backends.namespaces)
    starting = about.named(backends.namespaces, starts=True)
    token = about.by_task_token(backends.namespaces)
    table = {path: Method(request, partial(_refuse, path)) for path, request in _all_methods()}
    for service, kinds, default in (
        (WORKFLOW_SERVICE, BY_NAMESPACE, named),
        (WORKFLOW_SERVICE, BY_TASK_TOKEN, token),
        (WORKFLOW_SERVICE, ABOUT_THE_CLUSTER, about_nobody),
        (OPERATOR_SERVICE, OPERATOR, about_nobody),
    ):
        for kind in kinds:
            handlers: Handlers = kind(backends)
            for name in served_by(kind):
                path = f"/{service}/{name}"
                judge = starting if name in STARTS else default
                answer = counting(name, getattr(handlers, _snake(name)))
                table[path] = Method(table[path].request, answer, judge, OPERATIONS.get(name))
    return table


def served_by(kind: type[Any]) -> list[str]:
    """The API methods a class of handlers serves: every public coroutine function of that name."""
    return [name for name in method_names(workflow_api) + method_names(operator_api) if _snake(name) in vars(kind)]


def built() -> dict[str, frozenset[str]]:
    """The methods with a handler, by service."""
    return {
        WORKFLOW_SERVICE: frozenset(
            name for kind in (*BY_NAMESPACE, *BY_TASK_TOKEN, *ABOUT_THE_CLUSTER) for name in served_by(kind)
        ),
        OPERATOR_SERVICE: frozenset(name for kind in OPERATOR for name in served_by(kind)),
    }


def _all_methods() -> Iterable[tuple[str, type[Any]]]:
    for service, module in APIS.items():
        for name in method_names(module):
            yield f"/{service}/{name}", getattr(module, f"{name}Request")


def method_names(module: ModuleType) -> list[str]:
    """A service's methods, told from its messages: that spares every start the import of service descriptors."""
    names = (name.removesuffix("Request") for name in vars(module) if name.endswith("Request"))
    return sorted(name for name in names if hasattr(module, f"{name}Response"))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


async def _refuse(path: str, _call: Call, _request: object) -> NoReturn:
    name = path.rpartition("/")[2]
    raise Unimplemented(f"{name} is not built in Perdure yet; docs/compatibility.md lists what is")
