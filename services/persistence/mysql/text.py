"""Statements as texts with their values in them, which is how several of them fit into one round trip."""

from collections.abc import Iterable


def literal(value: object) -> bytes:
    """A value as the server reads it with backslash escapes on, which the session sees to."""
    match value:
        case None:
            return b"NULL"
        case bool():
            return b"TRUE" if value else b"FALSE"
        case int():
            return b"%d" % value
        case float():
            return repr(value).encode()
        case str():
            return b"'" + _escaped(value.encode()) + b"'"
        case bytes():
            return b"_binary'" + _escaped(value) + b"'"
    raise TypeError(f"{type(value).__name__} cannot be put into a statement")


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\\", b"\\\\").replace(b"'", b"\\'")


def filled(statement: str, *values: object) -> bytes:
    """The statement with a literal for each `?` in it."""
    parts = statement.encode().split(b"?")
    assert len(parts) == len(values) + 1, f"{len(parts) - 1} places for {len(values)} values"
    text = [parts[0]]
    for value, part in zip(values, parts[1:], strict=True):
        text += (literal(value), part)
    return b"".join(text)


def row(*parts: object) -> bytes:
    """`(a, b, c)`; what is bytearray is SQL already."""
    return b"(" + b",".join(bytes(part) if isinstance(part, bytearray) else literal(part) for part in parts) + b")"


def insert(table: bytes, rows: Iterable[bytes]) -> bytes:
    return b"INSERT INTO " + table + b" VALUES " + b",".join(rows)
