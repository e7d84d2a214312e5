"""Run one host in this process, with what belongs to the process itself: its log, its metrics endpoint, its traces."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from services.config import Log, LogFormat, LogLevel, ServerConfig


def serve(config: "ServerConfig", announce: "Callable[[ServerConfig], None]" = lambda _config: None) -> int:
    """Serve until stopped and return the exit code. `announce` is told the configuration, with real ports, first."""
    from services.config import ConfigError

    with ExitStack() as process:
        _open_log(config.log, process)
        config = _open_metrics(config, process)
        _open_traces(config, process)
        run: Callable[[ServerConfig], int] = import_module("services.host").run
        announce(config)
        try:
            return run(config)
        except ConfigError as error:
            raise click.UsageError(str(error)) from None


def _open_log(log: "Log", process: ExitStack) -> None:
    from services.telemetry import configure_logging

    stream: TextIO = sys.stdout if log.stdout else sys.stderr
    if log.output_file:
        try:
            opened = Path(log.output_file).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed with the process)
            stream = process.enter_context(opened)
        except OSError as error:
            raise click.UsageError(f"log.outputFile: {log.output_file}: {error.strerror}") from None
    level: LogLevel = log.level or "info"
    form: LogFormat = log.format or "json"
    shown = "pretty" if form == "console" else form
    configure_logging(level=level, form=shown, stream=stream, as_server=not log.development)


def _open_metrics(config: "ServerConfig", process: ExitStack) -> "ServerConfig":
    """Serve /metrics when it is asked for. A port of 0 is replaced by the one the system chose."""
    prometheus = config.global_.metrics.prometheus
    if prometheus is None:
        return config
    from services.telemetry import REGISTRY, MetricsServer

    shown = config.global_.metrics
    REGISTRY.dress(prefix=shown.prefix, tags=shown.tags, exclude=shown.exclude_tags)
    host, port = prometheus.address
    try:
        endpoint: MetricsServer = MetricsServer(host, port, path=prometheus.handler_path)
    except OSError as error:
        raise click.ClickException(f"cannot serve metrics on {prometheus.listen_address}: {error.strerror}") from None
    process.callback(endpoint.stop)
    address = prometheus.listen_address.rpartition(":")[0] + f":{endpoint.address[1]}"
    metrics = replace(config.global_.metrics, prometheus=replace(prometheus, listen_address=address))
    return replace(config, global_=replace(config.global_, metrics=metrics))


def _open_traces(config: "ServerConfig", process: ExitStack) -> None:
    """Send traces where the configuration says; OTEL_TRACES_EXPORTER=otlp in the environment asks for them too."""
    otel, environment = config.otel, os.environ.get("OTEL_TRACES_EXPORTER", "")
    if not otel.exporters and environment != "otlp":
        return
    from services.telemetry import TraceExporter, close_tracing, configure_tracing

    exporters: list[TraceExporter] = [TraceExporter()] if environment == "otlp" else []
    for exporter in otel.exporters:
        connection, timeout = otel.connection(exporter), exporter.spec.timeout.total_seconds()
        exporters.append(
            TraceExporter(
                endpoint=connection.endpoint,
                insecure=connection.insecure if connection.endpoint else None,
                headers=exporter.spec.headers,
                timeout_s=timeout or None,
            )
        )
    configure_tracing(exporters)
    process.callback(close_tracing)
