"""Who serves what: the members of each service and, for history and matching, which of them owns a key.

In a cluster members come and go through ZooKeeper (`ZooKeeperMembership`); in one process never (`StaticMembership`).
"""

from services.config import ServiceName
from services.membership.interface import Membership
from services.membership.ring import Member, MemberState, Ring
from services.membership.static import StaticMembership
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
