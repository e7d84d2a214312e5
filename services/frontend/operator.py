"""OperatorService: search attributes, deletion of namespaces, clusters."""

from temporalio.api.operatorservice import v1 as operator

from services.errors import InvalidArgument
from services.frontend.backends import Backends
from services.namespaces import PREDEFINED_TYPES, SYSTEM_TYPES
from services.protos.matching_pb2 import UnloadRequest
from services.rpc import Call


class Operator:
    """AddSearchAttributes, RemoveSearchAttributes, ListSearchAttributes, DeleteNamespace, ListClusters."""

    def __init__(self, backends: Backends) -> None:
        self._namespaces, self._matching, self._facts = backends.namespaces, backends.matching, backends.cluster

    async def add_search_attributes(self, _call: Call, request: operator.AddSearchAttributesRequest) -> None:
        if not request.search_attributes:
            raise InvalidArgument("SearchAttributes are not set on request.")
        _require_namespace(request.namespace)
        await self._namespaces.add_search_attributes(request.namespace, request.search_attributes)

    async def remove_search_attributes(self, _call: Call, request: operator.RemoveSearchAttributesRequest) -> None:
        if not request.search_attributes:
            raise InvalidArgument("SearchAttributes are not set on request.")
        _require_namespace(request.namespace)
        await self._namespaces.remove_search_attributes(request.namespace, request.search_attributes)

    async def list_search_attributes(
        self, _call: Call, request: operator.ListSearchAttributesRequest
    ) -> operator.ListSearchAttributesResponse:
        _require_namespace(request.namespace)
        return operator.ListSearchAttributesResponse(
            custom_attributes=(await self._namespaces.read(name=request.namespace)).custom_search_attributes,
            system_attributes={**SYSTEM_TYPES, **PREDEFINED_TYPES},
        )

    async def delete_namespace(
        self, call: Call, request: operator.DeleteNamespaceRequest
    ) -> operator.DeleteNamespaceResponse:
        if request.namespace and request.namespace_id:
            raise InvalidArgument("Only one of namespace name or Id should be set on request.")
        if not request.namespace and not request.namespace_id:
            raise InvalidArgument("Namespace not set on request.")
        found = await self._namespaces.read(name=request.namespace, namespace_id=request.namespace_id)
        deleted = await self._namespaces.delete(found)
        await self._matching.unload(call, UnloadRequest(namespace_id=deleted.id))
        return operator.DeleteNamespaceResponse(deleted_namespace=deleted.name)

    async def list_clusters(self, _call: Call, _request: operator.ListClustersRequest) -> operator.ListClustersResponse:
        facts = self._facts
        return operator.ListClustersResponse(
            clusters=[
                operator.ClusterMetadata(
                    cluster_name=facts.cluster_name,
                    cluster_id=facts.cluster_id,
                    address=facts.rpc_address,
                    http_address=facts.http_address,
                    initial_failover_version=facts.initial_failover_version,
                    history_shard_count=facts.shard_count,
                    is_connection_enabled=True,
                )
            ]
        )


def _require_namespace(name: str) -> None:
    if not name:
        raise InvalidArgument("Namespace is not set on request.")
