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
from services.errors import NamespaceNotFound, ServiceError, Unavailable, Unimplemented, Unknown
from services.persistence import StoreError, UnknownOutcome
from services.rpc.call import Call
from services.rpc.measured import is_ours
from services.rpc.server.health import NAMES, Health
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
from services.telemetry import CallMetrics, CallSpan, Tracer, call_metrics, get_logger, tracer

# grpc refuses what is larger with a text of its own; we refuse from REQUEST_BYTES_MAX on, with the reference's.
TRANSPORT_BYTES_MAX = 64 * 1024 * 1024

STOPPING = "the server is stopping, please retry"
TELL_S = 1.0  # to tell it to those whose calls a drain has cut short

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Serve: TypeAlias = "Callable[[bytes, Context], Awaitable[bytes]]"

_log = get_logger("rpc")


class AddressInUse(Exception):
    """The address cannot be listened on; the text says why."""


async def _nowhere() -> None:
    """There is nowhere else to look."""


class Server:
    """Serves a table of methods, health and reflection on one port: `listen`, `start`, `serve`, at last `stop`."""

    request_bytes_max = REQUEST_BYTES_MAX
    internal = False
    look_again: Callable[[], Awaitable[None]] = staticmethod(_nowhere)  # for a namespace that is not known

    def __init__(self, clock: Clock, config: DynamicConfig, service: str = "frontend") -> None:
        self._clock, self._config, self._service = clock, config, service
        self._server = grpc.aio.server(options=_options(config))
        self._table = _Table()
        self._under_way: set[asyncio.Task[None] | None] = set()
        self._stopping = False
        self._cut_short = False
        self._idle: asyncio.Event | None = None

    def listen(self, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
        """Takes the port (0: a free one) and returns it; without credentials in plain text. Raises AddressInUse."""
        self._credentials = credentials  # gRPC calls back into them and does not keep them
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            # grpc would say only that it failed; a socket of our own tells why.
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
            if credentials is not None:
                return self._server.add_secure_port(address, credentials)
            return self._server.add_insecure_port(address)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise AddressInUse(f"cannot listen on {host}:{port}: {reason}") from error

    async def start(self, services: Sequence[str]) -> Health:
        """Answers for the health of `services` (full names); what it says of that is the caller's. Other calls are
        told to come again until `serve`."""
        health = Health([*services, *(NAMES[name] for name in (self._service,) if name in NAMES)])
        self._table.add(self._handlers({"/grpc.health.v1.Health/Check": Method(HealthCheckRequest, health.check)}))
        watch: Handler = grpc.unary_stream_rpc_method_handler(cast(Any, health.watch))
        reflection = Reflection([*services, "grpc.health.v1.Health"])
        info: Handler = grpc.stream_stream_rpc_method_handler(cast(Any, reflection.info))
        self._table.add({"/grpc.health.v1.Health/Watch": watch, **dict.fromkeys(PATHS, info)})
        self._server.add_generic_rpc_handlers((self._table,))
        await self._server.start()
        return health

    def serve(self, methods: Mapping[str, Method]) -> None:
        """Serves `methods` (by full name, "/package.Service/Method") from now on."""
        self._table.add(self._handlers(methods))
        self._table.complete = True

    def _handlers(self, methods: Mapping[str, Method]) -> dict[str, Handler]:
        return {
            path: grpc.unary_unary_rpc_method_handler(cast(Any, self._serve(path, method)))
            for path, method in methods.items()
        }

    async def drain(self, grace_s: float) -> None:
        """Waits until the calls under way are answered, at most `grace_s`; all others are told to come again."""
        self._stopping = True
        if not await self._is_idle(grace_s):
            self._cut_short = True
            for call in self._under_way:
                if call is not None:
                    call.cancel()
            await self._is_idle(TELL_S)

    async def _is_idle(self, within_s: float) -> bool:
        if not self._under_way:
            return True
        self._idle = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        return not self._under_way

    async def stop(self, grace_s: float) -> None:
        """Drains, then lets go of the port. grpc cancels calls that arrive meanwhile, and SDKs do not repeat those.

        A process that ends anyway had better only drain: its connections end with it, which tells clients to repeat.
        """
        await self.drain(grace_s)
        await self._server.stop(None)

    def _begin_call(self) -> None:
        if self._stopping:
            raise Unavailable(STOPPING)

    def _end_call(self) -> None:
        self._under_way.discard(asyncio.current_task())
        if self._idle is not None and not self._under_way:
            self._idle.set()

    def _serve(self, path: str, method: Method) -> Serve:
        clock, answer, service = self._clock, method.answer, self._service
        bytes_max, internal = self.request_bytes_max, self.internal
        name, named = path.rpartition("/")[2], method.operation
        metrics_of: dict[tuple[str, str], CallMetrics] = {}

        async def serve(payload: bytes, context: Context, span: CallSpan | None = None) -> bytes:
            began = clock.monotonic()
            operation, namespace, error_type, ours = name, "", None, False
            try:
                request = _read(method.request, payload, bytes_max)
                if span is not None:
                    span.concerns(request)
                if named is not None:
                    operation = named(request)
                try:
                    call = self._call(context, method, request, began)
                except NamespaceNotFound:
                    await self.look_again()
                    call = self._call(context, method, request, began)
                namespace = call.namespace
                refused: Exception | None = None
            except Exception as error:
                refused = error
            metrics = metrics_of.get((operation, namespace))
            if metrics is None:
                metrics = metrics_of[operation, namespace] = call_metrics(operation, namespace, service)
            metrics.started()
            self._under_way.add(asyncio.current_task())
            try:
                self._begin_call()
                if refused is not None:
                    raise refused
                return _written(await answer(call, request))
            except asyncio.CancelledError:  # the client left, its deadline passed, or a drain ended
                if self._cut_short:  # clients repeat this and would not repeat CANCELLED
                    await context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
                error_type = None if name.startswith("Poll") else "serviceerror_Canceled"
                raise
            except Exception as error:
                shown = self._shown(error, operation, namespace)
                error_type, ours = f"serviceerror_{type(shown).__name__}", is_ours(shown)
                if span is not None:
                    span.answered(code_of(shown).name)
                await context.abort(code_of(shown), shown.message, trailers_of(shown, internal=internal))
            finally:
                self._end_call()
                metrics.ended(clock.monotonic() - began, error_type, ours=ours)

        spans = tracer(service)
        return serve if spans is None else _traced(serve, spans, path)

    def _call(self, context: Context, method: Method, request: Any, now: float) -> Call:
        """What a request comes with. Raises the ServiceError that refuses it."""
        namespace, namespace_id = method.about(request)
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
        elif isinstance(error, StoreError | UnknownOutcome):
            _log.warning("The store does not answer", operation=operation, namespace=namespace, error=str(error))
            return Unavailable("the store does not answer, please retry")
        else:
            known = Unknown(f"{MASKED} ({_reference(error)})")
        _log.error(
            "service failures", operation=operation, namespace=namespace, reference=_reference(error), exc_info=error
        )
        return known


def _metadata(context: Context) -> Sequence[tuple[str, str | bytes]]:
    return [(key, value) for key, value in context.invocation_metadata() or ()]


def _traced(serve: "Callable[[bytes, Context, CallSpan], Awaitable[bytes]]", spans: Tracer, path: str) -> Serve:
    async def traced(payload: bytes, context: Context) -> bytes:
        with spans.serving(path, _metadata(context)) as span:
            reply = await serve(payload, context, span)
            span.answered("OK")
            return reply

    return traced


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
    """`complete`: what is not in it does not exist, instead of not existing yet."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._services: set[str] = set()
        self.complete = False

    def add(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers.update(handlers)
        self._services.update(path.split("/")[1] for path in handlers)

    def service(self, details: grpc.HandlerCallDetails) -> Handler:
        return self._handlers.get(details.method) or self._unknown(details.method)

    def _unknown(self, path: str) -> Handler:
        if not self.complete:
            return self._refusal(Unavailable("the server is starting, please retry"))
        _, service, name = path.split("/", 2) if path.count("/") >= 2 else ("", path, "")
        known = service in self._services
        return self._refusal(
            Unimplemented(f"unknown method {name} for service {service}" if known else f"unknown service {service}")
        )

    @staticmethod
    def _refusal(error: ServiceError) -> Handler:
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
