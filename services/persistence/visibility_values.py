"""The attributes that filters name, and their values there: names of statuses, date-times, durations, words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from temporalio.api.enums.v1 import IndexedValueType, WorkflowExecutionStatus

from services.persistence.interface import InvalidQuery, SearchAttributeTypes, UnknownAttribute

Value = str | int | float | bool


class AttributeType(Enum):
    """STATUS and DURATION are a Keyword and an Int with notations of their own."""

    KEYWORD = "Keyword"
    KEYWORD_LIST = "KeywordList"
    TEXT = "Text"
    INT = "Int"
    DOUBLE = "Double"
    BOOL = "Bool"
    DATETIME = "Datetime"
    STATUS = "ExecutionStatus"
    DURATION = "ExecutionDuration"

    @property
    def shown(self) -> str:
        """The name in error texts."""
        return {AttributeType.STATUS: "Keyword", AttributeType.DURATION: "Int"}.get(self, self.value)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name` is the one it is stored under, `written` the one that the filter uses."""

    name: str
    type: AttributeType
    written: str


SYSTEM_ATTRIBUTES = {
    "WorkflowId": AttributeType.KEYWORD,
    "RunId": AttributeType.KEYWORD,
    "WorkflowType": AttributeType.KEYWORD,
    "TaskQueue": AttributeType.KEYWORD,
    "ScheduleId": AttributeType.KEYWORD,
    "ParentWorkflowId": AttributeType.KEYWORD,
    "ParentRunId": AttributeType.KEYWORD,
    "RootWorkflowId": AttributeType.KEYWORD,
    "RootRunId": AttributeType.KEYWORD,
    "StartTime": AttributeType.DATETIME,
    "ExecutionTime": AttributeType.DATETIME,
    "CloseTime": AttributeType.DATETIME,
    "HistoryLength": AttributeType.INT,
    "HistorySizeBytes": AttributeType.INT,
    "StateTransitionCount": AttributeType.INT,
    "ExecutionStatus": AttributeType.STATUS,
    "ExecutionDuration": AttributeType.DURATION,
}

_TYPES = {
    IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{name}"): AttributeType[name]
    for name in ("KEYWORD", "KEYWORD_LIST", "TEXT", "INT", "DOUBLE", "BOOL", "DATETIME")
}
_PREFIX = "Temporal"  # predefined names may be written with it or without

_COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">=", "IN", "NOT IN"))
_OPERATORS = {
    AttributeType.KEYWORD: _COMPARISONS | {"STARTS_WITH", "NOT STARTS_WITH"},
    AttributeType.KEYWORD_LIST: frozenset(("=", "!=", "IN", "NOT IN")),
    AttributeType.TEXT: frozenset(("=", "!=")),
}
_WITHOUT_RANGES = (AttributeType.KEYWORD_LIST, AttributeType.TEXT, AttributeType.BOOL)

STATUS_NAMES: dict[int, str] = {
    number: name.removeprefix("WORKFLOW_EXECUTION_STATUS_").title().replace("_", "")
    for name, number in WorkflowExecutionStatus.items()
    if number
}
_STATUS_NUMBERS = {name: number for number, name in STATUS_NAMES.items()}

_GO_TYPES = {str: "string", int: "int64", float: "float64", bool: "bool"}
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)")
_DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h|d))+)")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h|d)")
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}


def attribute(name: str, types: SearchAttributeTypes) -> Attribute:
    """What a name in a filter means: a system attribute, or one of the namespace's. Raises UnknownAttribute."""
    for stored in (name, name.removeprefix(_PREFIX), _PREFIX + name):
        if stored in SYSTEM_ATTRIBUTES:
            return Attribute(stored, SYSTEM_ATTRIBUTES[stored], name)
        if stored in types:
            return Attribute(stored, _TYPES[types[stored]], name)
    raise UnknownAttribute(f"invalid search attribute: {name}")


def check_range(of: Attribute) -> None:
    """Raises InvalidQuery for what BETWEEN cannot be said of."""
    if of.type in _WITHOUT_RANGES:
        raise _invalid(f"cannot do range condition on search attribute '{of.written}' of type {of.type.shown}")


def check_operator(of: Attribute, operator: str, values: Iterable[Value]) -> None:
    """Raises InvalidQuery for what cannot be asked of the attribute. Values have been `typed`."""
    if of.type is AttributeType.STATUS and "STARTS_WITH" in operator:
        got = " ".join(STATUS_NAMES[value] for value in values if isinstance(value, int))
        raise _invalid(f'right-hand side of "{operator.lower()}" operator must be a literal string (got: {got})')
    if operator not in _OPERATORS.get(of.type, _COMPARISONS):
        raise InvalidQuery(
            f"operation is not supported: operator '{operator}' not supported for {of.type.shown} type"
            f" search attribute '{of.written}'"
        )
    if of.type is AttributeType.TEXT and not all(str(value).split() for value in values):
        raise _invalid(f"no tokens found filtering on Text type search attribute {of.written}")


def typed(of: Attribute, value: Value) -> Value:
    """The value in the form in which stores hold the attribute. Raises InvalidQuery."""
    kind, name = of.type, of.written
    match kind, value:
        case AttributeType.BOOL, bool():
            return value
        case _, bool():
            raise _wrong_type(of, value)
        case AttributeType.STATUS, _:
            return _status(value)
        case AttributeType.DURATION, float():
            raise _invalid(f"unexpected value type float64 for search attribute {name}")
        case AttributeType.DURATION, str():
            return _duration_ns(name, value)
        case AttributeType.DATETIME, str():
            nanoseconds = datetime_ns(value)
            if nanoseconds is None:
                raise _invalid(f"unable to parse datetime '{value}'")
            return nanoseconds
        case ((AttributeType.KEYWORD | AttributeType.KEYWORD_LIST | AttributeType.TEXT), str()):
            return value
        case ((AttributeType.INT | AttributeType.DOUBLE), int() | float()):
            return value
        case ((AttributeType.DATETIME | AttributeType.DURATION), int()):
            return value
    raise _wrong_type(of, value)


def has_word(text: str, wanted: str) -> bool:
    """Whether a text has one of the wanted words, whatever their case. Parts like `lazy-dog` are words in a row."""
    held = f" {words(text)} "
    return any(f" {found} " in held for part in wanted.split() if (found := words(part)))


def words(text: str) -> str:
    """The words of a text, whatever their case, with one space between."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def datetime_ns(text: str) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 date-time; None when it is not one."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        return None
    try:
        seconds = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
    return int(seconds) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


def _status(value: str | int | float) -> int:
    if isinstance(value, float):
        raise _invalid("unexpected value type float64 for search attribute ExecutionStatus")
    if isinstance(value, str):
        if value not in _STATUS_NUMBERS:
            raise _invalid(f"invalid ExecutionStatus value '{value}'")
        return _STATUS_NUMBERS[value]
    if value not in STATUS_NAMES:
        raise _invalid(f"invalid ExecutionStatus value {value}")
    return value


def _duration_ns(name: str, text: str) -> int:
    """Go's notation with days, or hours:minutes:seconds."""
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(part) for part in clock.groups())
        return ((hours * 60 + minutes) * 60 + seconds) * _UNIT_NS["s"]
    match = _DURATION.fullmatch(text)
    if match is None:
        raise _invalid(f"invalid duration value for search attribute {name}: {text}")
    total = sum(int(float(amount) * _UNIT_NS[unit]) for amount, unit in _DURATION_PART.findall(match[2]))
    return -total if match[1] == "-" else total


def _wrong_type(of: Attribute, value: Value) -> InvalidQuery:
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return _invalid(
        f"invalid value type for search attribute {of.written} of type {of.type.shown}:"
        f" {shown} (type: {_GO_TYPES[type(value)]})"
    )


def _invalid(reason: str) -> InvalidQuery:
    return InvalidQuery(f"invalid expression: {reason}")
