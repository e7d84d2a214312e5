"""A ZooKeeper connection on the event loop: kazoo works in threads of its own, everything it says is carried over.

Calls are awaited one after the other, never several at once: kazoo finds out that nobody answers any more only while
it has nothing to send.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadArgumentsError,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.serialization import Connect
from kazoo.protocol.states import KazooState, KeeperState
from kazoo.retry import KazooRetry
from kazoo.security import make_digest_acl

from services.config import ConfigError, ZooKeeper, ZooKeeperTLS

SECTION = "global.membership.zookeeper"
CLOSE_S_MAX = 3.0  # how long the farewell to ZooKeeper may take; the session expires by itself without it
_RETRY = {"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": 0.5}
_REFUSALS = (NoAuthError, InvalidACLError, BadArgumentsError)
_OUTDATED = (NoNodeError, NodeExistsError, RolledBackError, RuntimeInconsistency)


class Link(Enum):
    """How the connection is. LOST is the end of a session; the next CONNECTED begins another one."""

    CONNECTED = KazooState.CONNECTED
    SUSPENDED = KazooState.SUSPENDED
    LOST = KazooState.LOST


class Unreachable(Exception):
    """The call may or may not have happened: there is no connection, or the session is over."""


class Missing(Exception):
    """A node that should be there is not."""


class Refused(Exception):
    """ZooKeeper does not let us: a matter of its access rules."""


class Connection:
    """Keeps a session, one after the other if need be. `on_link` is called on the loop at each change."""

    def __init__(self, section: ZooKeeper, on_link: Callable[[Link], None]) -> None:
        _check_tls(section.tls)
        self._section = section
        self._on_link = on_link
        self._closing = False
        self._kazoo_says = _LastWarning()
        self._watches: dict[str, Callable[[Any], None]] = {}
        self.session_s = section.session_timeout.total_seconds()

    def start(self) -> None:
        """Begins to connect and returns at once."""
        self._loop = asyncio.get_running_loop()
        self._client = self._new_client()
        self._client.start_async()

    @property
    def dead(self) -> bool:
        """Whether kazoo gave up, which it does when it meets something unexpected."""
        return self._client.client_state in (KeeperState.CLOSED, KeeperState.AUTH_FAILED)

    @property
    def trouble(self) -> str:
        """What kazoo last complained of; empty when all went well."""
        return self._kazoo_says.text

    def revive(self) -> None:
        """Starts anew with a fresh client."""
        _in_background(_end, self._client)
        self._client = self._new_client()
        self._client.start_async()

    async def close(self) -> None:
        """Ends the session, so that its nodes vanish at once; when nobody answers, they do so by themselves later."""
        self._closing = True
        done = self._loop.create_future()

        def end(client: KazooClient) -> None:
            _end(client)
            self._post(done.cancel)

        _in_background(end, self._client)
        await asyncio.wait([done], timeout=CLOSE_S_MAX)

    async def ensure(self, path: str) -> None:
        """Creates a lasting node and what stands above it, unless they are there."""
        await self._result(self._client.ensure_path_async(path))

    async def children(self, path: str, on_change: Callable[[], None]) -> list[str]:
        """The names under `path`; `on_change` is called when they may no longer be these, now and then twice."""
        watch = self._watches.setdefault(path, lambda _event: self._post(on_change))  # kazoo keeps equal ones once
        names: list[str] = await self._result(self._client.get_children_async(path, watch=watch))
        return names

    async def commit(
        self, *, check: Sequence[str] = (), delete: Sequence[str] = (), create: Sequence[str] = ()
    ) -> bool:
        """One transaction that a majority of the ensemble has written down; False when a node there forbids it."""
        transaction = self._client.transaction()
        for path in check:
            transaction.check(path, -1)
        for path in delete:
            transaction.delete(path)
        for path in create:
            transaction.create(path, ephemeral=True)
        results = await self._result(transaction.commit_async())
        failures = [result for result in results if isinstance(result, KazooException)]
        strange = [failure for failure in failures if not isinstance(failure, _OUTDATED)]
        if strange:
            raise Refused(repr(strange[0]))
        return not failures

    async def _result(self, pending: Any) -> Any:
        """What kazoo's promise comes to, on the event loop."""
        future = self._loop.create_future()

        pending.rawlink(lambda outcome: self._post(partial(_copy, outcome, future)))
        try:
            async with asyncio.timeout(2 * self.session_s):  # kazoo may lose a call made while its session ends
                return await future
        except NoNodeError as error:
            raise Missing(str(error)) from error
        except _REFUSALS as error:
            raise Refused(repr(error)) from error
        except Exception as error:  # whatever kazoo met, it is no answer
            raise Unreachable(repr(error)) from error

    def _post(self, callback: Callable[[], object]) -> None:
        """From a thread of kazoo to the event loop, which may be gone."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _new_client(self) -> KazooClient:
        section = self._section
        signed_in = bool(section.user)
        client = KazooClient(
            hosts=section.hosts,
            timeout=section.session_timeout.total_seconds(),
            connection_retry=KazooRetry(**_RETRY),
            auth_data={("digest", f"{section.user}:{section.password}")} if signed_in else None,
            default_acl=[make_digest_acl(section.user, section.password, all=True)] if signed_in else None,
            handler=_Handler(section.tls),
            logger=self._kazoo_says.logger,
        )
        client.add_listener(lambda state: self._post(lambda: self._changed(client, Link(state))))
        self._listen_for_session_length(client)
        return client

    def _changed(self, client: KazooClient, link: Link) -> None:
        if client is self._client and not self._closing:
            self._on_link(link)

    def _listen_for_session_length(self, client: KazooClient) -> None:
        """kazoo keeps to itself which session timeout the server granted; a shorter one shortens the lease."""
        handler = client._connection
        invoke = handler._invoke

        def listening(timeout: float, request: Any, xid: int | None = None) -> Any:
            result = invoke(timeout, request, xid)
            if isinstance(request, Connect) and result[0].time_out > 0:
                self.session_s = result[0].time_out / 1000
            return result

        handler._invoke = listening


def _copy(outcome: Any, future: "asyncio.Future[Any]") -> None:
    if future.done():
        return
    if outcome.successful():
        future.set_result(outcome.value)
    else:
        future.set_exception(outcome.exception)


def _end(client: KazooClient) -> None:
    client.stop()
    client.close()


def _in_background(function: Callable[[KazooClient], None], client: KazooClient) -> None:
    """Off the loop, in a thread that does not hold up the end of the process."""
    threading.Thread(target=function, args=(client,), name="zookeeper-close", daemon=True).start()


class _LastWarning(logging.Filter):
    """What kazoo warns of at every attempt is kept here, for us to say now and then; its errors pass."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.logger = logging.Logger("services.membership.kazoo", logging.WARNING)
        self.logger.parent = logging.getLogger()
        self.logger.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        self.text = record.getMessage()
        return False


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """Opens connections; kazoo itself would leave those open whose TLS handshake fails."""

    def __init__(self, tls: ZooKeeperTLS) -> None:
        super().__init__()
        self._tls = tls

    def create_connection(
        self, address: tuple[str, int], hostname: str, timeout: float, **_kazoo: object
    ) -> socket.socket:
        connection = socket.create_connection(address, timeout)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls.enabled:
                return _context(self._tls).wrap_socket(connection, server_hostname=hostname)
        except BaseException:
            connection.close()
            raise
        return connection


def _context(tls: ZooKeeperTLS) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    context.check_hostname = tls.enable_host_verification
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _check_tls(tls: ZooKeeperTLS) -> None:
    """Refuses files that cannot be used while there is still somebody to tell."""
    if not tls.enabled:
        return
    for part, key, file in (
        (replace(tls, cert_file="", key_file=""), "caFile", tls.ca_file),
        (tls, "certFile", tls.cert_file),
    ):
        try:
            _context(part)
        except OSError as error:
            found = f"{file!r} ({error.strerror or error})"
            raise ConfigError(f"{SECTION}.tls.{key}", found, "PEM files that can be read") from error
