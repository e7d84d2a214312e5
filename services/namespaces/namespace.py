"""One namespace as the services see it, and the record it is read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from temporalio.api.enums.v1 import NamespaceState as _State
from temporalio.api.workflowservice.v1 import DescribeNamespaceResponse

from services.namespaces.search_attributes import PREDEFINED_TYPES, SYSTEM_TYPES, IndexedValueType, types_of
from services.persistence import NamespaceRecord

NamespaceState: TypeAlias = _State.ValueType
REGISTERED = _State.NAMESPACE_STATE_REGISTERED
DEPRECATED = _State.NAMESPACE_STATE_DEPRECATED
DELETED = _State.NAMESPACE_STATE_DELETED


@dataclass(frozen=True, slots=True, eq=False)
class Namespace:
    """Read-only: a change makes a new one. `description` is shared, so it must not be changed either."""

    id: str
    name: str
    version: int
    state: NamespaceState
    retention_ns: int
    custom_search_attributes: Mapping[str, IndexedValueType]
    search_attribute_types: Mapping[str, IndexedValueType]  # custom, predefined and system ones
    description: DescribeNamespaceResponse

    @classmethod
    def of(cls, record: NamespaceRecord) -> "Namespace":
        described = DescribeNamespaceResponse.FromString(record.blob)
        custom = types_of(described.config.custom_search_attribute_aliases)
        retention = described.config.workflow_execution_retention_ttl
        return cls(
            id=record.namespace_id,
            name=record.name,
            version=record.version,
            state=described.namespace_info.state,
            retention_ns=retention.seconds * 1_000_000_000 + retention.nanos,
            custom_search_attributes=custom,
            search_attribute_types={**custom, **PREDEFINED_TYPES, **SYSTEM_TYPES},
            description=described,
        )


def record_of(description: DescribeNamespaceResponse, version: int) -> NamespaceRecord:
    info = description.namespace_info
    return NamespaceRecord(
        namespace_id=info.id, name=info.name, version=version, blob=description.SerializeToString(deterministic=True)
    )
