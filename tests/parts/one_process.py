"""All services in one process on a store that is a server: the smallest deployment that survives its machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.parts.cluster import ALL, TEMPLATE, Host, StoreName, datastore, set_up_schema, store_part
from tests.processes import free_port


class OneProcess:
    """The store and the server on it. Killed and started again, both keep their ports and their data."""

    def __init__(
        self, directory: Path, store: StoreName, settings: Mapping[str, str] = {}, *, durable: bool = False
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.store = store_part(directory, store, durable=durable)
        config, dynamic_config = directory / "perdure.yaml", directory / "dynamic.yaml"
        dynamic_config.touch()
        template = re.sub(r"    zookeeper:\n(      .*\n)+", "", TEMPLATE.read_text())
        config.write_text(template.replace("${DATASTORE}", datastore(store, self.store)))
        self.host = Host(
            directory,
            "perdure",
            ALL,
            {"CONFIG": str(config), "DYNAMIC_CONFIG": str(dynamic_config), "NUM_HISTORY_SHARDS": "64", **settings},
            free_port(),
        )

    def start(self) -> None:
        """Returns when it serves."""
        self.store.start()
        set_up_schema(self.host)
        self.host.start()
        self.host.wait_until_serving()

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

    @property
    def address(self) -> str:
        return self.host.address

    def kill(self) -> None:
        """Both at once, with SIGKILL."""
        self.host.kill()
        self.store.kill()
