"""From a configuration to a serving process, and back to nothing."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import uvloop

from services.config import ConfigError, DynamicConfig, ServerConfig, ServiceName
from services.host.assembly import Assembly, Floor
from services.host.drain import drain
from services.host.errors import CannotStart
from services.host.facts import bootstrap, cluster_facts, kind_of
from services.host.members import addresses, membership_of
from services.host.ports import Ports
from services.host.security import Security, security_of
from services.host.stores import check_store, open_store
from services.membership import Membership
from services.namespaces import NamespaceRegistry
from services.persistence import SchemaMismatch, Store, StoreError, StoreInUse, StoreUnavailable, UnknownOutcome
from services.persistence.measured import measured, name_namespaces
from services.rpc.network import Network
from services.runtime import Clock, SystemChance, SystemClock
from services.telemetry import get_logger, show_process

SERVICES: tuple[ServiceName, ...] = ("frontend", "history", "matching", "worker")
STORE_PAUSE_S, STORE_PAUSE_S_MAX = 0.2, 5.0  # between looks whether the store is there
# Messages are acyclic and die by reference counts; the collector's passes over them are pauses for nothing.
GC_THRESHOLDS = (50_000, 20, 100)

T = TypeVar("T")

_log = get_logger("host")


def run(config: ServerConfig) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit code. Raises ConfigError for what is not built yet.

    Then the process must end at once, with os._exit: calls that came too late are still open. The end of their
    connections tells clients to repeat them; if the loop were closed, grpc would tell them that they were cancelled.
    """
    _check(config)
    try:
        uvloop.new_event_loop().run_until_complete(_serve(config))
    except CannotStart as error:
        sys.stderr.write(f"perdure: {error}\n")
        return 1
    return 0


def _check(config: ServerConfig) -> None:
    running = ", ".join(config.run_services)
    if "internal-frontend" in config.run_services:
        raise ConfigError("service", running, "frontend, history, matching, worker: no internal frontend is needed")
    if config.global_.membership.zookeeper is None and set(SERVICES) - set(config.run_services):
        expected = "a section: services in several processes find one another through ZooKeeper"
        raise ConfigError("global.membership.zookeeper", f"nothing, for {running} alone", expected)
    check_store(config)
    _check_protection(config)


def _check_protection(config: ServerConfig) -> None:
    """What was meant to be guarded is not served open."""
    wanted = config.global_.authorization
    if wanted.authorizer or wanted.claim_mapper:
        raise ConfigError("global.authorization", "an authorizer", "none: authorization is not built yet")


async def _serve(config: ServerConfig) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as process:
        clock, dynamic = SystemClock(), _dynamic_config(config)
        security = security_of(config, clock)
        ports = _listen(config, clock, dynamic, security)
        watching = asyncio.create_task(security.watch())
        process.callback(watching.cancel)
        network = Network(clock, security.internode_client)
        show_process(config.run_services, loop)
        starting = asyncio.create_task(_start(config, dynamic, clock, ports, network, process))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
        if starting.cancelled() or starting.exception() is not None:
            await ports.stop()
        if starting.cancelled():
            return
        starting.result()
        ports.serving(True)
        rpc = config.rpc(config.run_services[0])
        _log.info("Serving", address=f"{rpc.host}:{rpc.grpc_port}", services=list(config.run_services))
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await stopping
        ports.serving(False)


def _listen(config: ServerConfig, clock: Clock, dynamic: DynamicConfig, security: Security) -> Ports:
    """Takes the ports first of all: when that fails, nothing else is touched.

    The services of one process call one another without them, so only the frontend's is open then.
    """
    ports = Ports(config, config.run_services if is_cluster(config) else ("frontend",), clock, dynamic)
    ports.listen(security)
    return ports


async def _start(
    config: ServerConfig, dynamic: DynamicConfig, clock: Clock, ports: Ports, network: Network, process: AsyncExitStack
) -> None:
    """Builds and starts everything; what must be stopped is put on `process`, last first."""
    chance = SystemChance()
    if is_cluster(config) or kind_of(config, config.persistence.default_store) != "sqlite":
        await ports.start()  # whatever is waited for, probes get an answer
    lists = kind_of(config, config.persistence.visibility_store or config.persistence.default_store)
    store = measured(await _open(config, clock), clock, config.run_services, lists)
    process.push_async_callback(store.close)
    cluster = await answered(lambda: cluster_facts(config, store, chance), clock)
    namespaces = NamespaceRegistry(store, clock, chance, dynamic, cluster.cluster_name)
    name_namespaces(store, namespaces.name_of)
    await answered(lambda: bootstrap(config, namespaces), clock)
    own = addresses(config, dict.fromkeys(config.run_services, 0) | ports.ports)
    membership = membership_of(config, own, clock, chance)
    process.push_async_callback(membership.close)
    await membership.start()
    process.push_async_callback(network.close)
    floor = Floor(
        config=config,
        dynamic=dynamic,
        clock=clock,
        chance=chance,
        store=store,
        namespaces=namespaces,
        membership=membership,
        network=network,
        cluster=cluster,
        own=own,
    )
    assembly = Assembly(floor, ports)
    if assembly.history is not None:
        process.push_async_callback(assembly.history.stop)
    await _open_to_calls(config, assembly, ports, membership, own)
    parts = [part for part in (assembly.matching, assembly.history) if part is not None]
    process.push_async_callback(drain, membership, config.run_services, ports.servers.values(), parts)
    followed = [asyncio.create_task(namespaces.follow())] if floor.is_cluster else []
    if config.dynamic_config_client is not None:
        interval_s = config.dynamic_config_client.poll_interval.total_seconds()
        followed.append(asyncio.create_task(dynamic.watch(interval_s)))
    for task in followed:
        process.callback(task.cancel)


async def _open_to_calls(
    config: ServerConfig, assembly: Assembly, ports: Ports, membership: Membership, own: dict[ServiceName, str]
) -> None:
    """The ports answer before others are told to come: who comes too early only waits a little."""
    if not is_cluster(config):
        if assembly.history is not None:
            await assembly.history.start()
        assembly.serve()
        await ports.start()
        return
    for service in config.run_services:
        await membership.join(service, own[service])
    if assembly.history is not None:
        await assembly.history.start()  # owns nothing yet; from now on it follows the ring
    assembly.serve()
    for service in config.run_services:
        await membership.activate(service)


def is_cluster(config: ServerConfig) -> bool:
    return config.global_.membership.zookeeper is not None


def _dynamic_config(config: ServerConfig) -> DynamicConfig:
    client = config.dynamic_config_client
    path = client.filepath if client is not None and client.filepath else None
    return DynamicConfig(path=path, overrides=config.dynamic_overrides)


async def _open(config: ServerConfig, clock: Clock) -> Store:
    """Waits for a store that is not there yet. Raises CannotStart for one that cannot be used."""

    async def attempt() -> Store:
        try:
            return await open_store(config)
        except StoreUnavailable:
            raise
        except (StoreInUse, SchemaMismatch, StoreError) as error:
            raise CannotStart(str(error)) from error

    return await answered(attempt, clock)


async def answered(ask: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """What the store answers, as soon as it does: what a start asks of it may be asked again."""
    pause_s = STORE_PAUSE_S
    while True:
        try:
            return await ask()
        except (StoreError, UnknownOutcome) as error:
            _log.warning("The store does not answer and is waited for", error=str(error))
        await clock.sleep(pause_s)
        pause_s = min(pause_s * 2, STORE_PAUSE_S_MAX)
