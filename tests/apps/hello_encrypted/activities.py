"""The greeting; its first try fails with a text that must not be readable either."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity


@dataclass(frozen=True)
class Guest:
    title: str
    name: str


class TongueTiedError(Exception):
    """The greeting did not come out."""


@activity.defn
def compose_greeting(guest: Guest) -> str:
    if activity.info().attempt == 1:
        raise TongueTiedError(f"could not say {guest.name}")
    return f"Hello, {guest.title} {guest.name}!"
