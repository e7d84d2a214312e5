"""A client made of a table of methods and one function: how routing, checks and the network stand before a service."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from services.rpc.call import Call
from services.rpc.wire import Wire

Send = Callable[[Wire, Call, Any], Awaitable[Any]]


def stand_in(table: Mapping[str, Wire], send: Send) -> Any:
    """A client of the interface that `table` lists, each of whose methods is `send(method, call, request)`."""
    stand = _StandIn()
    for name, wire in table.items():
        setattr(stand, name, _method(wire, send))
    return stand


def ask(service: object) -> Send:
    """The way back: a `send` that calls the service itself."""

    def send(wire: Wire, call: Call, request: Any) -> Awaitable[Any]:
        return cast("Awaitable[Any]", getattr(service, wire.name)(call, request))

    return send


class _StandIn:
    """Holds the methods."""


def _method(wire: Wire, send: Send) -> Callable[[Call, Any], Awaitable[Any]]:
    def method(call: Call, request: Any) -> Awaitable[Any]:
        return send(wire, call, request)

    return method
