"""The services of one host, put together: in one process they call one another, in a cluster they follow the rings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from services import frontend
from services.config import DynamicConfig, ServerConfig, ServiceName
from services.history import HistoryService, Home
from services.host.members import RingOwners
from services.host.ports import Ports
from services.host.settings import matching_settings
from services.matching import MatchingService
from services.membership import Membership, MemberState, Ring
from services.namespaces import NamespaceRegistry
from services.persistence import Store
from services.rpc import (
    HISTORY,
    HISTORY_SERVICE,
    MATCHING,
    MATCHING_SERVICE,
    Call,
    HistoryClient,
    MatchingClient,
    Router,
    Send,
    Wire,
    ask,
    history_keys,
    in_process,
    matching_keys,
    stand_in,
)
from services.rpc.direct import Late
from services.rpc.network import Network
from services.rpc.partitions import PartitionCounts, Partitioned
from services.rpc.server import served
from services.runtime import Chance, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What the services of a host stand on."""

    config: ServerConfig
    dynamic: DynamicConfig
    clock: Clock
    chance: Chance
    store: Store
    namespaces: NamespaceRegistry
    membership: Membership
    network: Network
    cluster: frontend.ClusterFacts
    own: dict[ServiceName, str]  # the addresses of this host's services

    @property
    def is_cluster(self) -> bool:
        return self.config.global_.membership.zookeeper is not None

    def runs(self, service: ServiceName) -> bool:
        return service in self.config.run_services


class Assembly:
    """Builds what the configuration wants to run, and serves it on its ports."""

    def __init__(self, floor: Floor, ports: Ports) -> None:
        self._floor, self._ports = floor, ports
        self._own_history: Late[HistoryClient] = Late()
        self._own_matching: Late[MatchingClient] = Late()
        self._partitions = PartitionCounts(floor.dynamic, self._matching_hosts if floor.is_cluster else None)
        for service in ("history", "matching"):
            floor.membership.watch(service, self._keep_channels)
        self.matching = self._matching() if floor.runs("matching") else None
        self.history = self._history() if floor.runs("history") else None

    def _keep_channels(self, _ring: Ring) -> None:
        rings = (self._floor.membership.ring(service) for service in ("history", "matching"))
        self._floor.network.keep({member.address for ring in rings for member in ring.members})

    def _history_client(self, caller: ServiceName) -> HistoryClient:
        floor, own = self._floor, ask(self._own_history.client())
        here = in_process(own, caller=caller, service=HISTORY_SERVICE, clock=floor.clock)
        if not floor.is_cluster:
            return cast(HistoryClient, stand_in(HISTORY, here))
        owners = RingOwners(floor.membership, "history")
        router = Router(
            owners,
            history_keys(floor.cluster.shard_count),
            self._connect("history", HISTORY_SERVICE, here, caller),
            floor.clock,
        )
        return cast(HistoryClient, stand_in(HISTORY, router.send))

    def _matching_hosts(self) -> int:
        members = self._floor.membership.ring("matching").members
        return sum(member.state is MemberState.ACTIVE for member in members)

    def _matching_client(self, caller: ServiceName) -> MatchingClient:
        """For those who know task queues by their names alone."""
        partitioned = Partitioned(self._send_to_matching(caller), self._partitions, self._floor.chance)
        return cast(MatchingClient, stand_in(MATCHING, partitioned.send))

    def _send_to_matching(self, caller: ServiceName) -> Send:
        floor, own = self._floor, ask(self._own_matching.client())
        here = in_process(own, caller=caller, service=MATCHING_SERVICE, clock=floor.clock)
        if not floor.is_cluster:
            return here
        owners = RingOwners(floor.membership, "matching")
        connect = self._connect("matching", MATCHING_SERVICE, here, caller)
        return Router(owners, matching_keys, connect, floor.clock).send

    def _connect(self, service: ServiceName, name: str, here: Send, caller: ServiceName) -> Callable[[str], Send]:
        """What is owned by this very process is called directly."""
        own = self._floor.own.get(service) if self._floor.runs(service) else None
        network, ways = self._floor.network, dict[str, Send]()

        def connect(address: str) -> Send:
            way = ways.get(address)
            if way is None:
                way = ways[address] = here if address == own else network.to(address, name, caller)
            return way

        return connect

    def _matching(self) -> MatchingService:
        floor = self._floor
        peers: MatchingClient = stand_in(MATCHING, self._send_to_matching("matching"))
        matching = MatchingService(
            floor.store,
            self._history_client("matching"),
            floor.clock,
            floor.chance,
            matching_settings(floor.dynamic, self._partitions),
            peers=peers,
            owners=RingOwners(floor.membership, "matching") if floor.is_cluster else None,
            address=floor.own["matching"],
        )
        self._own_matching.bind(matching)
        floor.membership.watch("matching", lambda _ring: matching.rebalance())
        floor.membership.watch_authority(lambda _authority: matching.rebalance())
        return matching

    def _history(self) -> HistoryService:
        floor = self._floor
        home = Home(
            shard_count=floor.cluster.shard_count,
            membership=floor.membership,
            address=floor.own["history"],
        )
        peers = self._history_client("history")
        history = HistoryService(
            floor.store,
            self._matching_client("history"),
            floor.namespaces,
            floor.clock,
            floor.chance,
            floor.dynamic,
            home,
            peers,
        )
        self._own_history.bind(history)
        return history

    def serve(self) -> None:
        """Opens the ports to calls."""
        floor, ports = self._floor, self._ports
        if self.history is not None:
            ports.serve("history", served(HISTORY, HISTORY_SERVICE, knowing(floor.namespaces, ask(self.history))))
        if self.matching is not None:
            ports.serve("matching", served(MATCHING, MATCHING_SERVICE, knowing(floor.namespaces, ask(self.matching))))
        if floor.runs("frontend"):
            ports.servers["frontend"].look_again = floor.namespaces.look_again
            ports.serve("frontend", frontend.methods(self._backends()))
        ports.serve("worker", {})

    def _backends(self) -> frontend.Backends:
        floor = self._floor
        return frontend.Backends(
            history=self._history_client("frontend"),
            matching=self._matching_client("frontend"),
            namespaces=floor.namespaces,
            visibility=floor.store,
            config=floor.dynamic,
            clock=floor.clock,
            chance=floor.chance,
            cluster=floor.cluster,
        )


def knowing(namespaces: NamespaceRegistry, send: Send) -> Send:
    """Before a call about a namespace this host has not heard of, it looks whether another has registered it.

    What runs tell each other may be about another namespace than the caller's.
    """

    async def known(wire: Wire, call: Call, request: Any) -> Any:
        for namespace_id in (call.namespace_id, getattr(request, "namespace_id", "")):
            if namespace_id and not namespaces.knows(namespace_id):
                await namespaces.look_again()
        return await send(wire, call, request)

    return known
