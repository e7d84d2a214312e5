"""What users may say in values, and how a mistake in them is told."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
import yaml

from services.config import SQL, Cassandra
from services.config.document import _key_of
from tests.chart.helm import CHART, VERSIONS, HelmError, helm, render
from tests.chart.manifests import SERVICES, Release, release
from tests.chart.shapes import OWN_ZOOKEEPER, POSTGRESQL, SHAPES, Values, outside
from tests.processes import REPOSITORY


@pytest.mark.parametrize("version", VERSIONS)
def test_helm_finds_nothing_to_complain_of(version: str) -> None:
    for shape in ("defaults", "everything"):
        assert "0 chart(s) failed" in helm(version, "lint", "--strict", str(CHART), values=SHAPES[shape])


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_value_is_refused_by_its_name(version: str) -> None:
    with pytest.raises(HelmError, match="replicaCuont"):
        render({"frontend": {"replicaCuont": 2}}, version)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"frontnd": {}}, "frontnd"),
        ({"config": {"numHistoryShards": 0}}, "numHistoryShards"),
        ({"config": {"log": {"level": "loud"}}}, "level"),
        ({"dynamicConfig": {"frontend.rps": 5}}, "frontend.rps"),
        (outside({"default": {"sql": {**POSTGRESQL, "password": "secret"}}}), "password"),
        (outside({"default": {"sql": {**POSTGRESQL, "pluginName": "sqlite"}}}), "pluginName"),
        (outside({}), "config.persistence.datastores.default is needed"),
        (outside({"default": {"sql": POSTGRESQL}}, visibilityStore="lists"), "datastores.lists is needed"),
        (outside({"default": {"sql": POSTGRESQL}}, {}), "config.zookeeper.hosts is needed"),
        (outside({"default": {"sql": POSTGRESQL}}, {**OWN_ZOOKEEPER, "user": "me"}), "existingSecret is needed"),
        (
            {"config": {"persistence": {"datastores": {"default": {"sql": POSTGRESQL}}}}},
            "set cassandra.enabled to false",
        ),
        ({"config": {"zookeeper": OWN_ZOOKEEPER}}, "set zookeeper.enabled to false"),
        ({"tls": {"frontend": {"requireClientAuth": True}}}, "tls.frontend.secretName is needed"),
    ],
)
def test_a_mistake_is_refused_by_its_name(values: Values, told: str) -> None:
    with pytest.raises(HelmError, match=told):
        render(values)


def test_every_value_has_a_schema_and_every_schema_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() - {"global"} == values.keys()
    host = schema["definitions"]["host"]["properties"].keys()
    assert values["defaults"].keys() == host - {"preStopSeconds"}
    assert schema["properties"]["frontend"]["properties"].keys() == host | {"service"}


def test_stores_are_described_by_the_servers_own_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    stores = schema["properties"]["config"]["properties"]["persistence"]["properties"]["datastores"]
    for kind, section in {"sql": SQL, "cassandra": Cassandra}.items():
        keys = stores["additionalProperties"]["properties"][kind]["properties"].keys()
        assert keys - {"existingSecret", "secretKey"} == {_key_of(each) for each in fields(section)} - {"password"}


def test_what_is_said_of_one_service_goes_before_what_is_said_of_all() -> None:
    everything = release("everything")
    assert everything.service("matching").spec["priorityClassName"] == "low"
    assert everything.service("history").spec["priorityClassName"] == "high"
    counts = {name: everything.service(name).owner["spec"]["replicas"] for name in SERVICES}
    assert counts == {"frontend": 2, "history": 3, "matching": 2, "worker": 1}
    budgets = {each["metadata"]["name"] for each in everything.of("PodDisruptionBudget")}
    assert budgets == {"durable-blue-frontend", "durable-blue-history", "durable-blue-worker"}


def test_secrets_reach_the_configuration_and_stay_out_of_the_release() -> None:
    everything = release("two-stores")
    stores = everything.config(everything.service("history")).persistence
    cassandra = stores.datastores["main"].cassandra
    assert cassandra is not None
    assert (cassandra.user, cassandra.password) == ("perdure", "secret cassandra-login, secret")
    assert cassandra.tls is not None
    assert cassandra.tls.cert_file == "/etc/perdure/tls/store-main/tls.crt"
    login = release("zookeeper-login")
    zookeeper = login.config(login.service("worker")).global_.membership.zookeeper
    assert zookeeper is not None
    assert (zookeeper.user, zookeeper.password) == ("perdure", "secret zookeeper-login, password")
    assert zookeeper.tls.key_file == "/etc/perdure/tls/zookeeper/tls.key"


def test_clients_and_hosts_are_told_apart_by_certificates() -> None:
    tls = release("tls").config(release("tls").service("frontend")).global_.tls
    assert tls.frontend.server.client_ca_files == ("/etc/perdure/tls/frontend-clients/ca.crt",)
    assert tls.internode.server.client_ca_files == ("/etc/perdure/tls/internode/ca.crt",)
    assert tls.frontend.server.require_client_auth
    assert tls.internode.server.require_client_auth
    assert tls.internode.client.server_name == "perdure-internode"


def test_releases_that_share_an_ensemble_have_roots_of_their_own() -> None:
    shared = outside({"default": {"sql": POSTGRESQL}})
    roots = set()
    for name, namespace in (("blue", "one"), ("green", "one"), ("blue", "two")):
        rendered = Release(render(shared, release=name, namespace=namespace))
        zookeeper = rendered.config(rendered.service("worker")).global_.membership.zookeeper
        assert zookeeper is not None
        roots.add(zookeeper.root)
    assert len(roots) == 3


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Which pods an upgrade from one to the other makes anew."""
    before, after = Release(render(one)), Release(render(other))
    kept = {pods.name: pods.owner["spec"]["template"] for pods in before.pods}
    return {pods.component for pods in after.pods if kept.get(pods.name) != pods.owner["spec"]["template"]}


def test_an_upgrade_restarts_what_it_changes() -> None:
    assert _differ({}, {"dynamicConfig": {"limit.maxIDLength": [{"value": 5}]}}) == set(), "read while running"
    assert _differ({}, {"config": {"log": {"level": "warn"}}}) == {*SERVICES, "schema"}
    assert _differ({}, {"image": {"tag": "2"}}) == {*SERVICES, "schema"}
    assert _differ({}, {"history": {"priorityClassName": "high"}}) == {"history"}
    assert _differ({}, {"schema": {"replicas": 3}}) == {"schema"}


def test_a_job_that_is_there_is_never_changed() -> None:
    """Kubernetes would refuse: what is no hook, which helm deletes before it makes it again, has another name."""
    one, other = (Release(render({"schema": {"replicas": count}})).service("schema") for count in (1, 3))
    assert one.name != other.name


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]


@pytest.mark.parametrize(("shape", "said"), [("defaults", "7233:7233"), ("tls", "TLS, with a client certificate")])
def test_the_notes_say_how_to_connect(shape: str, said: str) -> None:
    notes = helm(
        VERSIONS[-1], "install", "blue", str(CHART), "--dry-run=client", "--namespace", "one", values=SHAPES[shape]
    )
    notes = notes.partition("NOTES:")[2]
    assert "blue-perdure-frontend.one:7233" in notes
    assert said in notes
