"""What a dynamic setting is: a key, a default that gives its type, and the constraints its values may carry."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

from services.config.duration import parse_duration

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Constraints:
    """For whom a value holds. An empty field means for all."""

    namespace: str = ""
    namespace_id: str = ""
    task_queue: str = ""
    task_type: int = 0  # temporal.api.enums.v1.TaskQueueType
    shard_id: int = 0
    history_task_type: str = ""
    destination: str = ""


EVERYONE = Constraints()


class Scope(Enum):
    """Which constraints a setting's values may carry: sets of constrained fields, the most specific first."""

    GLOBAL = ("Global", ((),))
    NAMESPACE = ("Namespace", (("namespace",), ()))
    NAMESPACE_ID = ("NamespaceID", (("namespace_id",), ()))
    TASK_QUEUE = (
        "TaskQueue",
        (("namespace", "task_queue", "task_type"), ("namespace", "task_queue"), ("task_queue",), ("namespace",), ()),
    )
    SHARD_ID = ("ShardID", (("shard_id",), ()))
    TASK_TYPE = ("TaskType", (("history_task_type",), ()))
    DESTINATION = ("Destination", (("namespace", "destination"), ("destination",), ("namespace",), ()))

    def __init__(self, title: str, precedence: tuple[tuple[str, ...], ...]) -> None:
        self.title, self.precedence = title, precedence

    def candidates(self, given: Constraints) -> list[Constraints]:
        """The constraints under which a value would apply to `given`, in the order in which they are tried."""
        return [
            Constraints(**{name: getattr(given, name) for name in names})
            for names in self.precedence
            if all(getattr(given, name) for name in names)
        ]

    def allows(self, constraints: Constraints) -> bool:
        """False when a value under these constraints could never be found."""
        constrained = {item.name for item in fields(Constraints) if getattr(constraints, item.name)}
        return any(constrained == set(names) for names in self.precedence)


@dataclass(frozen=True, slots=True, eq=False)  # one object per key, so identity is enough and cheap to hash
class Setting(Generic[T]):
    """One dynamic setting. `convert` reads a value from the file, by default into the type of `default`."""

    key: str
    default: T
    scope: Scope = Scope.GLOBAL
    convert: Callable[[Any], T] | None = None

    def parse(self, value: Any) -> T:
        """The value as this setting's type. ValueError, saying what was expected, when it is none."""
        if self.convert is not None:
            return self.convert(value)
        return cast("T", _CONVERSIONS[type(self.default)](value))


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("true or false")


def _as_int(value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    raise ValueError("a whole number")


def _as_float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("a number")


def _as_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("a string")


def _as_duration(value: Any) -> timedelta:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return parse_duration(str(value))
        except ValueError:
            pass
    raise ValueError("a duration such as 10s, or a number of seconds")


def _as_mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError("a mapping")


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    bool: _as_bool,
    int: _as_int,
    float: _as_float,
    str: _as_str,
    timedelta: _as_duration,
    dict: _as_mapping,
}
_BY_TITLE: dict[str, Callable[[Any], Any]] = {
    "Bool": _as_bool,
    "IDBool": _as_bool,
    "Int": _as_int,
    "Float": _as_float,
    "String": _as_str,
    "Duration": _as_duration,
    "IDDuration": _as_duration,
    "Map": _as_mapping,
    "Typed": lambda value: value,
}


class KnownKey(NamedTuple):
    """A key of the reference server, whether or not Perdure acts on it."""

    key: str
    scope: str
    kind: str

    def check(self, value: Any) -> None:
        """ValueError, saying what was expected, when `value` is not of the key's type."""
        _BY_TITLE[self.kind](value)


@cache
def known_keys() -> dict[str, KnownKey]:
    """The reference server's dynamic configuration keys, by lower-case key."""
    lines = Path(__file__).with_name("dynamic_keys.txt").read_text(encoding="utf-8").splitlines()
    known = [KnownKey(*line.split()) for line in lines if line]
    return {entry.key.lower(): entry for entry in known}
