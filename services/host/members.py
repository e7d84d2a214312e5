"""This host among the members of its cluster: where its services are reached, and who owns what."""

import socket

from services.config import ServerConfig, ServiceName
from services.membership import Membership, StaticMembership
from services.runtime import Chance, Clock

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (compared with, not listened on)


class RingOwners:
    """`services.rpc.Owners` of one service, from its ring."""

    def __init__(self, membership: Membership, service: ServiceName) -> None:
        self._membership, self._service = membership, service

    def owner(self, key: str) -> str:
        member = self._membership.ring(self._service).owner(key)
        return member.address if member is not None else ""

    def everyone(self) -> tuple[str, ...]:
        return tuple(member.address for member in self._membership.ring(self._service).members)


def addresses(config: ServerConfig, ports: dict[ServiceName, int]) -> dict[ServiceName, str]:
    """Where other hosts reach the services of this one."""
    return {service: _address(config, service, port) for service, port in ports.items()}


def _address(config: ServerConfig, service: ServiceName, port: int) -> str:
    host = config.global_.membership.broadcast_address or config.rpc(service).host
    if host in EVERYWHERE:
        host = socket.gethostbyname(socket.gethostname())
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def membership_of(config: ServerConfig, own: dict[ServiceName, str], clock: Clock, chance: Chance) -> Membership:
    """Raises ConfigError when ZooKeeper's certificates cannot be used."""
    section = config.global_.membership.zookeeper
    if section is None:
        return StaticMembership(own)
    from services.membership import ZooKeeperMembership  # kazoo is of no use in one process

    return ZooKeeperMembership(section, clock, chance)
