"""What a registration or an update may say, in the reference's words and order, and what it makes of a namespace."""

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import ArchivalState, NamespaceState, ReplicationState
from temporalio.api.namespace.v1 import BadBinaries, NamespaceConfig, NamespaceInfo
from temporalio.api.replication.v1 import ClusterReplicationConfig, NamespaceReplicationConfig
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceResponse,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)

from services.errors import InvalidArgument

CENTURY_S = 100 * 365 * 24 * 3600
_BAD_RETENTION = "A valid retention period is not set on request."


def registered(
    request: RegisterNamespaceRequest, *, namespace_id: str, cluster: str, retention_s_min: float
) -> DescribeNamespaceResponse:
    """The namespace a registration asks for. Raises InvalidArgument."""
    if request.is_global_namespace:
        raise InvalidArgument("Cannot register global namespace when not enabled")
    _check_clusters([request.active_cluster_name, *(each.cluster_name for each in request.clusters)], cluster)
    info = NamespaceInfo(
        name=request.namespace,
        state=NamespaceState.NAMESPACE_STATE_REGISTERED,
        description=request.description,
        owner_email=request.owner_email,
        data=request.data,
        id=namespace_id,
    )
    return description_of(
        info,
        retention(request.workflow_execution_retention_period, retention_s_min),
        cluster,
        ReplicationState.REPLICATION_STATE_NORMAL,
    )


def description_of(
    info: NamespaceInfo, kept: Duration, cluster: str, state: ReplicationState.ValueType
) -> DescribeNamespaceResponse:
    return DescribeNamespaceResponse(
        namespace_info=info,
        config=NamespaceConfig(
            workflow_execution_retention_ttl=kept,
            bad_binaries=BadBinaries(),
            history_archival_state=ArchivalState.ARCHIVAL_STATE_DISABLED,
            visibility_archival_state=ArchivalState.ARCHIVAL_STATE_DISABLED,
        ),
        replication_config=NamespaceReplicationConfig(
            active_cluster_name=cluster, clusters=[ClusterReplicationConfig(cluster_name=cluster)], state=state
        ),
    )


def retention(asked: Duration, least_s: float) -> Duration:
    """The time closed runs are kept: not less than the least, and at most a century."""
    if asked.seconds + asked.nanos / 1e9 < least_s:
        raise InvalidArgument(_BAD_RETENTION)
    return Duration(seconds=CENTURY_S) if asked.seconds >= CENTURY_S else asked


def updated(
    current: DescribeNamespaceResponse,
    request: UpdateNamespaceRequest,
    *,
    cluster: str,
    retention_s_min: float,
    bad_binaries_max: int,
    now_ns: int,
) -> DescribeNamespaceResponse:
    """The namespace as an update leaves it: what it says is laid over what was there. Raises InvalidArgument."""
    if request.promote_namespace:
        raise InvalidArgument(
            "global namespace is not enabled on this cluster,"
            f" cannot update global namespace or promote local namespace: {request.namespace}"
        )
    result = DescribeNamespaceResponse()
    result.CopyFrom(current)
    if request.HasField("update_info"):
        _update_info(result.namespace_info, request)
    if request.HasField("config"):
        _update_config(result.config, request.config, retention_s_min)
        _update_bad_binaries(result.config, request.config, bad_binaries_max, now_ns)
    if request.delete_bad_binary:
        if request.delete_bad_binary not in result.config.bad_binaries.binaries:
            raise InvalidArgument(f"Bad binary checksum {request.delete_bad_binary} doesn't exists.")
        del result.config.bad_binaries.binaries[request.delete_bad_binary]
    if request.HasField("replication_config"):
        wanted = request.replication_config
        _check_clusters([wanted.active_cluster_name, *(each.cluster_name for each in wanted.clusters)], cluster)
    return result


def _update_info(info: NamespaceInfo, request: UpdateNamespaceRequest) -> None:
    wanted = request.update_info
    info.description = wanted.description or info.description
    info.owner_email = wanted.owner_email or info.owner_email
    info.data.update(wanted.data)
    if wanted.state:
        info.state = wanted.state


def _update_config(config: NamespaceConfig, wanted: NamespaceConfig, retention_s_min: float) -> None:
    if wanted.HasField("workflow_execution_retention_ttl"):
        kept = retention(wanted.workflow_execution_retention_ttl, retention_s_min)
        config.workflow_execution_retention_ttl.CopyFrom(kept)
    for field, alias in wanted.custom_search_attribute_aliases.items():
        taken = config.custom_search_attribute_aliases.get(field, alias)
        if alias and taken != alias:
            raise InvalidArgument("Custom search attribute field name already allocated.")
        if alias:
            config.custom_search_attribute_aliases[field] = alias
        else:
            config.custom_search_attribute_aliases.pop(field, None)


def _update_bad_binaries(config: NamespaceConfig, wanted: NamespaceConfig, most: int, now_ns: int) -> None:
    for checksum, binary in wanted.bad_binaries.binaries.items():
        entry = config.bad_binaries.binaries[checksum]
        entry.CopyFrom(binary)
        entry.create_time.FromNanoseconds(now_ns)
    if len(config.bad_binaries.binaries) > most:
        raise InvalidArgument(f"Total resetBinaries cannot exceed the max limit: {most}")


def _check_clusters(names: Sequence[str], cluster: str) -> None:
    for name in names:
        if name and name != cluster:
            raise InvalidArgument(f"Invalid cluster name: {name}")
