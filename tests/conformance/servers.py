"""The two servers as processes of their own, on free ports, gone when the run ends."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile

import grpc
import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue

BINARIES = {"official": "temporal", "perdure": "perdure"}
READY_LIMIT_S = 20.0
STOP_LIMIT_S = 5.0
MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024

FLAGS = [
    *("--headless", "--ip", "127.0.0.1", "--log-level", "error"),
    *("--search-attribute", "Shade=Keyword", "--search-attribute", "Weight=Int", "--search-attribute", "Story=Text"),
    # Registering namespaces is limited to one a second; scenarios run side by side.
    *("--dynamic-config-value", "frontend.namespaceRPS.namespaceReplicationInducingAPIs=1000"),
    *("--dynamic-config-value", "frontend.rps.namespaceReplicationInducingAPIs=1000"),
]


class ServerError(Exception):
    """A server did not come up; the text has the end of its output."""


@asynccontextmanager
async def serve(kind: str) -> AsyncIterator[grpc.aio.Channel]:
    """Run a server, `official` or `perdure`, and yield a channel to it once it starts workflows."""
    grpc_port, http_port, metrics_port = _free_ports(3)
    command = [str(Path(sys.executable).with_name(BINARIES[kind])), "server", "start-dev", *FLAGS]
    command += ["--port", str(grpc_port), "--http-port", str(http_port), "--metrics-port", str(metrics_port)]
    with TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            sizes = [(f"grpc.max_{way}_message_length", MESSAGE_LIMIT_BYTES) for way in ("send", "receive")]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}", options=sizes) as channel:
                ready = asyncio.create_task(_wait_for_ready(channel))
                ended = asyncio.create_task(process.wait())
                await asyncio.wait({ready, ended}, timeout=READY_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                if not ready.done():
                    ready.cancel()
                    log.seek(0)
                    raise ServerError(f"{kind}: not serving\n{log.read()[-4000:].decode(errors='replace')}")
                await ready
                yield channel
        finally:
            await _stop(process)


async def _wait_for_ready(channel: grpc.aio.Channel) -> None:
    """Start a first workflow: a server that serves may still be acquiring shards and reading namespaces."""
    start = channel.unary_unary(
        "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution",
        request_serializer=api.StartWorkflowExecutionRequest.SerializeToString,
        response_deserializer=api.StartWorkflowExecutionResponse.FromString,
    )
    request = api.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="warm-up",
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name="warm-up"),
        request_id="warm-up",
    )
    while True:
        try:
            await start(request, wait_for_ready=True)
            return
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.05)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports free at this moment; held together, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
