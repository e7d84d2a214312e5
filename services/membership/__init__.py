"""Who serves what: the members of each service and, for history and matching, which of them owns a key.

In a cluster members come and go through ZooKeeper (`ZooKeeperMembership`); in one process never (`StaticMembership`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from services.config import ServiceName
from services.membership.interface import Membership
from services.membership.ring import Member, MemberState, Ring
from services.membership.static import StaticMembership

if TYPE_CHECKING:
    from services.membership.zookeeper import MembershipClosed, ZooKeeperMembership

__all__ = [
    "Member",
    "MemberState",
    "Membership",
    "MembershipClosed",
    "Ring",
    "ServiceName",
    "StaticMembership",
    "ZooKeeperMembership",
]


def __getattr__(name: str) -> Any:
    """ZooKeeper's client is imported when somebody asks for it: one process does without."""
    if name in ("MembershipClosed", "ZooKeeperMembership"):
        return getattr(import_module("services.membership.zookeeper"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
