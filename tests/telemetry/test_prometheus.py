"""A real Prometheus scrapes a server and answers the questions dashboards ask."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.processes import BIN, Process, Server, free_port
from tests.telemetry import work

QUERY_S_MAX = 20.0
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: perdure, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


class Prometheus(Process):
    """One on a free port that scrapes one target every second."""

    def __init__(self, directory: Path, target_port: int) -> None:
        executable = shutil.which("prometheus")
        assert executable is not None, "make parts installs Prometheus"
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(port=target_port))
        self.url = f"http://127.0.0.1:{free_port()}"
        arguments = [executable, f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
        super().__init__([*arguments, f"--web.listen-address={self.url[7:]}"], directory / "prometheus.log")

    def ask(self, query: str) -> float:
        """The value of an expression, once it has one."""
        deadline = time.monotonic() + QUERY_S_MAX
        while time.monotonic() < deadline:
            self.check_alive()
            found = self._look(query)
            if found:
                return float(found[0]["value"][1])
            time.sleep(0.1)
        raise TimeoutError(f"no value for {query}; log:\n{self.log_tail()}")

    def _look(self, query: str) -> Any:
        try:
            with urlopen(f"{self.url}/api/v1/query?query={quote(query)}") as response:
                return json.load(response)["data"]["result"]
        except (URLError, ConnectionError):
            return []


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Server(tmp_path_factory.mktemp("server"), executable=BIN / "perdure") as server:
        port = int(server.arguments[server.arguments.index("--metrics-port") + 1])
        with Prometheus(tmp_path_factory.mktemp("prometheus"), port) as running:
            assert running.ask("up == 1") == 1
            asyncio.run(work.do_all(server.address))
            yield running


@pytest.mark.parametrize(
    ("query", "least"),
    [
        ('sum(workflow_success{operation="CompletionStats", namespace="default"}) > 7', 8),
        ('sum(service_requests{service_name="frontend", operation="StartWorkflowExecution"}) > 9', 10),
        ('sum(persistence_requests{operation="CreateWorkflowExecution"}) > 9', 10),
        ('sum(state_transition_count_count{namespace="default"}) > 40', 41),
        ('histogram_quantile(0.99, sum by (le) (service_latency_bucket{service_name="history"})) > 0', 0),
        ('sum(command{commandType="ScheduleActivityTask"}) > 9', 10),
        ("sum(numshards_gauge) > 0", 1),
        ('sum by (service_name) (memory_allocated{service_name="frontend"}) > 1e6', 1e6),
        ('sum(task_requests{operation=~"TransferActive.*"}) > 9', 10),
    ],
)
def test_what_dashboards_ask_has_an_answer(prometheus: Prometheus, query: str, least: float) -> None:
    assert prometheus.ask(query) >= least


def test_nothing_that_was_scraped_was_refused(prometheus: Prometheus) -> None:
    """Duplicate series or bad samples would make a scrape fail, and `up` 0."""
    assert prometheus.ask("min_over_time(up[1m])") == 1
    assert prometheus.ask("scrape_samples_scraped") > 1000
