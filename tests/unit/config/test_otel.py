"""The `otel` section, in the reference's shape."""

import pytest

from services.config import ConfigError, parse

STORES = """
persistence:
  numHistoryShards: 4
  defaultStore: d
  datastores: {d: {sql: {pluginName: sqlite, databaseName: x.db}}}
"""
SECTION = """
otel:
  connections:
    - {kind: grpc, metadata: {name: c}, spec: {endpoint: "collector:4317", insecure: true}}
  exporters:
    - kind: {signal: traces, model: otlp, proto: grpc}
      metadata: {name: one}
      spec: {connection_name: c, headers: {x-tenant: acme}, timeout: 10s, retry: {enabled: true}}
    - kind: {signal: traces, model: otlp, proto: grpc}
      spec: {connection: {endpoint: "other:4317", block: false}}
"""


def test_exporters_use_their_own_connection_or_a_named_one() -> None:
    otel = parse(STORES + SECTION, {}).otel
    first, second = otel.exporters
    assert otel.connection(first).endpoint == "collector:4317"
    assert otel.connection(first).insecure
    assert first.spec.headers == {"x-tenant": "acme"}
    assert first.spec.timeout.total_seconds() == 10
    assert otel.connection(second).endpoint == "other:4317"
    assert not otel.connection(second).insecure


def test_without_the_section_nothing_is_exported() -> None:
    assert parse(STORES, {}).otel.exporters == ()


@pytest.mark.parametrize(
    ("spoilt", "key"),
    [
        (SECTION.replace("signal: traces", "signal: metrics"), "otel.exporters[0].kind.signal"),
        (SECTION.replace("proto: grpc", "proto: http"), "otel.exporters[0].kind.proto"),
        (SECTION.replace("connection_name: c", "connection_name: b"), "otel.exporters[0].spec.connection_name"),
        (SECTION.replace("endpoint:", "endpont:"), "otel.connections[0].spec.endpont"),
    ],
)
def test_what_is_not_built_is_refused_by_its_key(spoilt: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key.replace("[", r"\[").replace("]", r"\]")):
        parse(STORES + spoilt, {})
