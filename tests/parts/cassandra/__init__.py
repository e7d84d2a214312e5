"""A real Cassandra node: started, awaited, frozen, killed, restarted. Its jars come from scripts/parts."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.processes import LOOPBACK, REPOSITORY, ProcessDiedError, free_port

SCRIPTS = Path(__file__).parent
CACHE = REPOSITORY / ".cache" / "cassandra"
CLASSES = CACHE / "classes.jsa"  # what Java would work out anew at each start: three seconds of CPU
START_SECONDS_MAX = 120


class Cassandra:
    """One node on ports of its own; started again, it keeps them and its data.

    `options` are the environment variables that the head of start.sh lists.
    """

    def __init__(self, directory: Path, port: int | None = None, options: Mapping[str, str] = {}) -> None:
        self.data = directory / "cassandra"
        self.port = port or free_port()
        self.ip = options.get("LISTEN", LOOPBACK)
        settings = {"FAST": "1", "PAXOS": "v2", "SYNC": "batch", "HEAP_MAX": "768m", "CASS_LIB": str(CACHE / "lib")}
        settings |= {"STORAGE_PORT": str(free_port()), "WAIT": str(START_SECONDS_MAX), "CDS": str(CLASSES)}
        self._environment = {**os.environ, **settings, **options}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    @property
    def pid(self) -> int:
        return int((self.data / "cassandra.pid").read_text())

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that the node has used since it was started."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def start(self) -> None:
        """Returns when it takes connections; raises ProcessDiedError, with the end of its log, if it ends before."""
        make_classes()
        done = subprocess.run(
            [SCRIPTS / "start.sh", self.data, str(self.port)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise ProcessDiedError(f"cassandra on {self.address}: {done.stderr}")

    def stop(self) -> None:
        """Asks it to end, and waits."""
        self._end("TERM")

    def kill(self) -> None:
        """Ends it with SIGKILL; harmless when it does not run."""
        self._end("KILL")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While it lasts the node hears everything and does nothing; afterwards it does what it heard."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _end(self, name: str) -> None:
        subprocess.run([SCRIPTS / "stop.sh", self.data, name], check=True, stdin=subprocess.DEVNULL)


def make_classes() -> None:
    """Makes the archive of classes once for this machine; whoever is second finds it."""
    if CLASSES.exists():
        return
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        made = Path(directory) / CLASSES.name
        subprocess.run(
            [SCRIPTS / "make-cds.sh", made, str(free_port())],
            env=os.environ | {"CASS_LIB": str(CACHE / "lib"), "STORAGE_PORT": str(free_port())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        made.replace(CLASSES)
