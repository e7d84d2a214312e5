"""From a configuration to a serving process, and back to nothing."""

import asyncio
import gc
import signal
import socket
import sys
from contextlib import AsyncExitStack

import uvloop

from services import frontend
from services.config import TLS, ConfigError, DynamicConfig, ServerConfig
from services.history import HistoryService, Home
from services.host.settings import matching_settings
from services.host.stores import open_store, sqlite_of
from services.matching import MatchingService
from services.membership import StaticMembership
from services.namespaces import NamespaceRegistry, parse_type
from services.persistence import SchemaMismatch, Store, StoreError, StoreInUse
from services.rpc import HistoryClient
from services.rpc.direct import Late
from services.rpc.server import AddressInUse, Health, Server
from services.runtime import SystemChance, SystemClock
from services.telemetry import get_logger

GRACE_S = 2.0  # calls that are still under way after it are cancelled
SERVICES = {"frontend", "history", "matching", "worker"}
# Messages are acyclic and die by reference counts; the collector's passes over them are pauses for nothing.
GC_THRESHOLDS = (50_000, 20, 100)

_log = get_logger("host")


class CannotStart(Exception):
    """Why this process cannot serve, in one line for whoever started it. Nothing was changed."""


def run(config: ServerConfig) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit code. Raises ConfigError for what is not built yet."""
    _check(config)
    try:
        uvloop.run(_serve(config))
    except CannotStart as error:
        sys.stderr.write(f"perdure: {error}\n")
        return 1
    return 0


def _check(config: ServerConfig) -> None:
    missing = SERVICES - set(config.run_services)
    if missing or "internal-frontend" in config.run_services:
        raise ConfigError(
            "service",
            ", ".join(config.run_services),
            "frontend, history, matching and worker in one process: clusters are not built yet",
        )
    sqlite_of(config)
    _check_protection(config)


def _check_protection(config: ServerConfig) -> None:
    """What was meant to be encrypted or guarded is not served open."""
    wanted = config.global_
    if wanted.tls != TLS():
        raise ConfigError("global.tls", "certificates", "none: TLS is not built yet")
    if wanted.authorization.authorizer or wanted.authorization.claim_mapper:
        raise ConfigError("global.authorization", "an authorizer", "none: authorization is not built yet")


async def _serve(config: ServerConfig) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as process:
        health = await _start(config, process)
        health.serving(True)
        rpc = config.rpc("frontend")
        _log.info("Serving", address=f"{rpc.host}:{rpc.grpc_port}")
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await stopped.wait()
        health.serving(False)


async def _start(config: ServerConfig, process: AsyncExitStack) -> Health:
    """Builds and starts everything; what must be stopped is put on `process`, last first."""
    dynamic = _dynamic_config(config)
    clock, chance = SystemClock(), SystemChance()
    server = _listen(config, Server(clock, dynamic))
    store = await _open(config)
    process.push_async_callback(store.close)
    cluster = await _cluster_facts(config, store, chance)
    namespaces = NamespaceRegistry(store, clock, chance, dynamic, cluster.cluster_name)
    history_client = Late[HistoryClient]()
    matching = MatchingService(store, history_client.client(), clock, chance, matching_settings(dynamic))
    address = socket.gethostname()
    home = Home(shard_count=cluster.shard_count, membership=StaticMembership({"history": address}), address=address)
    history = HistoryService(store, matching, namespaces, clock, chance, dynamic, home)
    history_client.bind(history)
    backends = frontend.Backends(
        history=history,
        matching=matching,
        namespaces=namespaces,
        visibility=store,
        config=dynamic,
        clock=clock,
        chance=chance,
        cluster=cluster,
    )
    await _bootstrap(config, namespaces)
    process.push_async_callback(history.stop)
    await history.start()

    async def stop() -> None:
        """Long polls end politely while the server takes no more calls and waits for those under way."""
        try:
            async with asyncio.timeout(2 * GRACE_S):
                await asyncio.gather(server.drain(GRACE_S), matching.drain(), history.drain())
        except TimeoutError:  # the store does not take what is in memory; what was acknowledged is in it
            _log.error("The drain did not end in time")

    process.push_async_callback(stop)
    health = await server.start(frontend.methods(backends))
    if config.dynamic_config_client is not None:
        watcher = asyncio.create_task(dynamic.watch(config.dynamic_config_client.poll_interval.total_seconds()))
        process.callback(watcher.cancel)
    return health


def _listen(config: ServerConfig, server: Server) -> Server:
    """Takes the port first of all: when that fails, no file is touched."""
    rpc = config.rpc("frontend")
    try:
        server.listen(rpc.host, rpc.grpc_port)
    except AddressInUse as error:
        raise CannotStart(str(error)) from error
    return server


def _dynamic_config(config: ServerConfig) -> DynamicConfig:
    client = config.dynamic_config_client
    path = client.filepath if client is not None and client.filepath else None
    return DynamicConfig(path=path, overrides=config.dynamic_overrides)


async def _open(config: ServerConfig) -> Store:
    sql = sqlite_of(config)
    try:
        return await open_store(sql)
    except (StoreInUse, SchemaMismatch, StoreError) as error:
        raise CannotStart(str(error)) from error


async def _cluster_facts(config: ServerConfig, store: Store, chance: SystemChance) -> frontend.ClusterFacts:
    """The cluster's own values are those its data was made with: the shard count is permanent."""
    asked = config.persistence.num_history_shards
    cluster_id = (await store.cluster_value("cluster_id", chance.unique_id().encode())).decode()
    shard_count = int(await store.cluster_value("shard_count", str(asked).encode()))
    if shard_count != asked:
        _log.warning("The data keeps the shard count it was made with", configured=asked, kept=shard_count)
    metadata = config.cluster_metadata
    name = metadata.current_cluster_name
    information = metadata.cluster_information[name]
    return frontend.ClusterFacts(
        cluster_id=cluster_id,
        shard_count=shard_count,
        store_name="sqlite",
        visibility_store_name="sqlite",
        cluster_name=name,
        initial_failover_version=information.initial_failover_version,
        failover_version_increment=metadata.failover_version_increment,
        rpc_address=information.rpc_address,
        http_address=information.http_address,
    )


async def _bootstrap(config: ServerConfig, namespaces: NamespaceRegistry) -> None:
    """The namespaces, and their search attributes, that the configuration wants there."""
    wanted = config.bootstrap
    await namespaces.load(wanted.namespaces)
    attributes = {name: parse_type(kind) for name, kind in wanted.search_attributes.items()}
    if attributes:
        for name in wanted.namespaces:
            await namespaces.add_search_attributes(name, attributes)
