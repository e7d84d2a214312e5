"""The `otel` section: where traces go. The keys are the reference's; those that only tune a connection do nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.config.document import named
from services.config.errors import require

_NO_TIME = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class OTelKind:
    """What an exporter sends and how; only traces by OTLP over gRPC are built."""

    signal: str = "traces"
    model: str = "otlp"
    proto: str = "grpc"

    def __post_init__(self) -> None:
        require(self.signal in ("traces", "trace"), "signal", self.signal, "traces: metrics are scraped")
        require(self.model == "otlp", "model", self.model, "otlp")
        require(self.proto == "grpc", "proto", self.proto, "grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class OTelMetadata:
    """A name, by which exporters refer to connections, and labels for the reader."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OTelConnection:
    """Where a collector listens."""

    endpoint: str = ""
    insecure: bool = False
    block: bool = False  # a collector is never waited for
    authority: str = ""
    user_agent: str = named("user_agent", "")
    read_buffer_size: int = named("read_buffer_size", 0)
    write_buffer_size: int = named("write_buffer_size", 0)
    connect_params: Mapping[str, Any] = field(default_factory=dict, metadata={"key": "connect_params"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OTelNamedConnection:
    kind: str = "grpc"
    metadata: OTelMetadata = OTelMetadata()
    spec: OTelConnection = OTelConnection()

    def __post_init__(self) -> None:
        require(self.kind == "grpc", "kind", self.kind, "grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class OTelSpec:
    """How one exporter sends: over its own connection, or a named one."""

    connection: OTelConnection = OTelConnection()
    connection_name: str = named("connection_name", "")
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry: Mapping[str, Any] = field(default_factory=dict)  # gRPC's exporter repeats by itself
    timeout: timedelta = _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class OTelExporter:
    kind: OTelKind = OTelKind()
    metadata: OTelMetadata = OTelMetadata()
    spec: OTelSpec = OTelSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class OTel:
    """Without exporters nothing is traced."""

    connections: tuple[OTelNamedConnection, ...] = ()
    exporters: tuple[OTelExporter, ...] = ()

    def __post_init__(self) -> None:
        names = {each.metadata.name for each in self.connections}
        for index, exporter in enumerate(self.exporters):
            wanted, key = exporter.spec.connection_name, f"exporters[{index}].spec.connection_name"
            require(not wanted or wanted in names, key, wanted, "the name of one of otel.connections")

    def connection(self, exporter: OTelExporter) -> OTelConnection:
        """The connection an exporter uses."""
        for each in self.connections:
            if each.metadata.name == exporter.spec.connection_name and each.metadata.name:
                return each.spec
        return exporter.spec.connection
