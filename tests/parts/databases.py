"""What the two database servers have in common: a folder of the caller's that is made theirs, and how they end."""

import os
import signal
import subprocess
import time
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from tests.processes import LOOPBACK, REPOSITORY, START_SECONDS_MAX, Process, free_port


class DatabaseServer(Process):
    """A database server on its own port of `ip`; started again, it keeps port and data."""

    STOP_SIGNAL = signal.SIGTERM

    def __init__(self, directory: Path, name: str, port: int | None = None, ip: str = LOOPBACK) -> None:
        self.data = directory / name
        self.ip, self.port = ip, port or free_port()
        super().__init__(self._command(), directory / f"{name}.log")

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    def start(self) -> None:
        if not self.data.exists():
            self.data.mkdir(parents=True)
            self._prepare()
        super().start()

    def stop(self) -> None:
        """Ask it to end, whoever is connected."""
        self._end(self.STOP_SIGNAL)

    def kill(self) -> None:
        """End all of its processes with SIGKILL, as a crash of the machine would."""
        if self._running is not None:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                family = psutil.Process(self._running.pid).children(recursive=True)
                os.killpg(self._running.pid, signal.SIGKILL)
                self._end(signal.SIGKILL)
                _wait_until_gone(family)  # a new server refuses what an old one still has open
        self._end(signal.SIGKILL)

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts the server."""

    @abstractmethod
    def _prepare(self) -> None:
        """Makes the empty data folder one of the server's."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it takes connections."""

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.arguments,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {START_SECONDS_MAX} s; log:\n{self.log_tail()}")
            time.sleep(0.05)

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd="/")


def _wait_until_gone(processes: list[psutil.Process]) -> None:
    """Zombies are gone: they hold nothing, and whoever inherited them may take its time."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
