"""A server over TLS, as a process, and the certificates that it and its clients use."""

import time
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.processes import BIN, PUBLIC_API, QUICK_RECONNECT, START_SECONDS_MAX, Process, free_port
from tests.tls.authority import Authority, Issued, put

CONFIG = """
log: {{level: warn, format: json}}
persistence:
  defaultStore: main
  numHistoryShards: 4
  datastores: {{main: {{sql: {{pluginName: sqlite, databaseName: memory, connectAttributes: {{mode: memory}}}}}}}}
services: {{frontend: {{rpc: {{grpcPort: {port}, bindOnLocalHost: true}}}}}}
bootstrap: {{namespaces: [default]}}
global:
  tls:
    refreshInterval: 50ms
    frontend:
      server: {{certFile: {directory}/server.pem, keyFile: {directory}/server.key{clients}}}
"""
CLIENTS = ", requireClientAuth: true, clientCaFiles: [{directory}/clients.pem]"


@dataclass(frozen=True)
class Credentials:
    """What a client shows and believes, as files."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    @property
    def grpc(self) -> grpc.ChannelCredentials:
        shown = (self.key.read_bytes(), self.cert.read_bytes()) if self.cert and self.key else ()
        return grpc.ssl_channel_credentials(self.ca.read_bytes(), *shown)


def is_serving(address: str, credentials: grpc.ChannelCredentials | None, service: str = PUBLIC_API) -> bool:
    """Whether a new connection with these credentials, None for plain text, is told that a service is there."""
    channel = (
        grpc.insecure_channel(address, QUICK_RECONNECT)
        if credentials is None
        else grpc.secure_channel(address, credentials, QUICK_RECONNECT)
    )
    request = health_pb2.HealthCheckRequest(service=service)
    with channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


class TLSServer(Process):
    """`perdure server start` on server.pem, server.key and, when it is `mutual`, clients.pem in `directory`.

    `known` are credentials that it accepts.
    """

    def __init__(self, directory: Path, authority: Authority, *, mutual: bool) -> None:
        self.port, self.directory, self.authority = free_port(), directory, authority
        authority.issue("server").write(directory, "server")
        put(directory / "clients.pem", authority.cert)
        clients = CLIENTS.format(directory=directory) if mutual else ""
        config = directory / "config.yaml"
        config.write_text(CONFIG.format(port=self.port, directory=directory, clients=clients))
        self.known = self.credentials("known", authority.issue("known") if mutual else None)
        super().__init__([str(BIN / "perdure"), "server", "start", "--config", str(config)], directory / "log")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def credentials(self, name: str, shown: Issued | None, believed: bytes = b"") -> Credentials:
        """Files for a client that shows `shown` and believes this server's authority, or others."""
        ca = self.directory / f"{name}-ca.pem"
        put(ca, believed or self.authority.cert)
        return Credentials(ca, *shown.write(self.directory, name)) if shown else Credentials(ca)

    def is_serving(self, credentials: grpc.ChannelCredentials | None) -> bool:
        return is_serving(self.address, credentials)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_serving(self.known.grpc):
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not serving after {START_SECONDS_MAX} s; log:\n{self.log_tail()}")
            time.sleep(0.05)
