"""ZooKeeper for the tests of this folder: one node that all share, each under a root of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from services.config import ZooKeeper
from tests.membership.proxy import Proxy
from tests.membership.watching import section
from tests.parts.zookeeper import ZooKeeper as Node

TICK_MS = 500


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("zookeeper"), tick_ms=TICK_MS) as node:
        yield node


@pytest.fixture
def settings(shared_node: Node) -> ZooKeeper:
    return section(shared_node.address, f"/test-{uuid4()}")


@pytest.fixture
async def proxy(shared_node: Node) -> AsyncIterator[Proxy]:
    proxy = Proxy(shared_node.address)
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Node]:
    """A node that the test may stop and start; it does not run yet."""
    node = Node(tmp_path, tick_ms=TICK_MS)
    yield node
    node.kill()
