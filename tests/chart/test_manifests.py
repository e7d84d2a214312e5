"""Every shape of the chart is what Kubernetes takes, and refers to nothing that is not there."""

import json
import re

import kubernetes_validate  # type: ignore[import-untyped]  # no stubs
import pytest
import yaml

from services.host.drain import GRACE_S
from services.host.ports import HEALTH_NAMES
from tests.chart.helm import Object, render
from tests.chart.manifests import CONFIG_FILE, SERVICES, Pods, Release, is_hook, release, texts
from tests.chart.shapes import SHAPES

KUBERNETES = ("1.30", "1.33", kubernetes_validate.latest_version())
UNKNOWN_KINDS = {"ServiceMonitor"}  # defined by the Prometheus operator
LABELS = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "version", "part-of", "managed-by")}
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

every_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_the_schemas_of_kubernetes_accept_every_object(kubernetes: str) -> None:
    """Of those that several shapes have alike, one."""
    different = {json.dumps(each): each for shape in SHAPES for each in release(shape).objects}
    for each in different.values():
        if each["kind"] not in UNKNOWN_KINDS:
            kubernetes_validate.validate(each, kubernetes, strict=True)


@every_shape
def test_both_generations_of_helm_render_the_same(shape: str) -> None:
    assert render(SHAPES[shape], "3.17.2") == release(shape).objects


@every_shape
def test_objects_are_labelled_and_named_once(shape: str) -> None:
    objects = release(shape).objects
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    for each in objects:
        assert each["metadata"]["labels"].keys() >= LABELS, each["metadata"]["name"]
    for service in SERVICES:
        (deployment,) = [pods for pods in release(shape).ours if pods.component == service]
        assert deployment.owner["metadata"]["labels"]["app.kubernetes.io/component"] == service


@pytest.mark.parametrize("name", ["perdure", "blue", "a" * 53])
def test_names_fit_whatever_a_release_is_called(name: str) -> None:
    for each in render({}, release=name):
        assert DNS_LABEL.fullmatch(each["metadata"]["name"])
        for value in each["metadata"]["labels"].values():
            assert len(value) <= 63


@every_shape
def test_selectors_match_their_own_pods_and_no_others(shape: str) -> None:
    all_of_them = release(shape)
    for pods in all_of_them.pods:
        if pods.owner["kind"] != "Job":
            assert _matched(all_of_them, pods.owner["spec"]["selector"]["matchLabels"]) == [pods.name]
    for each in all_of_them.of("PodDisruptionBudget"):
        assert _matched(all_of_them, each["spec"]["selector"]["matchLabels"]) == [each["metadata"]["name"]]
    for each in all_of_them.of("Service"):
        component = each["metadata"]["labels"]["app.kubernetes.io/component"]
        (pods,) = [pods for pods in all_of_them.pods if pods.matched_by(each["spec"]["selector"])]
        assert pods.component == component
        open_ports = {port["name"] for port in pods.main["ports"]}
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= open_ports
    for pods in all_of_them.ours:
        for spread in pods.spec.get("topologySpreadConstraints", []):
            assert "labelSelector" not in spread or pods.matched_by(spread["labelSelector"]["matchLabels"])


def _matched(all_of_them: Release, selector: dict[str, str]) -> list[str]:
    return [pods.name for pods in all_of_them.pods if pods.matched_by(selector)]


def test_prometheus_finds_each_pod_once() -> None:
    all_of_them = release("monitor")
    (monitor,) = all_of_them.of("ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [each for each in all_of_them.of("Service") if wanted.items() <= each["metadata"]["labels"].items()]
    assert sorted(each["metadata"]["labels"]["app.kubernetes.io/component"] for each in found) == list(SERVICES)
    (endpoint,) = monitor["spec"]["endpoints"]
    for each in found:
        assert {port["name"]: port["port"] for port in each["spec"]["ports"]}[endpoint["port"]] == 9191
    for service in SERVICES:
        pods = all_of_them.service(service)
        annotations = pods.owner["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == "9191"
        metrics = all_of_them.config(pods).global_.metrics.prometheus
        assert metrics is not None
        assert (metrics.address, metrics.handler_path) == (("0.0.0.0", 9191), annotations["prometheus.io/path"])


@every_shape
def test_what_pods_refer_to_is_there(shape: str) -> None:
    all_of_them = release(shape)
    given = set(texts(SHAPES[shape]))
    for pods in all_of_them.pods:
        # A hook runs before all that is none.
        there = [each for each in all_of_them.objects if is_hook(each) or not is_hook(pods.owner)]
        names = {(each["kind"], each["metadata"]["name"]) for each in there}
        for volume in pods.volumes.values():
            assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in names
            assert "secret" not in volume or volume["secret"]["secretName"] in given
        if "serviceAccountName" in pods.spec:
            assert ("ServiceAccount", pods.spec["serviceAccountName"]) in names
        if pods.owner["kind"] == "StatefulSet":
            assert ("Service", pods.owner["spec"]["serviceName"]) in names
        used: set[str] = set()
        for container in pods.containers:
            _check_container(container, pods, given)
            used |= {mount["name"] for mount in container["volumeMounts"]}
        assert used == pods.volumes.keys()


def _check_container(container: Object, pods: Pods, given: set[str]) -> None:
    assert {mount["name"] for mount in container["volumeMounts"]} <= pods.volumes.keys()
    paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert len(paths) == len(set(paths))
    for variable in container["env"]:
        if "secretKeyRef" in variable.get("valueFrom", {}):
            assert variable["valueFrom"]["secretKeyRef"]["name"] in given
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names))
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for handler in [container[probe][kind] for kind in ("grpc", "tcpSocket") if kind in container.get(probe, {})]:
            assert handler["port"] in {*ports, *ports.values()}


@every_shape
def test_the_server_takes_its_configuration(shape: str) -> None:
    all_of_them = release(shape)
    for pods in all_of_them.ours:
        config = all_of_them.config(pods)
        assert config.global_.membership.broadcast_address == "10.0.0.1"
        assert config.global_.membership.zookeeper is not None
        for container in pods.containers:
            assert CONFIG_FILE in " ".join(container["command"])
        mounted = tuple(mount["mountPath"] + "/" for mount in pods.main["volumeMounts"])
        if pods.component in SERVICES:
            named = texts(yaml.safe_load(all_of_them.file(pods, "config", "perdure.yaml")))
            assert all(path.startswith(mounted) for path in named if path.startswith("/etc"))
    for service in SERVICES:
        ports = {port["name"]: port["containerPort"] for port in all_of_them.service(service).main["ports"]}
        assert config.services[service].rpc.grpc_port == ports["grpc"]


@every_shape
def test_the_kubelet_asks_what_a_host_answers(shape: str) -> None:
    for service, names in HEALTH_NAMES.items():
        container = release(shape).service(service).main
        secured = SHAPES[shape].get("tls", {})
        if "frontend" in secured if service == "frontend" else "internode" in secured:
            assert all("tcpSocket" in container[probe] for probe in ("startupProbe", "readinessProbe", "livenessProbe"))
            assert container["startupProbe"]["initialDelaySeconds"]
            assert release(shape).service(service).owner["spec"]["minReadySeconds"]
        else:
            assert container["readinessProbe"]["grpc"]["service"] in names
            assert container["startupProbe"]["grpc"]["service"] in names
            assert "service" not in container["livenessProbe"]["grpc"]


@every_shape
def test_pods_may_do_nothing_they_need_not(shape: str) -> None:
    for pods in release(shape).pods:
        assert pods.spec["automountServiceAccountToken"] is False
        assert pods.spec["enableServiceLinks"] is False
        assert pods.spec["securityContext"]["runAsNonRoot"] is True
        assert pods.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pods.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            # The entry point of Cassandra's image writes the configuration into /etc.
            assert context.get("readOnlyRootFilesystem", False) is (pods.component != "cassandra")
            assert {"requests", "limits"} >= container["resources"].keys() >= {"requests"}


@every_shape
def test_a_pod_that_is_told_to_end_has_the_time_to_drain(shape: str) -> None:
    for service in SERVICES:
        pods = release(shape).service(service)
        wait = pods.main.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]["seconds"]
        assert bool(wait) == (service == "frontend"), "clients find the frontend by routes, hosts by the ring"
        assert pods.spec["terminationGracePeriodSeconds"] >= wait + 8 * GRACE_S


@every_shape
def test_the_schema_comes_first(shape: str) -> None:
    all_of_them = release(shape)
    job = all_of_them.service("schema")
    bundled = SHAPES[shape].get("cassandra", {}).get("enabled", True)
    assert is_hook(job.owner) == (not bundled), "a store of this release is not there before it"
    hooks = [each for each in all_of_them.objects if is_hook(each)]
    hooks.sort(key=lambda each: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]))
    assert [each["kind"] for each in hooks] == ([] if bundled else ["ConfigMap", "Job"])
    assert all(each["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade" for each in hooks)
    for service in SERVICES:
        (wait,) = all_of_them.service(service).spec["initContainers"]
        assert "perdure schema check" in wait["command"][-1]
