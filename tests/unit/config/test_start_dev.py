from collections.abc import Callable
from typing import Any

import pytest

from services.config import (
    ConfigError,
    for_start_dev,
    parse_dynamic_override,
    parse_search_attribute,
    parse_sqlite_pragma,
)


def test_without_a_file_nothing_is_kept_and_the_default_namespace_exists() -> None:
    config = for_start_dev()
    sql = config.persistence.datastores[config.persistence.default_store].sql
    assert sql is not None
    assert sql.in_memory
    assert config.bootstrap.namespaces == ("default",)
    assert config.global_.metrics.prometheus is None


def test_flags_reach_their_places() -> None:
    config = for_start_dev(
        ip="::1",
        port=5,
        metrics_port=6,
        http_port=7,
        db_filename="d.db",
        namespaces=["b", "default", "b"],
        sqlite_pragmas={"synchronous": "full"},
        dynamic_overrides={"frontend.namespaceRPS.visibility": 3},
    )
    sql = config.persistence.datastores["sqlite-default"].sql
    assert sql is not None
    assert (sql.database_name, sql.in_memory, dict(sql.pragmas)) == ("d.db", False, {"synchronous": "full"})
    frontend, prometheus = config.rpc("frontend"), config.global_.metrics.prometheus
    assert (frontend.host, frontend.grpc_port, frontend.http_port) == ("::1", 5, 7)
    assert prometheus is not None
    assert prometheus.address == ("::1", 6)
    assert config.bootstrap.namespaces == ("default", "b")
    assert config.public_client.host_port == "[::1]:5"
    assert config.dynamic_overrides["frontend.namespaceRPS.visibility"] == 3
    assert config.dynamic_overrides["system.forceSearchAttributesCacheRefreshOnRead"] is True


def test_pairs_are_read() -> None:
    assert parse_search_attribute("Region=keyword") == ("Region", "Keyword")
    assert parse_sqlite_pragma("journal_mode=wal") == ("journal_mode", "wal")
    assert parse_dynamic_override("limit.maxIDLength=5") == ("limit.maxIDLength", 5)
    assert parse_dynamic_override('my.own="a=b"') == ("my.own", "a=b")


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (parse_search_attribute, "Region", "found 'Region', expected NAME=TYPE"),
        (parse_search_attribute, "Region=Keywrd", "Region: found 'Keywrd', expected .*'Keyword' perhaps"),
        (parse_search_attribute, "=Keyword", "expected NAME=TYPE"),
        (parse_sqlite_pragma, "journal_mode", "found 'journal_mode', expected PRAGMA=VALUE"),
        (parse_dynamic_override, "limit.maxIDLength", "expected KEY=VALUE"),
        (parse_dynamic_override, "limit.maxIDLength=x", "limit.maxIDLength: found 'x', expected a JSON value"),
        (parse_dynamic_override, "LIMIT.maxIDLength=true", "LIMIT.maxIDLength: found true, expected a whole number"),
    ],
)
def test_a_bad_pair_says_what_was_expected(read: Callable[[str], Any], text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(text)
