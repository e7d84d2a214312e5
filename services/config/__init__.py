"""Configuration: what a host is told at start (`ServerConfig`) and what may change while it runs (`DynamicConfig`)."""

from services.config import limits
from services.config.duration import format_duration, parse_duration
from services.config.dynamic import DynamicConfig
from services.config.errors import ConfigError
from services.config.load import dump, load, parse
from services.config.otel import OTel
from services.config.settings import Constraints, Scope, Setting
from services.config.start_dev import (
    for_start_dev,
    parse_dynamic_override,
    parse_search_attribute,
    parse_sqlite_pragma,
)
from services.config.static import (
    RPC,
    SERVICE_NAMES,
    TLS,
    Bootstrap,
    ClusterMetadata,
    DynamicConfigClient,
    Log,
    LogFormat,
    LogLevel,
    Prometheus,
    SearchAttributeType,
    ServerConfig,
    ServiceName,
)
from services.config.stores import SQL, Cassandra, DataStore, Persistence
from services.config.zookeeper import ZooKeeper, ZooKeeperTLS

__all__ = [
    "RPC",
    "SERVICE_NAMES",
    "SQL",
    "TLS",
    "Bootstrap",
    "Cassandra",
    "ClusterMetadata",
    "ConfigError",
    "Constraints",
    "DataStore",
    "DynamicConfig",
    "DynamicConfigClient",
    "Log",
    "LogFormat",
    "LogLevel",
    "OTel",
    "Persistence",
    "Prometheus",
    "Scope",
    "SearchAttributeType",
    "ServerConfig",
    "ServiceName",
    "Setting",
    "ZooKeeper",
    "ZooKeeperTLS",
    "dump",
    "for_start_dev",
    "format_duration",
    "limits",
    "load",
    "parse",
    "parse_duration",
    "parse_dynamic_override",
    "parse_search_attribute",
    "parse_sqlite_pragma",
]
