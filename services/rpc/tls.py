"""TLS of servers and clients as `global.tls` says. Files are re-read while they are in use.

A server asks for its certificates at every handshake. A client's channels are made anew when its own have changed.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar, cast

import grpc
from cryptography import x509

from services.config import TLS, ConfigError
from services.config.static import GroupTLS, SystemWorkerTLS
from services.rpc.certificates import ClientSide, ServerSide, read_client, read_pair, read_server
from services.rpc.network import ChannelSecurity
from services.runtime import Clock
from services.telemetry import Gauge, get_logger

REFRESH_S: Final = 10.0  # unless global.tls.refreshInterval says otherwise

CERTIFICATES_EXPIRED = Gauge("certificates_expired")
CERTIFICATES_EXPIRING = Gauge("certificates_expiring")

Side = TypeVar("Side", ServerSide, ClientSide)

_log = get_logger("tls")


class _Files(Generic[Side]):
    """One group's material as last read. What does not fit is told once and changes nothing."""

    def __init__(self, name: str, read: Callable[[], Side | None]) -> None:
        self.name = name
        self._read: Callable[[], Side | None] = read
        self.current: Side | None = read()
        self._problem = ""

    def reload(self) -> None:
        try:
            found = self._read()
        except ConfigError as error:
            if str(error) != self._problem:
                _log.error("Bad new certificates, the old ones stay in use", group=self.name, problem=str(error))
            self._problem = str(error)
            return
        self._problem = ""
        if found != self.current:
            self.current = found
            _log.info("Took up new certificates", group=self.name)


class Security:
    """The credentials of one host's servers and clients; None where `global.tls` asks for none.

    Raises ConfigError for what does not fit. `watch` keeps up with the files and tells what expires.
    """

    def __init__(self, config: TLS, clock: Clock) -> None:
        if config.remote_clusters:
            raise ConfigError(
                "global.tls.remoteClusters", ", ".join(config.remote_clusters), "none: they are not built"
            )
        self._config, self._clock = config, clock
        self._frontend = _Files("frontend.server", lambda: read_server(config.frontend, "global.tls.frontend"))
        self._internode = _Files("internode.server", lambda: read_server(config.internode, "global.tls.internode"))
        to_internode = _Files("internode.client", lambda: _internode_client(config))
        to_frontend = _Files("frontend.client", lambda: _frontend_client(config))
        self._files = (self._frontend, self._internode, to_internode, to_frontend)
        self.internode_client = _channel_security(to_internode)
        self.frontend_client = _channel_security(to_frontend)

    def frontend_server(self) -> grpc.ServerCredentials | None:
        """For one port: gRPC does not let two have the same."""
        return _server_credentials(self._frontend)

    def internode_server(self) -> grpc.ServerCredentials | None:
        """For one port."""
        return _server_credentials(self._internode)

    def reload(self) -> None:
        """Reads all files again. Each group takes up what is new on its own."""
        for files in self._files:
            files.reload()

    async def watch(self) -> None:
        """Until cancelled."""
        if all(files.current is None for files in self._files):
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_reloading())
            tasks.create_task(self._keep_checking())

    async def _keep_reloading(self) -> None:
        interval_s = self._config.refresh_interval.total_seconds() or REFRESH_S
        while True:
            await self._clock.sleep(interval_s)
            await asyncio.to_thread(self.reload)  # files may lie on a slow mount

    async def _keep_checking(self) -> None:
        """Once at least: what has expired already is told whatever the configuration says."""
        interval_s = self._config.expiration_checks.check_interval.total_seconds()
        self.check_expiration()
        while interval_s:
            await self._clock.sleep(interval_s)
            self.check_expiration()

    def check_expiration(self) -> None:
        """Logs and counts the certificates in use that have expired, or will within the windows configured."""
        windows = self._config.expiration_checks
        now = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
        expired = expiring = 0
        for certificate, name in self._in_use().items():
            end = certificate.not_valid_after_utc
            about = {"group": name, "subject": certificate.subject.rfc4514_string(), "expires": end.isoformat()}
            if end <= now:
                expired += 1
                _log.error("A certificate has expired", **about)
            elif end <= now + windows.error_window:
                expiring += 1
                _log.error("A certificate will expire", **about)
            elif end <= now + windows.warning_window:
                expiring += 1
                _log.warning("A certificate will expire", **about)
        CERTIFICATES_EXPIRED.bind().set(expired)
        CERTIFICATES_EXPIRING.bind().set(expiring)

    def _in_use(self) -> dict[x509.Certificate, str]:
        """Each with the first group that uses it."""
        using: dict[x509.Certificate, str] = {}
        for files in self._files:
            for certificate in files.current.certificates if files.current else ():
                using.setdefault(certificate, files.name)
        return using


def _internode_client(config: TLS) -> ClientSide | None:
    side = _client(config, config.internode, "global.tls.internode.client")
    if side is not None and side.pair is None:
        expected = "a certificate in global.tls.internode.server, which these clients call"
        raise ConfigError("global.tls.internode.client", "TLS", expected)
    return side


def _frontend_client(config: TLS) -> ClientSide | None:
    """The system worker: with a certificate of its own, or the hosts'."""
    own, path = config.system_worker, "global.tls.systemWorker"
    if own != SystemWorkerTLS():
        return read_client(own.client, read_pair(own, path), f"{path}.client")
    return _client(config, config.frontend, "global.tls.frontend.client")


def _client(config: TLS, group: GroupTLS, path: str) -> ClientSide | None:
    """Hosts show one another what they show as servers: gRPC sends it only to a server that asks."""
    server, client = group.server, group.client
    encrypted = server.cert_file or server.cert_data or client.root_ca_files or client.root_ca_data or client.force_tls
    pair = read_pair(config.internode.server, "global.tls.internode.server") if encrypted else None
    side = read_client(client, pair, path)
    return side if encrypted else None


def _server_credentials(files: _Files[ServerSide]) -> grpc.ServerCredentials | None:
    shown = files.current
    if shown is None:
        return None

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC, in a thread of its own, at every handshake; None keeps what was given last."""
        nonlocal shown
        if files.current is shown or files.current is None:
            return None
        shown = files.current
        return _certificate_configuration(shown)

    first = _certificate_configuration(shown)
    asked = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)  # the stubs know nothing of None
    return grpc.dynamic_ssl_server_credentials(first, asked, shown.require_client_auth)


def _certificate_configuration(side: ServerSide) -> grpc.ServerCertificateConfiguration:
    pairs = [(pair.key, pair.chain) for pair in side.pairs]
    return grpc.ssl_server_certificate_configuration(pairs, side.clients.pem)


def _channel_security(files: _Files[ClientSide]) -> Callable[[], ChannelSecurity | None]:
    """The same object until the files have changed."""
    used: ClientSide | None = None
    security: ChannelSecurity | None = None

    def current() -> ChannelSecurity | None:
        nonlocal used, security
        if files.current is not used:
            used = files.current
            security = None if used is None else _secured(used)
        return security

    return current


def _secured(side: ClientSide) -> ChannelSecurity:
    key, chain = (side.pair.key, side.pair.chain) if side.pair else (None, None)
    return ChannelSecurity(grpc.ssl_channel_credentials(side.servers.pem, key, chain), side.server_name)
