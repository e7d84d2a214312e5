"""Lists and counts over records in memory. A comparison with what is absent is neither true nor false: it is None."""

from collections.abc import Callable, Iterable, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final, cast

from services.persistence import SearchAttributeTypes, VisibilityRecord
from services.persistence.sql.lists import RANK_OF_OPEN, place_of
from services.persistence.visibility_query import And, Condition, Not, Or, Predicate, parse
from services.persistence.visibility_values import STATUS_NAMES, AttributeType, has_word

_SYSTEM: Final[dict[str, Callable[[VisibilityRecord], Any]]] = {
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
    "ExecutionDuration": lambda r: r.close_time_ns - r.start_time_ns if r.close_time_ns else None,
}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def page(
    records: Iterable[VisibilityRecord],
    namespace_id: str,
    query: str,
    types: SearchAttributeTypes,
    page_size: int,
    after: bytes,
) -> tuple[Sequence[VisibilityRecord], bytes]:
    """One page, and the token of the next: the place in the order of the page's last record."""
    found = sorted(_matching(records, namespace_id, parse(query, types).condition), key=_order)
    if after:
        rank, start_time_ns, run_id = place_of(after)
        found = [record for record in found if _order(record) > (-rank, -start_time_ns, run_id)]
    shown = found[:page_size]
    if len(found) <= page_size:
        return shown, b""
    rank, start_time_ns, run_id = _order(shown[-1])
    return shown, f'[{-rank},{-start_time_ns},"{run_id}"]'.encode()


def count(
    records: Iterable[VisibilityRecord], namespace_id: str, query: str, types: SearchAttributeTypes
) -> Sequence[tuple[Sequence[object], int]]:
    parsed = parse(query, types)
    found = _matching(records, namespace_id, parsed.condition)
    if not parsed.group_by:
        return [((), len(found))]
    statuses = [record.status for record in found]
    return [((STATUS_NAMES[status],), statuses.count(status)) for status in sorted(set(statuses))]


def _order(record: VisibilityRecord) -> tuple[int, int, str]:
    return -(record.close_time_ns or RANK_OF_OPEN), -record.start_time_ns, record.run_id


def _matching(
    records: Iterable[VisibilityRecord], namespace_id: str, condition: Condition | None
) -> list[VisibilityRecord]:
    own = (record for record in records if record.namespace_id == namespace_id)
    return [record for record in own if condition is None or _holds(condition, record)]


def _holds(condition: Condition, record: VisibilityRecord) -> bool | None:
    match condition:
        case Not(part):
            held = _holds(part, record)
            return None if held is None else not held
        case And(left, right):
            both = (_holds(left, record), _holds(right, record))
            return False if False in both else None if None in both else True
        case Or(left, right):
            either = (_holds(left, record), _holds(right, record))
            return True if True in either else None if None in either else False
        case Predicate():
            return _predicate(condition, record)


def _predicate(predicate: Predicate, record: VisibilityRecord) -> bool | None:
    of, operator, values = predicate.attribute, predicate.operator, predicate.values
    known = _SYSTEM.get(of.name)
    value: Any = known(record) if known else record.search_attributes.get(of.name)
    if operator == "IS NULL":
        return value is None
    if known is None and of.type in (AttributeType.KEYWORD_LIST, AttributeType.TEXT):
        if of.type is AttributeType.TEXT:
            found = value is not None and has_word(str(value), str(values[0]))
        else:
            found = any(wanted in (value or ()) for wanted in values)
        return not found if operator == "!=" else found
    if value is None:
        return None
    match operator:
        case "IN":
            return value in values
        case "BETWEEN":
            low, high = cast("tuple[Any, Any]", values)
            return bool(low <= value <= high)
        case "STARTS_WITH":
            return str(value).startswith(str(values[0]))
    return _COMPARE[operator](value, values[0])
