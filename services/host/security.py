"""The credentials of a host, which most hosts in one process have none of."""

import asyncio
from typing import Protocol

import grpc

from services.config import TLS, ServerConfig
from services.rpc.network import ChannelSecurity
from services.runtime import Clock


class Security(Protocol):
    """`services.rpc.tls.Security`, or nothing of the kind."""

    def frontend_server(self) -> grpc.ServerCredentials | None: ...
    def internode_server(self) -> grpc.ServerCredentials | None: ...
    def internode_client(self) -> ChannelSecurity | None: ...
    async def watch(self) -> None: ...


class PlainText:
    """No certificates, nothing to watch."""

    def frontend_server(self) -> None: ...
    def internode_server(self) -> None: ...
    def internode_client(self) -> None: ...

    async def watch(self) -> None:
        await asyncio.Event().wait()


def security_of(config: ServerConfig, clock: Clock) -> Security:
    """Raises ConfigError for certificates that do not fit."""
    wanted = config.global_.tls
    if wanted == TLS():
        return PlainText()
    from services.rpc import tls  # what reads certificates takes long to import

    return tls.Security(wanted, clock)
