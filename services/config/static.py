"""The static configuration of one host, in the shape of the reference server's YAML file.

Read at start and never again; what may change while running is dynamic configuration (`dynamic.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, get_args

from services.config.document import named, outside_the_file
from services.config.errors import nearest, require, require_port
from services.config.otel import OTel
from services.config.stores import Persistence
from services.config.zookeeper import ZooKeeper

ServiceName = Literal["frontend", "internal-frontend", "history", "matching", "worker"]
SERVICE_NAMES: tuple[ServiceName, ...] = get_args(ServiceName)
LogLevel = Literal["debug", "info", "warn", "error", "never"]
LogFormat = Literal["text", "json", "pretty", "console"]
SearchAttributeType = Literal["Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"]
SEARCH_ATTRIBUTE_TYPES: tuple[SearchAttributeType, ...] = get_args(SearchAttributeType)

_NO_TIME = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Where log lines go (stderr unless told otherwise), from which level on and in which form."""

    stdout: bool = False
    level: Literal["", LogLevel] = ""
    format: Literal["", LogFormat] = ""
    output_file: str = ""
    development: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How hosts find one another: through ZooKeeper; without that section this process is the whole cluster."""

    max_join_duration: timedelta = timedelta(seconds=30)
    broadcast_address: str = ""
    zookeeper: ZooKeeper | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pprof:
    port: int = 0
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLS:
    """The certificate a server shows and the client authorities it trusts."""

    cert_file: str = ""
    key_file: str = ""
    client_ca_files: tuple[str, ...] = named("clientCaFiles", ())
    cert_data: str = ""
    key_data: str = field(default="", repr=False)
    client_ca_data: tuple[str, ...] = named("clientCaData", ())
    require_client_auth: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLS:
    """What a client of this cluster checks."""

    server_name: str = ""
    disable_host_verification: bool = False
    root_ca_files: tuple[str, ...] = ()
    root_ca_data: tuple[str, ...] = ()
    force_tls: bool = named("forceTLS", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTLS:
    server: ServerTLS = ServerTLS()
    client: ClientTLS = ClientTLS()
    host_overrides: Mapping[str, ServerTLS] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemWorkerTLS:
    cert_file: str = ""
    key_file: str = ""
    cert_data: str = ""
    key_data: str = field(default="", repr=False)
    client: ClientTLS = ClientTLS()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirationChecks:
    warning_window: timedelta = _NO_TIME
    error_window: timedelta = _NO_TIME
    check_interval: timedelta = _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Two independent groups: between our services (internode) and towards clients (frontend)."""

    internode: GroupTLS = GroupTLS()
    frontend: GroupTLS = GroupTLS()
    system_worker: SystemWorkerTLS = SystemWorkerTLS()
    remote_clusters: Mapping[str, GroupTLS] = field(default_factory=dict)
    expiration_checks: ExpirationChecks = ExpirationChecks()
    refresh_interval: timedelta = _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """Where /metrics is served. Buckets, timers and names are those of the default (tally) framework."""

    listen_address: str
    handler_path: str = "/metrics"
    framework: str = ""
    timer_type: str = ""
    logger_rps: float = named("loggerRPS", 0.0)
    listen_network: str = ""
    on_error: str = ""
    default_histogram_boundaries: tuple[float, ...] = ()
    default_histogram_buckets: tuple[Any, ...] = ()
    default_summary_objectives: tuple[Any, ...] = ()
    sanitize_options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        host, colon, port = self.listen_address.rpartition(":")
        shaped = bool(colon) and port.isdecimal() and int(port) <= 65535 and host.count("[") == host.count("]")
        require(shaped, "listenAddress", self.listen_address, "host:port")
        require(self.handler_path.startswith("/"), "handlerPath", self.handler_path, "a path that starts with /")
        require(self.framework in ("", "tally"), "framework", self.framework, "tally: only its names are built")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; an empty host is every interface."""
        host, _, port = self.listen_address.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    prometheus: Prometheus | None = None
    statsd: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    exclude_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefix: str = ""
    per_unit_histogram_boundaries: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    without_unit_suffix: bool = False
    without_counter_suffix: bool = False
    record_timer_in_seconds: bool = False
    tags_cache_max_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JWTKeyProvider:
    key_source_uris: tuple[str, ...] = named("keySourceURIs", ())
    refresh_interval: timedelta = _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteClusterAuth:
    require: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    jwt_key_provider: JWTKeyProvider = JWTKeyProvider()
    permissions_claim_name: str = ""
    permissions_regex: str = ""
    authorizer: str = ""
    claim_mapper: str = ""
    auth_header_name: str = ""
    auth_extra_header_name: str = ""
    audience: str = ""
    remote_cluster_auth: RemoteClusterAuth = RemoteClusterAuth()


@dataclass(frozen=True, slots=True, kw_only=True)
class Global:
    membership: Membership = Membership()
    pprof: Pprof = Pprof()
    tls: TLS = TLS()
    metrics: Metrics = Metrics()
    authorization: Authorization = Authorization()


@dataclass(frozen=True, slots=True, kw_only=True)
class RPC:
    """Where one service listens; httpPort 0 serves no HTTP."""

    grpc_port: int = 0
    membership_port: int = 0
    bind_on_local_host: bool = False
    bind_on_ip: str = named("bindOnIP", "")
    http_port: int = 0
    http_additional_forwarded_headers: tuple[str, ...] = ()
    keep_alive_server_config: Mapping[str, Any] = field(default_factory=dict)
    client_connection_config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_port("grpcPort", self.grpc_port)
        require_port("membershipPort", self.membership_port)
        require_port("httpPort", self.http_port)
        contradiction = self.bind_on_local_host and bool(self.bind_on_ip)
        require(not contradiction, "bindOnIP", self.bind_on_ip, "nothing, since bindOnLocalHost is true")

    @property
    def host(self) -> str:
        """The address to listen on; without either key, every interface."""
        return "127.0.0.1" if self.bind_on_local_host else self.bind_on_ip or "0.0.0.0"  # noqa: S104 (as configured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    rpc: RPC = RPC()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInformation:
    enabled: bool = False
    initial_failover_version: int = 0
    rpc_address: str = ""
    http_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMetadata:
    enable_global_namespace: bool = False
    failover_version_increment: int = 10
    master_cluster_name: str = "active"
    current_cluster_name: str = "active"
    cluster_information: Mapping[str, ClusterInformation] = field(
        default_factory=lambda: {"active": ClusterInformation(enabled=True, initial_failover_version=1)}
    )
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        increment, clusters = self.failover_version_increment, self.cluster_information
        require(increment >= 1, "failoverVersionIncrement", increment, "1 or more")
        expected = "the name of one of clusterInformation: " + ", ".join(clusters)
        require(self.current_cluster_name in clusters, "currentClusterName", self.current_cluster_name, expected)
        require(self.master_cluster_name in clusters, "masterClusterName", self.master_cluster_name, expected)
        owners: dict[int, str] = {}
        for name, cluster in clusters.items():
            other = owners.setdefault(cluster.initial_failover_version % increment, name)
            key, version = f"clusterInformation.{name}.initialFailoverVersion", cluster.initial_failover_version
            require(other == name, key, version, f"a number unlike that of {other!r}, modulo {increment}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DCRedirectionPolicy:
    policy: Literal["", "noop", "selected-apis-forwarding", "all-apis-forwarding"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicClient:
    """How this cluster's own worker reaches the frontend."""

    host_port: str = ""
    http_host_port: str = ""
    force_tls_config: str = named("forceTLSConfig", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivalOf:
    state: Literal["", "disabled", "enabled", "paused"] = ""
    enable_read: bool = False
    provider: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Archival:
    history: ArchivalOf = ArchivalOf()
    visibility: ArchivalOf = ArchivalOf()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceArchivalOf:
    state: Literal["", "disabled", "enabled"] = ""
    uri: str = named("URI", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceArchival:
    history: NamespaceArchivalOf = NamespaceArchivalOf()
    visibility: NamespaceArchivalOf = NamespaceArchivalOf()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceDefaults:
    archival: NamespaceArchival = NamespaceArchival()


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicConfigClient:
    """The dynamic configuration file and how often a change to it is looked for."""

    filepath: str = ""
    poll_interval: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        seconds = self.poll_interval.total_seconds()
        require(seconds >= 0.05, "pollInterval", f"{seconds:g}s", "50ms or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    persistence_custom_search_attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """What the server makes sure exists before it serves. Perdure's own section."""

    namespaces: tuple[str, ...] = ()
    search_attributes: Mapping[str, SearchAttributeType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a host is told at start: the one input of `services.host.run`."""

    persistence: Persistence
    log: Log = Log()
    global_: Global = field(default_factory=Global, metadata={"key": "global"})
    services: Mapping[str, Service] = field(default_factory=dict)
    cluster_metadata: ClusterMetadata = field(default_factory=ClusterMetadata)
    dc_redirection_policy: DCRedirectionPolicy = DCRedirectionPolicy()
    public_client: PublicClient = PublicClient()
    archival: Archival = Archival()
    namespace_defaults: NamespaceDefaults = NamespaceDefaults()
    dynamic_config_client: DynamicConfigClient | None = None
    visibility: Visibility = Visibility()
    otel: OTel = field(default_factory=OTel)
    bootstrap: Bootstrap = Bootstrap()
    run_services: tuple[ServiceName, ...] = outside_the_file(("frontend", "history", "matching", "worker"))
    dynamic_overrides: Mapping[str, Any] = field(default_factory=dict, metadata={"key": None})

    def __post_init__(self) -> None:
        for name in self.services:
            guess = nearest(name, SERVICE_NAMES)
            expected = f"{guess!r} perhaps" if guess else "one of " + ", ".join(SERVICE_NAMES)
            require(name in SERVICE_NAMES, f"services.{name}", name, expected)
        for name in self.run_services:
            require(name in SERVICE_NAMES, "service", name, "one of " + ", ".join(SERVICE_NAMES))

    def rpc(self, service: ServiceName) -> RPC:
        """Where `service` listens; all defaults when the file does not mention it."""
        return self.services.get(service, Service()).rpc
