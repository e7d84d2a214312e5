"""Search attributes: those every namespace has, and the custom ones that a namespace gives names to.

As in the reference on SQL, there is a fixed number of fields of each type, and a namespace's own attributes are aliases
of them ("Keyword01" -> "CustomerId"). A field's name tells its type.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from temporalio.api.enums.v1 import IndexedValueType as _Type

from services.errors import InvalidArgument

IndexedValueType: TypeAlias = _Type.ValueType

_KEYWORD, _TEXT, _INT, _DOUBLE, _BOOL, _DATETIME, _LIST = (
    _Type.INDEXED_VALUE_TYPE_KEYWORD,
    _Type.INDEXED_VALUE_TYPE_TEXT,
    _Type.INDEXED_VALUE_TYPE_INT,
    _Type.INDEXED_VALUE_TYPE_DOUBLE,
    _Type.INDEXED_VALUE_TYPE_BOOL,
    _Type.INDEXED_VALUE_TYPE_DATETIME,
    _Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
)

TYPE_NAMES: Final[Mapping[IndexedValueType, str]] = {
    _Type.INDEXED_VALUE_TYPE_UNSPECIFIED: "Unspecified",
    _TEXT: "Text",
    _KEYWORD: "Keyword",
    _INT: "Int",
    _DOUBLE: "Double",
    _BOOL: "Bool",
    _DATETIME: "Datetime",
    _LIST: "KeywordList",
}
_FIELDS_OF_TYPE: Final[Mapping[IndexedValueType, int]] = {
    **dict.fromkeys((_BOOL, _DATETIME, _DOUBLE, _INT, _TEXT, _LIST), 3),
    _KEYWORD: 10,
}

SYSTEM_TYPES: Final[Mapping[str, IndexedValueType]] = {
    **dict.fromkeys(
        ("WorkflowId", "RunId", "WorkflowType", "TaskQueue", "ExecutionStatus", "ParentWorkflowId", "ParentRunId"),
        _KEYWORD,
    ),
    **dict.fromkeys(("RootWorkflowId", "RootRunId"), _KEYWORD),
    **dict.fromkeys(("StartTime", "ExecutionTime", "CloseTime"), _DATETIME),
    **dict.fromkeys(("HistoryLength", "HistorySizeBytes", "ExecutionDuration", "StateTransitionCount"), _INT),
}
"""What the server itself says about a run; nobody can set these."""

PREDEFINED_TYPES: Final[Mapping[str, IndexedValueType]] = {
    **dict.fromkeys(
        (
            "BatcherNamespace",
            "BatcherUser",
            "TemporalNamespaceDivision",
            "TemporalScheduledById",
            "TemporalWorkerDeployment",
            "TemporalWorkerDeploymentVersion",
            "TemporalWorkflowVersioningBehavior",
        ),
        _KEYWORD,
    ),
    **dict.fromkeys(
        (
            "BinaryChecksums",
            "BuildIds",
            "TemporalChangeVersion",
            "TemporalPauseInfo",
            "TemporalReportedProblems",
            "TemporalUsedWorkerDeploymentVersions",
        ),
        _LIST,
    ),
    **dict.fromkeys(("TemporalExternalPayloadCount", "TemporalExternalPayloadSizeBytes"), _INT),
    "TemporalScheduledStartTime": _DATETIME,
    "TemporalSchedulePaused": _BOOL,
}
"""What SDKs and system workflows set; every namespace has them."""


def column_types() -> dict[str, IndexedValueType]:
    """The fields that custom attributes are aliases of."""
    return {
        f"{TYPE_NAMES[kind]}{number:02}": kind
        for kind, count in _FIELDS_OF_TYPE.items()
        for number in range(1, count + 1)
    }


_COLUMNS: Final = column_types()


def parse_type(name: str) -> IndexedValueType:
    """The type a configuration calls `Keyword`, `Int`, ..."""
    return next(kind for kind, type_name in TYPE_NAMES.items() if type_name == name)


def types_of(aliases: Mapping[str, str]) -> dict[str, IndexedValueType]:
    """The custom attributes that `aliases` (field -> name) define. An alias of no known field means nothing."""
    return {alias: _COLUMNS[field] for field, alias in aliases.items() if field in _COLUMNS}


def is_reserved(name: str) -> bool:
    return name in SYSTEM_TYPES or name in PREDEFINED_TYPES or name.startswith("Temporal")


def with_added(aliases: Mapping[str, str], wanted: Mapping[str, IndexedValueType]) -> dict[str, str]:
    """The aliases once `wanted` have fields, too. Names that have one keep it. InvalidArgument when none is free."""
    result = dict(aliases)
    for name, kind in wanted.items():
        if is_reserved(name):
            raise InvalidArgument(f"Search attribute {name} is reserved by system.")
        if kind not in TYPE_NAMES:
            raise InvalidArgument(f"Unknown search attribute type: {kind}.")
    for name, kind in wanted.items():
        if not name or name in result.values():
            continue
        free = next((field for field, of in _COLUMNS.items() if of == kind and field not in result), None)
        if free is None:
            count = _FIELDS_OF_TYPE.get(kind, 0)
            raise InvalidArgument(
                "Unable to create search attributes: cannot have more than"
                f" {count} search attribute of type {TYPE_NAMES[kind]}."
            )
        result[free] = name
    return result


def with_removed(aliases: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The aliases without `names`; unknown ones are ignored. InvalidArgument for an attribute that is not custom."""
    unwanted = list(names)
    for name in unwanted:
        if name in SYSTEM_TYPES or name in PREDEFINED_TYPES:
            raise InvalidArgument(f"Unable to remove non-custom search attributes: {name}.")
    return {field: alias for field, alias in aliases.items() if alias not in unwanted}
