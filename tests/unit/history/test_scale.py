"""One more step of a run costs the same whatever is pending: counted in lines of our code, rows and bytes, not in time.

Entries that are copied by C alone (the maps of a run, at each decision) are left to `make bench BENCH=--pending`.
"""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tests.bench.pending import Cost, Grown, Meter

FEW, MANY = 10, 2000
GROWTH_MAX = 1.2  # in lines; the room is for hash order and the depth of a heap
BYTES_GROWTH_MAX = 1.5  # numbers of events take more bytes when there are more of them


class Lines:
    """Counts the lines that steps run through, turns of loops within a line included."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def around(self, name: str, step: Callable[[], object]) -> None:
        before = sys.gettrace()
        sys.settrace(lambda *_: self._trace(name))
        try:
            step()
        finally:
            sys.settrace(before)

    def _trace(self, name: str) -> Callable[[FrameType, str, Any], Any]:
        def count(_frame: FrameType, _event: str, _argument: Any) -> Any:
            self.counted[name] += 1
            return count

        return count


@pytest.fixture(scope="module")
def measured() -> dict[int, tuple[Counter[str], dict[str, Cost]]]:
    found = {}
    for pending in (FEW, MANY):
        lines, meter = Lines(), Meter()
        grown = Grown(pending, meter)
        grown.round()  # the agenda of what is due is made once
        meter.costs.clear()
        meter.around = lines.around
        grown.round()
        found[pending] = (lines.counted, {name: costs[0] for name, costs in meter.costs.items()})
    return found


def test_no_step_looks_at_all_that_is_pending(measured: dict[int, tuple[Counter[str], dict[str, Cost]]]) -> None:
    few, many = measured[FEW][0], measured[MANY][0]
    assert few.keys() == many.keys()
    grown = {name: (few[name], many[name]) for name in few if many[name] > GROWTH_MAX * few[name]}
    assert not grown, "lines run with few pending, and with many"


def test_no_step_writes_all_that_is_pending(measured: dict[int, tuple[Counter[str], dict[str, Cost]]]) -> None:
    few, many = measured[FEW][1], measured[MANY][1]
    for name, cost in few.items():
        assert many[name].rows == cost.rows, name
        assert many[name].bytes <= BYTES_GROWTH_MAX * cost.bytes, name
