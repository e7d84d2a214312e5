"""Temporal's list filter: text -> tree."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    condition: object = None
    group_by: str = ""


def parse(text: str) -> Query:
    return Query()
