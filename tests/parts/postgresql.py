"""A real PostgreSQL server: started, awaited, killed, restarted. Anybody on this machine is its user `postgres`."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.parts.databases import DatabaseServer
from tests.processes import LOOPBACK

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/bin"))

# It refuses to run as root. Whoever runs it in root's place may still read the folders on the way to its data.
USER = "postgres"
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
AS_USER += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


class Postgresql(DatabaseServer):
    """Not `durable`: nothing is flushed to the disk, which a crash of the machine would show, but no kill does."""

    STOP_SIGNAL = signal.SIGINT  # SIGTERM would wait for clients to leave

    def __init__(self, directory: Path, port: int | None = None, *, durable: bool = False, ip: str = LOOPBACK) -> None:
        self._durable = durable
        super().__init__(directory, "postgresql", port, ip)

    def _command(self) -> list[str]:
        settings = [f"port={self.port}", f"listen_addresses={self.ip}", f"unix_socket_directories={self.data}"]
        settings += ["max_connections=200", f"fsync={'on' if self._durable else 'off'}", "log_min_messages=fatal"]
        return [
            *self._as_user(),
            str(BIN / "postgres"),
            "-D",
            str(self.data),
            *(word for each in settings for word in ("-c", each)),
        ]

    def _prepare(self) -> None:
        if self._as_user():
            shutil.chown(self.data, USER, USER)
        self._run(*self._as_user(), str(BIN / "initdb"), "-A", "trust", "--no-sync", "-U", USER, "-D", str(self.data))
        with (self.data / "pg_hba.conf").open("a", encoding="ascii") as rules:
            rules.write(f"host all all {self.ip}/24 trust\n")

    def _as_user(self) -> list[str]:
        return [] if os.geteuid() else AS_USER

    def _is_ready(self) -> bool:
        check = [str(BIN / "pg_isready"), "-q", "-h", self.ip, "-p", str(self.port)]
        return subprocess.run(check, check=False).returncode == 0
