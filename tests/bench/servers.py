"""The servers under load: each a fresh process on fresh data, stopped when its round is over."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc.aio
import psutil
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from tests.bench.load import NAMESPACE, BenchError
from tests.bench.wire import method

BIN = Path(sys.executable).parent
OFFICIAL = "official"
PERDURE = "perdure"
STORE = "store"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
OUTPUT_BYTES_SHOWN_MAX = 2000


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers for the namespace, and the processes whose trees burn CPU, by what they are.

    What STORE burns is not the server's: it is told apart.
    """

    target: str
    processes: Mapping[str, Sequence[psutil.Process]]


def _command(name: str, profile: Path | None) -> list[str]:
    if name == OFFICIAL:
        return [str(BIN / "temporal"), "server", "start-dev"]
    profiler = [sys.executable, "-m", "cProfile", "-o", str(profile)] if profile else []
    return [*profiler, str(BIN / "perdure"), "server", "start-dev", "--ip", "127.0.0.1"]


def _free_ports(count: int) -> list[int]:
    """Ports the system chose; held together so that they differ, then let go."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@asynccontextmanager
async def serve(name: str, profile: Path | None = None) -> AsyncIterator[Server]:
    """Run a fresh server until the block ends. Raises BenchError with its output when it does not come to serve."""
    port, http_port, metrics_port = _free_ports(3)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, tempfile.TemporaryFile() as output:
        flags = {
            "--port": port,
            "--http-port": http_port,
            "--metrics-port": metrics_port,
            "--db-filename": Path(folder, "bench.db"),
            "--log-level": "error",
        }
        arguments = ["--headless", *(str(part) for flag in flags.items() for part in flag)]
        process = subprocess.Popen(  # noqa: ASYNC220 - a fork before any load, nothing waits for the loop
            [*_command(name, profile), *arguments], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            await wait_until_serving(process, f"127.0.0.1:{port}")
            yield Server(f"127.0.0.1:{port}", {"server": [psutil.Process(process.pid)]})
        except Exception as error:
            error.add_note(f"{name} server said last: {_tail(output)}")
            raise
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise BenchError(f"{name} server did not stop within {STOP_TIMEOUT_S} s of SIGTERM") from None


def _tail(output: IO[bytes]) -> str:
    output.seek(max(output.seek(0, os.SEEK_END) - OUTPUT_BYTES_SHOWN_MAX, 0))
    return output.read().decode(errors="replace").strip() or "nothing"


async def wait_until_serving(process: subprocess.Popen[bytes] | None, target: str) -> None:
    """Return once the namespace is described; a process that ends first, or the deadline, is a BenchError."""
    request = DescribeNamespaceRequest(namespace=NAMESPACE).SerializeToString()
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    async with grpc.aio.insecure_channel(target) as channel:
        describe = method(channel, "DescribeNamespace")
        while asyncio.get_running_loop().time() < deadline:
            if process is not None and process.poll() is not None:
                raise BenchError(f"server ended with status {process.returncode} before it served")
            try:
                await describe(request, timeout=1.0)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                return
    raise BenchError(f"server did not serve within {START_TIMEOUT_S} s")
