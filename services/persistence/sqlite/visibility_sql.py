"""A list filter's tree -> a WHERE clause. Names and values never become part of the SQL text: they are bound."""

from typing import NamedTuple

from services.persistence.visibility_query import And, Condition, Not, Or, Predicate
from services.persistence.visibility_values import Attribute, AttributeType, Value

# The system attributes. Absent is NULL; some are there only once the run is closed.
_WHEN_CLOSED = "CASE WHEN close_time_ns != 0 THEN {} END"
_SYSTEM = {
    "WorkflowId": "workflow_id",
    "RunId": "run_id",
    "WorkflowType": "workflow_type",
    "TaskQueue": "task_queue",
    "ScheduleId": "workflow_id",
    "ParentWorkflowId": "nullif(parent_workflow_id, '')",
    "ParentRunId": "nullif(parent_run_id, '')",
    "RootWorkflowId": "nullif(root_workflow_id, '')",
    "RootRunId": "nullif(root_run_id, '')",
    "StartTime": "start_time_ns",
    "ExecutionTime": "execution_time_ns",
    "ExecutionStatus": "status",
    "CloseTime": "nullif(close_time_ns, 0)",
    "HistoryLength": _WHEN_CLOSED.format("history_length"),
    "HistorySizeBytes": _WHEN_CLOSED.format("history_bytes"),
    "StateTransitionCount": _WHEN_CLOSED.format("state_transitions"),
    "ExecutionDuration": _WHEN_CLOSED.format("close_time_ns - start_time_ns"),
}

HAS_WORD = "has_word"  # of a text: visibility_values.has_word, registered by the room's `prepare`

# The others are in one JSON object. Absent is NULL, so that neither a comparison nor its negation holds; but a list, or
# a text, that is absent does not contain what is looked for.
_VALUE = "json_extract(search_attributes, ?)"
_CONTAINS = "EXISTS (SELECT 1 FROM json_each(search_attributes, ?) WHERE value IN ({}))"

_INTEGERS = range(-(2**63), 2**63)


class Filter(NamedTuple):
    sql: str
    values: tuple[object, ...]


def translate(condition: Condition | None) -> Filter:
    match condition:
        case None:
            return Filter("1", ())
        case Not(part):
            inner = translate(part)
            return Filter(f"NOT ({inner.sql})", inner.values)
        case And(left, right) | Or(left, right):
            first, second = translate(left), translate(right)
            word = "AND" if isinstance(condition, And) else "OR"
            return Filter(f"({first.sql}) {word} ({second.sql})", first.values + second.values)
        case Predicate():
            return _predicate(condition)


def _predicate(predicate: Predicate) -> Filter:
    of, operator = predicate.attribute, predicate.operator
    values = tuple(_bindable(value) for value in predicate.values)
    if of.name in _SYSTEM:
        return _compare(_SYSTEM[of.name], operator, values)
    path = '$."' + of.name.replace('"', "") + '"'
    if operator == "IS NULL":
        return Filter(f"{_VALUE} IS NULL", (path,))
    if of.type in (AttributeType.KEYWORD_LIST, AttributeType.TEXT):
        found = _contains(of, path, values)
        return Filter(f"NOT {found.sql}", found.values) if operator == "!=" else found
    compared = _compare(_VALUE, operator, values)
    return Filter(compared.sql, (path, *compared.values))


def _contains(of: Attribute, path: str, values: tuple[Value, ...]) -> Filter:
    if of.type is AttributeType.TEXT:
        return Filter(f"{HAS_WORD}({_VALUE}, ?)", (path, *values))
    return Filter(_CONTAINS.format(", ".join("?" * len(values))), (path, *values))


def _compare(operand: str, operator: str, values: tuple[Value, ...]) -> Filter:
    match operator:
        case "IS NULL":
            return Filter(f"{operand} IS NULL", ())
        case "IN":
            return Filter(f"{operand} IN ({', '.join('?' * len(values))})", values)
        case "BETWEEN":
            return Filter(f"{operand} BETWEEN ? AND ?", values)
        case "STARTS_WITH":
            # As a range, which an index can serve; the last code point is no character.
            prefix = str(values[0])
            return Filter(f"{operand} BETWEEN ? AND ?", (prefix, prefix + "\U0010ffff"))
    assert operator in ("=", "!=", "<", "<=", ">", ">="), operator
    return Filter(f"{operand} {operator} ?", values)


def _bindable(value: Value) -> Value:
    """SQLite has integers of 64 bits; beyond them a float orders as well."""
    return float(value) if isinstance(value, int) and value not in _INTEGERS else value
