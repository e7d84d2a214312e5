"""A real PostgreSQL server: started, awaited, killed, restarted. Anybody on this machine is its user `postgres`."""

import os
import signal
import subprocess
from pathlib import Path

from tests.parts.databases import DatabaseServer

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/bin"))


class Postgresql(DatabaseServer):
    """Not `durable`: nothing is flushed to the disk, which a crash of the machine would show, but no kill does."""

    USER = "postgres"
    STOP_SIGNAL = signal.SIGINT  # SIGTERM would wait for clients to leave

    def __init__(self, directory: Path, port: int | None = None, *, durable: bool = False) -> None:
        self._durable = durable
        super().__init__(directory, "postgresql", port)

    def _command(self) -> list[str]:
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.data}"]
        settings += ["max_connections=200", f"fsync={'on' if self._durable else 'off'}", "log_min_messages=fatal"]
        return [str(BIN / "postgres"), "-D", str(self.data), *(word for each in settings for word in ("-c", each))]

    def _prepare(self) -> None:
        user = ["-U", self.USER] if os.geteuid() else []
        self._run(str(BIN / "initdb"), "-A", "trust", "--no-sync", *user, "-D", str(self.data))

    def _is_ready(self) -> bool:
        check = [str(BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(check, check=False).returncode == 0
