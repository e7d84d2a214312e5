"""A set of strings that only grows and can be forked in constant time."""

from collections.abc import Iterator


class GrowingSet:
    """Forks share one dict. An entry belongs to a fork if it was added within the fork's own length.

    A fork that is given up may leave entries behind; the next fork that adds takes their places in `_order`, so they
    count for nobody. (Copying ten thousand signal request ids at each signal would cost more than the signal.)
    """

    __slots__ = ("_order", "_places", "_size")

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._order: list[str] = []
        self._size = 0

    def fork(self) -> "GrowingSet":
        twin = GrowingSet.__new__(GrowingSet)
        twin._places, twin._order, twin._size = self._places, self._order, self._size
        return twin

    def __contains__(self, entry: str) -> bool:
        place = self._places.get(entry)
        return place is not None and place < self._size and self._order[place] == entry

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return iter(self._order[: self._size])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GrowingSet) and set(self) == set(other)

    def __hash__(self) -> int:
        return id(self)

    def add(self, entry: str) -> None:
        """Adds to this fork. Only the newest fork of a line may add; others are stale and are dropped by the shell."""
        if entry in self:
            return
        del self._order[self._size :]
        self._order.append(entry)
        self._places[entry] = self._size
        self._size += 1
