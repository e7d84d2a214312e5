"""The configuration of the embedded server (`perdure server start-dev`): one process, one SQLite file."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.config.errors import ConfigError, nearest
from services.config.settings import known_keys
from services.config.static import (
    RPC,
    SEARCH_ATTRIBUTE_TYPES,
    Bootstrap,
    ClusterInformation,
    ClusterMetadata,
    DCRedirectionPolicy,
    Global,
    Log,
    LogFormat,
    LogLevel,
    Membership,
    Metrics,
    Prometheus,
    PublicClient,
    SearchAttributeType,
    ServerConfig,
    Service,
)
from services.config.stores import SQL, DataStore, Persistence

DEFAULT_NAMESPACE = "default"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# What the reference's dev server sets: one client must not meet a cluster's rate limits or its cache delays.
DEV_OVERRIDES: Mapping[str, Any] = {
    "system.forceSearchAttributesCacheRefreshOnRead": True,
    "system.forceNexusEndpointRefreshOnRead": True,
    "frontend.persistenceMaxQPS": 10000,
    "history.persistenceMaxQPS": 45000,
    "frontend.namespaceRPS.visibility": 100,
}


def for_start_dev(
    *,
    ip: str = "127.0.0.1",
    port: int = 7233,
    http_port: int = 0,
    metrics_port: int | None = None,
    db_filename: str | None = None,
    namespaces: Sequence[str] = (),
    search_attributes: Mapping[str, SearchAttributeType] | None = None,
    sqlite_pragmas: Mapping[str, str] | None = None,
    dynamic_overrides: Mapping[str, Any] | None = None,
    log_level: LogLevel = "warn",
    log_format: LogFormat = "text",
    num_history_shards: int = 4,
) -> ServerConfig:
    """The configuration these flags mean. Without `db_filename` nothing outlives the process; httpPort 0 and
    `metrics_port` None serve neither. The default namespace is always among those created."""
    attributes = {f"_{name}": value for name, value in (sqlite_pragmas or {}).items()}
    if db_filename is None:
        attributes |= {"mode": "memory", "cache": "shared"}
    sql = SQL(plugin_name="sqlite", database_name=db_filename or "", connect_attributes=attributes)
    address = f"[{ip}]" if ":" in ip else ip
    prometheus = None if metrics_port is None else Prometheus(listen_address=f"{address}:{metrics_port}")
    active = ClusterInformation(
        enabled=True,
        initial_failover_version=1,
        rpc_address=f"{address}:{port}",
        http_address=f"{address}:{http_port}" if http_port else "",
    )
    return ServerConfig(
        log=Log(level=log_level, format=log_format, development=True),
        persistence=Persistence(
            default_store="sqlite-default",
            visibility_store="sqlite-default",
            num_history_shards=num_history_shards,
            datastores={"sqlite-default": DataStore(sql=sql)},
        ),
        global_=Global(membership=Membership(broadcast_address=ip), metrics=Metrics(prometheus=prometheus)),
        services={
            "frontend": Service(rpc=RPC(grpc_port=port, http_port=http_port, bind_on_ip=ip)),
            "history": Service(rpc=RPC(bind_on_ip=ip)),
            "matching": Service(rpc=RPC(bind_on_ip=ip)),
            "worker": Service(rpc=RPC(bind_on_ip=ip)),
        },
        cluster_metadata=ClusterMetadata(cluster_information={"active": active}),
        dc_redirection_policy=DCRedirectionPolicy(policy="noop"),
        public_client=PublicClient(host_port=f"{address}:{port}"),
        bootstrap=Bootstrap(
            namespaces=tuple(dict.fromkeys((DEFAULT_NAMESPACE, *namespaces))),
            search_attributes=dict(search_attributes or {}),
        ),
        dynamic_overrides={**DEV_OVERRIDES, **(dynamic_overrides or {})},
    )


def _split(text: str, key: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise ConfigError(key, repr(text), form)
    return name, value


def parse_search_attribute(text: str) -> tuple[str, SearchAttributeType]:
    """Read `NAME=TYPE`; capitals in the type do not matter."""
    types = "NAME=TYPE, TYPE one of " + ", ".join(SEARCH_ATTRIBUTE_TYPES)
    name, given = _split(text, "", types)
    for kind in SEARCH_ATTRIBUTE_TYPES:
        if kind.lower() == given.lower():
            return name, kind
    guess = nearest(given, SEARCH_ATTRIBUTE_TYPES)
    raise ConfigError(name, repr(given), types + (f" ({guess!r} perhaps)" if guess else ""))


def parse_sqlite_pragma(text: str) -> tuple[str, str]:
    """Read `PRAGMA=VALUE`."""
    return _split(text, "", "PRAGMA=VALUE")


def parse_dynamic_override(text: str) -> tuple[str, Any]:
    """Read `KEY=VALUE`, where the value is JSON."""
    name, value = _split(text, "", 'KEY=VALUE, VALUE in JSON, such as 5, true or "text"')
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        raise ConfigError(name, repr(value), 'a JSON value, such as 5, true or "text"') from None
    known = known_keys().get(name.lower())
    try:
        if known is not None:  # an unknown key is warned of when the server starts
            known.check(parsed)
    except ValueError as error:
        raise ConfigError(name, value, str(error)) from None
    return name, parsed
