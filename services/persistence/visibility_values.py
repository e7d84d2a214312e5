"""The types of system attributes, and their values in filters: names of statuses, date-times, durations."""

import re
from datetime import UTC, datetime
from enum import Enum

from temporalio.api.enums.v1 import WorkflowExecutionStatus

from services.persistence.interface import InvalidQuery

Value = str | int | float | bool


class AttributeType(Enum):
    """By the names in error texts. STATUS and DURATION are a Keyword and an Int with notations of their own."""

    KEYWORD = "Keyword"
    INT = "Int"
    DATETIME = "Datetime"
    STATUS = "ExecutionStatus"
    DURATION = "ExecutionDuration"


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

STATUS_NAMES = {
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


def typed(name: str, value: Value) -> Value:
    """The value in the form in which stores hold the attribute; of a custom attribute as it is. Raises InvalidQuery."""
    kind = SYSTEM_ATTRIBUTES.get(name)
    if kind is None:
        return value
    match kind, value:
        case AttributeType.STATUS, bool():
            raise _wrong_type(name, "Keyword", value)
        case AttributeType.STATUS, _:
            return _status(value)
        case AttributeType.DURATION, bool():
            raise _wrong_type(name, "Int", value)
        case AttributeType.DURATION, float():
            raise _invalid(f"unexpected value type float64 for search attribute {name}")
        case AttributeType.DURATION, str():
            return _duration_ns(name, value)
        case AttributeType.DATETIME, str():
            nanoseconds = datetime_ns(value)
            if nanoseconds is None:
                raise _invalid(f"unable to parse datetime '{value}'")
            return nanoseconds
        case AttributeType.KEYWORD, str():
            return value
        case (AttributeType.INT, bool()) | (AttributeType.DATETIME, bool()):
            raise _wrong_type(name, kind.value, value)
        case (AttributeType.INT, int() | float()) | (AttributeType.DATETIME | AttributeType.DURATION, int()):
            return value
    raise _wrong_type(name, kind.value, value)


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


def datetime_text(nanoseconds: int) -> str:
    """The RFC 3339 date-time in UTC with all nine digits, so that the order of texts is the order of times."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


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


def _wrong_type(name: str, kind: str, value: Value) -> InvalidQuery:
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return _invalid(
        f"invalid value type for search attribute {name} of type {kind}: {shown} (type: {_GO_TYPES[type(value)]})"
    )


def _invalid(reason: str) -> InvalidQuery:
    return InvalidQuery(f"invalid expression: {reason}")
