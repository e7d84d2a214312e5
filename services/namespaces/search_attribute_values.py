"""Search attributes as they are set: known to the namespace, of the right type, not too large."""

import json
import math
import re
from typing import Any

from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType as Type

from services.config import DynamicConfig, limits
from services.namespaces.namespace import Namespace
from services.namespaces.search_attributes import PREDEFINED_TYPES, SYSTEM_TYPES, TYPE_NAMES, IndexedValueType

_NOT_FOR_USERS = frozenset(("TemporalExternalPayloadCount", "TemporalExternalPayloadSizeBytes"))
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_BROKEN = object()
_INT64 = range(-(2**63), 2**63)


def why_invalid(attributes: SearchAttributes, namespace: Namespace, config: DynamicConfig) -> str | None:
    """The reference's sentence on the first attribute that may not be set so."""
    fields = attributes.indexed_fields
    for name in fields:
        wrong = _why_not_settable(name, namespace)
        if wrong:
            return wrong
    most = config.get(limits.SEARCH_ATTRIBUTES_KEYS_LIMIT, namespace.name)
    if len(fields) > most:
        return f"number of search attributes {len(fields)} exceeds limit {most}"
    for name, payload in fields.items():
        wrong = _why_not_value(name, namespace.search_attribute_types[name], payload)
        if wrong:
            return wrong
    return _why_too_large(attributes, namespace, config)


def complete(attributes: SearchAttributes, namespace: Namespace) -> None:
    """Writes their types into valid attributes, as histories show them."""
    for name, payload in attributes.indexed_fields.items():
        if "type" not in payload.metadata:
            payload.metadata["type"] = TYPE_NAMES[namespace.search_attribute_types[name]].encode()


def is_null(payload: Payload) -> bool:
    """Setting null, or nothing in a list, is unsetting."""
    encoding = payload.metadata.get("encoding")
    return encoding == b"binary/null" or (encoding == b"json/plain" and payload.data in (b"null", b"[]"))


def _why_not_settable(name: str, namespace: Namespace) -> str | None:
    if name in namespace.custom_search_attributes:
        return None
    if name in SYSTEM_TYPES or name in _NOT_FOR_USERS:
        return f"{name} attribute can't be set in SearchAttributes"
    if name not in PREDEFINED_TYPES:
        return f"Namespace {namespace.name} has no mapping defined for search attribute {name}"
    return None


def _why_too_large(attributes: SearchAttributes, namespace: Namespace, config: DynamicConfig) -> str | None:
    value_max = config.get(limits.SEARCH_ATTRIBUTES_VALUE_SIZE, namespace.name)
    for name, payload in attributes.indexed_fields.items():
        size = len(payload.data)
        if size > value_max:
            return f"search attribute {name} value size {size} exceeds size limit {value_max}"
    total, total_max = attributes.ByteSize(), config.get(limits.SEARCH_ATTRIBUTES_TOTAL_SIZE, namespace.name)
    if total > total_max:
        return f"total size of search attributes {total} exceeds size limit {total_max}"
    return None


def _why_not_value(name: str, kind: IndexedValueType, payload: Payload) -> str | None:
    if is_null(payload):
        return None
    value = _decoded(payload)
    if value is _BROKEN:
        shown = f"value from <{_as_go(payload)}>"
    elif _fits(value, kind):
        return None
    else:
        shown = _shown(value)
    return f"invalid value for search attribute {name} of type {TYPE_NAMES[kind]}: {shown}"


def _decoded(payload: Payload) -> Any:
    encoding = payload.metadata.get("encoding", b"")
    if encoding == b"binary/plain":
        return payload.data
    if not encoding.startswith(b"json/"):
        return _BROKEN
    try:
        return json.loads(payload.data, parse_constant=_number, parse_float=_number, parse_int=_integer)
    except (ValueError, OverflowError):
        return _BROKEN


def _number(text: str) -> float:
    """Raises ValueError for what is no JSON, although Python reads it, and for what no float can hold."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _integer(text: str) -> int:
    _number(text)
    return int(text)


def _fits(value: Any, kind: IndexedValueType) -> bool:
    if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if isinstance(value, list):
        return len(value) == 1 and _fits(value[0], kind)
    if kind == Type.INDEXED_VALUE_TYPE_INT:
        return isinstance(value, int) and not isinstance(value, bool) and value in _INT64
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
    if isinstance(value, int) and value not in _INT64:
        value = float(value)
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
