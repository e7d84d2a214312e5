"""The stores that the contract holds for. A test with the fixture `store` or `backend` runs on each of them."""

import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from services.persistence import Store
from services.persistence.sqlite import open_sqlite
from tests.parts.cassandra import Cassandra
from tests.parts.mariadb import MariaDB
from tests.parts.postgresql import Postgresql
from tests.store.cassandra import CassandraBackend
from tests.store.databases import MysqlBackend, PostgresqlBackend
from tests.store.simulated import MemoryBackend


class Backend(Protocol):
    """What the suite needs of a database beside the store on it."""

    async def open(self) -> Store:
        """The store, on the same data each time if the backend keeps any."""
        ...

    def commits_fail(self) -> AbstractContextManager[None]:
        """While it lasts, what is committed fails after it was sent: nobody can say whether it happened."""
        ...


class SqliteBackend:
    """One file, or with None an ephemeral database."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    async def open(self) -> Store:
        return await open_sqlite(str(self.path) if self.path else None)

    @contextmanager
    def commits_fail(self) -> Iterator[None]:
        """The kernel refuses this process to let any file grow: COMMIT fails as on a full disk."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgresql]:
    with Postgresql(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    with Cassandra(tmp_path_factory.mktemp("cassandra")) as node:
        yield node


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with MariaDB(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(params=["memory", "sqlite-file", "sqlite-ephemeral", "postgresql", "mysql", "cassandra"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "memory":
        return MemoryBackend()
    if request.param == "mysql":
        return MysqlBackend(request.getfixturevalue("mariadb"))
    if request.param == "postgresql":
        return PostgresqlBackend(request.getfixturevalue("postgresql"))
    if request.param == "cassandra":
        return CassandraBackend(request.getfixturevalue("cassandra"))
    return SqliteBackend(tmp_path / "perdure.db" if request.param == "sqlite-file" else None)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    store = await backend.open()
    yield store
    await store.close()
