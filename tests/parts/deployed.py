"""The server under test by the name that `PERDURE_TEST_SERVER` gives it, for tests that the official clients run.

`cluster` is every service in processes of its own on PostgreSQL (`cluster-cassandra`, `cluster-mysql`); the name of a
store alone is one process on it; all other names are those of `tests.processes`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast, get_args

import grpc
import yaml
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, OperatorServiceStub

from tests.parts.cluster import Cluster, Host, StoreName
from tests.parts.one_process import OneProcess
from tests.processes import Server, server_executable, server_under_test

STORES: tuple[StoreName, ...] = get_args(StoreName)
DEPLOYMENTS = ("cluster", *(f"cluster-{store}" for store in STORES), *STORES)
SHAPE = {"frontend": 2, "history": 3, "matching": 2}
# As on the dev server: tests look at lists again and again until they show what they wait for.
DYNAMIC_CONFIG: Mapping[str, Any] = {"frontend.namespaceRPS.visibility": 1000}
ADD_SECONDS_MAX = 10.0


class Deployed:
    """A deployment with the face of a dev server. Killed and started again, it keeps its addresses and its data."""

    def __init__(
        self,
        directory: Path,
        name: str,
        search_attributes: Mapping[str, str] = {},
        dynamic_config: Mapping[str, Any] = {},
    ) -> None:
        settings = {"NUM_HISTORY_SHARDS": "64", "LOG_LEVEL": "warn"}
        self._parts: Cluster | OneProcess
        if name in STORES:
            self._parts = OneProcess(directory, name, settings)
            frontends = [self._parts.host]
        else:
            store = cast(StoreName, name.removeprefix("cluster").removeprefix("-") or "postgresql")
            self._parts = Cluster(directory, store=store, shape=SHAPE, settings=settings)
            frontends = self._parts.of("frontend")
        self.addresses = [host.address for host in frontends]
        self._in_turn = itertools.cycle(self.addresses)
        self._search_attributes = search_attributes
        values = {**DYNAMIC_CONFIG, **dynamic_config}
        text = yaml.safe_dump({key: [{"value": value}] for key, value in values.items()})
        (directory / "dynamic.yaml").write_text(text)

    @property
    def address(self) -> str:
        """Of the next frontend: what was done on one is asked of another."""
        return next(self._in_turn)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when every host serves, and the search attributes are there."""
        self._parts.start()
        if self._search_attributes:
            types = {
                name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
                for name, kind in self._search_attributes.items()
            }
            with grpc.insecure_channel(self.address) as channel:
                request = AddSearchAttributesRequest(namespace="default", search_attributes=types)
                OperatorServiceStub(channel).AddSearchAttributes(request, timeout=ADD_SECONDS_MAX)

    def kill(self) -> None:
        self._parts.kill()

    def check_alive(self) -> None:
        """Raise ProcessDiedError if a host ended by itself."""
        for host in self._hosts:
            host.check_alive()

    def output(self) -> str:
        """What the hosts said, from the level of warnings on."""
        return "".join(host.output() for host in self._hosts)

    @property
    def _hosts(self) -> list[Host]:
        return self._parts.hosts if isinstance(self._parts, Cluster) else [self._parts.host]


Serving = Server | Deployed


def deployed(
    directory: Path,
    name: str = "",
    *,
    search_attributes: Mapping[str, str] = {},
    dynamic_config: Mapping[str, Any] = {},
    in_memory: bool = False,
) -> Serving:
    """The server of this name, or the one under test; not started yet, and quiet but for warnings.

    `in_memory` is for those that can be; it makes the official one quicker.
    """
    name = name or server_under_test()
    if name in DEPLOYMENTS:
        return Deployed(directory, name, search_attributes, dynamic_config)
    flags = ["--log-level", "warn", "--log-format", "json"]
    for attribute, kind in search_attributes.items():
        flags += ["--search-attribute", f"{attribute}={kind}"]
    for key, value in dynamic_config.items():
        flags += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
    return Server(directory, executable=server_executable(name), flags=tuple(flags), in_memory=in_memory)


def is_ours() -> bool:
    """Whether the server under test is Perdure, deployed in one way or another."""
    return server_under_test() in {"perdure", *DEPLOYMENTS}
