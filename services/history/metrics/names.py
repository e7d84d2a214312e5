"""The label values that history's metrics share."""

from collections.abc import Callable
from typing import Final

from services.telemetry import UNKNOWN_NAMESPACE

SERVICE: Final = "history"
ARCHETYPE: Final = "workflow"  # of what runs on a shard: nothing else does yet
ACTIVE: Final = "active"  # the state of a namespace that no other cluster shares
UNVERSIONED: Final = "Unspecified"  # the versioning behaviour of a run that has none

NameOf = Callable[[str], str]


def shown(name_of: NameOf, namespace_id: str) -> str:
    """The namespace label of a namespace id."""
    return name_of(namespace_id) or UNKNOWN_NAMESPACE
