"""Runs the pods of a release as processes: the commands, variables, files and probes are those of the manifests."""

import os
import socket
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.chart.helm import Object
from tests.chart.manifests import Pods, Release, environment
from tests.processes import BIN, QUICK_RECONNECT, Process

Secrets = Mapping[str, Mapping[str, bytes]]


class Pod:
    """One pod with its address. Its root directory is `directory`; `places` says where else things really are."""

    def __init__(
        self,
        release: Release,
        pods: Pods,
        directory: Path,
        ip: str,
        places: Mapping[str, str],
        secrets: Secrets,
    ) -> None:
        self.pods, self.ip = pods, ip
        self._release, self._directory, self._secrets = release, directory, secrets
        self._places = {"/etc/": f"{directory}/etc/", **places}
        self._processes: list[Process] = []
        for container in pods.containers:
            for mount in container["volumeMounts"]:
                files = self._files(pods.volumes[mount["name"]])
                put_files(directory / mount["mountPath"].lstrip("/"), files)

    def _files(self, volume: Object) -> Mapping[str, bytes]:
        if "configMap" in volume:
            data = self._release.named("ConfigMap", volume["configMap"]["name"])["data"]
            return {name: self._there(text).encode() for name, text in data.items()}
        return self._secrets[volume["secret"]["secretName"]] if "secret" in volume else {}

    def _there(self, text: str) -> str:
        for name, place in self._places.items():
            text = text.replace(name, place)
        return text

    def run(self, container: Object) -> Process:
        """Starts it; nothing of our own environment reaches it but where programs are."""
        variables = {**environment(container, self.ip), "PATH": f"{BIN}:/usr/bin:/bin"}
        command = [self._there(argument) for argument in container["command"]]
        process = Process(command, self._directory / f"{container['name']}.log", variables)
        process.start()
        self._processes.append(process)
        return process

    def answers(self, probe: str) -> bool:
        """What the kubelet finds when it probes the main container."""
        check = self.pods.main[probe]
        if "tcpSocket" in check:
            with socket.socket() as connection:
                return connection.connect_ex((self.ip, check["tcpSocket"]["port"])) == 0
        request = health_pb2.HealthCheckRequest(service=check["grpc"].get("service", ""))
        with grpc.insecure_channel(f"{self.ip}:{check['grpc']['port']}", options=QUICK_RECONNECT) as channel:
            try:
                reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=check["timeoutSeconds"])
            except grpc.RpcError:
                return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_until_started(self, process: Process, seconds_max: float = 60.0) -> None:
        """Raises ProcessDiedError, TimeoutError."""
        deadline = time.monotonic() + seconds_max
        while not self.answers("startupProbe"):
            process.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.pods.name} has not started; log:\n{process.log_tail()}")
            time.sleep(0.1)

    def scrape(self) -> str:
        """What Prometheus reads, told by the annotations."""
        told = self.pods.owner["spec"]["template"]["metadata"]["annotations"]
        address = f"http://{self.ip}:{told['prometheus.io/port']}{told['prometheus.io/path']}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())

    def replace(self, volume: str, files: Mapping[str, bytes]) -> None:
        """A ConfigMap has changed in a running pod."""
        (mount,) = [each for each in self.pods.main["volumeMounts"] if each["name"] == volume]
        put_files(self._directory / mount["mountPath"].lstrip("/"), files)

    def kill(self) -> None:
        for process in self._processes:
            process.kill()


def put_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """All at once and through two links, as the kubelet does it: no file is written in place."""
    directory.mkdir(parents=True, exist_ok=True)
    version = directory / f"..{time.monotonic_ns()}"
    version.mkdir()
    for name, content in files.items():
        (version / name).write_bytes(content)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    link = directory / "..data.new"
    link.symlink_to(version.name)
    os.replace(link, directory / "..data")
