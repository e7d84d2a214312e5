"""Two servers that did the same work, each scraped once."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.processes import BIN, Server
from tests.telemetry import families, work

# The reference shows what it counted a second later.
SHOWN_S_MAX = 10.0
LAST_END = re.compile(r'^workflow_success\{[^}]*taskqueue="backlog_queue"[^}]*\} 1$', re.MULTILINE)


def scrape(server: Server) -> str:
    port = server.arguments[server.arguments.index("--metrics-port") + 1]
    with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text: str = response.read().decode()
    return text


def worked(directory: Path, executable: str) -> str:
    """The metrics of a server after the workload."""
    with Server(directory, executable=BIN / executable) as server:
        asyncio.run(work.do_all(server.address))
        deadline = time.monotonic() + SHOWN_S_MAX
        while LAST_END.search(text := scrape(server)) is None:
            assert time.monotonic() < deadline, "the last workflow's end was not shown"
            time.sleep(0.1)
        return text


@pytest.fixture(scope="session")
def ours_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return worked(tmp_path_factory.mktemp("ours"), "perdure")


@pytest.fixture(scope="session")
def ours(ours_text: str) -> Mapping[str, families.Family]:
    return families.read(ours_text)


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, families.Family]:
    return families.read(worked(tmp_path_factory.mktemp("official"), "temporal"))


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    assert found is not None, "make parts installs Prometheus"
    return found
