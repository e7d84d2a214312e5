"""What the frontend's handlers stand on."""

from dataclasses import dataclass
from typing import Protocol

from services.config import DynamicConfig
from services.namespaces import NamespaceRegistry
from services.persistence import VisibilityStore
from services.rpc import HistoryClient, MatchingClient
from services.runtime import Chance, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What the cluster says about itself to clients."""

    cluster_id: str
    shard_count: int
    store_name: str
    visibility_store_name: str
    cluster_name: str = "active"
    initial_failover_version: int = 1
    failover_version_increment: int = 10
    rpc_address: str = ""
    http_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """The services behind the frontend, and the floor they share."""

    history: HistoryClient
    matching: MatchingClient
    namespaces: NamespaceRegistry
    visibility: VisibilityStore
    config: DynamicConfig
    clock: Clock
    chance: Chance
    cluster: ClusterFacts


class Handlers(Protocol):
    """A class of handlers: each of its public methods serves the call of that name (start_workflow_execution serves
    StartWorkflowExecution), with a Call and the request."""

    def __init__(self, backends: Backends) -> None: ...
