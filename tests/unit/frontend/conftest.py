"""The frontend's table of methods over services that record what reaches them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from google.protobuf.message import Message

from services.config import DynamicConfig
from services.frontend import Backends, ClusterFacts, methods
from services.frontend.table import OPERATOR_SERVICE, WORKFLOW_SERVICE
from services.namespaces import IndexedValueType, Namespace, NamespaceRegistry
from services.persistence import Store
from services.persistence.sqlite import open_sqlite
from services.rpc import Call
from services.rpc.server import Method
from services.runtime import SystemChance, SystemClock

KEYWORD, INT = cast(IndexedValueType, 2), cast(IndexedValueType, 3)


class Recorder:
    """A client of any service: keeps every request, and answers with (or raises) what a test laid ready, else None."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        async def record(_call: Call, *arguments: Any) -> Any:
            self.requests.append((name, arguments[0] if len(arguments) == 1 else arguments))
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return record

    def only(self, name: str) -> Any:
        """The one request that came in, which is for `name`."""
        assert [each for each, _ in self.requests] == [name]
        return self.requests[0][1]


@dataclass
class Desk:
    """Calls the frontend as its server does: the namespace first, then the handler."""

    table: dict[str, Method]
    namespaces: NamespaceRegistry
    store: Store
    history: Recorder = field(default_factory=Recorder)
    matching: Recorder = field(default_factory=Recorder)
    clock: SystemClock = field(default_factory=SystemClock)

    async def elsewhere(self) -> NamespaceRegistry:
        """Another host's."""
        registry = NamespaceRegistry(self.store, self.clock, SystemChance(), DynamicConfig(env={}))
        await registry.load()
        return registry

    @property
    def default(self) -> Namespace:
        return self.namespaces.by_name("default")

    async def ask(self, request: Message, *, deadline_s: float | None = 60.0) -> Any:
        operator = type(request).__module__.startswith("temporalio.api.operatorservice")
        service = OPERATOR_SERVICE if operator else WORKFLOW_SERVICE
        method = self.table[f"/{service}/{type(request).__name__.removesuffix('Request')}"]
        sent = method.request.FromString(request.SerializeToString())  # handlers may write into what they are given
        name, namespace_id = method.about(sent)
        deadline = None if deadline_s is None else self.clock.monotonic() + deadline_s
        return await method.answer(Call(namespace=name, namespace_id=namespace_id, deadline=deadline), sent)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    store = await open_sqlite(None)
    clock, chance, config = SystemClock(), SystemChance(), DynamicConfig(env={})
    namespaces = NamespaceRegistry(store, clock, chance, config)
    await namespaces.load(("default", "other"))
    await namespaces.add_search_attributes("default", {"Shade": KEYWORD, "Weight": INT})
    history, matching = Recorder(), Recorder()
    backends = Backends(
        history=cast(Any, history),
        matching=cast(Any, matching),
        namespaces=namespaces,
        visibility=store,
        config=config,
        clock=clock,
        chance=chance,
        cluster=ClusterFacts(cluster_id="cluster", shard_count=4, store_name="sqlite", visibility_store_name="sqlite"),
    )
    yield Desk(methods(backends), namespaces, store, history, matching, clock)
    await store.close()
