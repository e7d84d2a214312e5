"""The persistence section of the static configuration: which stores there are and what each keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from services.config.errors import ConfigError, require, require_port

_NO_TIME = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTLS:
    """TLS towards a database."""

    enabled: bool = False
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    cert_data: str = ""
    key_data: str = ""
    ca_data: str = ""
    enable_host_verification: bool = False
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordCommand:
    """A program that prints the database password."""

    command: str
    args: tuple[str, ...] = ()
    timeout: timedelta = timedelta(seconds=10)


SQLPlugin = Literal["sqlite", "postgres12", "postgres12_pgx", "mysql8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SQL:
    """A relational store. With `sqlite`, databaseName is a file and connectAttributes mode=memory forgoes it."""

    plugin_name: SQLPlugin
    database_name: str = ""
    connect_addr: str = ""
    connect_protocol: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    password_command: PasswordCommand | None = None
    connect_attributes: Mapping[str, str] = field(default_factory=dict)
    max_conns: int = 0
    max_idle_conns: int = 0
    max_conn_lifetime: timedelta = _NO_TIME
    task_scan_partitions: int = 0
    tls: StoreTLS | None = None

    def __post_init__(self) -> None:
        if self.plugin_name == "sqlite":
            require(self.in_memory or bool(self.database_name), "databaseName", "", "the path of the data file")
        else:
            require(bool(self.connect_addr), "connectAddr", "", "host:port of the database")

    @property
    def in_memory(self) -> bool:
        """True when nothing outlives the process."""
        return self.connect_attributes.get("mode") == "memory"

    @property
    def pragmas(self) -> Mapping[str, str]:
        """SQLite pragmas, which the reference keeps among the connect attributes with an underscore in front."""
        return {key[1:]: value for key, value in self.connect_attributes.items() if key.startswith("_")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraConsistencyLevels:
    consistency: str = "LOCAL_QUORUM"
    serial_consistency: str = "LOCAL_SERIAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraConsistency:
    default: CassandraConsistencyLevels = CassandraConsistencyLevels()


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraAddressTranslator:
    translator: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cassandra:
    """A Cassandra cluster; `hosts` is a comma-separated list."""

    hosts: str
    keyspace: str
    port: int = 9042
    user: str = ""
    password: str = field(default="", repr=False)
    allowed_authenticators: tuple[str, ...] = ()
    datacenter: str = ""
    max_conns: int = 0
    connect_timeout: timedelta = _NO_TIME
    timeout: timedelta = _NO_TIME
    write_timeout: timedelta = _NO_TIME
    tls: StoreTLS | None = None
    consistency: CassandraConsistency = CassandraConsistency()
    disable_initial_host_lookup: bool = False
    address_translator: CassandraAddressTranslator | None = None

    def __post_init__(self) -> None:
        require_port("port", self.port)
        require(bool(self.hosts.strip()), "hosts", self.hosts, "one host or more, separated by commas")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStore:
    """One store, of exactly one kind."""

    sql: SQL | None = None
    cassandra: Cassandra | None = None
    elasticsearch: Mapping[str, Any] | None = None
    custom_datastore: Mapping[str, Any] | None = None
    fault_injection: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        kinds = ("sql", "cassandra", "elasticsearch", "custom_datastore")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ConfigError("", " and ".join(given) or "no store", "one of sql, cassandra, elasticsearch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence:
    """Which store keeps what. The shard count is permanent: a data set keeps the one it was made with."""

    default_store: str
    num_history_shards: int
    datastores: Mapping[str, DataStore]
    visibility_store: str = ""
    secondary_visibility_store: str = ""

    def __post_init__(self) -> None:
        require(self.num_history_shards >= 1, "numHistoryShards", self.num_history_shards, "1 or more")
        expected = "the name of one of the datastores: " + ", ".join(self.datastores)
        require(self.default_store in self.datastores, "defaultStore", self.default_store, expected)
        for key, name in (
            ("visibilityStore", self.visibility_store),
            ("secondaryVisibilityStore", self.secondary_visibility_store),
        ):
            require(not name or name in self.datastores, key, name, expected)
