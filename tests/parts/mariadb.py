"""A real MariaDB server: started, awaited, killed, restarted. Anybody on this machine is its user `root`."""

import os
import subprocess
from pathlib import Path

from tests.parts.databases import DatabaseServer

USER = ["--user=root"] if os.geteuid() == 0 else []  # it runs as root, but not without being told to


class MariaDB(DatabaseServer):
    """Not `durable`: nothing is flushed to the disk, which a crash of the machine would show, but no kill does."""

    def __init__(self, directory: Path, port: int | None = None, *, durable: bool = False) -> None:
        self._durable = durable
        super().__init__(directory, "mariadb", port)

    def _command(self) -> list[str]:
        flush = 1 if self._durable else 2
        settings = [f"--port={self.port}", "--bind-address=127.0.0.1", "--max-connections=300", "--skip-name-resolve"]
        files = [f"--datadir={self.data}", f"--socket={self.data / 'socket'}", f"--pid-file={self.data / 'pid'}"]
        return ["mariadbd", "--no-defaults", *USER, *files, *settings, f"--innodb-flush-log-at-trx-commit={flush}"]

    def _prepare(self) -> None:
        method = "--auth-root-authentication-method=normal"
        self._run("mariadb-install-db", "--no-defaults", *USER, method, "--skip-test-db", f"--datadir={self.data}")

    def _is_ready(self) -> bool:
        check = ["mariadb-admin", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", "root", "ping"]
        return subprocess.run(check, check=False, capture_output=True).returncode == 0
