"""Versioned schemas: what `perdure schema` asks of a store, and how a server refuses one that it does not know."""

from typing import Protocol

from services.persistence.interface import SchemaMismatch


class Schema(Protocol):
    """The schema of one database. Raises StoreUnavailable when it is not there, StoreError when it refuses."""

    @property
    def place(self) -> str:
        """Which database, for people: its kind, address and name."""
        ...

    @property
    def expected(self) -> int:
        """The version that this code knows."""
        ...

    async def version(self) -> int | None:
        """The version that is there; None when there is no schema, or no database yet."""
        ...

    async def setup(self) -> None:
        """Creates what is missing: the database and, in one without a schema, all of it. Another version is left."""
        ...

    async def update(self) -> None:
        """Migrates an older version step by step. Killed midway, it goes on from there when it is run again.

        Raises SchemaMismatch when there is no schema, or a newer one.
        """
        ...


def check_version(place: str, stored: int | None, expected: int) -> None:
    """Raises SchemaMismatch, saying what helps, unless the stored version is the expected one."""
    if stored == expected:
        return
    if stored is None:
        raise SchemaMismatch(f"{place} has no schema; `perdure schema setup` creates it")
    known = f"{place} has schema version {stored}, this server knows version {expected}; it was left untouched"
    help_ = "`perdure schema update` migrates it" if stored < expected else "it takes a newer server"
    raise SchemaMismatch(f"{known}: {help_}")
