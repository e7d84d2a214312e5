"""Who may import what, read from the files themselves. (The borders between rooms: `lint-imports`.)"""

import ast
import sys

import pytest

from tests import source

# Modules by which the world gets in: none of them is for the core.
WORLDLY = {
    *("asyncio", "concurrent", "contextvars", "multiprocessing", "queue", "sched", "selectors", "signal", "threading"),
    *("datetime", "random", "secrets", "time", "uuid", "zoneinfo"),
    *(
        "ctypes",
        "fcntl",
        "io",
        "logging",
        "os",
        "pathlib",
        "shutil",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
    ),
    *("atexit", "gc", "importlib", "inspect", "platform", "sys", "warnings"),
}
CORE_MAY = ("google.protobuf.", "temporalio.api.", "services.protos.", "services.history.core")

# The modules that only the runtime room may import, and the few files that import them for something else.
CHANCE_AND_TIME = {"time", "random", "uuid", "secrets"}
HARMLESS = {
    ("services/frontend/checks.py", "uuid"): "reads UUIDs that clients sent, makes none",
    ("services/persistence/cassandra/commits.py", "uuid"): "the driver's type of a column",
    ("services/persistence/cassandra/histories.py", "uuid"): "names an attempt to write, which nothing else ever names",
    ("services/telemetry/process.py", "time"): "measures the collector's pauses, which happen to the whole process",
    ("services/history/executor.py", "uuid"): "derives request ids from a run's id and an event's, the same every time",
}
# Calls that ask the machine for the time or for randomness without any of those modules.
WORLDLY_CALLS = {"urandom", "utcnow", "now", "today", "getrandom"}


def test_the_core_is_pure() -> None:
    foreign = {
        f"{path}: {name}"
        for path in source.files("services/history/core")
        for name in source.imports(path)
        if not name.startswith(CORE_MAY) and (_top(name) not in sys.stdlib_module_names or _top(name) in WORLDLY)
    }
    assert not foreign


def test_only_the_runtime_room_touches_time_and_chance() -> None:
    found = {
        (path, _top(name))
        for path in source.files("services")
        for name in source.imports(path)
        if _top(name) in CHANCE_AND_TIME and not path.startswith("services/runtime/")
    }
    assert found == set(HARMLESS), "the exceptions are those listed, and all of them are needed"


@pytest.mark.parametrize("path", [p for p in source.files("services") if not p.startswith("services/runtime/")])
def test_nobody_asks_the_machine_for_the_time(path: str) -> None:
    calls = {
        f"{path}:{node.lineno}: .{node.func.attr}()"
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WORLDLY_CALLS
    }
    assert not calls


def _top(name: str) -> str:
    return name.partition(".")[0]
