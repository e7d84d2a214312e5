"""The server of a service that only other services call: its calls carry their context, its errors go as they are."""

from collections.abc import Mapping
from typing import Any

from services.errors import OwnershipLost, ServiceError
from services.rpc.call import Call
from services.rpc.measured import namer
from services.rpc.network import CONTEXT_KEY, context_of
from services.rpc.server.method import Method
from services.rpc.server.server import TRANSPORT_BYTES_MAX, Context, Server
from services.rpc.stand_in import Send
from services.rpc.wire import Wire


class InternalServer(Server):
    """Between hosts of one cluster."""

    request_bytes_max = TRANSPORT_BYTES_MAX
    internal = True

    def _begin_call(self) -> None:
        """What this host owned is another's by now."""
        if self._stopping:
            raise OwnershipLost("the host is stopping, please retry")

    def _call(self, context: Context, _method: Method, _request: Any, now: float) -> Call:
        remaining = context.time_remaining()
        payload = next((value for key, value in context.invocation_metadata() or () if key == CONTEXT_KEY), b"")
        sent = context_of(payload if isinstance(payload, bytes) else payload.encode())
        return Call(
            namespace=sent.namespace,
            namespace_id=sent.namespace_id,
            deadline=None if remaining is None else now + remaining,
            client_name=sent.client_name,
            client_version=sent.client_version,
            client_features=frozenset(sent.client_features),
            forwarded_from=sent.forwarded_from,
        )

    def _shown(self, error: Exception, operation: str, namespace: str) -> ServiceError:
        """What is no answer of ours is logged here, and goes on as the reference that leads to it."""
        return error if isinstance(error, ServiceError) else super()._shown(error, operation, namespace)


def served(table: Mapping[str, Wire], service: str, send: Send) -> dict[str, Method]:
    """What a server serves of a service behind `send`."""
    return {wire.path(service): _served(wire, send) for wire in table.values()}


def _served(wire: Wire, send: Send) -> Method:
    async def answer(call: Call, request: object) -> bytes:
        return wire.reply.encode(await send(wire, call, request))

    return Method(wire.request, answer, operation=namer(wire))
