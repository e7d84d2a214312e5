"""The house's limits on its own text. The list of exceptions only shrinks."""

import ast
import re

import pytest

from tests import source

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
ROOMS = ("services", "tests", "scripts")

# path, or path:function -> why it may be longer
LONG: dict[str, str] = {}

SUPPRESSION = re.compile(
    r"#\s*(?:type:\s*ignore(?:\[[\w, -]*\])?|noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?)(?P<rest>.*)$"
)
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

ALL = list(source.files(*ROOMS))


def test_files_and_functions_are_short() -> None:
    assert set(LONG) == {name for path in ALL for name in _long_parts(path)}, "those over the limit, each with a reason"


def _long_parts(path: str) -> list[str]:
    long = [path] if len(source.text(path).splitlines()) > FILE_LINES_MAX else []
    for node in ast.walk(source.tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            long += [f"{path}:{node.name}"] * (lines > FUNCTION_LINES_MAX)
    return long


@pytest.mark.parametrize("path", ALL)
def test_suppressions_say_why(path: str) -> None:
    """`# type: ignore[code]  # why` or `# noqa: CODE (why)`."""
    bare = [
        f"{path}:{number}"
        for number, line in enumerate(source.text(path).splitlines(), 1)
        if (found := SUPPRESSION.search(line)) and not re.search(r"\w", found["rest"])
    ]
    assert not bare


@pytest.mark.parametrize("path", ALL)
def test_nothing_is_left_for_later(path: str) -> None:
    assert not UNFINISHED.search(source.text(path)), "write an issue instead"
