"""The tables, as versioned migrations of a keyspace.

A conditional batch reaches one partition of one table, so all that commits together in a shard is in one table,
partitioned by shard. Its statics and rows are written by lightweight transactions alone: their timestamps come from
Paxos, and a plain write beside them could win or lose by a clock. `history` and `visibility` get plain writes alone.
"""

# ruff: noqa: S608 - what is put into CQL texts here are constants of this room; values are always bound

from collections.abc import Mapping, Sequence

from services.config import Cassandra
from services.persistence.cassandra.client import Client
from services.persistence.cassandra.connect import connect, place_of
from services.persistence.interface import SchemaMismatch, StoreError
from services.persistence.schema import check_version

# Version -> what leads to it from the one before. Every statement may be run twice.
MIGRATIONS: Mapping[int, Sequence[str]] = {
    1: (
        # See keys.py for the kinds of rows. Levels keep a run's row in one or two files, whatever its age.
        """
        CREATE TABLE IF NOT EXISTS shard (
            shard_id int,
            kind tinyint,
            key blob,
            range_id bigint STATIC,
            immediate_done blob STATIC,
            timer_done blob STATIC,
            visibility_done blob STATIC,
            immediate_last blob STATIC,
            timer_last blob STATIC,
            visibility_last blob STATIC,
            owner text,
            run_id text,
            create_request_id text,
            status int,
            start_time_ns bigint,
            first_execution_run_id text,
            namespace_id text,
            workflow_id text,
            version bigint,
            next_event_id bigint,
            attempt uuid,
            blob blob,
            PRIMARY KEY (shard_id, kind, key)
        ) WITH compaction = {'class': 'LeveledCompactionStrategy'}
        """,
        """
        CREATE TABLE IF NOT EXISTS history (
            run_id text,
            bucket int,
            first_event_id bigint,
            attempt uuid,
            part int,
            blob blob,
            PRIMARY KEY ((run_id, bucket), first_event_id, attempt, part)
        ) WITH compaction = {'class': 'LeveledCompactionStrategy'}
        """,
        """
        CREATE TABLE IF NOT EXISTS queue (
            namespace_id text,
            name text,
            task_queue_type int,
            partition int,
            task_id bigint,
            range_id bigint STATIC,
            ack_level bigint STATIC,
            blob blob,
            PRIMARY KEY ((namespace_id, name, task_queue_type, partition), task_id)
        ) WITH compaction = {'class': 'LeveledCompactionStrategy'}
        """,
        """
        CREATE TABLE IF NOT EXISTS namespace (
            everywhere int,
            kind tinyint,
            key text,
            name text,
            namespace_id text,
            version bigint,
            blob blob,
            PRIMARY KEY (everywhere, kind, key)
        )
        """,
        "CREATE TABLE IF NOT EXISTS cluster (key text PRIMARY KEY, value blob)",
        """
        CREATE TABLE IF NOT EXISTS visibility (
            namespace_id text,
            is_open boolean,
            period int,
            place blob,
            record text,
            info blob,
            PRIMARY KEY ((namespace_id, is_open, period), place)
        ) WITH compaction = {'class': 'LeveledCompactionStrategy'}
        """,
        """
        CREATE TABLE IF NOT EXISTS visibility_period (
            namespace_id text,
            is_open boolean,
            period int,
            PRIMARY KEY (namespace_id, is_open, period)
        ) WITH CLUSTERING ORDER BY (is_open DESC, period DESC)
        """,
        """
        CREATE TABLE IF NOT EXISTS visibility_run (
            namespace_id text,
            run_id text,
            version bigint,
            workflow_id text,
            is_open boolean,
            period int,
            place blob,
            PRIMARY KEY ((namespace_id, run_id), version)
        ) WITH compaction = {'class': 'LeveledCompactionStrategy'}
        """,
        """
        CREATE TABLE IF NOT EXISTS visibility_workflow (
            namespace_id text,
            workflow_id text,
            run_id text,
            PRIMARY KEY ((namespace_id, workflow_id), run_id)
        ) WITH compaction = {'class': 'LeveledCompactionStrategy'}
        """,
    ),
}
VERSION = max(MIGRATIONS)

_VERSION_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (component text PRIMARY KEY, version int)"
_COMPONENT = "perdure"
_TABLES = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_version'"
_READ_VERSION = "SELECT version FROM schema_version WHERE component = ?"


class CassandraSchema:
    """Implements `Schema`. A keyspace that is there keeps its replication; a new one gets this many replicas."""

    def __init__(self, config: Cassandra, *, replicas: int = 1) -> None:
        self._config, self._replicas = config, replicas

    @property
    def place(self) -> str:
        return place_of(self._config)

    @property
    def expected(self) -> int:
        return VERSION

    async def version(self) -> int | None:
        try:
            client = await connect(self._config, self._config.keyspace)
        except SchemaMismatch:
            return None
        try:
            return await read_version(client)
        finally:
            await client.close()

    async def setup(self) -> None:
        client = await connect(self._config, None)
        try:
            name, replication = _quoted(self._config.keyspace), self._replication()
            await client.define(f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication}")
        finally:
            await client.close()
        await self._migrate(from_nothing=True)

    async def update(self) -> None:
        await self._migrate(from_nothing=False)

    async def _migrate(self, *, from_nothing: bool) -> None:
        client = await connect(self._config, self._config.keyspace)
        try:
            stored = await read_version(client)
            if (stored is None and not from_nothing) or (stored is not None and stored > VERSION):
                check_version(self.place, stored, VERSION)
            if stored is not None and from_nothing:
                return
            await client.define(_VERSION_TABLE)
            for version in range((stored or 0) + 1, VERSION + 1):
                for statement in MIGRATIONS[version]:
                    await client.define(statement)
                await client.define(
                    f"INSERT INTO schema_version (component, version) VALUES ('{_COMPONENT}', {version})"
                )
        finally:
            await client.close()

    def _replication(self) -> str:
        if self._config.datacenter:
            return f"{{'class': 'NetworkTopologyStrategy', '{self._config.datacenter}': {self._replicas}}}"
        return f"{{'class': 'SimpleStrategy', 'replication_factor': {self._replicas}}}"


async def read_version(client: Client) -> int | None:
    """None when the keyspace holds nothing of ours."""
    await client.prepare(_TABLES)
    tables = await client.read(_TABLES, client.keyspace)
    if not tables.rows:
        return None
    await client.prepare(_READ_VERSION)
    answer = await client.read(_READ_VERSION, _COMPONENT)
    return int(answer.rows[0][0]) if answer.rows else None


def _quoted(name: str) -> str:
    if not name.replace("_", "").isalnum():
        raise StoreError(f"{name!r} is not the name of a keyspace")
    return f'"{name}"'
