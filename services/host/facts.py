"""What the cluster says of itself, and what its configuration wants to exist in it."""

from services import frontend
from services.config import ServerConfig
from services.namespaces import NamespaceRegistry, parse_type
from services.persistence import Store
from services.runtime import Chance
from services.telemetry import get_logger

_log = get_logger("host")


async def cluster_facts(config: ServerConfig, store: Store, chance: Chance) -> frontend.ClusterFacts:
    """The cluster's own values are those its data was made with: the shard count is permanent."""
    asked = config.persistence.num_history_shards
    cluster_id = (await store.cluster_value("cluster_id", chance.unique_id().encode())).decode()
    shard_count = int(await store.cluster_value("shard_count", str(asked).encode()))
    if shard_count != asked:
        _log.warning("The data keeps the shard count it was made with", configured=asked, kept=shard_count)
    metadata = config.cluster_metadata
    name = metadata.current_cluster_name
    information = metadata.cluster_information[name]
    persistence = config.persistence
    return frontend.ClusterFacts(
        cluster_id=cluster_id,
        shard_count=shard_count,
        store_name=kind_of(config, persistence.default_store),
        visibility_store_name=kind_of(config, persistence.visibility_store or persistence.default_store),
        cluster_name=name,
        initial_failover_version=information.initial_failover_version,
        failover_version_increment=metadata.failover_version_increment,
        rpc_address=information.rpc_address,
        http_address=information.http_address,
    )


def kind_of(config: ServerConfig, datastore: str) -> str:
    """What GetClusterInfo calls a data store."""
    chosen = config.persistence.datastores[datastore]
    if chosen.sql is not None:
        return chosen.sql.plugin_name
    return "cassandra" if chosen.cassandra is not None else "elasticsearch"


async def bootstrap(config: ServerConfig, namespaces: NamespaceRegistry) -> None:
    """The namespaces, and their search attributes, that the configuration wants there."""
    wanted = config.bootstrap
    await namespaces.load(wanted.namespaces)
    attributes = {name: parse_type(kind) for name, kind in wanted.search_attributes.items()}
    if attributes:
        for name in wanted.namespaces:
            await namespaces.add_search_attributes(name, attributes)
