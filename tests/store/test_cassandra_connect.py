"""What the driver raises while it connects, as the store's errors."""

from typing import Any

import pytest
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut, ReadTimeout  # type: ignore[import-untyped]  # no stubs
from cassandra.cluster import Cluster, NoHostAvailable  # type: ignore[import-untyped]  # no stubs
from cassandra.connection import ConnectionShutdown  # type: ignore[import-untyped]  # no stubs

from services.config import Cassandra as Section
from services.persistence import StoreError, StoreUnavailable
from services.persistence.cassandra import open_cassandra
from services.persistence.cassandra.client import as_store_error

SECTION = Section(hosts="127.0.0.1", port=1, keyspace="perdure")
LOST = NoHostAvailable("Unable to connect to any servers", ["127.0.0.1"])  # the node went after it had let us in
DEAD = NoHostAvailable("Unable to connect to any servers", {"127.0.0.1:1": ConnectionRefusedError("refused")})
REFUSED = NoHostAvailable("Unable to connect to any servers", {"127.0.0.1:1": AuthenticationFailed("password")})


@pytest.mark.parametrize(
    ("raised", "kind"), [(LOST, StoreUnavailable), (DEAD, StoreUnavailable), (REFUSED, StoreError)]
)
async def test_who_is_not_let_in_knows_whether_to_wait(
    raised: Exception, kind: type[StoreError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(_cluster: object) -> Any:
        raise raised

    monkeypatch.setattr(Cluster, "connect", connect)
    with pytest.raises(StoreError, match=r"^cassandra 127\.0\.0\.1:1, keyspace perdure: ") as told:
        await open_cassandra(SECTION)
    assert type(told.value) is kind


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ReadTimeout("the node has only just started"), StoreUnavailable),
        (OperationTimedOut(), StoreUnavailable),
        (ConnectionShutdown("reset by peer"), StoreUnavailable),
        (InvalidRequest("no such table"), StoreError),
    ],
)
def test_what_a_statement_meets_says_whether_to_wait(raised: Exception, kind: type[StoreError]) -> None:
    assert type(as_store_error(raised)) is kind
