"""The carrier between processes: gRPC channels to the other hosts of the cluster, one per address."""

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import grpc
from google.rpc.status_pb2 import Status

from services.errors import DeadlineExceeded, ServiceError, Unreachable, received
from services.protos.call_pb2 import CallContext
from services.rpc.call import Call
from services.rpc.measured import asking
from services.rpc.stand_in import Send
from services.rpc.wire import Wire
from services.runtime import Clock
from services.telemetry import Tracer, outgoing, tracer

CONTEXT_KEY: Final = "perdure-call-bin"
DETAILS_KEY: Final = "grpc-status-details-bin"
NOT_SENT: Final = "failed to connect to all addresses"  # grpc's words for a request that never left
OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A host that is gone is noticed within seconds, and looked for again at once when it comes back.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)
Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
OLD_CHANNEL_S: Final = 600.0  # calls under way on a channel with old credentials end by then


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSecurity:
    """How channels are encrypted. The other side must prove `server_name`; without one, its address."""

    credentials: grpc.ChannelCredentials
    server_name: str = ""


class Network:
    """Ways to the other hosts. `security` is asked at every call; None is plain text.

    When it is another object than before, later calls go over new channels, and the old ones end with their calls.
    """

    def __init__(self, clock: Clock, security: Callable[[], ChannelSecurity | None] = lambda: None) -> None:
        self._clock, self._ask_security = clock, security
        self._security = security()
        self._traces = tracer("server") is not None
        self._old: dict[grpc.aio.Channel, asyncio.Task[None]] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._methods: dict[tuple[str, str], Unary] = {}

    def to(self, address: str, service: str, caller: str = "server") -> Send:
        """How `caller` asks `service` (its full gRPC name) at an address: every attempt is counted as a call.

        Raises what was raised there, or Unreachable.
        """
        spans = tracer(caller)
        plain = self._to(address, service)
        send = plain if spans is None else _traced(plain, spans, address, service)
        return asking(send, caller=caller, service=service, clock=self._clock)

    def _to(self, address: str, service: str) -> Send:
        async def send(wire: Wire, call: Call, request: Any) -> Any:
            unary = self._method(address, wire.path(service))
            timeout_s = wire.timeout_s if call.deadline is None else call.deadline - self._clock.monotonic()
            if timeout_s <= 0:
                raise DeadlineExceeded("context deadline exceeded")
            try:
                payload = await unary(request.SerializeToString(), timeout=timeout_s, metadata=self._metadata(call))
            except grpc.aio.AioRpcError as error:
                raise error_of(error, address) from None
            return wire.reply.decode(payload)

        return send

    def _metadata(self, call: Call) -> tuple[tuple[str, Any], ...]:
        own = (CONTEXT_KEY, _context(call))
        return (own, *outgoing()) if self._traces else (own,)

    def _method(self, address: str, path: str) -> Unary:
        security = self._ask_security()
        if security is not self._security:
            self._renew(security)
        method = self._methods.get((address, path))
        if method is None:
            method = self._methods[address, path] = self._channel(address).unary_unary(path)
        return method

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = _channel(address, self._security)
        return channel

    def _renew(self, security: ChannelSecurity | None) -> None:
        for channel in self._channels.values():
            self._old[channel] = asyncio.create_task(self._end(channel))
        self._security, self._channels, self._methods = security, {}, {}

    async def _end(self, channel: grpc.aio.Channel) -> None:
        await channel.close(OLD_CHANNEL_S)
        del self._old[channel]

    def keep(self, addresses: Set[str]) -> None:
        """Lets go of the channels to other hosts than these, once the calls under way on them have ended."""
        for address in self._channels.keys() - addresses:
            channel = self._channels.pop(address)
            self._old[channel] = asyncio.create_task(self._end(channel))
        self._methods = {key: method for key, method in self._methods.items() if key[0] in addresses}

    async def close(self) -> None:
        for channel, ending in self._old.items():
            ending.cancel()
            await channel.close()
        for channel in self._channels.values():
            await channel.close()


def _channel(address: str, security: ChannelSecurity | None) -> grpc.aio.Channel:
    if security is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    name = security.server_name
    options = (*OPTIONS, ("grpc.ssl_target_name_override", name)) if name else OPTIONS
    return grpc.aio.secure_channel(address, security.credentials, options=options)


def _traced(send: Send, spans: Tracer, address: str, service: str) -> Send:
    async def traced(wire: Wire, call: Call, request: Any) -> Any:
        with spans.asking(wire.path(service), address) as span:
            try:
                reply = await send(wire, call, request)
            except ServiceError as error:
                span.answered(error.code.name)
                raise
            span.answered("OK")
            return reply

    return traced


def error_of(error: grpc.aio.AioRpcError, address: str) -> ServiceError:
    """What the other host raised; when it did not answer at all, why."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            return received(Status.FromString(value if isinstance(value, bytes) else value.encode()))
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("context deadline exceeded")
    details = error.details() or ""
    return Unreachable(f"{address}: {error.code().name.lower()}: {details}", sent=NOT_SENT not in details)


def _context(call: Call) -> bytes:
    return _encoded(
        call.namespace,
        call.namespace_id,
        call.client_name,
        call.client_version,
        call.client_features,
        call.forwarded_from,
    )


@lru_cache(maxsize=1024)
def _encoded(
    namespace: str, namespace_id: str, name: str, version: str, features: frozenset[str], forwarded_from: str
) -> bytes:
    return CallContext(
        namespace=namespace,
        namespace_id=namespace_id,
        client_name=name,
        client_version=version,
        client_features=sorted(features),
        forwarded_from=forwarded_from,
    ).SerializeToString()


@lru_cache(maxsize=1024)
def context_of(payload: bytes) -> CallContext:
    """The context a call came with. Shared: do not change it."""
    return CallContext.FromString(payload)
