"""The deployments that the chart is held to: values by name, from the defaults to all that can be said at once."""

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]

OWN_ZOOKEEPER: Values = {"hosts": "zk-0.zk:2181,zk-1.zk:2181"}
OWN_CASSANDRA: Values = {
    "hosts": "cassandra-0,cassandra-1",
    "port": 9142,
    "keyspace": "perdure",
    "datacenter": "dc1",
    "user": "perdure",
    "existingSecret": "cassandra-login",
    "secretKey": "secret",
    "timeout": "5s",
    "tls": {"enabled": True, "secretName": "cassandra-tls", "clientCertificate": True},
}
POSTGRESQL: Values = {
    "pluginName": "postgres12",
    "databaseName": "perdure",
    "connectAddr": "postgresql:5432",
    "user": "perdure",
    "existingSecret": "postgresql-login",
    "maxConns": 20,
    "tls": {"enabled": True, "enableHostVerification": True, "secretName": "postgresql-tls"},
}
MYSQL: Values = {"pluginName": "mysql8", "databaseName": "lists", "connectAddr": "mysql:3306", "user": "perdure"}


def outside(datastores: Values, zookeeper: Values = OWN_ZOOKEEPER, **persistence: Any) -> Values:
    """On a store and a ZooKeeper that are there already."""
    return {
        "cassandra": {"enabled": False},
        "zookeeper": {"enabled": False},
        "config": {"persistence": {"datastores": datastores, **persistence}, "zookeeper": zookeeper},
    }


TLS: Values = {
    "frontend": {
        "secretName": "frontend-tls",
        "requireClientAuth": True,
        "clientCaSecretName": "clients",
        "serverName": "perdure.example",
    },
    "internode": {"secretName": "internode-tls", "serverName": "perdure-internode"},
}
EVERY_HOST: Values = {
    "resources": {"requests": {"cpu": "1"}},
    "terminationGracePeriodSeconds": 60,
    "priorityClassName": "high",
    "nodeSelector": {"pool": "perdure"},
    "tolerations": [{"key": "perdure", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
            }
        }
    },
    "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    "podAnnotations": {"example/annotation": "yes"},
    "podLabels": {"example-label": "yes"},
    "extraEnv": [{"name": "GRPC_VERBOSITY", "value": "NONE"}],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
}

SHAPES: Mapping[str, Values] = {
    "defaults": {},
    "one-of-each": {name: {"replicaCount": 1} for name in ("frontend", "history", "matching", "worker")},
    "no-volumes": {part: {"persistence": {"enabled": False}} for part in ("cassandra", "zookeeper")},
    "cassandra": outside({"default": {"cassandra": OWN_CASSANDRA}}),
    "postgresql": outside({"default": {"sql": POSTGRESQL}}),
    "two-stores": outside(
        {"main": {"cassandra": OWN_CASSANDRA}, "for-lists": {"sql": MYSQL}},
        defaultStore="main",
        visibilityStore="for-lists",
    ),
    "zookeeper-login": outside(
        {"default": {"sql": POSTGRESQL}},
        {
            **OWN_ZOOKEEPER,
            "root": "/perdure/blue",
            "sessionTimeout": "10s",
            "user": "perdure",
            "existingSecret": "zookeeper-login",
            "tls": {"enabled": True, "secretName": "zookeeper-tls", "clientCertificate": True},
        },
    ),
    "tls": {"tls": TLS},
    "internode-tls-only": {"tls": {"internode": TLS["internode"]}},
    "monitor": {"metrics": {"port": 9191, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
    "no-metrics": {"metrics": {"enabled": False}},
    "ipv6": {"config": {"bindOnIP": "::"}},
    "everything": {
        "nameOverride": "durable",
        "fullnameOverride": "durable-blue",
        "image": {"repository": "registry.example/perdure", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"name": "durable", "annotations": {"example/role": "durable"}},
        "config": {
            "log": {"level": "debug", "format": "text"},
            "numHistoryShards": 16,
            "namespaces": ["default", "orders"],
            "otel": {"exporters": [{"spec": {"connection": {"endpoint": "otel:4317", "insecure": True}}}]},
        },
        "dynamicConfig": {"limit.maxIDLength": [{"value": 500, "constraints": {"namespace": "orders"}}]},
        "dynamicConfigPollInterval": "1s",
        "defaults": EVERY_HOST,
        "frontend": {"preStopSeconds": 8, "service": {"type": "LoadBalancer", "annotations": {"example/lb": "yes"}}},
        "matching": {"podDisruptionBudget": {"enabled": False}, "priorityClassName": "low"},
        "schema": {"replicas": 3, "timeoutSeconds": 60, "extraEnv": [{"name": "EXAMPLE", "value": "1"}]},
        "cassandra": {"persistence": {"storageClass": "fast", "size": "1Gi"}},
    },
}
