"""A rendered release, as the API server and the kubelet would look at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from services.config import ServerConfig
from services.config.load import parse
from tests.chart.helm import Object, render
from tests.chart.shapes import SHAPES

CONFIG_FILE = "/etc/perdure/config/perdure.yaml"
SERVICES = ("frontend", "history", "matching", "worker")


@dataclass(frozen=True)
class Pods:
    """What a Deployment, StatefulSet or Job makes pods from."""

    owner: Object

    @property
    def name(self) -> str:
        return str(self.owner["metadata"]["name"])

    @property
    def component(self) -> str:
        return str(self.labels["app.kubernetes.io/component"])

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.owner["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def spec(self) -> Object:
        spec: Object = self.owner["spec"]["template"]["spec"]
        return spec

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def main(self) -> Object:
        container: Object
        (container,) = self.spec["containers"]
        return container

    @property
    def is_ours(self) -> bool:
        """False for the stores that come with the chart."""
        return str(self.owner["kind"]) != "StatefulSet"

    @property
    def volumes(self) -> dict[str, Object]:
        claims = [claim["metadata"]["name"] for claim in self.owner["spec"].get("volumeClaimTemplates", [])]
        return {each["name"]: each for each in self.spec.get("volumes", [])} | {name: {} for name in claims}

    def matched_by(self, selector: dict[str, str]) -> bool:
        return selector.items() <= self.labels.items()


class Release:
    """All objects of one rendering."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects

    def of(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        (found,) = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    @property
    def pods(self) -> list[Pods]:
        return [Pods(each) for each in self.of("Deployment", "StatefulSet", "Job")]

    @property
    def ours(self) -> list[Pods]:
        return [pods for pods in self.pods if pods.is_ours]

    def service(self, component: str) -> Pods:
        """The pods of one of the four services, or of another part."""
        (found,) = [pods for pods in self.pods if pods.component == component]
        return found

    def file(self, pods: Pods, volume: str, name: str) -> str:
        """A file that those pods see in a volume made from a ConfigMap."""
        data: dict[str, str] = self.named("ConfigMap", pods.volumes[volume]["configMap"]["name"])["data"]
        return data[name]

    def config(self, pods: Pods) -> ServerConfig:
        """What a server, or a command, in these pods reads; the variables are those of its container alone."""
        return parse(self.file(pods, "config", "perdure.yaml"), environment(pods.main), CONFIG_FILE)


def environment(container: Object, pod_ip: str = "10.0.0.1") -> dict[str, str]:
    """Its variables, with something in the place of secrets."""
    fields = {"status.podIP": pod_ip}
    variables: dict[str, str] = {}
    for each in container["env"]:
        source = each.get("valueFrom", {})
        if "fieldRef" in source:
            variables[each["name"]] = fields[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            variables[each["name"]] = "secret {name}, {key}".format_map(source["secretKeyRef"])
        else:
            variables[each["name"]] = each["value"]
    return variables


def is_hook(each: Object) -> bool:
    return "helm.sh/hook" in each["metadata"].get("annotations", {})


def texts(value: object) -> Iterator[str]:
    """Every text in a tree."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@cache
def release(shape: str) -> Release:
    return Release(render(SHAPES[shape]))
