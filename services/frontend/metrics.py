"""What the frontend counts besides its calls: the actions that usage is measured by, and how long list filters are."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType
from temporalio.api.workflowservice import v1 as api

from services.rpc import Call
from services.rpc.server.method import Reply
from services.telemetry import COUNT_BUCKETS, BoundCounter, Counter, Histogram

SERVICE: Final = "frontend"
ACTIONS = Counter("action", ("operation", "namespace", "service_name", "action_type"), "What a client made happen")
QUERY_LENGTH = Histogram(
    "visibility_list_workflows_query_length",
    ("operation", "namespace", "service_name"),
    "Of list filters, in characters",
    buckets=COUNT_BUCKETS,
)
COMPLETED: Final = "RespondWorkflowTaskCompleted"
COUNTED: Final = frozenset(
    (
        "StartWorkflowExecution",
        "SignalWorkflowExecution",
        "SignalWithStartWorkflowExecution",
        "QueryWorkflow",
        "RecordActivityTaskHeartbeat",
        "RecordActivityTaskHeartbeatById",
        "ResetWorkflowExecution",
    )
)
COMMANDS: Final[Mapping[int, str]] = {
    int(getattr(CommandType, f"COMMAND_TYPE_{name}")): "command_" + "".join(p.capitalize() for p in name.split("_"))
    for name in (
        "SCHEDULE_ACTIVITY_TASK",
        "START_TIMER",
        "RECORD_MARKER",
        "START_CHILD_WORKFLOW_EXECUTION",
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "MODIFY_WORKFLOW_PROPERTIES",
        "CONTINUE_AS_NEW_WORKFLOW_EXECUTION",
    )
}
EXTRA: Final = "command_StartChildWorkflowExecution_Extra"  # a child is two actions
CHILD: Final = int(CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION)

Answer = Callable[[Call, Any], Awaitable[Reply]]
_cells: dict[tuple[str, str, str], BoundCounter] = {}


def counting(name: str, answer: Answer) -> Answer:
    """`answer`, with the actions counted that come of it; as it is where a call is none."""
    if name in COUNTED:
        kind = f"grpc_{name}"

        async def counted(call: Call, request: Any) -> Reply:
            reply = await answer(call, request)
            _count(name, call.namespace, kind)
            return reply

        return counted
    return _counting_commands(answer) if name == COMPLETED else answer


def _counting_commands(answer: Answer) -> Answer:
    async def counted(call: Call, request: api.RespondWorkflowTaskCompletedRequest) -> Reply:
        reply = await answer(call, request)
        for kind in _kinds(request.commands):
            _count(COMPLETED, call.namespace, kind)
        return reply

    return counted


def _kinds(commands: Iterable[Command]) -> Iterable[str]:
    for command in commands:
        number = int(command.command_type)
        kind = COMMANDS.get(number)
        if kind is not None:
            yield kind
        if number == CHILD:
            yield EXTRA


def _count(operation: str, namespace: str, kind: str) -> None:
    cell = _cells.get((operation, namespace, kind))
    if cell is None:
        cell = _cells[operation, namespace, kind] = ACTIONS.bind(
            operation=operation, namespace=namespace, service_name=SERVICE, action_type=kind
        )
    cell.inc()


def listed(namespace: str, query: str) -> None:
    """A list was asked for with a filter."""
    QUERY_LENGTH.bind(operation="ListWorkflowExecutions", namespace=namespace, service_name=SERVICE).observe(len(query))
