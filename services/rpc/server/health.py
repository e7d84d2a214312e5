"""grpc.health.v1: whether this process serves, for load balancers and for clients that wait for a start."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from services.errors import NotFound
from services.rpc.call import Call

# What probes and load balancers of the reference ask for; its worker has no name.
NAMES: Mapping[str, str] = {
    "frontend": "temporal.api.workflowservice.v1.WorkflowService",
    "internal-frontend": "temporal.api.workflowservice.v1.WorkflowService",
    "history": "temporal.api.workflowservice.v1.HistoryService",
    "matching": "temporal.api.workflowservice.v1.MatchingService",
}

SERVING: int = HealthCheckResponse.SERVING
NOT_SERVING: int = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: int = HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """One status for all of `services`; "" is the process as a whole."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = {"", *services}
        self._status = NOT_SERVING
        self._changed = asyncio.Event()

    def serving(self, yes: bool) -> None:
        self._status = SERVING if yes else NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()

    async def check(self, _call: Call, request: HealthCheckRequest) -> HealthCheckResponse:
        if request.service not in self._services:
            raise NotFound("unknown service")
        return HealthCheckResponse(status=self._status)

    async def watch(self, payload: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
        """The status now and whenever it changes, until the client leaves."""
        known = HealthCheckRequest.FromString(payload).service in self._services
        while True:
            changed = self._changed
            yield HealthCheckResponse(status=self._status if known else SERVICE_UNKNOWN).SerializeToString()
            await changed.wait()
