"""A list filter's tree against one record, for stores that have no language to ask in.

As in SQL a comparison with what is absent is neither true nor false (None), and so is its negation; but a list, or a
text, that is absent does not contain what is looked for.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from services.persistence.interface import VisibilityRecord
from services.persistence.visibility_query import And, Condition, Not, Or, Predicate
from services.persistence.visibility_values import AttributeType, Value, has_word

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}

# The system attributes; some are there only once the run is closed.
_SYSTEM: Mapping[str, Callable[[VisibilityRecord], object]] = {
    "WorkflowId": lambda record: record.workflow_id,
    "RunId": lambda record: record.run_id,
    "WorkflowType": lambda record: record.workflow_type,
    "TaskQueue": lambda record: record.task_queue,
    "ScheduleId": lambda record: record.workflow_id,
    "ParentWorkflowId": lambda record: record.parent_workflow_id or None,
    "ParentRunId": lambda record: record.parent_run_id or None,
    "RootWorkflowId": lambda record: record.root_workflow_id or None,
    "RootRunId": lambda record: record.root_run_id or None,
    "StartTime": lambda record: record.start_time_ns,
    "ExecutionTime": lambda record: record.execution_time_ns,
    "ExecutionStatus": lambda record: record.status,
    "CloseTime": lambda record: record.close_time_ns or None,
    "HistoryLength": lambda record: record.history_length if record.close_time_ns else None,
    "HistorySizeBytes": lambda record: record.history_bytes if record.close_time_ns else None,
    "StateTransitionCount": lambda record: record.state_transitions if record.close_time_ns else None,
    "ExecutionDuration": lambda record: record.close_time_ns - record.start_time_ns if record.close_time_ns else None,
}


def matches(condition: Condition | None, record: VisibilityRecord) -> bool:
    """Whether the filter finds the record."""
    return condition is None or _holds(condition, record) is True


def equals(condition: Condition | None, name: str) -> Value | None:
    """What the attribute must be equal to in every record that is found; None when the filter does not say."""
    match condition:
        case Predicate(attribute=of, operator="=", values=(value,)) if of.name == name:
            return value
        case And(left, right):
            found = equals(left, name)
            return found if found is not None else equals(right, name)
    return None


def _holds(condition: Condition, record: VisibilityRecord) -> bool | None:
    match condition:
        case Not(part):
            held = _holds(part, record)
            return None if held is None else not held
        case And(left, right):
            return _least((_holds(left, record), _holds(right, record)))
        case Or(left, right):
            held = _least(None if held is None else not held for held in (_holds(left, record), _holds(right, record)))
            return None if held is None else not held
        case Predicate():
            return _compare(condition, record)


def _least(held: Iterable[bool | None]) -> bool | None:
    """AND: false when one is, else unknown when one is."""
    known = set(held)
    return False if False in known else None if None in known else True


def _compare(predicate: Predicate, record: VisibilityRecord) -> bool | None:
    of, operator, values = predicate.attribute, predicate.operator, predicate.values
    read = _SYSTEM.get(of.name)
    stored = read(record) if read is not None else record.search_attributes.get(of.name)
    if operator == "IS NULL":
        return stored is None
    if of.type in (AttributeType.KEYWORD_LIST, AttributeType.TEXT):
        found = _contains(of.type, stored, values)
        return not found if operator == "!=" else found
    if stored is None:
        return None
    try:
        return _relate(stored, operator, values)
    except TypeError:
        return None  # it was stored when the attribute had another type


def _contains(kind: AttributeType, stored: object, values: tuple[Value, ...]) -> bool:
    if kind is AttributeType.TEXT:
        return isinstance(stored, str) and has_word(stored, str(values[0]))
    return isinstance(stored, list) and any(value in stored for value in values)


def _relate(stored: Any, operator: str, values: tuple[Any, ...]) -> bool:
    match operator:
        case "IN":
            return stored in values
        case "BETWEEN":
            return bool(values[0] <= stored <= values[1])
        case "STARTS_WITH":
            return isinstance(stored, str) and stored.startswith(values[0])
    return _COMPARISONS[operator](stored, values[0])
