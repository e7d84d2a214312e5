"""Namespaces: which there are, what each allows, and how they are registered, changed and deleted."""

from services.namespaces.namespace import Namespace, NamespaceState
from services.namespaces.registry import SYSTEM_NAMESPACE, NamespaceRegistry
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
    "parse_type",
]
