"""The calls about namespaces."""

from temporalio.api.namespace.v1 import NamespaceInfo
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument, Unknown
from services.frontend.about import require_state
from services.frontend.backends import Backends
from services.frontend.checks import is_uuid
from services.namespaces import Namespace
from services.rpc import Call

PAGE_SIZE = 100
COMPLETION_BYTES_MAX = 40 * 1024 * 1024  # history.workflowTaskCompletionBufferSizeLimit


class Namespaces:
    """RegisterNamespace, DescribeNamespace, ListNamespaces, UpdateNamespace, DeprecateNamespace."""

    def __init__(self, backends: Backends) -> None:
        self._namespaces, self._config = backends.namespaces, backends.config

    async def register_namespace(self, _call: Call, request: api.RegisterNamespaceRequest) -> None:
        self._check_name(request.namespace)
        await self._namespaces.register(request)

    async def describe_namespace(
        self, _call: Call, request: api.DescribeNamespaceRequest
    ) -> api.DescribeNamespaceResponse:
        if request.id and not request.namespace:
            if not is_uuid(request.id):
                raise Unknown(f"invalid UUID length: {len(request.id)}")
            return self._described(await self._namespaces.read(namespace_id=request.id))
        self._check_name(request.namespace)
        return self._described(await self._namespaces.read(name=request.namespace))

    async def list_namespaces(self, _call: Call, request: api.ListNamespacesRequest) -> api.ListNamespacesResponse:
        size = request.page_size if request.page_size > 0 else PAGE_SIZE
        deleted = request.namespace_filter.include_deleted
        after = request.next_page_token.decode(errors="replace")
        page, next_after = await self._namespaces.page(after, size, include_deleted=deleted)
        return api.ListNamespacesResponse(
            namespaces=[self._described(each) for each in page], next_page_token=next_after.encode()
        )

    async def update_namespace(self, _call: Call, request: api.UpdateNamespaceRequest) -> api.UpdateNamespaceResponse:
        self._check_name(request.namespace)
        require_state(await self._namespaces.read(name=request.namespace))
        updated = self._described(await self._namespaces.update(request))
        return api.UpdateNamespaceResponse(
            namespace_info=updated.namespace_info,
            config=updated.config,
            replication_config=updated.replication_config,
            failover_version=updated.failover_version,
            is_global_namespace=updated.is_global_namespace,
        )

    async def deprecate_namespace(self, _call: Call, request: api.DeprecateNamespaceRequest) -> None:
        self._check_name(request.namespace)
        await self._namespaces.deprecate(request.namespace)

    def _check_name(self, name: str) -> None:
        if not name:
            raise InvalidArgument("Namespace not set on request.")
        if len(name.encode()) > self._config.get(limits.MAX_ID_LENGTH):
            raise InvalidArgument("Namespace length exceeds limit.")

    def _described(self, namespace: Namespace) -> api.DescribeNamespaceResponse:
        """The stored record, with what Perdure can do and allows today."""
        described = api.DescribeNamespaceResponse()
        described.CopyFrom(namespace.description)
        info = described.namespace_info
        info.capabilities.CopyFrom(
            NamespaceInfo.Capabilities(
                eager_workflow_start=True,
                sync_update=True,
                async_update=True,
                worker_heartbeats=True,
                poller_autoscaling=True,
                workflow_pause=self._config.get(limits.ENABLE_WORKFLOW_PAUSE, namespace.name),
            )
        )
        info.limits.CopyFrom(
            NamespaceInfo.Limits(
                blob_size_limit_error=self._config.get(limits.BLOB_SIZE_ERROR, namespace.name),
                memo_size_limit_error=self._config.get(limits.MEMO_SIZE_ERROR, namespace.name),
                workflow_task_completion_size_limit_error=COMPLETION_BYTES_MAX,
            )
        )
        return described
