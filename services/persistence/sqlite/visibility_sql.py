"""A list filter's tree -> a WHERE clause."""

from typing import NamedTuple


class Filter(NamedTuple):
    sql: str
    values: tuple[object, ...]


def translate(condition: object) -> Filter:
    return Filter("1", ())
