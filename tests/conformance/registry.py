"""Scenarios by name. Adding one is writing one decorated function in a module of `scenarios/`."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.conformance.wire import Wire

Body = Callable[[Wire], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """One story told to a server. Its name is also the prefix of every id it uses, so scenarios run side by side."""

    name: str
    subject: str
    body: Body
    tight: bool = False  # told to servers whose limits are low enough to reach


_registered: dict[str, Scenario] = {}


def scenario(body: Body) -> Body:
    """Register a scenario under its function's name; two of one name are a mistake."""
    return _register(body, tight=False)


def tight_scenario(body: Body) -> Body:
    """The same for servers with the limits of `servers.TIGHT_CONFIG`."""
    return _register(body, tight=True)


def _register(body: Body, *, tight: bool) -> Body:
    name = getattr(body, "__name__", "")
    if name in _registered:
        raise ValueError(f"two scenarios are called {name}")
    _registered[name] = Scenario(name, body.__module__.rpartition(".")[2], body, tight)
    return body


def all_scenarios() -> dict[str, Scenario]:
    """Every scenario of the package `scenarios`, in the order of subject and definition."""
    from tests.conformance import scenarios

    for module in pkgutil.iter_modules(scenarios.__path__, scenarios.__name__ + "."):
        importlib.import_module(module.name)
    return dict(_registered)
