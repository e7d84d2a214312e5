"""A cluster on PostgreSQL, the quickest to start. Tests share it, and every host that one of them ended comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.ownership import SHARDS
from tests.parts.cluster import Cluster

SHAPE = {"frontend": 2, "history": 3, "matching": 2}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory, settings = tmp_path_factory.mktemp("cluster"), {"NUM_HISTORY_SHARDS": str(SHARDS)}
    with Cluster(directory, store="postgresql", shape=SHAPE, settings=settings) as running:
        yield running


@pytest.fixture
def cluster(shared: Cluster) -> Cluster:
    shared.bring_back()
    return shared
