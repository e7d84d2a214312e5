"""Dynamic configuration: settings that may change while the server runs, in the reference server's file format.

limit.blobSize.error:
  - value: 4194304
    constraints: {namespace: "reports"}
  - value: 2097152
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from services.config.document import Document
from services.config.errors import ConfigError, nearest
from services.config.settings import EVERYONE, Constraints, Scope, Setting, known_keys
from services.telemetry import get_logger

T = TypeVar("T")
Values = dict[str, list[tuple[Constraints, Any]]]  # by lower-case key, in the order of the file

_log = get_logger("dynamic-config")
_ABSENT: Final = object()
_RESOLVED_MAX = 50_000  # sticky queues have names nobody uses twice; past this, start anew
_TASK_TYPES = {"workflow": 1, "activity": 2, "nexus": 3}
_CONSTRAINT_FIELDS = {
    "namespace": "namespace",
    "namespaceid": "namespace_id",
    "taskqueuename": "task_queue",
    "tasktype": "task_type",
    "shardid": "shard_id",
    "historytasktype": "history_task_type",
    "destination": "destination",
}


class DynamicConfig:
    """The values in force: `overrides` first, then the file's, then each setting's default."""

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Read the file at `path`. ConfigError when it or an override is bad: a server does not start on a guess."""
        self._path = None if path is None else Path(path)
        self._env = os.environ if env is None else env
        self._overrides: Values = {}
        for key, value in (overrides or {}).items():
            _check(key, value, "")
            self._overrides[key.lower()] = [(EVERYONE, value)]
        self._stamp: tuple[int, int, int] | None = None
        self._values: Values = {}
        self._flat: dict[Setting[Any], Any] = {}
        self._resolved: dict[tuple[Any, ...], Any] = {}
        self.version = 0
        """Grows with every change: what was derived from settings is as old as the version it was derived at."""
        if self._path is not None:
            self._stamp = _stamp_of(self._path)
        self._install({} if self._path is None else read(self._path, self._env))

    def get(
        self,
        setting: Setting[T],
        namespace: str = "",
        task_queue: str = "",
        task_type: int = 0,
        shard_id: int = 0,
        destination: str = "",
    ) -> T:
        """The value of `setting` for these constraints, the most specific first. Costs one dictionary look-up."""
        value = self._flat.get(setting, _ABSENT)
        if value is not _ABSENT:
            return value  # type: ignore[no-any-return]  # was checked when it was read
        key = (setting, namespace, task_queue, task_type, shard_id, destination)
        value = self._resolved.get(key, _ABSENT)
        if value is _ABSENT:
            given = Constraints(
                namespace=namespace,
                task_queue=task_queue,
                task_type=task_type,
                shard_id=shard_id,
                destination=destination,
            )
            value = self._resolve(setting, key, given)
        return value  # type: ignore[no-any-return]  # was checked when it was read

    def get_constrained(self, setting: Setting[T], given: Constraints) -> T:
        """As `get`, for the constraints that few settings know (namespaceId, historyTaskType)."""
        value = self._resolved.get((setting, given), _ABSENT)
        return self._resolve(setting, (setting, given), given) if value is _ABSENT else value

    def _resolve(self, setting: Setting[T], key: tuple[Any, ...], given: Constraints) -> T:
        values = self._values.get(setting.key.lower(), [])
        found = setting.default
        for candidate in setting.scope.candidates(given):
            match = next((value for constraints, value in values if constraints == candidate), _ABSENT)
            if match is not _ABSENT:
                found = _parsed(setting, match)
                break
        if all(constraints == EVERYONE for constraints, _ in values):
            self._flat[setting] = found
        else:
            if len(self._resolved) >= _RESOLVED_MAX:
                self._resolved.clear()
            self._resolved[key] = found
        return found

    def _install(self, file_values: Values) -> None:
        self._values = {**file_values, **self._overrides}
        self._flat, self._resolved = {}, {}
        self.version += 1

    def reload(self) -> bool:
        """Read the file again if it changed on disk; True when new values hold. A bad file is logged, nothing else."""
        if self._path is None:
            return False
        stamp = _stamp_of(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            values = read(self._path, self._env)
        except ConfigError as error:
            _log.error("Dynamic configuration not updated", error=str(error))
            return False
        if {**values, **self._overrides} == self._values:
            return False
        self._install(values)
        _log.info("Dynamic configuration updated", path=str(self._path))
        return True

    async def watch(self, interval_seconds: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Reload every `interval_seconds` until cancelled."""
        while True:
            await sleep(interval_seconds)
            self.reload()


def _parsed(setting: Setting[T], value: Any) -> T:
    """The value, or the default when only the setting itself could tell that the value is bad."""
    try:
        return setting.parse(value)
    except ValueError as error:
        _log.error("Bad dynamic configuration value", key=setting.key, found=repr(value), expected=str(error))
        return setting.default


def read(path: Path, env: Mapping[str, str]) -> Values:
    """The values in one file. ConfigError when any is wrong; a key nobody knows is only warned of."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("", str(error), "a readable dynamic configuration file", source=str(path)) from None
    document = Document(text, env, str(path)).plain()
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("", type(document).__name__, "a mapping from keys to lists of values", source=str(path))
    values: Values = {}
    for key, entries in document.items():
        if not isinstance(key, str) or key.lower() in values:
            raise ConfigError(str(key), "a key twice, or not text", "each key once, in any capitals", source=str(path))
        if not isinstance(entries, list):
            raise ConfigError(key, repr(entries), "a list of {value, constraints}", source=str(path))
        values[key.lower()] = [_entry(f"{key}[{index}]", key, entry, str(path)) for index, entry in enumerate(entries)]
    return values


def _entry(place: str, key: str, entry: Any, source: str) -> tuple[Constraints, Any]:
    if not isinstance(entry, dict) or "value" not in entry or entry.keys() - {"value", "constraints"}:
        raise ConfigError(place, repr(entry), "value, and constraints perhaps", source=source)
    _check(key, entry["value"], source, place)
    constraints = _constraints(f"{place}.constraints", entry.get("constraints") or {}, source)
    known = known_keys().get(key.lower())
    scope = next((scope for scope in Scope if known and scope.title == known.scope), None)
    if scope is not None and not scope.allows(constraints):
        _log.warning("Dynamic configuration value never applies", place=place, scope=scope.title, path=source)
    return constraints, entry["value"]


def _constraints(place: str, given: Any, source: str) -> Constraints:
    if not isinstance(given, dict):
        raise ConfigError(place, repr(given), "a mapping", source=source)
    result: dict[str, Any] = {}
    for name, value in given.items():
        field = _CONSTRAINT_FIELDS.get(str(name).lower())
        where = f"{place}.{name}"
        if field is None:
            names = "namespace, namespaceId, taskQueueName, taskType, shardId, historyTaskType or destination"
            raise ConfigError(where, "an unknown constraint", names, source=source)
        if field == "task_type":
            value = _TASK_TYPES.get(value.lower(), 0) if isinstance(value, str) else value
            if value not in _TASK_TYPES.values():
                raise ConfigError(where, repr(given[name]), "Workflow, Activity or Nexus", source=source)
        expected = int if field in ("task_type", "shard_id") else str
        if not isinstance(value, expected) or isinstance(value, bool):
            raise ConfigError(where, repr(value), "a number" if expected is int else "a string", source=source)
        result[field] = value
    return Constraints(**result)


def _check(key: str, value: Any, source: str, place: str = "") -> None:
    """Refuse a value of the wrong type; warn of a key the reference server does not have."""
    known = known_keys().get(key.lower())
    if known is None:
        guess = nearest(key, (entry.key for entry in known_keys().values()))
        _log.warning("Unknown dynamic configuration key", key=key, nearest=guess, path=source)
        return
    try:
        known.check(value)
    except ValueError as error:
        raise ConfigError(place or key, repr(value), str(error), source=source) from None


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from the next; a file replaced by a rename has another inode."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
