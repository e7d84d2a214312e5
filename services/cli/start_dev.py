"""`perdure server start-dev`: the embedded server, with the flags of the official development server."""

import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from services.cli.serve import serve

if TYPE_CHECKING:
    from services.config import ServerConfig

F = TypeVar("F", bound=Callable[..., Any])


class _Port(click.ParamType[int]):
    """A TCP port; 0 leaves the choice to the server."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not (value.isdecimal() and int(value) <= 65535):
            self.fail(f"found {value!r}, expected a port from 0 to 65535", param, ctx)
        return int(value)


_PORT = _Port()
# Flags the official command line takes everywhere. They concern its own output and client, so here they mean nothing.
_FOREIGN_FLAGS = ("--no-json-shorthand-payloads", "--disable-config-env", "--disable-config-file")
_FOREIGN_OPTIONS = (
    ("--client-connect-timeout",),
    ("--color",),
    ("--command-timeout",),
    ("--config-file",),
    ("--env",),
    ("--env-file",),
    ("--output", "-o"),
    ("--profile",),
    ("--time-format",),
)


def _flag(name: str, help: str) -> Callable[[F], F]:
    """A switch that also takes a value (`--headless=false`), as the official one does."""
    return click.option(name, is_flag=False, flag_value="true", default="false", type=click.BOOL, help=help, metavar="")


def _foreign(command: F) -> F:
    """Take the flags that mean nothing here, so that a script which passes them still runs."""
    for name in _FOREIGN_FLAGS:
        command = click.option(name, is_flag=True, hidden=True, expose_value=False)(command)
    for names in _FOREIGN_OPTIONS:
        command = click.option(*names, hidden=True, expose_value=False)(command)
    return command


def _pairs(reader: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, Any]]:
    """Read each of a flag's values with `services.config.<reader>`; of two with one name, the last holds."""

    def read(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
        if not texts:
            return {}
        from services import config

        try:
            return dict(getattr(config, reader)(text) for text in texts)
        except config.ConfigError as error:
            raise click.BadParameter(str(error)) from None

    return read


def _resolve(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    """The address to bind: an IP address as it stands, a host name by its first address."""
    try:
        return str(ip_address("127.0.0.1" if name == "localhost" else name.strip("[]")))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise click.BadParameter(f"found {name!r}, expected an IP address or a host name that resolves") from None


def _data_file(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name is None:
        return None
    path = Path(name)
    if not name or path.is_dir():
        raise click.BadParameter(f"found {name!r}, expected the path of a file")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"found {name!r}, expected a file in a directory that exists")
    return name


@click.command("start-dev")
@click.option("-f", "--db-filename", callback=_data_file, help="File that keeps all state. By default state is lost.")
@click.option("-p", "--port", type=_PORT, default=7233, show_default=True, help="Port for the frontend gRPC service.")
@click.option("--ip", default="localhost", show_default=True, callback=_resolve, help="IP address of the frontend.")
@click.option(
    "-n", "--namespace", "namespaces", multiple=True, help='Namespace to create, besides "default". Repeatable.'
)
@click.option("--http-port", type=_PORT, default=0, help="Port for the HTTP API, which is not built yet.")
@click.option("--metrics-port", type=_PORT, default=0, help="Port for /metrics. Defaults to a free port.")
@click.option(
    "--dynamic-config-value",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs("parse_dynamic_override"),
    help="Dynamic configuration value, in JSON. Repeatable.",
)
@click.option(
    "--search-attribute",
    "search_attributes",
    multiple=True,
    metavar="KEY=TYPE",
    callback=_pairs("parse_search_attribute"),
    help="Search attribute to register: Text, Keyword, Int, Double, Bool, Datetime or KeywordList. Repeatable.",
)
@click.option(
    "--sqlite-pragma",
    "pragmas",
    multiple=True,
    metavar="PRAGMA=VALUE",
    callback=_pairs("parse_sqlite_pragma"),
    help="SQLite pragma. Repeatable.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warn", "error", "never"], case_sensitive=False),
    default="warn",
    show_default=True,
    help="Lowest level that is logged.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json", "pretty"], case_sensitive=False),
    default="text",
    show_default=True,
    help="Form of a log line.",
)
@_flag("--log-config", "Print the server config to stderr.")
@_flag("--headless", "Serve no web UI.")
@_flag("--ui-disable-news-fetch", "Do not fetch news in the web UI.")
@click.option("--ui-port", type=_PORT, help="Port for the web UI.")
@click.option("--ui-ip", help="IP address of the web UI.")
@click.option("--ui-asset-path", help="Custom assets of the web UI.")
@click.option("--ui-codec-endpoint", help="Remote codec of the web UI.")
@click.option("--ui-public-path", help="Public base path of the web UI.")
@_foreign
@click.pass_context
def start_dev(
    context: click.Context,
    /,
    *,
    db_filename: str | None,
    port: int,
    ip: str,
    namespaces: tuple[str, ...],
    http_port: int,
    metrics_port: int,
    overrides: dict[str, Any],
    search_attributes: dict[str, Any],
    pragmas: dict[str, str],
    log_level: Any,
    log_format: Any,
    log_config: bool,
    headless: bool,
    **ui: Any,
) -> None:
    """Run the embedded server: one process, no dependencies."""
    from services.config import dump, for_start_dev

    config = for_start_dev(
        ip=ip,
        port=port or _free_port(ip),
        http_port=http_port,
        metrics_port=metrics_port,
        db_filename=db_filename,
        namespaces=namespaces,
        search_attributes=search_attributes,
        sqlite_pragmas=pragmas,
        dynamic_overrides=overrides,
        log_level=log_level,
        log_format=log_format,
    )
    if log_config:
        click.echo(dump(config), err=True)
    if not headless:
        _say_there_is_no_ui(ui)
    context.exit(serve(config, announce=_announce))


def _say_there_is_no_ui(flags: Mapping[str, Any]) -> None:
    given = ["--" + name.replace("_", "-") for name, value in flags.items() if value]
    if given:
        click.echo(f"Perdure has no web UI and no HTTP API yet: {', '.join(given)} changed nothing.", err=True)


def _free_port(ip: str) -> int:
    """A port nobody uses now. Clients must be told it before the server binds it, so another may come first."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as probe:
        probe.bind((ip, 0))
        return int(probe.getsockname()[1])


def _announce(config: "ServerConfig") -> None:
    """Print the addresses, as the official server does."""
    from importlib.metadata import version

    frontend, sql = config.rpc("frontend"), config.persistence.datastores[config.persistence.default_store].sql
    prometheus = config.global_.metrics.prometheus
    host = f"[{frontend.host}]" if ":" in frontend.host else frontend.host
    lines = {
        "Server": f"{host}:{frontend.grpc_port}",
        "Persistence": sql.database_name if sql and not sql.in_memory else "in-memory",
        "Metrics": f"http://{prometheus.listen_address}{prometheus.handler_path}" if prometheus else "",
    }
    click.echo(f"Perdure {version('perdure')}\n")
    for name, value in lines.items():
        if value:
            click.echo(f"{name + ':':<13}{value}")
