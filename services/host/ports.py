"""The ports of a host: one gRPC server for each of its services, answering for its health from the first moment."""

from collections.abc import Mapping, Sequence
from typing import Final

from services import frontend
from services.config import DynamicConfig, ServerConfig, ServiceName
from services.host.errors import CannotStart
from services.host.security import Security
from services.rpc import HISTORY_SERVICE, MATCHING_SERVICE
from services.rpc.server import AddressInUse, Health, InternalServer, Method, Server
from services.runtime import Clock

# The reference's names come second: probes that were written for it keep working.
HEALTH_NAMES: Final[Mapping[ServiceName, Sequence[str]]] = {
    "frontend": (frontend.WORKFLOW_SERVICE, frontend.OPERATOR_SERVICE),
    "history": (HISTORY_SERVICE, "temporal.server.api.historyservice.v1.HistoryService"),
    "matching": (MATCHING_SERVICE, "temporal.server.api.matchingservice.v1.MatchingService"),
    "worker": ("temporal.server.api.workerservice.v1.WorkerService",),
}


class Ports:
    """First `listen`, so that a port that is taken is known before anything is touched; then `start`."""

    def __init__(self, config: ServerConfig, services: Sequence[ServiceName], clock: Clock, dynamic: DynamicConfig):
        self._config = config
        self.servers: dict[ServiceName, Server] = {
            service: (Server if service == "frontend" else InternalServer)(clock, dynamic, service)
            for service in services
        }
        self.ports: dict[ServiceName, int] = {}
        self._health: list[Health] = []

    def listen(self, security: Security) -> None:
        """Raises CannotStart when a port is taken."""
        for service, server in self.servers.items():
            rpc = self._config.rpc(service)
            credentials = security.frontend_server() if service == "frontend" else security.internode_server()
            try:
                self.ports[service] = server.listen(rpc.host, rpc.grpc_port, credentials)
            except AddressInUse as error:
                raise CannotStart(str(error)) from error

    async def start(self) -> None:
        """Answers from now on; says NOT_SERVING until `serving`. Nothing, when it does already."""
        if self._health:
            return
        for service, server in self.servers.items():
            self._health.append(await server.start(HEALTH_NAMES[service]))

    async def stop(self) -> None:
        """Lets go of the ports of a host that never served."""
        for server in self.servers.values():
            await server.stop(0)

    def serve(self, service: ServiceName, methods: Mapping[str, Method]) -> None:
        if service in self.servers:
            self.servers[service].serve(methods)

    def serving(self, yes: bool) -> None:
        for health in self._health:
            health.serving(yes)
