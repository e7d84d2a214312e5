"""Search attributes that a request sets: known to the namespace, of the right type, not too large."""

import json
import re
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType as Type

from services.config import DynamicConfig, limits
from services.errors import InvalidArgument
from services.frontend.checks import is_null
from services.namespaces import PREDEFINED_TYPES, SYSTEM_TYPES, IndexedValueType, Namespace

_TYPE_NAMES = {
    Type.INDEXED_VALUE_TYPE_TEXT: "Text",
    Type.INDEXED_VALUE_TYPE_KEYWORD: "Keyword",
    Type.INDEXED_VALUE_TYPE_INT: "Int",
    Type.INDEXED_VALUE_TYPE_DOUBLE: "Double",
    Type.INDEXED_VALUE_TYPE_BOOL: "Bool",
    Type.INDEXED_VALUE_TYPE_DATETIME: "Datetime",
    Type.INDEXED_VALUE_TYPE_KEYWORD_LIST: "KeywordList",
}
_NOT_FOR_USERS = frozenset(("TemporalExternalPayloadCount", "TemporalExternalPayloadSizeBytes"))
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_BROKEN = object()


def check(request: Message, namespace: Namespace, config: DynamicConfig) -> None:
    """Checks the request's search attributes and writes their types into them, as histories show them. Nulls go, and a
    field without entries, too."""
    if not request.HasField("search_attributes"):
        return
    attributes: SearchAttributes = request.search_attributes  # type: ignore[attr-defined]  # every caller's has them
    fields = attributes.indexed_fields
    for name in fields:
        _require_settable(name, namespace)
    most = config.get(limits.SEARCH_ATTRIBUTES_KEYS_LIMIT, namespace.name)
    if len(fields) > most:
        raise InvalidArgument(f"number of search attributes {len(fields)} exceeds limit {most}")
    for name, payload in fields.items():
        _check_value(name, namespace.search_attribute_types[name], payload)
    _check_sizes(attributes, namespace, config)
    for name in [name for name, payload in fields.items() if is_null(payload)]:
        del fields[name]
    for name, payload in fields.items():
        if "type" not in payload.metadata:
            payload.metadata["type"] = _TYPE_NAMES[namespace.search_attribute_types[name]].encode()
    if not fields:
        request.ClearField("search_attributes")


def _require_settable(name: str, namespace: Namespace) -> None:
    if name in namespace.custom_search_attributes:
        return
    if name in SYSTEM_TYPES or name in _NOT_FOR_USERS:
        raise InvalidArgument(f"{name} attribute can't be set in SearchAttributes")
    if name not in PREDEFINED_TYPES:
        raise InvalidArgument(f"Namespace {namespace.name} has no mapping defined for search attribute {name}")


def _check_sizes(attributes: SearchAttributes, namespace: Namespace, config: DynamicConfig) -> None:
    value_max = config.get(limits.SEARCH_ATTRIBUTES_VALUE_SIZE, namespace.name)
    for name, payload in attributes.indexed_fields.items():
        size = len(payload.data)
        if size > value_max:
            raise InvalidArgument(f"search attribute {name} value size {size} exceeds size limit {value_max}")
    total, total_max = attributes.ByteSize(), config.get(limits.SEARCH_ATTRIBUTES_TOTAL_SIZE, namespace.name)
    if total > total_max:
        raise InvalidArgument(f"total size of search attributes {total} exceeds size limit {total_max}")


def _check_value(name: str, kind: IndexedValueType, payload: Payload) -> None:
    if is_null(payload):
        return
    value = _decoded(payload)
    if value is _BROKEN:
        shown = f"value from <{_as_go(payload)}>"
    elif _fits(value, kind):
        return
    else:
        shown = _shown(value)
    raise InvalidArgument(f"invalid value for search attribute {name} of type {_TYPE_NAMES[kind]}: {shown}")


def _decoded(payload: Payload) -> Any:
    encoding = payload.metadata.get("encoding", b"")
    if encoding == b"binary/plain":
        return payload.data
    if not encoding.startswith(b"json/"):
        return _BROKEN
    try:
        return json.loads(payload.data)
    except ValueError:
        return _BROKEN


def _fits(value: Any, kind: IndexedValueType) -> bool:
    if isinstance(value, list) and kind != Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        return len(value) == 1 and _fits(value[0], kind)
    if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
    if kind == Type.INDEXED_VALUE_TYPE_INT:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_DOUBLE:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_BOOL:
        return isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_DATETIME:
        return isinstance(value, str) and _DATETIME.fullmatch(value) is not None
    return isinstance(value, str)


def _shown(value: Any) -> str:
    """A value as Go prints it."""
    if isinstance(value, list | bytes):
        return f"[{' '.join(_shown(each) for each in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_shown(each)}' for key, each in sorted(value.items()))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else str(value)


def _as_go(payload: Payload) -> str:
    """A payload as the reference prints it."""
    parts = [
        f"metadata:{{key:{json.dumps(key)}  value:{json.dumps(value.decode(errors='replace'))}}}"
        for key, value in sorted(payload.metadata.items())
    ]
    if payload.data:
        parts.append(f"data:{json.dumps(payload.data.decode(errors='replace'))}")
    return "  ".join(parts)
