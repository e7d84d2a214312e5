"""What the cluster says about itself. Clients gate features on it, so it promises nothing that is not built."""

from temporalio.api.workflowservice import v1 as api

from services.frontend.backends import Backends
from services.namespaces import PREDEFINED_TYPES, SYSTEM_TYPES, column_types
from services.rpc import Call

SERVER_VERSION = "1.32.0"  # of the reference whose behaviour clients may expect
SUPPORTED_CLIENTS = {
    "Nexus-go-sdk": "<2.0.0",
    "temporal-cli": "<2.0.0",
    "temporal-go": "<2.0.0",
    "temporal-java": "<2.0.0",
    "temporal-php": "<2.0.0",
    "temporal-server": "<2.0.0",
    "temporal-typescript": "<2.0.0",
    "temporal-ui": "<3.0.0",
}


class Cluster:
    """GetSystemInfo, GetClusterInfo, GetSearchAttributes."""

    def __init__(self, backends: Backends) -> None:
        self._facts = backends.cluster

    async def get_system_info(self, _call: Call, _request: api.GetSystemInfoRequest) -> api.GetSystemInfoResponse:
        return api.GetSystemInfoResponse(
            server_version=SERVER_VERSION,
            capabilities=api.GetSystemInfoResponse.Capabilities(
                signal_and_query_header=True,
                internal_error_differentiation=True,
                activity_failure_include_heartbeat=True,
                encoded_failure_attributes=True,
                upsert_memo=True,
                eager_workflow_start=True,
                sdk_metadata=True,
                count_group_by_execution_status=True,
                supports_schedules=False,
                build_id_based_versioning=False,
                nexus=False,
            ),
        )

    async def get_cluster_info(self, _call: Call, _request: api.GetClusterInfoRequest) -> api.GetClusterInfoResponse:
        facts = self._facts
        return api.GetClusterInfoResponse(
            supported_clients=SUPPORTED_CLIENTS,
            server_version=SERVER_VERSION,
            cluster_id=facts.cluster_id,
            cluster_name=facts.cluster_name,
            history_shard_count=facts.shard_count,
            persistence_store=facts.store_name,
            visibility_store=facts.visibility_store_name,
            initial_failover_version=facts.initial_failover_version,
            failover_version_increment=facts.failover_version_increment,
        )

    async def get_search_attributes(
        self, _call: Call, _request: api.GetSearchAttributesRequest
    ) -> api.GetSearchAttributesResponse:
        """Fields, not the namespaces' names for them: the call names no namespace."""
        return api.GetSearchAttributesResponse(keys={**SYSTEM_TYPES, **PREDEFINED_TYPES, **column_types()})
