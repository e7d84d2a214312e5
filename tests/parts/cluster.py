"""A cluster on one machine, as `make cluster` starts it: ZooKeeper, a store, each service in processes of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.parts.cassandra import Cassandra
from tests.parts.mariadb import MariaDB
from tests.parts.network import Home, Network
from tests.parts.postgresql import Postgresql
from tests.parts.zookeeper import Ensemble
from tests.processes import BIN, LOOPBACK, QUICK_RECONNECT, Process, free_port

TEMPLATE = Path(__file__).with_name("cluster.yaml")
SHAPE: Mapping[str, int] = {"frontend": 2, "history": 3, "matching": 2, "worker": 1}
ALL = "all"
START_SECONDS_MAX = 60.0
StoreName = Literal["cassandra", "postgresql", "mysql"]
Store = Cassandra | Postgresql | MariaDB


class Host(Process):
    """One process with one service, or with all of them; started again, it keeps its address."""

    def __init__(
        self,
        directory: Path,
        name: str,
        service: str,
        settings: Mapping[str, str],
        port: int,
        *,
        ip: str = LOOPBACK,
        home: Home | None = None,
    ) -> None:
        """It lives in its `home`, if it has one, and listens there; else at `ip`."""
        self.name, self.service, self.port, self.home = name, service, port, home
        self.ip = home.ip if home is not None else ip
        self.metrics_port = free_port()
        environment = {
            **os.environ,
            **settings,
            "ADDRESS": self.ip,
            "PORT": str(port),
            "METRICS_PORT": str(self.metrics_port),
        }
        arguments = home.command if home is not None else []
        arguments = [*arguments, str(BIN / "perdure"), "server", "start", "--config", settings["CONFIG"]]
        if service != ALL:
            arguments += ["--service", service]
        super().__init__(arguments, directory / f"{name}.log", environment)

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that this life of the process has used."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def _wait_until_ready(self) -> None:
        """Without waiting; see `wait_until_serving`."""

    def wait_until_serving(self, seconds_max: float = START_SECONDS_MAX) -> None:
        """Raises ProcessDiedError, TimeoutError."""
        deadline = time.monotonic() + seconds_max
        with grpc.insecure_channel(self.address, options=QUICK_RECONNECT) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    reply = health.Check(health_pb2.HealthCheckRequest(), timeout=0.5, wait_for_ready=True)
                    if reply.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                    time.sleep(0.05)
                except grpc.RpcError:
                    pass
                self.check_alive()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} is not serving after {seconds_max} s; log:\n{self.log_tail()}")


class Cluster:
    """Everything; `shape` says how many hosts of each service. The first frontend is at `port`.

    On a `network` history hosts have homes of their own and can be cut off; all else is at the network's address.
    """

    def __init__(
        self,
        directory: Path,
        *,
        store: StoreName = "cassandra",
        shape: Mapping[str, int] = SHAPE,
        settings: Mapping[str, str] = {},
        port: int | None = None,
        durable: bool = False,
        zookeepers: int = 1,
        network: Network | None = None,
    ) -> None:
        self.directory, self.network = directory, network
        self.ip = network.ip if network is not None else LOOPBACK
        directory.mkdir(parents=True, exist_ok=True)
        self.zookeeper = Ensemble(directory, size=zookeepers, tick_ms=500, ip=self.ip)
        self.store = store_part(directory, store, durable=durable, ip=self.ip)
        self.dynamic_config = directory / "dynamic.yaml"
        self.dynamic_config.touch()
        config = directory / "cluster.yaml"
        config.write_text(TEMPLATE.read_text().replace("${DATASTORE}", datastore(store, self.store)))
        self._settings = {
            "CONFIG": str(config),
            "ZOOKEEPER": self.zookeeper.address,
            "DYNAMIC_CONFIG": str(self.dynamic_config),
            **settings,
        }
        first = {"frontend": port or free_port()}
        self.hosts = [
            self._host(service, number, first.get(service, 0) if number == 1 else 0)
            for service, count in shape.items()
            for number in range(1, count + 1)
        ]

    def _host(self, service: str, number: int, port: int = 0) -> Host:
        home = self.network.home() if self.network is not None and service == "history" else None
        port = port or free_port()
        return Host(self.directory, f"{service}-{number}", service, self._settings, port, ip=self.ip, home=home)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def address(self) -> str:
        """Of the first frontend."""
        return self.of("frontend")[0].address

    def of(self, service: str) -> list[Host]:
        return [host for host in self.hosts if host.service == service]

    def add(self, service: str) -> Host:
        """One more host, not started yet."""
        host = self._host(service, len(self.of(service)) + 1)
        self.hosts.append(host)
        return host

    def start(self) -> None:
        """Returns when every host serves."""
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(self.zookeeper.start), pool.submit(self.store.start)]:
                started.result()
            set_up_schema(self.hosts[0])
        self.bring_back()

    def bring_back(self) -> None:
        """Starts the hosts that are not up; returns when every host serves."""
        for host in self.hosts:
            if not host.is_up:
                host.start()
        with ThreadPoolExecutor() as pool:
            for serving in [pool.submit(host.wait_until_serving) for host in self.hosts]:
                serving.result()

    def stop(self) -> None:
        """Drains every host, then ends what they stood on."""
        with ThreadPoolExecutor() as pool:
            for stopped in [pool.submit(host.stop) for host in self.hosts]:
                stopped.result()
        self.store.stop()
        self.zookeeper.stop()

    def kill(self) -> None:
        for part in (*self.hosts, self.store, self.zookeeper):
            part.kill()


def store_part(directory: Path, name: StoreName, *, durable: bool = False, ip: str = LOOPBACK) -> Store:
    """Cassandra is always durable. Of the others only a crash of the machine would show that they are not."""
    if name == "cassandra":
        return Cassandra(directory, options={"LISTEN": ip})
    if name == "postgresql":
        return Postgresql(directory, durable=durable, ip=ip)
    assert ip == LOOPBACK, "MariaDB's root is let in from this machine alone"
    return MariaDB(directory, durable=durable)


def datastore(name: StoreName, store: Store) -> str:
    """The section of the configuration, at its place in the template."""
    if name == "cassandra":
        return f'      cassandra: {{hosts: "{store.ip}", port: {store.port}, keyspace: perdure}}'
    plugin, user = ("postgres12", "postgres") if name == "postgresql" else ("mysql8", "root")
    return (
        f'      sql: {{pluginName: {plugin}, databaseName: perdure, connectAddr: "{store.address}", '
        f"user: {user}, maxConns: 20}}"
    )


def set_up_schema(host: Host) -> None:
    """With the configuration of a host that has not started yet."""
    assert host.environment is not None
    arguments = [str(BIN / "perdure"), "schema", "setup", "--config", host.environment["CONFIG"]]
    process = Process(arguments, host.log.with_name("schema.log"), host.environment)
    process.start()
    if process.wait(START_SECONDS_MAX) != 0:
        raise RuntimeError(f"the schema could not be set up:\n{process.log_tail()}")
