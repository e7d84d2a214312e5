"""One grpc.aio server over a table of methods. Parsing and serialising happen here, so that bytes can pass through."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1.health_pb2 import HealthCheckRequest

from services.config import DynamicConfig, limits
from services.errors import ServiceError, Unavailable, Unimplemented, Unknown
from services.rpc.call import Call
from services.rpc.server.health import Health
from services.rpc.server.method import Method, Reply
from services.rpc.server.reflection import PATHS, Reflection
from services.rpc.server.status import (
    MASKED,
    REQUEST_BYTES_MAX,
    RequestTooLarge,
    Undecodable,
    code_of,
    masked,
    trailers_of,
)
from services.runtime import Clock
from services.telemetry import CallMetrics, call_metrics, get_logger

# grpc refuses what is larger with a text of its own; we refuse from REQUEST_BYTES_MAX on, with the reference's.
TRANSPORT_BYTES_MAX = 64 * 1024 * 1024

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Serve: TypeAlias = "Callable[[bytes, Context], Awaitable[bytes]]"

_log = get_logger("rpc")


class AddressInUse(Exception):
    """The address cannot be listened on; the text says why."""


class Server:
    """Serves a table of methods, health and reflection on one port. First `listen`, then `start`, at last `stop`."""

    request_bytes_max = REQUEST_BYTES_MAX
    internal = False

    def __init__(self, clock: Clock, config: DynamicConfig, service: str = "frontend") -> None:
        self._clock, self._config, self._service = clock, config, service
        self._server = grpc.aio.server(options=_options(config))
        self._under_way = 0
        self._stopping = False
        self._idle: asyncio.Event | None = None

    def listen(self, host: str, port: int) -> int:
        """Takes the port (0: a free one) and returns it. Raises AddressInUse."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            # grpc would say only that it failed; a socket of our own tells why.
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
            return self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise AddressInUse(f"cannot listen on {host}:{port}: {reason}") from error

    async def start(self, methods: Mapping[str, Method]) -> Health:
        """Serves `methods` (by full name, "/package.Service/Method"); what it says of its health is the caller's."""
        services = sorted({path.split("/")[1] for path in methods})
        health = Health(services)
        table = {**methods, "/grpc.health.v1.Health/Check": Method(HealthCheckRequest, health.check)}
        handlers: dict[str, Handler] = {
            path: grpc.unary_unary_rpc_method_handler(cast(Any, self._serve(path.rpartition("/")[2], method)))
            for path, method in table.items()
        }
        handlers["/grpc.health.v1.Health/Watch"] = grpc.unary_stream_rpc_method_handler(cast(Any, health.watch))
        info = Reflection([*services, "grpc.health.v1.Health"]).info
        handlers |= {path: grpc.stream_stream_rpc_method_handler(cast(Any, info)) for path in PATHS}
        self._server.add_generic_rpc_handlers((_Table(handlers),))
        await self._server.start()
        return health

    async def drain(self, grace_s: float) -> None:
        """Waits until the calls under way are answered, at most `grace_s`; new ones are told at once to come again."""
        self._stopping = True
        if self._under_way:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()

    async def stop(self, grace_s: float) -> None:
        """Drains, then lets go of the port. grpc cancels calls that arrive meanwhile, and SDKs do not repeat those.

        A process that ends anyway had better only drain: its connections end with it, which tells clients to repeat.
        """
        await self.drain(grace_s)
        await self._server.stop(None)

    def _begin_call(self) -> None:
        if self._stopping:
            raise Unavailable("the server is stopping, please retry")

    def _end_call(self) -> None:
        self._under_way -= 1
        if self._idle is not None and not self._under_way:
            self._idle.set()

    def _serve(self, operation: str, method: Method) -> Serve:
        clock, about, answer, service = self._clock, method.about, method.answer, self._service
        bytes_max, internal = self.request_bytes_max, self.internal
        metrics_of: dict[str, CallMetrics] = {}

        async def serve(payload: bytes, context: Context) -> bytes:
            began = clock.monotonic()
            namespace, error_type = "", None
            try:
                request = _read(method.request, payload, bytes_max)
                namespace, namespace_id = about(request)
                refused: Exception | None = None
            except Exception as error:
                refused = error
            metrics = metrics_of.get(namespace)
            if metrics is None:
                metrics = metrics_of[namespace] = call_metrics(operation, namespace, service)
            metrics.started()
            self._under_way += 1
            try:
                self._begin_call()
                if refused is not None:
                    raise refused
                call = self._call(context, namespace, namespace_id, began)
                return _written(await answer(call, request))
            except asyncio.CancelledError:  # the client left, or its deadline passed
                error_type = "serviceerror_Canceled"
                raise
            except Exception as error:
                shown = self._shown(error, operation, namespace)
                error_type = f"serviceerror_{type(shown).__name__}"
                await context.abort(code_of(shown), shown.message, trailers_of(shown, internal=internal))
            finally:
                self._end_call()
                metrics.ended(clock.monotonic() - began, error_type)

        return serve

    def _call(self, context: Context, namespace: str, namespace_id: str, now: float) -> Call:
        remaining = context.time_remaining()
        client_name = client_version = client_features = ""
        for key, value in context.invocation_metadata() or ():
            if key == "client-name":
                client_name = str(value)
            elif key == "client-version":
                client_version = str(value)
            elif key == "supported-features":
                client_features = str(value)
        return Call(
            namespace=namespace,
            namespace_id=namespace_id,
            deadline=None if remaining is None else now + remaining,
            client_name=client_name,
            client_version=client_version,
            client_features=frozenset(client_features.split(",")) if client_features else frozenset(),
        )

    def _shown(self, error: Exception, operation: str, namespace: str) -> ServiceError:
        """The error as the client may see it. What is no answer of ours is logged in full, under a reference."""
        if isinstance(error, ServiceError):
            known = masked(error, _reference(error))
            if known is error or not self._config.get(limits.MASK_INTERNAL_ERRORS, namespace):
                return error
        else:
            known = Unknown(f"{MASKED} ({_reference(error)})")
        _log.error(
            "service failures", operation=operation, namespace=namespace, reference=_reference(error), exc_info=error
        )
        return known


def _read(kind: type[Message], payload: bytes, bytes_max: int) -> Message:
    if len(payload) > bytes_max:
        raise RequestTooLarge(len(payload))
    try:
        return kind.FromString(payload)
    except DecodeError as error:
        raise Undecodable(error) from None


def _written(reply: Reply) -> bytes:
    if reply is None:
        return b""
    return reply if isinstance(reply, bytes) else reply.SerializeToString()


def _reference(error: Exception) -> str:
    """Eight hexadecimal digits that a user can report and an operator can find in the log."""
    return hashlib.sha256(repr(error).encode()).hexdigest()[:8]


class _Table(grpc.GenericRpcHandler):
    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._services = {path.split("/")[1] for path in handlers}

    def service(self, details: grpc.HandlerCallDetails) -> Handler:
        return self._handlers.get(details.method) or self._unknown(details.method)

    def _unknown(self, path: str) -> Handler:
        _, service, name = path.split("/", 2) if path.count("/") >= 2 else ("", path, "")
        known = service in self._services
        error = Unimplemented(f"unknown method {name} for service {service}" if known else f"unknown service {service}")

        async def refuse(_payload: bytes, context: Context) -> None:
            await context.abort(code_of(error), error.message)

        return grpc.unary_unary_rpc_method_handler(cast(Any, refuse))


def _options(config: DynamicConfig) -> Sequence[tuple[str, int]]:
    def milliseconds(setting: Any) -> int:
        return int(config.get(setting).total_seconds() * 1000)

    return (
        ("grpc.max_receive_message_length", TRANSPORT_BYTES_MAX),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", milliseconds(limits.KEEP_ALIVE_TIME)),
        ("grpc.keepalive_timeout_ms", milliseconds(limits.KEEP_ALIVE_TIMEOUT)),
        ("grpc.http2.min_ping_interval_without_data_ms", milliseconds(limits.KEEP_ALIVE_MIN_TIME)),
        ("grpc.keepalive_permit_without_calls", int(config.get(limits.KEEP_ALIVE_WITHOUT_STREAM))),
        ("grpc.max_connection_idle_ms", milliseconds(limits.KEEP_ALIVE_MAX_IDLE)),
        ("grpc.max_connection_age_ms", milliseconds(limits.KEEP_ALIVE_MAX_AGE)),
        ("grpc.max_connection_age_grace_ms", milliseconds(limits.KEEP_ALIVE_MAX_AGE_GRACE)),
    )
