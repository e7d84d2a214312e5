"""Namespaces: which there are, what each allows, and how they are registered, changed and deleted."""

from services.namespaces.namespace import Namespace, NamespaceState
from services.namespaces.registry import SYSTEM_NAMESPACE, NamespaceRegistry
from services.namespaces.search_attribute_values import complete as complete_search_attributes
from services.namespaces.search_attribute_values import is_null
from services.namespaces.search_attribute_values import why_invalid as why_invalid_search_attributes
from services.namespaces.search_attributes import (
    PREDEFINED_TYPES,
    SYSTEM_TYPES,
    IndexedValueType,
    column_types,
    parse_type,
)

__all__ = [
    "PREDEFINED_TYPES",
    "SYSTEM_NAMESPACE",
    "SYSTEM_TYPES",
    "IndexedValueType",
    "Namespace",
    "NamespaceRegistry",
    "NamespaceState",
    "column_types",
    "complete_search_attributes",
    "is_null",
    "parse_type",
    "why_invalid_search_attributes",
]
