"""A cluster of two processes that trust one another by certificates: a frontend, and everything else."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc

from services.persistence.postgresql import postgresql_schema
from tests.parts.postgresql import Postgresql
from tests.parts.zookeeper import ZooKeeper
from tests.processes import BIN, START_SECONDS_MAX, Process, free_port
from tests.store.databases import postgresql_config
from tests.tls.authority import Authority, put
from tests.tls.serving import is_serving

HISTORY = "temporal.server.api.historyservice.v1.HistoryService"
CONFIG = """
log: {{level: info, format: json}}
persistence:
  defaultStore: main
  numHistoryShards: 4
  datastores:
    main: {{sql: {{pluginName: postgres12, databaseName: perdure, connectAddr: "{database}", user: postgres}}}}
services:
  frontend: {{rpc: {{grpcPort: {frontend}, bindOnLocalHost: true}}}}
  history: {{rpc: {{grpcPort: {history}, bindOnLocalHost: true}}}}
  matching: {{rpc: {{grpcPort: {matching}, bindOnLocalHost: true}}}}
  worker: {{rpc: {{grpcPort: {worker}, bindOnLocalHost: true}}}}
bootstrap: {{namespaces: [default]}}
global:
  membership: {{zookeeper: {{hosts: "{zookeeper}"}}}}
  tls:
    refreshInterval: 50ms
    internode:
      server:
        certFile: {directory}/host.pem
        keyFile: {directory}/host.key
        requireClientAuth: true
        clientCaFiles: [{directory}/ca.pem]
      client: {{rootCaFiles: [{directory}/ca.pem]}}
"""


class Host(Process):
    """One process with some of the services; ready when `service`, at `port`, says that it serves."""

    def __init__(self, directory: Path, services: str, port: int, service: str, *, encrypted: bool) -> None:
        self._directory, self._service, self._encrypted = directory, service, encrypted
        self.address = f"127.0.0.1:{port}"
        names = [word for name in services.split(",") for word in ("--service", name)]
        command = [str(BIN / "perdure"), "server", "start", "--config", str(directory / "config.yaml"), *names]
        super().__init__(command, directory / f"{services}.log")

    @property
    def changes(self) -> int:
        """How often a group of certificates was taken up."""
        return self.log.read_text(encoding="utf-8").count("Took up new certificates")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_serving(self.address, self._credentials(), self._service):
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not serving after {START_SECONDS_MAX} s; log:\n{self.log_tail()}")
            time.sleep(0.05)

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if not self._encrypted:
            return None
        ca, key, cert = ((self._directory / name).read_bytes() for name in ("ca.pem", "host.key", "host.pem"))
        return grpc.ssl_channel_credentials(ca, key, cert)


@contextmanager
def cluster(directory: Path, authority: Authority) -> Iterator[tuple[Host, Host]]:
    """A frontend, in plain text for its clients, and a host with all other services; they read host.pem and ca.pem."""
    authority.issue("host").write(directory, "host")
    put(directory / "ca.pem", authority.cert)
    ports = {name: free_port() for name in ("frontend", "history", "matching", "worker")}
    with ExitStack() as running:
        database = running.enter_context(Postgresql(directory))
        zookeeper = running.enter_context(ZooKeeper(directory))
        asyncio.run(postgresql_schema(postgresql_config(database)).setup())
        text = CONFIG.format(directory=directory, database=database.address, zookeeper=zookeeper.address, **ports)
        (directory / "config.yaml").write_text(text, encoding="utf-8")
        rest = Host(directory, "history,matching,worker", ports["history"], HISTORY, encrypted=True)
        running.enter_context(rest)
        frontend_service = "temporal.api.workflowservice.v1.WorkflowService"
        frontend = Host(directory, "frontend", ports["frontend"], frontend_service, encrypted=False)
        running.enter_context(frontend)
        yield frontend, rest
