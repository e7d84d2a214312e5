"""Services that hold one another inside one process."""

from typing import Protocol

import pytest

from services.rpc.direct import Late


class Greeter(Protocol):
    def greet(self, name: str) -> str: ...


class English:
    def greet(self, name: str) -> str:
        return f"Hello {name}"


def test_a_client_given_away_early_is_the_service_built_late() -> None:
    late = Late[Greeter]()
    client = late.client()
    with pytest.raises(AttributeError, match="'greet' was called before the service it belongs to was built"):
        client.greet("you")
    late.bind(English())
    assert client.greet("you") == client.greet("you") == "Hello you"
