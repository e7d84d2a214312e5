"""From the configuration's cassandra section to a session: where the nodes are, who we are, and what is trusted."""

import asyncio
import socket
from typing import Any

from cassandra import AuthenticationFailed, ConsistencyLevel, ProtocolVersion, UnresolvableContactPoints  # type: ignore[import-untyped]  # no stubs
from cassandra.auth import PlainTextAuthProvider  # type: ignore[import-untyped]  # no stubs
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable  # type: ignore[import-untyped]  # no stubs
from cassandra.io.libevreactor import LibevConnection  # type: ignore[import-untyped]  # no stubs
from cassandra.policies import (  # type: ignore[import-untyped]  # no stubs
    AddressTranslator,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    IdentityTranslator,
    RetryPolicy,
    TokenAwarePolicy,
    WhiteListRoundRobinPolicy,
)

from services.config import Cassandra, ConfigError
from services.persistence.cassandra.client import READ_PROFILE, WRITE_PROFILE, Client, Rows
from services.persistence.interface import SchemaMismatch, StoreError, StoreUnavailable
from services.persistence.sql.tls import tls_context

TIMEOUT_S = 10.0  # of a request, when the configuration does not say
CONNECT_TIMEOUT_S = 5.0
READ_ATTEMPTS_MAX = 3
RECONNECT_S = (0.1, 2.0)  # the first and the longest wait before a node that was lost is tried again
FIXED_ADDRESS = "fixed-address-translator"  # the reference's name


async def connect(config: Cassandra, keyspace: str | None) -> Client:
    """A session, in the keyspace if one is named.

    Raises StoreUnavailable (waiting can help), SchemaMismatch (no such keyspace), StoreError, ConfigError.
    """
    try:
        cluster = Cluster(**_options(config))
    except UnresolvableContactPoints as error:
        raise StoreUnavailable(f"cassandra: none of the hosts {config.hosts} has an address") from error
    try:
        session = await asyncio.to_thread(cluster.connect)
    except Exception as error:
        await asyncio.to_thread(cluster.shutdown)
        raise _as_store_error(config, error) from error
    session.default_fetch_size = None  # no pages: every read has a limit, and one answer is one state of a partition
    session.use_client_timestamp = False  # only the nodes' clocks order plain writes
    client = Client(cluster, session)
    if keyspace is not None:
        if not await _is_there(client, keyspace):
            await client.close()
            raise SchemaMismatch(f"{place_of(config)}: there is no such keyspace; `perdure schema setup` creates it")
        client.keyspace = keyspace
    return client


async def _is_there(client: Client, keyspace: str) -> bool:
    statement = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?"
    try:
        await client.prepare(statement)
        return bool((await client.read(statement, keyspace)).rows)
    except BaseException:
        await client.close()
        raise


def place_of(config: Cassandra) -> str:
    return f"cassandra {config.hosts}:{config.port}, keyspace {config.keyspace}"


def _options(config: Cassandra) -> dict[str, object]:
    hosts = [host.strip() for host in config.hosts.split(",") if host.strip()]
    options: dict[str, object] = {
        "contact_points": hosts,
        "port": config.port,
        "protocol_version": ProtocolVersion.V5,
        "connect_timeout": config.connect_timeout.total_seconds() or CONNECT_TIMEOUT_S,
        "control_connection_timeout": config.timeout.total_seconds() or TIMEOUT_S,
        "reconnection_policy": ExponentialReconnectionPolicy(*RECONNECT_S, max_attempts=None),
        "address_translator": _translator(config),
        "execution_profiles": _profiles(config, hosts),
        "ssl_context": tls_context(config.tls),
        "connection_class": Connection,
        "sockopts": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        "compression": False,  # costs more time than the network does
    }
    if config.user:
        options["auth_provider"] = PlainTextAuthProvider(username=config.user, password=config.password)
    if config.tls is not None and config.tls.server_name:
        options["ssl_options"] = {"server_hostname": config.tls.server_name}
    return options


def _profiles(config: Cassandra, hosts: list[str]) -> dict[object, ExecutionProfile]:
    levels = config.consistency.default
    near = (
        WhiteListRoundRobinPolicy(hosts)
        if config.disable_initial_host_lookup
        else DCAwareRoundRobinPolicy(config.datacenter)
    )

    def profile(retry_policy: RetryPolicy, timeout_s: float) -> ExecutionProfile:
        return ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(near),
            retry_policy=retry_policy,
            consistency_level=_level(levels.consistency, "consistency"),
            serial_consistency_level=_level(levels.serial_consistency, "serialConsistency"),
            request_timeout=timeout_s or TIMEOUT_S,
            row_factory=Rows,
        )

    reads = profile(RetryReads(), config.timeout.total_seconds())
    writes = profile(FallthroughRetryPolicy(), (config.write_timeout or config.timeout).total_seconds())
    return {READ_PROFILE: reads, WRITE_PROFILE: writes, EXEC_PROFILE_DEFAULT: writes}


def _level(name: str, key: str) -> int:
    try:
        level: int = ConsistencyLevel.name_to_value[name.upper()]
    except KeyError:
        expected = "one of " + ", ".join(ConsistencyLevel.name_to_value)
        raise ConfigError(f"cassandra.consistency.default.{key}", repr(name), expected) from None
    return level


def _translator(config: Cassandra) -> AddressTranslator:
    translator = config.address_translator
    if translator is None or not translator.translator:
        return IdentityTranslator()
    if translator.translator != FIXED_ADDRESS:
        raise ConfigError("cassandra.addressTranslator.translator", repr(translator.translator), FIXED_ADDRESS)
    return FixedAddress(translator.options.get("advertised-hostname", ""))


def _as_store_error(config: Cassandra, error: Exception) -> StoreError:
    """What keeps us out. Of several nodes' answers the one that waiting does not help counts."""
    place = place_of(config)
    causes = [error]
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):  # the driver may give a list of nodes
        causes = list(error.errors.values())
    for cause in causes:
        if isinstance(cause, AuthenticationFailed):
            return StoreError(f"{place}: the user or the password is refused: {cause}")
        if "[SSL:" in str(cause):  # the driver makes an OSError of it
            return StoreError(f"{place}: tls: {cause}")
    return StoreUnavailable(f"{place}: {'; '.join(str(cause) for cause in causes)}")


class Connection(LibevConnection):  # type: ignore[misc]  # the driver has no types
    """Sends a request in one piece. In the driver's pieces of 4 KiB, and without TCP_NODELAY, the second one waits
    40 ms for the node's delayed acknowledgement of the first.
    """

    out_buffer_size = 1 << 16


class RetryReads(RetryPolicy):  # type: ignore[misc]  # the driver has no types
    """Reads change nothing: another node may know."""

    def on_read_timeout(self, query: Any, *args: Any, retry_num: int = 0, **facts: Any) -> tuple[int, None]:
        return self._again(retry_num)

    def on_unavailable(self, query: Any, *args: Any, retry_num: int = 0, **facts: Any) -> tuple[int, None]:
        return self._again(retry_num)

    def on_request_error(self, query: Any, consistency: Any, error: Any, retry_num: int) -> tuple[int, None]:
        return self._again(retry_num)

    def _again(self, retry_num: int) -> tuple[int, None]:
        return (self.RETRY_NEXT_HOST if retry_num < READ_ATTEMPTS_MAX - 1 else self.RETHROW), None


class FixedAddress(AddressTranslator):  # type: ignore[misc]  # the driver has no types
    """All nodes are behind one address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def translate(self, addr: str) -> str:
        return self._address
