"""ZooKeeper as Debian packages it: one node, or an ensemble, on loopback."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.processes import LOOPBACK, Process, free_port

START_SECONDS_MAX = 20.0
_JARS = Path("/usr/share/java")
# The package's own list lacks what TLS needs of netty, and whatever would write the log.
_CLASSPATH = ":".join(
    str(_JARS / f"{name}.jar") for name in ("zookeeper", "netty-resolver", "netty-codec", "slf4j-simple")
)
_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
_JAVA = [
    "java",
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]


class ZooKeeper(Process):
    """One node. Started again it keeps its port and data; sessions may last from 2 to 20 ticks.

    `server` is its number in an ensemble; `extra` are more lines for its configuration, such as who else is in it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        tick_ms: int = 2000,
        server: int = 1,
        extra: str = "",
        ip: str = LOOPBACK,
    ) -> None:
        self.ip, self.port = ip, port or free_port()
        data = directory / f"zookeeper-{server}"
        data.mkdir(parents=True, exist_ok=True)
        (data / "myid").write_text(f"{server}\n", encoding="ascii")
        file = data / "zoo.cfg"
        file.write_text(
            f"tickTime={tick_ms}\ninitLimit=20\nsyncLimit=5\ndataDir={data}\nclientPort={self.port}\n"
            f"clientPortAddress={ip}\nadmin.enableServer=false\n4lw.commands.whitelist=*\n{extra}",
            encoding="ascii",
        )
        super().__init__([*_JAVA, "-cp", _CLASSPATH, _MAIN, str(file)], data / "zookeeper.log")

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    @property
    def mode(self) -> str:
        """`standalone`, `leader` or `follower`; empty while it does not serve."""
        lines = self.ask("srvr").splitlines()
        return next((line.removeprefix("Mode: ") for line in lines if line.startswith("Mode: ")), "")

    def ask(self, word: str) -> str:
        """The answer to a four-letter word; empty when nobody answers."""
        try:
            with socket.create_connection((self.ip, self.port), timeout=1) as connection:
                connection.sendall(word.encode("ascii"))
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.mode:
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"ZooKeeper does not serve after {START_SECONDS_MAX} s; log:\n{self.log_tail()}")
            time.sleep(0.05)


class Ensemble:
    """Three nodes, or as many as said, that elect a leader."""

    def __init__(self, directory: Path, *, size: int = 3, tick_ms: int = 2000, ip: str = LOOPBACK) -> None:
        lines = [f"server.{i}=127.0.0.1:{free_port()}:{free_port()}\n" for i in range(1, size + 1)]
        servers = "".join(lines)
        numbers = range(1, size + 1)
        self.nodes = [ZooKeeper(directory, tick_ms=tick_ms, server=i, extra=servers, ip=ip) for i in numbers]

    @property
    def address(self) -> str:
        """All nodes, as clients want them: separated by commas."""
        return ",".join(node.address for node in self.nodes)

    @property
    def leader(self) -> ZooKeeper:
        """The node that leads now; StopIteration when none does."""
        return next(node for node in self.nodes if node.mode == "leader")

    def start(self) -> None:
        """Starts all at once, since none serves before a majority is there."""
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            list(threads.map(lambda node: node.start(), self.nodes))

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
