"""The store on Cassandra: a shard is a partition, and what commits in it is one lightweight transaction."""

from services.config import Cassandra
from services.persistence.cassandra import commits, histories, lanes, namespaces, queues, shards, visibility, watermarks
from services.persistence.cassandra.connect import connect, place_of
from services.persistence.cassandra.schema import VERSION, CassandraSchema, read_version
from services.persistence.cassandra.store import CassandraStore
from services.persistence.interface import Store
from services.persistence.schema import check_version

__all__ = ["CassandraSchema", "open_cassandra"]

ROOMS = (commits, histories, lanes, namespaces, queues, shards, visibility, watermarks)


async def open_cassandra(config: Cassandra) -> Store:
    """Raises StoreUnavailable, SchemaMismatch, StoreError (refused password or certificate), ConfigError."""
    client = await connect(config, config.keyspace)
    try:
        check_version(place_of(config), await read_version(client), VERSION)
        await client.prepare(*[statement for room in ROOMS for statement in room.STATEMENTS])
        return CassandraStore(client)
    except BaseException:
        await client.close()
        raise
