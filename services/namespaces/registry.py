"""All namespaces in memory, by name and by id, and the only way to change one."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import ReplicationState
from temporalio.api.namespace.v1 import NamespaceInfo
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceResponse,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)

from services.config import DynamicConfig, limits
from services.errors import FailedPrecondition, NamespaceAlreadyExists, NamespaceNotFound
from services.namespaces import rules
from services.namespaces.namespace import DELETED, DEPRECATED, REGISTERED, Namespace, record_of
from services.namespaces.search_attributes import IndexedValueType, with_added, with_removed
from services.persistence import NamespaceRecord, NamespaceStore, StoreError, UnknownOutcome
from services.runtime import Chance, Clock
from services.telemetry import get_logger

SYSTEM_NAMESPACE = "temporal-system"
SYSTEM_NAMESPACE_ID = "32049b68-7872-4094-8e63-d0dd59896a83"  # the reference's, too
DEFAULT_RETENTION = Duration(seconds=24 * 3600)
_PAGE = 1000
_LOOK_AGAIN_S = 0.2

_log = get_logger("namespaces")

Edit = Callable[[DescribeNamespaceResponse], DescribeNamespaceResponse]


class NamespaceRegistry:
    """Lookups cost a dictionary access. A change is written before it is seen."""

    def __init__(
        self, store: NamespaceStore, clock: Clock, chance: Chance, config: DynamicConfig, cluster: str = "active"
    ) -> None:
        self._store, self._clock, self._chance, self._config = store, clock, chance, config
        self._cluster = cluster
        self._by_id: dict[str, Namespace] = {}
        self._by_name: dict[str, Namespace] = {}
        self._look_again_at = 0.0
        self._next_look: asyncio.Future[None] | None = None

    async def load(self, ensured: Sequence[str] = ()) -> None:
        """Reads all namespaces, and creates `ensured` and the system's own when they are not there."""
        await self._read()
        if SYSTEM_NAMESPACE not in self._by_name:
            info = NamespaceInfo(
                name=SYSTEM_NAMESPACE,
                id=SYSTEM_NAMESPACE_ID,
                state=REGISTERED,
                description="Temporal internal system namespace",
                owner_email="temporal-core@temporal.io",
            )
            await self._create(info, Duration(seconds=7 * 24 * 3600))
        for name in ensured:
            if name not in self._by_name:
                info = NamespaceInfo(name=name, id=self._chance.unique_id(), state=REGISTERED)
                await self._create(info, DEFAULT_RETENTION)

    async def _create(self, info: NamespaceInfo, kept: Duration) -> None:
        unset = ReplicationState.REPLICATION_STATE_UNSPECIFIED
        try:
            await self._add(rules.description_of(info, kept, self._cluster, unset))
        except NamespaceAlreadyExists:  # another host, starting at the same time, was first
            await self._read()

    async def _read(self) -> None:
        after = ""
        while page := await self._store.list_namespaces(after, _PAGE):
            for record in page:
                if not self._is_known(record):
                    self._keep(Namespace.of(record))
            after = page[-1].namespace_id

    def _is_known(self, record: NamespaceRecord) -> bool:
        known = self._by_id.get(record.namespace_id)
        return known is not None and known.version >= record.version

    async def follow(self) -> None:
        """Sees, for as long as it runs, what other hosts change."""
        while True:
            await self._clock.sleep(self._config.get(limits.NAMESPACE_CACHE_REFRESH).total_seconds())
            try:
                await self._read()
            except (StoreError, UnknownOutcome) as error:
                _log.warning("The namespaces could not be read", error=str(error))
            except Exception:
                _log.exception("The namespaces could not be read")

    async def look_again(self) -> None:
        """For one that is not known: another host may have registered it just now. Reads at most a few times a second.

        The read begins after the call: one that was under way may have missed it. Raises what the store raises.
        """
        if self._next_look is None:
            self._next_look = asyncio.ensure_future(self._look())
        await asyncio.shield(self._next_look)

    async def _look(self) -> None:
        pause_s = self._look_again_at - self._clock.monotonic()
        if pause_s > 0:
            await self._clock.sleep(pause_s)
        self._look_again_at = self._clock.monotonic() + _LOOK_AGAIN_S
        self._next_look = None
        await self._read()

    def knows(self, namespace_id: str) -> bool:
        return namespace_id in self._by_id

    # Lookups

    def name_of(self, namespace_id: str) -> str:
        """The name a namespace is shown by; "" when it is not known."""
        found = self._by_id.get(namespace_id)
        return found.name if found is not None else ""

    def by_name(self, name: str) -> Namespace:
        """Raises NamespaceNotFound."""
        found = self._by_name.get(name)
        if found is None:
            raise NamespaceNotFound(name)
        return found

    def by_id(self, namespace_id: str) -> Namespace:
        """Raises NamespaceNotFound."""
        found = self._by_id.get(namespace_id)
        if found is None:
            raise NamespaceNotFound(namespace_id)
        return found

    async def having(self, namespace_id: str, search_attributes: Iterable[str]) -> Namespace:
        """A namespace. If it lacks one of these attributes it is read again: another host may just have added it.

        Raises NamespaceNotFound, and what the store raises.
        """
        known = self._by_id.get(namespace_id)
        if known is None or any(name not in known.search_attribute_types for name in search_attributes):
            await self.look_again()
        return self.by_id(namespace_id)

    # Reads of the store: what somebody asks for who may have changed it on another host just now.

    async def read(self, *, name: str = "", namespace_id: str = "") -> Namespace:
        """Raises NamespaceNotFound, and what the store raises."""
        record = await self._stored(name, namespace_id)
        return self._keep(Namespace.of(record))

    async def _stored(self, name: str, namespace_id: str) -> NamespaceRecord:
        record = await self._store.read_namespace(namespace_id=namespace_id, name=name)
        if record is None:
            raise NamespaceNotFound(name or namespace_id)
        return record

    async def page(self, after_id: str, size: int, *, include_deleted: bool) -> tuple[Sequence[Namespace], str]:
        """Up to `size` namespaces by id, and the id to go on after ("" at the end). Raises what the store raises."""
        found: list[Namespace] = []
        while len(found) <= size and (records := await self._store.list_namespaces(after_id, min(size + 1, _PAGE))):
            after_id = records[-1].namespace_id
            read = [self._keep(Namespace.of(record)) for record in records]
            found += [each for each in read if include_deleted or each.state != DELETED]
        return found[:size], found[size - 1].id if len(found) > size else ""

    # Changes

    async def register(self, request: RegisterNamespaceRequest) -> Namespace:
        """Raises InvalidArgument, NamespaceAlreadyExists."""
        described = rules.registered(
            request,
            namespace_id=self._chance.unique_id(),
            cluster=self._cluster,
            retention_s_min=self._retention_s_min,
        )
        return await self._add(described)

    async def update(self, request: UpdateNamespaceRequest) -> Namespace:
        """Raises InvalidArgument, NamespaceNotFound."""
        return await self._change(
            lambda current: rules.updated(
                current,
                request,
                cluster=self._cluster,
                retention_s_min=self._retention_s_min,
                bad_binaries_max=self._config.get(limits.MAX_BAD_BINARIES, request.namespace),
                now_ns=self._clock.now_ns(),
            ),
            name=request.namespace,
        )

    async def deprecate(self, name: str) -> None:
        def edit(current: DescribeNamespaceResponse) -> DescribeNamespaceResponse:
            current.namespace_info.state = DEPRECATED
            return current

        await self._change(edit, name=name)

    async def delete(self, namespace: Namespace) -> Namespace:
        """Marks it deleted under a name nobody else wants, so that its own is free at once."""
        if namespace.name == SYSTEM_NAMESPACE:
            raise FailedPrecondition("unable to delete system namespace")

        def edit(current: DescribeNamespaceResponse) -> DescribeNamespaceResponse:
            info = current.namespace_info
            if info.state != DELETED:
                info.name = f"{info.name}-deleted-{info.id[:5]}"
                info.state = DELETED
            return current

        return await self._change(edit, namespace_id=namespace.id)

    async def add_search_attributes(self, name: str, wanted: Mapping[str, IndexedValueType]) -> None:
        """Raises InvalidArgument: a reserved name, or no field of the type is free."""
        await self._change_aliases(name, lambda aliases: with_added(aliases, wanted))

    async def remove_search_attributes(self, name: str, unwanted: Iterable[str]) -> None:
        """Raises InvalidArgument for attributes that are not custom."""
        await self._change_aliases(name, lambda aliases: with_removed(aliases, unwanted))

    async def _change_aliases(self, name: str, change: Callable[[Mapping[str, str]], dict[str, str]]) -> None:
        def edit(current: DescribeNamespaceResponse) -> DescribeNamespaceResponse:
            aliases = change(dict(current.config.custom_search_attribute_aliases))
            current.config.custom_search_attribute_aliases.clear()
            current.config.custom_search_attribute_aliases.update(aliases)
            return current

        await self._change(edit, name=name)

    @property
    def _retention_s_min(self) -> float:
        return self._config.get(limits.MIN_RETENTION_LOCAL).total_seconds()

    async def _add(self, described: DescribeNamespaceResponse) -> Namespace:
        record = record_of(described, version=1)
        if not await self._store.create_namespace(record):
            raise NamespaceAlreadyExists(f'Namespace "{record.name}" already exists')
        return self._keep(Namespace.of(record))

    async def _change(self, edit: Edit, *, name: str = "", namespace_id: str = "") -> Namespace:
        """Applies `edit` to the stored record, again when another change came in between."""
        while True:
            stored = await self._stored(name, namespace_id)
            edited = edit(DescribeNamespaceResponse.FromString(stored.blob))
            record = record_of(edited, stored.version + 1)
            if await self._store.update_namespace(record):
                return self._keep(Namespace.of(record))

    def _keep(self, namespace: Namespace) -> Namespace:
        before = self._by_id.get(namespace.id)
        if before is not None and before.version >= namespace.version:
            return namespace  # a later change was written meanwhile
        if before is not None and before.name != namespace.name and self._by_name[before.name] is before:
            del self._by_name[before.name]  # else another has been given the name
        self._by_id[namespace.id] = self._by_name[namespace.name] = namespace
        return namespace
