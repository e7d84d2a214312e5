"""The store on a real Cassandra node: one for the session, its tables emptied for every test that wrote to them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from services.config import Cassandra as Section
from services.persistence import Store
from services.persistence.cassandra import CassandraSchema, open_cassandra
from services.persistence.cassandra.connect import connect
from tests.parts.cassandra import Cassandra

KEYSPACE = "perdure"
VISIBILITY = ("visibility", "visibility_period", "visibility_run", "visibility_workflow")
TABLES = ("shard", "history", "queue", "namespace", "cluster", *VISIBILITY)
WITH_SCHEMA: set[Cassandra] = set()
GIVE_UP = timedelta(seconds=3)


def section_of(node: Cassandra, keyspace: str = KEYSPACE) -> Section:
    """The configuration's section for this node."""
    return Section(hosts="127.0.0.1", port=node.port, keyspace=keyspace)


class CassandraBackend:
    """A `Backend` on a node that runs."""

    def __init__(self, node: Cassandra) -> None:
        self._node = node
        self._empty = False
        self._section = section_of(node)

    async def open(self) -> Store:
        if not self._empty:
            if self._node not in WITH_SCHEMA:
                await CassandraSchema(self._section).setup()
                WITH_SCHEMA.add(self._node)
            await empty(self._section)
            self._empty = True
        return await open_cassandra(replace(self._section, write_timeout=GIVE_UP))

    @contextmanager
    def commits_fail(self) -> Iterator[None]:
        """The node hears of commits and does not answer; it will do them when nobody waits for them any more."""
        with self._node.frozen():
            yield


async def empty(section: Section) -> None:
    """Deletes all that is in the keyspace."""
    client = await connect(section, section.keyspace)

    async def empty_table(table: str) -> None:
        statement = f"SELECT * FROM {table} LIMIT 1"
        await client.prepare(statement)
        if (await client.read(statement)).rows:
            await client.define(f"TRUNCATE {table}")

    try:
        await asyncio.gather(*[empty_table(table) for table in TABLES])
    finally:
        await client.close()
