"""The public server over real connections: what is on the wire when something is wrong, and how it stops."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
import structlog
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.errors import InvalidArgument, NamespaceNotFound
from services.rpc import Call
from services.rpc.server import AddressInUse, Health, Method, Server
from services.runtime import SystemClock
from services.telemetry import REGISTRY, configure_logging

SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
HEALTH = "/grpc.health.v1.Health"
LIMIT_S = 10.0
Answer = Callable[[Call, Any], Awaitable[Any]]


class Served:
    """A server whose methods a test writes, and a channel to it."""

    def __init__(self, server: Server, channel: grpc.aio.Channel, answers: dict[str, Answer], health: Health) -> None:
        self.server, self.channel, self.answers, self.health = server, channel, answers, health

    async def call(self, method: str, payload: bytes = b"", timeout: float = LIMIT_S) -> bytes:
        send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(method)
        return await send(payload, timeout=timeout)

    async def poll(self, answer: Answer, payload: bytes = b"", timeout: float = LIMIT_S) -> bytes:
        self.answers["poll"] = answer
        return await self.call(f"/{SERVICE}/PollWorkflowTaskQueue", payload, timeout)

    async def refused(self, answer: Answer, payload: bytes = b"") -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.poll(answer, payload)
        return error.value


def _about(request: api.PollWorkflowTaskQueueRequest) -> tuple[str, str]:
    if request.namespace == "nowhere":
        raise NamespaceNotFound(request.namespace)
    return request.namespace, "id-" + request.namespace


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    answers: dict[str, Answer] = {}

    async def answer(call: Call, request: Any) -> Any:
        return await answers["poll"](call, request)

    server = Server(SystemClock(), DynamicConfig(env={}))
    port = server.listen("127.0.0.1", 0)
    table = {f"/{SERVICE}/PollWorkflowTaskQueue": Method(api.PollWorkflowTaskQueueRequest, answer, _about)}
    health = await server.start(sorted({path.split("/")[1] for path in table}))
    server.serve(table)
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield Served(server, channel, answers, health)
        await server.stop(0)


async def nothing(_call: Call, _request: Any) -> None:
    return None


async def test_a_reply_is_a_message_or_bytes_or_nothing(served: Served) -> None:
    reply = api.PollWorkflowTaskQueueResponse(task_token=b"token")

    async def message(_call: Call, _request: Any) -> api.PollWorkflowTaskQueueResponse:
        return reply

    async def blob(_call: Call, _request: Any) -> bytes:
        return reply.SerializeToString()

    assert await served.poll(message) == await served.poll(blob) == reply.SerializeToString()
    assert await served.poll(nothing) == b""


async def test_a_call_says_whose_it_is_and_until_when(served: Served) -> None:
    calls: list[Call] = []

    async def keep(call: Call, _request: Any) -> None:
        calls.append(call)

    served.answers["poll"] = keep
    request = api.PollWorkflowTaskQueueRequest(namespace="default").SerializeToString()
    path = f"/{SERVICE}/PollWorkflowTaskQueue"
    poll: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = served.channel.unary_unary(path)
    before = SystemClock().monotonic()
    await poll(request, timeout=LIMIT_S, metadata=(("client-name", "temporal-python"), ("client-version", "1.35.0")))
    await poll(request)
    (first, second) = calls
    assert (first.namespace, first.namespace_id) == ("default", "id-default")
    assert (first.client_name, first.client_version) == ("temporal-python", "1.35.0")
    assert first.deadline is not None
    assert first.deadline - before == pytest.approx(LIMIT_S, abs=1.0)  # the wire rounds it
    assert second.deadline is None


async def test_an_error_carries_its_code_text_and_detail(served: Served) -> None:
    request = api.PollWorkflowTaskQueueRequest(namespace="nowhere").SerializeToString()
    error = await served.refused(nothing, request)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "Namespace nowhere is not found.")
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert (status.code, status.message) == (5, "Namespace nowhere is not found.")
    detail = NamespaceNotFoundFailure()
    assert status.details[0].Unpack(detail)
    assert detail.namespace == "nowhere"


async def test_an_error_without_a_detail_has_no_trailer(served: Served) -> None:
    async def refuse(_call: Call, _request: Any) -> None:
        raise InvalidArgument("no")

    error = await served.refused(refuse)
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "no")
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata())


@pytest.mark.parametrize(
    ("payload", "code", "text"),
    [
        (
            b"x" * (4 * 1024 * 1024 + 1),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (4194305 vs. 4194304)",
        ),
        (
            b"\xff\xff",
            grpc.StatusCode.INTERNAL,
            "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data",
        ),
        (
            b"\x0a\x02\xff\xfe",
            grpc.StatusCode.INTERNAL,
            "grpc: error unmarshalling request: string field contains invalid UTF-8",
        ),
    ],
    ids=["too large", "no message", "no UTF-8"],
)
async def test_bytes_that_are_no_request(served: Served, payload: bytes, code: grpc.StatusCode, text: str) -> None:
    error = await served.refused(nothing, payload)
    assert (error.code(), error.details()) == (code, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"/{SERVICE}/DrinkTea", f"unknown method DrinkTea for service {SERVICE}"),
        ("/tea.v1.Tea/Drink", "unknown service tea.v1.Tea"),
    ],
)
async def test_a_method_nobody_knows(served: Served, path: str, text: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await served.call(path)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.UNIMPLEMENTED, text)


async def test_a_bug_is_masked_and_logged_in_full_under_a_reference(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    configure_logging(level="error", form="json", stream=log)
    monkeypatch.setattr("services.rpc.server.server._log", structlog.get_logger(component="frontend"))

    async def stumble(_call: Call, _request: Any) -> None:
        raise KeyError("the secret")

    error = await served.refused(stumble)
    assert error.code() == grpc.StatusCode.UNKNOWN
    text = error.details() or ""
    assert text.startswith("something went wrong, please retry (")
    assert "secret" not in text
    line = json.loads(log.getvalue())
    assert line["reference"] == text[-9:-1]
    assert "KeyError: 'the secret'" in line["stacktrace"]
    assert line["operation"] == "PollWorkflowTaskQueue"


@pytest.mark.parametrize("timeout", [LIMIT_S, 0.3], ids=["the client leaves", "the deadline passes"])
async def test_nobody_works_for_a_caller_who_is_gone(served: Served, timeout: float) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def wait(_call: Call, _request: Any) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    call = asyncio.create_task(served.poll(wait, timeout=timeout))
    await asyncio.wait_for(entered.wait(), LIMIT_S)
    if timeout == LIMIT_S:
        call.cancel()
    await asyncio.wait_for(left.wait(), LIMIT_S)
    with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
        await call


async def test_a_stop_waits_for_calls_under_way_and_takes_no_more(served: Served) -> None:
    entered, finish = asyncio.Event(), asyncio.Event()

    async def work(_call: Call, _request: Any) -> bytes:
        entered.set()
        await finish.wait()
        return b"\x0a\x00"

    call = asyncio.create_task(served.poll(work))
    await asyncio.wait_for(entered.wait(), LIMIT_S)
    stopping = asyncio.create_task(served.server.stop(LIMIT_S))
    finish.set()
    assert await call == b"\x0a\x00"
    await asyncio.wait_for(stopping, LIMIT_S)
    with pytest.raises(grpc.aio.AioRpcError):
        await served.poll(nothing, timeout=1.0)


async def test_a_drain_tells_whoever_it_does_not_wait_for_to_come_again(served: Served) -> None:
    entered = asyncio.Event()

    async def wait(_call: Call, _request: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(served.refused(wait))
    await asyncio.wait_for(entered.wait(), LIMIT_S)
    await asyncio.wait_for(served.server.drain(0.01), LIMIT_S)
    for error in (await call, await served.refused(nothing)):
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping, please retry")


async def test_health_is_told_and_watched(served: Served) -> None:
    async def check(service: str) -> int:
        reply = await served.call(f"{HEALTH}/Check", HealthCheckRequest(service=service).SerializeToString())
        status: int = HealthCheckResponse.FromString(reply).status
        return status

    watching: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = served.channel.unary_stream(f"{HEALTH}/Watch")
    watch = watching(b"", timeout=LIMIT_S)
    assert HealthCheckResponse.FromString(await watch.read()).status == HealthCheckResponse.NOT_SERVING
    served.health.serving(True)
    assert HealthCheckResponse.FromString(await watch.read()).status == HealthCheckResponse.SERVING
    assert await check("") == await check(SERVICE) == HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await check("tea")
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.NOT_FOUND, "unknown service")
    watch.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_shows_the_services(served: Served, version: str) -> None:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    info: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = served.channel.stream_stream(path)
    call = info(timeout=LIMIT_S)
    await call.write(ServerReflectionRequest(list_services="").SerializeToString())
    listed = ServerReflectionResponse.FromString(await call.read()).list_services_response
    assert SERVICE in [service.name for service in listed.service]
    await call.write(ServerReflectionRequest(file_containing_symbol=SERVICE).SerializeToString())
    found = ServerReflectionResponse.FromString(await call.read()).file_descriptor_response
    assert found.file_descriptor_proto
    await call.done_writing()


async def test_a_taken_port_is_told_as_such(served: Served) -> None:
    first, second = (Server(SystemClock(), DynamicConfig(env={})) for _ in range(2))
    port = first.listen("127.0.0.1", 0)
    with pytest.raises(AddressInUse, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use$"):
        second.listen("127.0.0.1", port)
    await first.stop(0)
    await second.stop(0)


async def test_calls_are_counted_by_operation_and_namespace(served: Served) -> None:
    request = api.PollWorkflowTaskQueueRequest(namespace="counted").SerializeToString()
    await served.poll(nothing, request)
    labels = 'operation="PollWorkflowTaskQueue",namespace="counted",service_name="frontend"'
    lines = REGISTRY.text().splitlines()
    assert f"service_requests{{{labels}}} 1" in lines
    assert f"service_latency_count{{{labels}}} 1" in lines
