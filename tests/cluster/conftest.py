"""A cluster for each test; what it stands on is PostgreSQL, the quickest to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.cluster import Cluster

SHAPE = {"frontend": 2, "history": 3, "matching": 2}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, store="postgresql", shape=SHAPE) as running:
        yield running
