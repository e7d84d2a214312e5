"""The carrier inside one process: a client that is the service itself, which may be built later than those who hold it.

history, matching = Late[HistoryClient](), ...
matching_service = MatchingService(store, history.client(), ...)
history.bind(HistoryService(store, matching_service, ...))
"""

from typing import Any, Generic, TypeVar, cast

C = TypeVar("C")


class Late(Generic[C]):
    """Stands for a client until the service behind it is built. AttributeError when it is called before `bind`."""

    def __init__(self) -> None:
        self._stand_in = _StandIn()

    def client(self) -> C:
        return cast("C", self._stand_in)

    def bind(self, service: C) -> None:
        object.__setattr__(self._stand_in, "_service", service)


class _StandIn:
    def __getattr__(self, name: str) -> Any:
        service = self.__dict__.get("_service")
        if service is None:
            raise AttributeError(f"{name!r} was called before the service it belongs to was built")
        # Kept, so that every later call finds it at once.
        found = self.__dict__[name] = getattr(service, name)
        return found
