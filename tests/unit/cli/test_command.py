import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.request import urlopen

import pytest
import structlog
from click.testing import CliRunner, Result

from services.cli.command import perdure
from services.config import ServerConfig
from services.telemetry import get_logger


class Host(ModuleType):
    """Stands in for `services.host`: remembers the configuration it was run with."""

    def __init__(self) -> None:
        super().__init__("services.host")
        self.config: ServerConfig | None = None
        self.scraped = ""
        self.exit_code = 0

    def run(self, config: ServerConfig) -> int:
        self.config = config
        if config.global_.metrics.prometheus is not None:
            with urlopen(f"http://{config.global_.metrics.prometheus.listen_address}/metrics") as response:
                self.scraped = response.read().decode()
        get_logger("host").warning("Running")
        return self.exit_code


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    host, root = Host(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setitem(sys.modules, "services.host", host)
    yield host
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(perdure, arguments, prog_name="perdure")


def test_what_the_python_sdk_passes_is_understood(host: Host, tmp_path: Path) -> None:
    data = str(tmp_path / "p.db")
    result = invoke(
        *("server", "start-dev", "--port", "5001", "--namespace", "mine", "--ip", "127.0.0.1"),
        *("--log-format", "pretty", "--log-level", "warn", "--headless", "--db-filename", data),
        *("--dynamic-config-value", "frontend.enableServerVersionCheck=false"),
    )
    assert result.exit_code == 0, result.output
    assert host.config is not None
    assert (host.config.rpc("frontend").host, host.config.rpc("frontend").grpc_port) == ("127.0.0.1", 5001)
    assert host.config.bootstrap.namespaces == ("default", "mine")
    assert host.config.dynamic_overrides["frontend.enableServerVersionCheck"] is False
    sql = host.config.persistence.datastores["sqlite-default"].sql
    assert sql is not None
    assert sql.database_name == data
    assert "Server:      127.0.0.1:5001\n" in result.stdout
    assert f"Persistence: {data}\n" in result.stdout
    assert "UI" not in result.output
    assert "Running" in result.stderr


def test_every_flag_of_the_official_dev_server_is_taken(host: Host) -> None:
    result = invoke(
        *("server", "start-dev", "-p", "5001", "-n", "a", "-n", "b", "--http-port", "5002", "--headless=false"),
        *("--search-attribute", "Region=Keyword", "--sqlite-pragma", "journal_mode=wal", "--log-config"),
        *("--ui-port", "5003", "--ui-ip", "127.0.0.1", "--ui-asset-path", "x", "--ui-codec-endpoint", "http://c"),
        *("--ui-public-path", "/x", "--ui-disable-news-fetch", "--log-level", "never", "--log-format", "json"),
        *("--color", "never", "-o", "json", "--env", "default", "--disable-config-file", "--command-timeout", "1s"),
    )
    assert result.exit_code == 0, result.output
    assert host.config is not None
    assert host.config.bootstrap.namespaces == ("default", "a", "b")
    assert host.config.bootstrap.search_attributes == {"Region": "Keyword"}
    sql = host.config.persistence.datastores["sqlite-default"].sql
    assert sql is not None
    assert dict(sql.pragmas) == {"journal_mode": "wal"}
    assert "HTTP:" not in result.stdout, "nothing listens there yet"
    assert "numHistoryShards: 4" in result.stderr
    assert "no web UI yet: --ui-port" not in result.stdout
    assert "Perdure has no web UI and no HTTP API yet" in result.stderr
    assert "Running" not in result.stderr


def test_a_port_of_zero_becomes_a_free_one(host: Host) -> None:
    assert invoke("server", "start-dev", "--port", "0").exit_code == 0
    assert host.config is not None
    assert host.config.rpc("frontend").grpc_port > 0


def test_metrics_are_served_while_the_host_runs(host: Host) -> None:
    result = invoke("server", "start-dev")
    assert "process_cpu_seconds_total" in host.scraped
    assert host.config is not None
    assert host.config.global_.metrics.prometheus is not None
    assert f"http://{host.config.global_.metrics.prometheus.listen_address}/metrics" in result.stdout


def test_the_hosts_exit_code_is_the_commands(host: Host) -> None:
    host.exit_code = 3
    assert invoke("server", "start-dev").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "abc"], "'--port': found 'abc', expected a port from 0 to 65535"),
        (["--http-port", "65536"], "'--http-port': found '65536', expected a port"),
        (["--metrics-port", "-1"], "'--metrics-port': found '-1', expected a port"),
        (["--ip", "999.1.1.1"], "'--ip': found '999.1.1.1', expected an IP address or a host name that resolves"),
        (
            ["--db-filename", "/no/such/dir/x"],
            "'--db-filename': found '/no/such/dir/x', expected a file in a directory",
        ),
        (["--db-filename", "/"], "'--db-filename': found '/', expected the path of a file"),
        (["--log-level", "loud"], "'--log-level': 'loud' is not one of 'debug', 'info', 'warn', 'error', 'never'"),
        (["--log-format", "xml"], "'--log-format': 'xml' is not one of 'text', 'json', 'pretty'"),
        (["--dynamic-config-value", "a"], "'--dynamic-config-value': found 'a', expected KEY=VALUE"),
        (["--dynamic-config-value", "frontend.rps=x"], "frontend.rps: found 'x', expected a JSON value"),
        (["--dynamic-config-value", 'frontend.rps="x"'], 'frontend.rps: found "x", expected a whole number'),
        (["--search-attribute", "A=B"], "'--search-attribute': A: found 'B', expected NAME=TYPE, TYPE one of Text"),
        (["--sqlite-pragma", "x"], "'--sqlite-pragma': found 'x', expected PRAGMA=VALUE"),
        (["--headless=maybe"], "'--headless': 'maybe' is not a valid boolean"),
        (["--prot", "1"], "No such option '--prot'"),
        (["extra"], "unexpected extra argument (extra)"),
    ],
)
def test_a_mistake_in_a_flag_names_it_and_what_was_expected(host: Host, arguments: list[str], message: str) -> None:
    result = invoke("server", "start-dev", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert host.config is None


def test_start_reads_a_file_and_runs_the_services_named(host: Host, tmp_path: Path) -> None:
    path, log = tmp_path / "c.yaml", tmp_path / "log.json"
    path.write_text(
        f"log: {{outputFile: {log}}}\n"
        "persistence:\n  numHistoryShards: 4\n  defaultStore: s\n"
        "  datastores: {s: {sql: {pluginName: sqlite, databaseName: a.db}}}\n"
    )
    result = invoke("server", "start", "--config", str(path), "--service", "history", "--service=matching")
    assert result.exit_code == 0, result.output
    assert host.config is not None
    assert list(host.config.run_services) == ["history", "matching"]
    assert json.loads(log.read_text())["msg"] == "Running"

    assert invoke("server", "start", "--config", str(path)).exit_code == 0
    assert list(host.config.run_services) == ["frontend", "history", "matching", "worker"]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("persistance: {}", [], "c.yaml:1: persistance: found an unknown key, expected 'persistence' perhaps"),
        ("", ["--service", "fronted"], "'--service': 'fronted' is not one of 'frontend', 'internal-frontend'"),
    ],
)
def test_a_mistake_in_the_file_or_its_flags_is_named(
    host: Host, tmp_path: Path, text: str, arguments: list[str], message: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    result = invoke("server", "start", "--config", str(path), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert host.config is None


def test_a_missing_file_or_flag_is_named(host: Host) -> None:
    missing = invoke("server", "start", "--config", "/no/such.yaml")
    assert missing.exit_code == 2
    assert "'/no/such.yaml' does not exist" in missing.stderr
    assert "Missing option '--config'" in invoke("server", "start").stderr


def test_a_taken_metrics_port_is_named(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("server", "start-dev", "--metrics-port", str(port))
    assert result.exit_code == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}: Address already in use" in result.stderr


def test_the_module_is_the_command_and_imports_nothing_heavy_for_help() -> None:
    script = (
        "import sys\nsys.argv = ['perdure', '--version']\n"
        "try:\n    import services.cli; services.cli.main()\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        "heavy = {'grpc', 'yaml', 'structlog', 'prometheus_client', 'temporalio', 'asyncio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("perdure ")
    module = subprocess.run([sys.executable, "-m", "services.cli", "-h"], capture_output=True, text=True, check=False)
    assert module.stdout.startswith("Usage: perdure ")
