from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.config import ConfigError, dump, for_start_dev, load, parse

CLUSTER = """
log: {stdout: true, level: info}
persistence:
  numHistoryShards: 512
  defaultStore: main
  visibilityStore: visibility
  datastores:
    main:
      cassandra: {hosts: "c1,c2", keyspace: perdure, connectTimeout: 10s, consistency: {default: {consistency: ONE}}}
    visibility:
      sql: {pluginName: postgres12, databaseName: v, connectAddr: "db:5432", user: u, password: ${SECRET}}
global:
  membership: {maxJoinDuration: 30s, broadcastAddress: 10.0.0.1}
  tls:
    frontend: {server: {certFile: /c.pem, keyFile: /k.pem, requireClientAuth: true}, client: {forceTLS: true}}
  metrics: {prometheus: {listenAddress: "0.0.0.0:9090"}}
services:
  frontend:
    rpc:
      grpcPort: ${PORT:-7233}
      bindOnIP: 0.0.0.0
      httpPort: 7243
  history: {rpc: {grpcPort: 7234, bindOnLocalHost: true}}
dynamicConfigClient: {filepath: dynamic.yaml, pollInterval: 60s}
"""
CLUSTER = CLUSTER.replace("password: ${SECRET}}", 'password: "${SECRET}"}')
MINIMAL = """
persistence:
  numHistoryShards: 4
  defaultStore: s
  datastores: {s: {sql: {pluginName: sqlite, databaseName: a.db}}}
"""


def test_a_cluster_file_in_the_reference_shape_is_read(tmp_path: Path) -> None:
    path = tmp_path / "server.yaml"
    path.write_text(CLUSTER)
    config = load(path, {"SECRET": "007", "PORT": "8000"})
    assert config.rpc("frontend").grpc_port == 8000
    assert config.rpc("frontend").host == "0.0.0.0"
    assert config.rpc("history").host == "127.0.0.1"
    assert config.rpc("matching").grpc_port == 0
    cassandra = config.persistence.datastores["main"].cassandra
    assert cassandra is not None
    assert cassandra.connect_timeout == timedelta(seconds=10)
    assert cassandra.consistency.default.consistency == "ONE"
    sql = config.persistence.datastores["visibility"].sql
    assert sql is not None
    assert sql.password == "007"
    assert config.global_.tls.frontend.client.force_tls
    assert config.global_.metrics.prometheus is not None
    assert config.global_.metrics.prometheus.address == ("0.0.0.0", 9090)
    assert config.dynamic_config_client is not None
    assert config.dynamic_config_client.filepath == str(tmp_path / "dynamic.yaml")


def test_a_default_stands_in_for_an_unset_or_empty_variable() -> None:
    for env in ({"SECRET": "x"}, {"SECRET": "x", "PORT": ""}):
        assert parse(CLUSTER, env).rpc("frontend").grpc_port == 7233


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "service: {}", "f.yaml:6: service: found an unknown key, expected 'services' perhaps"),
        (
            MINIMAL + "global: {zzz: 1}",
            "global.zzz: found an unknown key, expected one of authorization, membership, m",
        ),
        (MINIMAL.replace("4", "four"), "f.yaml:3: persistence.numHistoryShards: found 'four', expected a whole number"),
        (MINIMAL.replace("4", "0"), "persistence.numHistoryShards: found 0, expected 1 or more"),
        (
            MINIMAL.replace("  numHistoryShards: 4\n", ""),
            "persistence.numHistoryShards: found nothing, expected a value",
        ),
        (
            MINIMAL.replace("defaultStore: s", "defaultStore: t"),
            "persistence.defaultStore: found 't', expected the name",
        ),
        (
            MINIMAL.replace("sqlite", "oracle"),
            "datastores.s.sql.pluginName: found 'oracle', expected one of sqlite, pos",
        ),
        (MINIMAL.replace("a.db", '""'), "datastores.s.sql.databaseName: found '', expected the path of the data file"),
        (
            MINIMAL.replace("{sql:", "{cassandra: {hosts: a, keyspace: k}, sql:"),
            "found sql and cassandra, expected one of",
        ),
        (
            MINIMAL.replace("{s: {sql", "[{sql").replace("}}}", "}}]"),
            "persistence.datastores: found a list, expected a m",
        ),
        (MINIMAL + "services: {fronted: {}}", "services.fronted: found 'fronted', expected 'frontend' perhaps"),
        (
            MINIMAL + "services: {worker: {rpc: {grpcPort: 70000}}}",
            "grpcPort: found 70000, expected a port from 0 to 65535",
        ),
        (
            MINIMAL + "services: {worker: {rpc: {bindOnIP: 1.2.3.4, bindOnLocalHost: true}}}",
            "services.worker.rpc.bindOnIP: found '1.2.3.4', expected nothing, since bindOnLocalHost is true",
        ),
        (
            MINIMAL + "log: {level: loud}",
            "log.level: found 'loud', expected one of '', debug, info, warn, error, never",
        ),
        (MINIMAL + "log: {stdout: 1}", "log.stdout: found '1', expected true or false"),
        (MINIMAL + "dynamicConfigClient: {pollInterval: 10ms}", "pollInterval: found '0.01s', expected 50ms or more"),
        (MINIMAL + "dynamicConfigClient: {pollInterval: soon}", "found 'soon', expected a duration such as 10s"),
        (
            MINIMAL + "clusterMetadata: {currentClusterName: b}",
            "clusterMetadata.currentClusterName: found 'b', expected",
        ),
        (
            MINIMAL + "publicClient: {hostPort: '${NOPE}'}",
            "found ${NOPE}, which is not set, expected an environment var",
        ),
        (MINIMAL + "publicClient: {{ .Env.X }}", "f.yaml:6: found a template action {{, expected no Go template"),
        (MINIMAL + "log: {}\nlog: {}", "f.yaml:7: log: found a second value, expected the key once"),
        (
            MINIMAL + "global: {metrics: {prometheus: {listenAddress: '9090'}}}",
            "listenAddress: found '9090', expected host",
        ),
        ("a: [", "f.yaml:1: found expected"),
        ("", "f.yaml: persistence: found nothing, expected a value: the key is required"),
    ],
)
def test_a_mistake_names_its_place_what_was_found_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, {}, "f.yaml")
    assert message in str(caught.value)


def test_two_clusters_may_not_share_an_initial_failover_version() -> None:
    clusters = "{active: {initialFailoverVersion: 1}, other: {initialFailoverVersion: 11}}"
    with pytest.raises(ConfigError, match=r"clusterInformation\.other\.initialFailoverVersion: found 11"):
        parse(MINIMAL + f"clusterMetadata: {{clusterInformation: {clusters}}}", {})


def test_anchors_and_merge_keys_work() -> None:
    text = MINIMAL + (
        "services:\n"
        "  history: &h {rpc: &r {grpcPort: 1, bindOnLocalHost: true}}\n"
        "  matching: {rpc: {<<: *r, grpcPort: 2}}\n"
        "  worker: *h\n"
    )
    config = parse(text, {})
    assert [config.rpc(name).grpc_port for name in ("history", "matching", "worker")] == [1, 2, 1]
    assert config.rpc("matching").bind_on_local_host


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: found No such file or directory, expected a readable file"):
        load(tmp_path / "missing.yaml", {})


def test_the_dump_of_a_configuration_reads_back_as_itself() -> None:
    config = for_start_dev(
        db_filename="x.db",
        metrics_port=9,
        http_port=8,
        namespaces=["a"],
        search_attributes={"Region": "Keyword"},
        sqlite_pragmas={"journal_mode": "wal"},
    )
    assert parse(dump(config), {}) == replace(config, dynamic_overrides={})


def test_the_dump_shows_no_password() -> None:
    assert "hunter2" not in dump(parse(CLUSTER, {"SECRET": "hunter2"}))
    assert "hunter2" not in repr(parse(CLUSTER, {"SECRET": "hunter2"}))
