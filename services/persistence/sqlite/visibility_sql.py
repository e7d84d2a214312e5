"""A list filter's tree -> a WHERE clause. Names and values never become part of the SQL text: they are bound."""

from typing import NamedTuple

from services.persistence.visibility_query import And, Condition, Not, Or, Predicate
from services.persistence.visibility_values import Value, datetime_ns, datetime_text

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

# A custom attribute is one value or a list; json_each gives either as rows. Absent is NULL, so that neither a
# predicate nor its negation holds.
_CUSTOM = (
    "CASE WHEN json_type(search_attributes, ?) IS NOT NULL THEN"
    " EXISTS (SELECT 1 FROM json_each(search_attributes, ?) AS each WHERE {}) END"
)
# Brings a date-time in UTC to nine digits, the form of datetime_text.
_AS_DATETIME = (
    "substr(each.value, 1, 19) || '.' || substr(rtrim(substr(each.value, 21), 'Z') || '000000000', 1, 9) || 'Z'"
)

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
    values = tuple(_bindable(value) for value in predicate.values)
    if predicate.name in _SYSTEM:
        return _compare(_SYSTEM[predicate.name], predicate.operator, values)
    path = '$."' + predicate.name.replace('"', "") + '"'
    if predicate.operator == "IS NULL":
        return Filter("json_type(search_attributes, ?) IS NULL", (path,))
    if predicate.operator == "!=":
        # Of a list: does not contain.
        return translate(Not(Predicate(predicate.name, "=", predicate.values)))
    times = [datetime_ns(value) if isinstance(value, str) else None for value in values]
    operand = "each.value"
    if times and None not in times:
        operand, values = _AS_DATETIME, tuple(datetime_text(time) for time in times if time is not None)
    inner = _compare(operand, predicate.operator, values)
    return Filter(_CUSTOM.format(inner.sql), (path, path, *inner.values))


def _compare(operand: str, operator: str, values: tuple[Value, ...]) -> Filter:
    match operator:
        case "IS NULL":
            return Filter(f"{operand} IS NULL", ())
        case "IN":
            return Filter(f"{operand} IN ({', '.join('?' * len(values))})", values)
        case "BETWEEN":
            return Filter(f"{operand} BETWEEN ? AND ?", values)
        case "STARTS_WITH":
            # As a range, which an index can serve.
            prefix = str(values[0])
            return Filter(f"({operand} >= ? AND {operand} < ?)", (prefix, prefix + "\U0010ffff"))
    assert operator in ("=", "!=", "<", "<=", ">", ">="), operator
    return Filter(f"{operand} {operator} ?", values)


def _bindable(value: Value) -> Value:
    """SQLite has integers of 64 bits; beyond them a float orders as well."""
    return float(value) if isinstance(value, int) and value not in _INTEGERS else value
