"""A map that can be forked in constant time: forks share one dict until one of them is written to."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Entries(MutableMapping[K, V]):
    """A decision changes one or two of a run's maps; copying all of them would cost more than the decision."""

    __slots__ = ("_entries", "_shared")

    def __init__(self, entries: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        self._entries: dict[K, V] = dict(entries)
        self._shared = False

    def fork(self) -> "Entries[K, V]":
        twin: Entries[K, V] = Entries.__new__(Entries)
        twin._entries = self._entries
        twin._shared = self._shared = True
        return twin

    def _own(self) -> dict[K, V]:
        if self._shared:
            self._entries, self._shared = self._entries.copy(), False
        return self._entries

    def __getitem__(self, key: K) -> V:
        return self._entries[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._own()[key] = value

    def __delitem__(self, key: K) -> None:
        del self._own()[key]

    def clear(self) -> None:
        self._entries, self._shared = {}, False

    # What the mixin would do one entry at a time.

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self) -> KeysView[K]:
        return self._entries.keys()

    def values(self) -> ValuesView[V]:
        return self._entries.values()

    def items(self) -> ItemsView[K, V]:
        return self._entries.items()

    def __repr__(self) -> str:
        return f"Entries({self._entries!r})"
