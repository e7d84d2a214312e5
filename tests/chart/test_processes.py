"""The rendered manifests start a real cluster: every command, variable, file, port and probe is the chart's own."""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, TLSConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from services.host.drain import GRACE_S
from tests.chart.helm import render
from tests.chart.kubelet import Pod, Secrets
from tests.chart.manifests import SERVICES, Release, release
from tests.chart.shapes import TLS, Values
from tests.parts.cassandra import Cassandra
from tests.parts.zookeeper import ZooKeeper
from tests.processes import BIN, QUICK_RECONNECT, Process
from tests.tls.authority import Authority

# Pods share one machine here, so each listens at its own address alone. The rest is for speed.
HERE: Values = {
    "config": {"bindOnIP": "${POD_IP}", "numHistoryShards": 16, "log": {"format": "text"}},
    "dynamicConfigPollInterval": "50ms",
}
ROOT: Values = {"root": "/perdure-tls"}
USE_EXISTING = WorkflowIDConflictPolicy.USE_EXISTING


@activity.defn
async def greet(name: str) -> str:
    return f"hello, {name}"


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet, name, start_to_close_timeout=timedelta(seconds=10))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Real stores with the settings of the bundled ones, and how the manifests' names lead to them."""
    directory = tmp_path_factory.mktemp("stores")
    options = {each["name"]: each["value"] for each in release("defaults").service("cassandra").main["env"]}
    cassandra = Cassandra(directory, options={"EXTRA_JVM": options["JVM_EXTRA_OPTS"], "PAXOS": "v1"})
    settings = release("defaults").file(release("defaults").service("zookeeper"), "config", "zoo.cfg").splitlines()
    own = [line for line in settings if not line.startswith(("dataDir", "dataLogDir", "clientPort"))]
    zookeeper = ZooKeeper(directory, extra="\n".join(own))
    try:
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(cassandra.start), pool.submit(zookeeper.start)]:
                started.result()
        assert "paxos_variant=v2;" in (cassandra.data / "logs" / "system.log").read_text(), "by the manifest's options"
        yield {
            "hosts: perdure-cassandra": "hosts: 127.0.0.1",
            "port: 9042": f"port: {cassandra.port}",
            "perdure-zookeeper:2181": zookeeper.address,
        }
    finally:
        cassandra.kill()
        zookeeper.kill()


class Running:
    """A release whose hosts serve."""

    def __init__(self, pods: Mapping[str, Pod]) -> None:
        self.pods = pods
        self.processes: dict[str, Process] = {}

    def address(self, service: str) -> str:
        (port,) = [port for port in self.pods[service].pods.main["ports"] if port["name"] == "grpc"]
        return f"{self.pods[service].ip}:{port['containerPort']}"

    @property
    def frontend(self) -> str:
        return self.address("frontend")

    def start(self) -> None:
        """In Kubernetes' order: the container that comes first, the same in all, and the schema's job beside it."""
        (first,) = self.pods["frontend"].pods.spec["initContainers"]
        waiting = self.pods["frontend"].run(first)
        job = self.pods["schema"].run(self.pods["schema"].pods.main)
        assert job.wait(60) == 0, job.log_tail()
        assert waiting.wait(60) == 0, waiting.log_tail()
        self.processes = {pod.pods.component: pod.run(pod.pods.main) for pod in self._hosts()}
        for pod in self._hosts():
            pod.wait_until_started(self.processes[pod.pods.component])

    def _hosts(self) -> list[Pod]:
        return [self.pods[name] for name in SERVICES]

    def stop(self) -> None:
        """The whole release at once; each must end within what its pod is given."""
        for process in self.processes.values():
            os.kill(process.pid, 15)
        for name, process in self.processes.items():
            assert process.wait(4 * GRACE_S + 5) == 0, f"{name}: {process.log_tail()}"


@contextmanager
def running(
    values: Values, directory: Path, places: Mapping[str, str], network: int, secrets: Secrets
) -> Iterator[Running]:
    rendered = Release(render(values))
    prefix = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 128 + 128 * network}"
    pods = {
        name: Pod(rendered, rendered.service(name), directory / name, f"{prefix}.{number}", places, secrets)
        for number, name in enumerate((*SERVICES, "schema"), 1)
    }
    try:
        cluster = Running(pods)
        cluster.start()
        yield cluster
    finally:
        for pod in pods.values():
            pod.kill()


async def _work(client: Client, name: str) -> str:
    async with Worker(
        client, task_queue="q", workflows=[Greeting], activities=[greet], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        return await client.execute_workflow(Greeting.run, name, id=f"greet-{name}", task_queue="q")


async def test_the_defaults_describe_a_working_cluster(tmp_path: Path, places: Mapping[str, str]) -> None:
    with running(HERE, tmp_path, places, 0, {}) as cluster:
        for pod in (cluster.pods[name] for name in SERVICES):
            assert pod.answers("readinessProbe")
            assert pod.answers("livenessProbe")
            assert "restarts" in pod.scrape()
        assert "SERVING" in await asyncio.to_thread(_cluster_health, cluster.frontend)
        client = await Client.connect(cluster.frontend)
        assert await _work(client, "plain") == "hello, plain"
        await _read_dynamic_configuration(cluster, client)
        await asyncio.to_thread(cluster.stop)


def _cluster_health(address: str) -> str:
    """What the official command line says."""
    command = [str(BIN / "temporal"), "operator", "cluster", "health", "--address", address]
    return subprocess.check_output(command, text=True, timeout=20)


async def _read_dynamic_configuration(cluster: Running, client: Client) -> None:
    """A change reaches hosts that run."""
    limit = yaml.safe_dump({"limit.maxIDLength": [{"value": 20}]}).encode()
    cluster.pods["frontend"].replace("dynamic-config", {"dynamic.yaml": limit})

    async def until_refused() -> None:
        while True:
            await client.start_workflow("Nothing", id="x" * 21, task_queue="none", id_conflict_policy=USE_EXISTING)

    with pytest.raises(RPCError, match="exceeds"):
        await asyncio.wait_for(until_refused(), 20)


async def test_hosts_and_clients_talk_tls_when_secrets_are_named(tmp_path: Path, places: Mapping[str, str]) -> None:
    authority, clients = Authority("cluster"), Authority("clients")
    secrets = {
        "frontend-tls": _secret(authority, "perdure.example"),
        "clients": {"ca.crt": clients.cert},
        "internode-tls": _secret(authority, "perdure-internode"),
    }
    values = {**HERE, "tls": TLS, "config": {**HERE["config"], "zookeeper": ROOT}}
    with running(values, tmp_path, places, 1, secrets) as cluster:
        assert all(cluster.pods[name].answers("readinessProbe") for name in SERVICES)
        mine = clients.issue("me")
        tls = TLSConfig(
            server_root_ca_cert=authority.cert,
            domain="perdure.example",
            client_cert=mine.cert,
            client_private_key=mine.key,
        )
        for name in SERVICES:
            shown = mine if name == "frontend" else authority.issue()
            credentials = grpc.ssl_channel_credentials(authority.cert, shown.key, shown.cert)
            server = "perdure.example" if name == "frontend" else "perdure-internode"
            await asyncio.to_thread(_wait_until_serving, cluster.address(name), credentials, server)
        assert await _work(await Client.connect(cluster.frontend, tls=tls), "secure") == "hello, secure"
        with pytest.raises(RuntimeError, match="Failed client connect"):
            await Client.connect(cluster.frontend)
        await asyncio.to_thread(cluster.stop)


def _wait_until_serving(address: str, credentials: grpc.ChannelCredentials, name: str) -> None:
    """The kubelet has only seen that the port is open."""
    options = (*QUICK_RECONNECT, ("grpc.ssl_target_name_override", name))
    with grpc.secure_channel(address, credentials, options) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch
        for reply in watch(health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True):
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return
    raise AssertionError("the watch has ended")


def _secret(authority: Authority, host: str) -> Mapping[str, bytes]:
    issued = authority.issue(host, [host])
    return {"tls.crt": issued.cert, "tls.key": issued.key, "ca.crt": authority.cert}
