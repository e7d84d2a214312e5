"""Namespaces, and what a server says about itself."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import ArchivalState
from temporalio.api.namespace.v1 import NamespaceConfig, UpdateNamespaceInfo
from temporalio.api.replication.v1 import ClusterReplicationConfig
from temporalio.api.worker.v1 import WorkerHeartbeat

from tests.conformance.commands import complete_workflow, schedule_activity, seconds
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Register = api.RegisterNamespaceRequest
DAY_S = 86400


def register(w: Wire, change: Register | None = None) -> Register:
    """A registration of a namespace named after the scenario, with the fields of `change` laid over it."""
    request = Register(namespace=w.name, workflow_execution_retention_period=seconds(DAY_S))
    if change is not None:
        request.MergeFrom(change)
    return request


@scenario
async def namespace_registered(w: Wire) -> None:
    """What a registration says is in the description, by name and by id; a second one is refused."""
    change = Register(description="A place", owner_email="me@example.com", data={"one": "1"})
    await w.call(w.rpc.RegisterNamespace, register(w, change))
    await w.attempt(w.rpc.RegisterNamespace, register(w), note="again")
    by_name = api.DescribeNamespaceRequest(namespace=w.name)
    described = await w.call(w.rpc.DescribeNamespace, by_name, note="by name")
    by_id = api.DescribeNamespaceRequest(id=described.namespace_info.id)
    await w.call(w.rpc.DescribeNamespace, by_id, note="by id")


@scenario
async def namespace_default(w: Wire) -> None:
    """The namespaces that a server has from the beginning."""
    await w.call(w.rpc.DescribeNamespace, api.DescribeNamespaceRequest(namespace="default"))
    await w.call(w.rpc.DescribeNamespace, api.DescribeNamespaceRequest(namespace="temporal-system"))


@scenario
async def namespace_where_none_is(w: Wire) -> None:
    """Unknown names and ids, and neither."""
    cases = {
        "unknown name": api.DescribeNamespaceRequest(namespace="nowhere"),
        "unknown id": api.DescribeNamespaceRequest(id="11111111-1111-1111-1111-111111111111"),
        "no uuid": api.DescribeNamespaceRequest(id="tea"),
        "neither": api.DescribeNamespaceRequest(),
        "long name": api.DescribeNamespaceRequest(namespace="x" * 1001),
    }
    for note, request in cases.items():
        await w.attempt(w.rpc.DescribeNamespace, request, note=note)


@scenario
async def namespace_bad_registrations(w: Wire) -> None:
    """Registrations that make no sense."""
    cases = {
        "no retention": Register(namespace=w.id("no-retention")),
        "zero retention": Register(namespace=w.name, workflow_execution_retention_period=seconds(0)),
        "negative retention": register(w, Register(workflow_execution_retention_period=seconds(-2 * DAY_S))),
        "a minute": Register(namespace=w.name, workflow_execution_retention_period=seconds(60)),
        "no name": Register(workflow_execution_retention_period=seconds(DAY_S)),
        "long name": Register(namespace="x" * 1001, workflow_execution_retention_period=seconds(DAY_S)),
        "odd name": Register(namespace="tea time!", workflow_execution_retention_period=seconds(DAY_S)),
        "global": register(w, Register(is_global_namespace=True)),
        "other cluster": register(w, Register(active_cluster_name="elsewhere")),
        "other clusters": register(w, Register(clusters=[ClusterReplicationConfig(cluster_name="elsewhere")])),
        "archival": register(w, Register(history_archival_state=ArchivalState.ARCHIVAL_STATE_ENABLED)),
    }
    for note, request in cases.items():
        await w.attempt(w.rpc.RegisterNamespace, request, note=note)


@scenario
async def namespace_updated(w: Wire) -> None:
    """What an update says is laid over what was there."""
    await w.call(w.rpc.RegisterNamespace, register(w, Register(description="A place", data={"one": "1", "two": "2"})))
    info = UpdateNamespaceInfo(description="Another", data={"two": "zwei", "three": "3"})
    await w.call(w.rpc.UpdateNamespace, api.UpdateNamespaceRequest(namespace=w.name, update_info=info))
    config = NamespaceConfig(workflow_execution_retention_ttl=seconds(2 * DAY_S))
    await w.call(w.rpc.UpdateNamespace, api.UpdateNamespaceRequest(namespace=w.name, config=config))
    await w.call(w.rpc.DescribeNamespace, api.DescribeNamespaceRequest(namespace=w.name))


@scenario
async def namespace_bad_updates(w: Wire) -> None:
    """Updates that make no sense."""
    short = NamespaceConfig(workflow_execution_retention_ttl=seconds(60))
    cases = {
        "unknown": api.UpdateNamespaceRequest(namespace="nowhere"),
        "no name": api.UpdateNamespaceRequest(),
        "retention of a minute": api.UpdateNamespaceRequest(namespace="default", config=short),
        "promoted": api.UpdateNamespaceRequest(namespace="default", promote_namespace=True),
    }
    for note, request in cases.items():
        await w.attempt(w.rpc.UpdateNamespace, request, note=note)


@scenario
async def namespaces_listed(w: Wire) -> None:
    """Pages of namespaces lead to the end; every registered one is there."""
    await w.call(w.rpc.RegisterNamespace, register(w))
    names: set[str] = set()
    request = api.ListNamespacesRequest(page_size=2)
    for _ in range(50):
        # Other scenarios register namespaces meanwhile, so the pages themselves are not compared.
        page = await w.unrecorded(w.rpc.ListNamespaces, request)
        names.update(each.namespace_info.name for each in page.namespaces)
        request.next_page_token = page.next_page_token
        if not page.next_page_token:
            break
    w.note(f"the end was reached: {not request.next_page_token}")
    w.note(f"found: {sorted(names & {w.name, 'default', 'temporal-system'})}")


@scenario
async def namespaces_keep_ids_apart(w: Wire) -> None:
    """One workflow id in two namespaces is two workflows; a token of one is refused in the other."""
    await w.call(w.rpc.RegisterNamespace, register(w))
    await w.start()
    task = await w.workflow_task()
    other = w.other("elsewhere")
    other.namespace = w.name
    await w.until(w.rpc.StartWorkflowExecution, other.start_request())
    request = w.completion(task, complete_workflow())
    request.namespace = other.namespace
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request, note="token of another namespace")
    await w.complete(task, complete_workflow())
    await other.turn(complete_workflow())
    activity = w.other("activity")
    await activity.start()
    await activity.turn(schedule_activity("a", activity.queue))
    token = (await activity.activity_task()).task_token
    foreign = api.RespondActivityTaskCompletedRequest(namespace=w.name, task_token=token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, foreign, note="token of another namespace")
    beat = api.RecordActivityTaskHeartbeatRequest(namespace=w.name, task_token=token)
    await w.attempt(w.rpc.RecordActivityTaskHeartbeat, beat, note="token of another namespace")
    described = api.DescribeWorkflowExecutionRequest(namespace=w.name, execution=w.execution())
    await w.attempt(w.rpc.DescribeWorkflowExecution, described, note="in the other namespace")


@scenario
async def system_info(w: Wire) -> None:
    """What the server can do."""
    await w.call(w.rpc.GetSystemInfo, api.GetSystemInfoRequest())
    await w.call(w.rpc.GetClusterInfo, api.GetClusterInfoRequest())
    await w.call(w.rpc.GetSearchAttributes, api.GetSearchAttributesRequest())


@scenario
async def worker_heartbeats(w: Wire) -> None:
    """A worker tells that it lives."""
    beat = WorkerHeartbeat(worker_instance_key=w.name, worker_identity="worker", task_queue=w.queue)
    request = api.RecordWorkerHeartbeatRequest(namespace=w.namespace, identity="worker", worker_heartbeat=[beat])
    await w.call(w.rpc.RecordWorkerHeartbeat, request)
    request.namespace = "nowhere"
    await w.attempt(w.rpc.RecordWorkerHeartbeat, request, note="unknown namespace")
