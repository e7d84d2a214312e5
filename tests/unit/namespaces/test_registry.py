"""Namespaces from registration to deletion, on a real store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.namespace.v1 import BadBinaries, BadBinaryInfo, NamespaceConfig, UpdateNamespaceInfo
from temporalio.api.replication.v1 import ClusterReplicationConfig, NamespaceReplicationConfig

from services.config import DynamicConfig
from services.errors import FailedPrecondition, InvalidArgument, NamespaceAlreadyExists, NamespaceNotFound
from services.namespaces import SYSTEM_NAMESPACE, IndexedValueType, NamespaceRegistry
from services.persistence import Store
from services.persistence.sqlite import open_sqlite
from services.runtime import SystemChance, SystemClock

DAY = Duration(seconds=86400)
TEXT, KEYWORD, INT = (cast(IndexedValueType, number) for number in (1, 2, 3))
Register = api.RegisterNamespaceRequest
Update = api.UpdateNamespaceRequest


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_sqlite(None)
    yield store
    await store.close()


async def registry_on(store: Store) -> NamespaceRegistry:
    registry = NamespaceRegistry(store, SystemClock(), SystemChance(), DynamicConfig(env={}))
    await registry.load(("default",))
    return registry


@pytest.fixture
async def registry(store: Store) -> NamespaceRegistry:
    return await registry_on(store)


def register(name: str, **fields: Any) -> Register:
    return Register(**{"namespace": name, "workflow_execution_retention_period": DAY, **fields})


async def test_a_namespace_is_found_by_name_and_id_also_by_the_next_process(
    store: Store, registry: NamespaceRegistry
) -> None:
    made = await registry.register(register("tea", description="A place", data={"one": "1"}))
    for each in (registry, await registry_on(store)):
        found = each.by_name("tea")
        assert each.by_id(made.id) is found
        assert found.retention_ns == 86400 * 10**9
        assert found.description.namespace_info.description == "A place"
        assert each.by_name("default").id == registry.by_name("default").id
        assert each.by_name(SYSTEM_NAMESPACE).retention_ns == 7 * 86400 * 10**9


async def test_a_name_is_taken_once(store: Store, registry: NamespaceRegistry) -> None:
    elsewhere = await registry_on(store)
    await registry.register(register("tea"))
    for each in (registry, elsewhere):  # the second does not know of it yet; the store does
        with pytest.raises(NamespaceAlreadyExists, match=r'^Namespace "tea" already exists$'):
            await each.register(register("tea"))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"workflow_execution_retention_period": None}, "A valid retention period is not set on request."),
        (
            {"workflow_execution_retention_period": Duration(seconds=3599)},
            "A valid retention period is not set on request.",
        ),
        (
            {"workflow_execution_retention_period": Duration(seconds=-1)},
            "A valid retention period is not set on request.",
        ),
        ({"is_global_namespace": True}, "Cannot register global namespace when not enabled"),
        ({"active_cluster_name": "elsewhere"}, "Invalid cluster name: elsewhere"),
        ({"clusters": [ClusterReplicationConfig(cluster_name="elsewhere")]}, "Invalid cluster name: elsewhere"),
    ],
)
async def test_a_bad_registration_is_told_why(registry: NamespaceRegistry, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await registry.register(register("tea", **fields))
    assert refused.value.message == text
    with pytest.raises(NamespaceNotFound):
        registry.by_name("tea")


async def test_retention_is_cut_to_a_century(registry: NamespaceRegistry) -> None:
    made = await registry.register(register("tea", workflow_execution_retention_period=Duration(seconds=10**11)))
    assert made.retention_ns == 100 * 365 * 86400 * 10**9


async def test_an_update_is_laid_over_what_was_there(registry: NamespaceRegistry) -> None:
    await registry.register(register("tea", description="A place", owner_email="me", data={"one": "1", "two": "2"}))
    info = UpdateNamespaceInfo(description="Another", data={"two": "zwei"})
    await registry.update(Update(namespace="tea", update_info=info))
    config = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=7200))
    await registry.update(Update(namespace="tea", config=config))
    found = registry.by_name("tea")
    kept = found.description.namespace_info
    assert (kept.description, kept.owner_email) == ("Another", "me")
    assert dict(kept.data) == {"one": "1", "two": "zwei"}
    assert found.retention_ns == 7200 * 10**9


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"config": NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=60))},
            "A valid retention period is not set on request.",
        ),
        (
            {"promote_namespace": True},
            "global namespace is not enabled on this cluster, cannot update global namespace or promote local"
            " namespace: default",
        ),
        ({"delete_bad_binary": "x"}, "Bad binary checksum x doesn't exists."),
        (
            {"replication_config": NamespaceReplicationConfig(active_cluster_name="other")},
            "Invalid cluster name: other",
        ),
        (
            {"config": NamespaceConfig(custom_search_attribute_aliases={"Keyword01": "Another"})},
            "Custom search attribute field name already allocated.",
        ),
    ],
)
async def test_a_bad_update_is_told_why_and_changes_nothing(
    registry: NamespaceRegistry, fields: dict[str, Any], text: str
) -> None:
    await registry.add_search_attributes("default", {"Shade": KEYWORD})
    before = registry.by_name("default")
    with pytest.raises(InvalidArgument) as refused:
        await registry.update(Update(namespace="default", **fields))
    assert refused.value.message == text
    assert registry.by_name("default") is before


async def test_bad_binaries_are_dated_and_counted(registry: NamespaceRegistry) -> None:
    binaries = {f"sum-{number}": BadBinaryInfo(reason="broken") for number in range(11)}
    first = BadBinaries(binaries={"sum-0": binaries["sum-0"]})
    await registry.update(Update(namespace="default", config=NamespaceConfig(bad_binaries=first)))
    kept = registry.by_name("default").description.config.bad_binaries.binaries
    assert kept["sum-0"].create_time.seconds > 0
    config = NamespaceConfig(bad_binaries=BadBinaries(binaries=binaries))
    with pytest.raises(InvalidArgument, match="Total resetBinaries cannot exceed the max limit: 10"):
        await registry.update(Update(namespace="default", config=config))


async def test_changes_at_once_are_all_kept(store: Store, registry: NamespaceRegistry) -> None:
    elsewhere = await registry_on(store)

    def change(number: int) -> Update:
        return Update(namespace="default", update_info=UpdateNamespaceInfo(data={f"key-{number}": "x"}))

    await asyncio.gather(*(each.update(change(n)) for n, each in enumerate([registry, elsewhere] * 4)))
    afterwards = await registry_on(store)
    assert len(afterwards.by_name("default").description.namespace_info.data) == 8


async def test_a_deleted_namespace_leaves_its_name(store: Store, registry: NamespaceRegistry) -> None:
    before = await registry.register(register("tea"))
    deleted = await registry.delete(before)
    assert deleted.name == f"tea-deleted-{before.id[:5]}"
    assert deleted.state == NamespaceState.NAMESPACE_STATE_DELETED
    again = await registry.register(register("tea"))
    assert again.id != before.id
    for each in (registry, await registry_on(store)):
        assert each.by_id(before.id).name == each.by_name(deleted.name).name == deleted.name
        assert each.by_name("tea").id == again.id
    with pytest.raises(FailedPrecondition, match="unable to delete system namespace"):
        await registry.delete(registry.by_name(SYSTEM_NAMESPACE))


async def test_pages_lead_through_all_namespaces(registry: NamespaceRegistry) -> None:
    for number in range(5):
        await registry.register(register(f"tea-{number}"))
    await registry.delete(registry.by_name("tea-0"))
    for include_deleted, count in ((False, 6), (True, 7)):
        names: list[str] = []
        after = ""
        while True:
            page, after = await registry.page(after, 2, include_deleted=include_deleted)
            assert len(page) <= 2
            names += [each.name for each in page]
            if not after:
                break
        assert len(names) == len(set(names)) == count


# Search attributes


async def test_attributes_take_a_field_of_their_type_and_give_it_back(registry: NamespaceRegistry) -> None:
    await registry.add_search_attributes("default", {"Shade": KEYWORD, "Weight": INT})
    await registry.add_search_attributes("default", {"Shade": TEXT})  # it has a field already
    namespace = registry.by_name("default")
    assert namespace.custom_search_attributes == {"Shade": KEYWORD, "Weight": INT}
    assert namespace.search_attribute_types["WorkflowId"] == KEYWORD
    assert dict(namespace.description.config.custom_search_attribute_aliases) == {
        "Keyword01": "Shade",
        "Int01": "Weight",
    }
    await registry.remove_search_attributes("default", ["Shade", "Unheard"])
    assert registry.by_name("default").custom_search_attributes == {"Weight": INT}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"WorkflowId": 2}, "Search attribute WorkflowId is reserved by system."),
        ({"TemporalTea": 2}, "Search attribute TemporalTea is reserved by system."),
        ({"Tea": 77}, "Unknown search attribute type: 77."),
        (
            {"Tea": 0},
            "Unable to create search attributes: cannot have more than 0 search attribute of type Unspecified.",
        ),
        (
            {f"Tea{number}": 3 for number in range(4)},
            "Unable to create search attributes: cannot have more than 3 search attribute of type Int.",
        ),
    ],
)
async def test_a_bad_attribute_is_told_why(registry: NamespaceRegistry, wanted: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await registry.add_search_attributes("default", cast(Any, wanted))
    assert refused.value.message == text
    assert registry.by_name("default").custom_search_attributes == {}


async def test_attributes_of_the_system_stay(registry: NamespaceRegistry) -> None:
    with pytest.raises(InvalidArgument, match="Unable to remove non-custom search attributes: BuildIds"):
        await registry.remove_search_attributes("default", ["BuildIds"])
