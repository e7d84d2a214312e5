"""The commands of a workflow task completion, one file each. Order rules: services.history.core.completion."""

from collections.abc import Callable, Iterable, Iterator

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType

from services.history.core.commands import (
    cancel_timer,
    cancel_workflow_execution,
    complete_workflow_execution,
    continue_as_new_workflow_execution,
    fail_workflow_execution,
    modify_workflow_properties,
    record_marker,
    request_cancel_activity_task,
    request_cancel_external_workflow_execution,
    schedule_activity_task,
    signal_external_workflow_execution,
    start_child_workflow_execution,
    start_timer,
    upsert_workflow_search_attributes,
)
from services.history.core.commands.refusal import BadCommand, Completion
from services.history.core.draft import Draft

_C = CommandType

DECIDE: dict[int, Callable[[Draft, Command, Completion], None]] = {
    _C.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: schedule_activity_task.decide,
    _C.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: request_cancel_activity_task.decide,
    _C.COMMAND_TYPE_START_TIMER: start_timer.decide,
    _C.COMMAND_TYPE_CANCEL_TIMER: cancel_timer.decide,
    _C.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: complete_workflow_execution.decide,
    _C.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: fail_workflow_execution.decide,
    _C.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: cancel_workflow_execution.decide,
    _C.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: continue_as_new_workflow_execution.decide,
    _C.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: start_child_workflow_execution.decide,
    _C.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: signal_external_workflow_execution.decide,
    _C.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: request_cancel_external_workflow_execution.decide,
    _C.COMMAND_TYPE_RECORD_MARKER: record_marker.decide,
    _C.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: upsert_workflow_search_attributes.decide,
    _C.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: modify_workflow_properties.decide,
}

# Refused with a failed task: Nexus is not built yet. ProtocolMessage is handled by the completion itself.
NOT_BUILT = frozenset({_C.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION, _C.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION})

CLOSING = frozenset(
    {
        _C.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        _C.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
        _C.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
        _C.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
    }
)

_SETS_SEARCH_ATTRIBUTES: dict[int, str] = {
    _C.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "upsert_workflow_search_attributes_command_attributes",
    _C.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: "start_child_workflow_execution_command_attributes",
    _C.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: "continue_as_new_workflow_execution_command_attributes",
}


def search_attributes_set(commands: Iterable[Command]) -> Iterator[str]:
    """The names of the search attributes that commands set."""
    for command in commands:
        attributes = _SETS_SEARCH_ATTRIBUTES.get(command.command_type)
        if attributes is not None:
            yield from getattr(command, attributes).search_attributes.indexed_fields


def namespaces_named(commands: Iterable[Command]) -> Iterator[str]:
    """The namespaces that commands are addressed to, where they say one."""
    for command in commands:
        name = command.WhichOneof("attributes") or ""
        namespace: str = getattr(getattr(command, name), "namespace", "") if name else ""
        if namespace:
            yield namespace


__all__ = ["CLOSING", "DECIDE", "NOT_BUILT", "BadCommand", "Completion", "namespaces_named", "search_attributes_set"]
