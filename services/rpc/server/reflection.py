"""gRPC reflection, v1 and v1alpha. Nothing is imported before the first client asks: it would slow every start."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

PATHS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
_API = ("workflowservice", "operatorservice")


class Reflection:
    """Tells clients which services there are and what their messages look like."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = services
        self._servicer: Any = None

    async def info(
        self, payloads: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> AsyncIterator[bytes]:
        from grpc_reflection.v1alpha import reflection_pb2  # the messages of v1 are the same on the wire

        if self._servicer is None:
            self._servicer = self._make_servicer()

        async def requests() -> AsyncIterator[Any]:
            async for payload in payloads:
                yield reflection_pb2.ServerReflectionRequest.FromString(payload)

        async for response in self._servicer.ServerReflectionInfo(requests(), context):
            yield response.SerializeToString()

    def _make_servicer(self) -> Any:
        from importlib import import_module

        from grpc_reflection.v1alpha._async import ReflectionServicer

        for name in _API:  # registers the services' descriptors
            import_module(f"temporalio.api.{name}.v1.service_pb2")
        return ReflectionServicer(self._services)
