"""Servers and workers as real processes: started, awaited, killed, restarted.

Everything here blocks; async callers go through `asyncio.to_thread`. `PERDURE_TEST_SERVER` chooses the server under
test: unset for Perdure, `official` for the official dev server, the path of any executable with its flags, or, where
tests ask `tests.parts.deployed` for it, a cluster or a store.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PUBLIC_API = "temporal.api.workflowservice.v1.WorkflowService"
LOOPBACK = "127.0.0.1"
START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 15.0
QUICK_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 50),
    ("grpc.use_local_subchannel_pool", 1),
)


class ProcessDiedError(Exception):
    """A process ended although nobody asked it to; the text quotes the end of its log."""


def server_under_test() -> str:
    """Its name (see the top of this file)."""
    return os.environ.get("PERDURE_TEST_SERVER") or "perdure"


def server_executable(name: str = "") -> Path:
    """The dev server of this name, or the one under test."""
    named = {"perdure": BIN / "perdure", "official": BIN / "temporal"}
    name = name or server_under_test()
    return named.get(name) or Path(name)


def free_port() -> int:
    """A port that the operating system says is free, and gives to nobody else for a minute, except to who asks for it.

    That is what it does with the port of a connection that its server closed. Else a client's may get it meanwhile.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, 0))
        listener.listen(1)
        port: int = listener.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            listener.accept()[0].close()
        return port


class Process:
    """One command that can be run again and again; all of its output is appended to `log`."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.arguments = arguments
        self.log = log
        self.environment = environment  # None: this process's
        self._running: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._running is not None, f"{self.arguments[0]} was not started"
        return self._running.pid

    @property
    def is_up(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._running is not None

    def start(self) -> None:
        """Start it and return when it is ready; raises ProcessDiedError if it ends before that."""
        assert self._running is None, f"{self.arguments[0]} runs already"
        with self.log.open("ab") as log:
            self._running = self._spawn(log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it with SIGKILL, at once and without a word; harmless when it does not run."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end with SIGTERM; raises TimeoutExpired, after killing it, when it does not end in time."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def wait(self, seconds_max: float) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._running is not None, f"{self.arguments[0]} was not started"
        code = self._running.wait(seconds_max)
        self._running = None
        return code

    def check_alive(self) -> None:
        """Raise ProcessDiedError if it ended by itself."""
        if self._running is not None and self._running.poll() is not None:
            raise self._death()

    def output(self) -> str:
        """All that it said since it was first started."""
        return self.log.read_text(errors="replace")

    def log_tail(self, bytes_max: int = 4000) -> str:
        return self.log.read_bytes()[-bytes_max:].decode(errors="replace") if self.log.exists() else ""

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.arguments,
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _wait_until_ready(self) -> None:
        """Overridden by what has a sign of readiness."""

    def _end(self, number: signal.Signals) -> None:
        process = self._running
        if process is None:
            return
        process.send_signal(number)
        process.wait(STOP_SECONDS_MAX)
        if process.stdout is not None:
            process.stdout.close()
        self._running = None

    def _death(self) -> ProcessDiedError:
        assert self._running is not None
        return ProcessDiedError(
            f"{' '.join(self.arguments)} ended with {self._running.poll()}; its log ends:\n{self.log_tail()}"
        )


class Server(Process):
    """A dev server on its own port and data file; started again, it keeps both. In memory it has no file."""

    def __init__(
        self,
        directory: Path,
        *,
        executable: Path | None = None,
        port: int | None = None,
        flags: tuple[str, ...] = (),
        in_memory: bool = False,
    ) -> None:
        self.database = directory / "server.db"
        self.port = port or free_port()
        arguments = [str(executable or server_executable()), "server", "start-dev", "--headless", "--ip", "127.0.0.1"]
        arguments += ["--port", str(self.port), "--http-port", str(free_port()), "--metrics-port", str(free_port())]
        arguments += ["--log-level", "error", *flags]
        if not in_memory:
            arguments += ["--db-filename", str(self.database)]
        super().__init__(arguments, directory / "server.log")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def addresses(self) -> list[str]:
        return [self.address]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        with grpc.insecure_channel(self.address, options=QUICK_RECONNECT) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while not _is_serving(health):
                self.check_alive()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not serving after {START_SECONDS_MAX} s; log:\n{self.log_tail()}")


def _is_serving(health: health_pb2_grpc.HealthStub) -> bool:
    request = health_pb2.HealthCheckRequest(service=PUBLIC_API)
    try:
        reply = health.Check(request, timeout=0.25, wait_for_ready=True)
    except grpc.RpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


class Worker(Process):
    """`python -m MODULE ARGUMENTS`, ready when it has printed its first line."""

    def __init__(self, module: str, arguments: list[str], log: Path) -> None:
        super().__init__([sys.executable, "-m", module, *arguments], log)

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.arguments, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        )

    def _wait_until_ready(self) -> None:
        assert self._running is not None
        assert self._running.stdout is not None
        if not self._running.stdout.readline():
            self._running.wait(STOP_SECONDS_MAX)
            raise self._death()
