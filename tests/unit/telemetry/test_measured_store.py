"""A store under measurement: names, namespaces, refusals; and that no method is left out."""

import inspect
from collections.abc import AsyncIterator

import pytest

from services.persistence import Store, StoreError
from services.persistence.measured import (
    ACCESSES,
    ERROR_WITH_TYPE,
    ERRORS,
    LATENCY,
    LIST_REQUESTS,
    REQUESTS,
    measured,
    name_namespaces,
)
from services.persistence.sqlite import open_sqlite
from services.runtime import SystemClock
from tests.store.builders import NAMESPACE, start_of

SERVICES = ("frontend", "history", "matching")


@pytest.fixture
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    opened = measured(await open_sqlite(None), SystemClock(), SERVICES)
    name_namespaces(opened, lambda namespace_id: request.node.name if namespace_id == NAMESPACE else "")
    yield opened
    await opened.close()


def shown(operation: str, namespace: str, service: str = "history") -> dict[str, str]:
    return {"operation": operation, "namespace": namespace, "service_name": service}


def test_every_access_has_a_name() -> None:
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    assert methods - {"close"} == ACCESSES.keys()


async def test_a_start_and_what_follows_have_names_of_their_own(store: Store, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    shard = await store.acquire_shard(1, "me")
    await store.commit(start_of(shard, "w", "r", 1))
    assert REQUESTS.bind(**shown("CreateWorkflowExecution", name)).value == 1
    assert sum(LATENCY.bind(**shown("CreateWorkflowExecution", name)).counts) == 1
    assert REQUESTS.bind(**shown("UpdateWorkflowExecution", name)).value == 0


async def test_a_refused_write_and_a_fruitless_read_are_errors_by_type_alone(
    store: Store, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    first = await store.acquire_shard(1, "me")
    await store.acquire_shard(1, "somebody else")
    await store.commit(start_of(first, "w", "r", 1))
    assert await store.read_current(1, NAMESPACE, "nobody") is None
    created, read = shown("CreateWorkflowExecution", name), shown("GetCurrentExecution", name)
    assert ERROR_WITH_TYPE.bind(**created, error_type="persistence_ShardOwnershipLostError").value == 1
    assert ERROR_WITH_TYPE.bind(**read, error_type="serviceerror_NotFound").value == 1
    assert ERRORS.bind(**created).value == ERRORS.bind(**read).value == 0


async def test_a_store_that_fails_is_counted_as_failing() -> None:
    class Failing:
        def __getattr__(self, _name: str) -> object:
            async def fail(*_: object, **__: object) -> None:
                raise StoreError("no")

            return fail

    failing: object = Failing()
    store = measured(failing, SystemClock(), ("worker",))  # type: ignore[arg-type]  # it has every method
    with pytest.raises(StoreError):
        await store.read_namespace(name="any")
    labels = shown("GetNamespace", "system", "worker")
    assert ERRORS.bind(**labels).value == 1
    assert ERROR_WITH_TYPE.bind(**labels, error_type="persistence_StoreError").value == 1


async def test_lists_are_counted_apart(store: Store) -> None:
    labels = {
        "operation": "ListWorkflowExecutions",
        "service_name": "frontend",
        "visibility_plugin_name": "sqlite",
        "visibility_index_name": "",
    }
    before = LIST_REQUESTS.bind(**labels).value
    await store.list_visibility(NAMESPACE, "", {}, 10, b"")
    assert LIST_REQUESTS.bind(**labels).value == before + 1
