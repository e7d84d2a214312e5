"""Circuit breakers: a destination that fails again and again is left alone for a while, whoever wants to call it."""

from collections import OrderedDict
from dataclasses import dataclass

from services.runtime import Clock

FAILURES_MAX = 5  # in a row; with one more the destination is left alone
REST_S = 60.0  # then one call may try it again
REMEMBERED_MAX = 1000  # destinations


@dataclass(slots=True)
class _Destination:
    failures: int = 0
    rests_until_s: float = 0.0  # by the monotonic clock


class CircuitBreakers:
    """Which destinations of this host's calls are left alone. Memory of that dies with the host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing: OrderedDict[str, _Destination] = OrderedDict()

    def may_call(self, destination: str) -> bool:
        """Whether to call it now. When its rest is over, the first who asks may."""
        failing = self._failing.get(destination)
        if failing is None or failing.failures <= FAILURES_MAX:
            return True
        now_s = self._clock.monotonic()
        if now_s < failing.rests_until_s:
            return False
        failing.rests_until_s = now_s + REST_S
        return True

    def note(self, destination: str, *, failed: bool) -> None:
        """How a call ended."""
        if not failed:
            self._failing.pop(destination, None)
            return
        failing = self._failing.setdefault(destination, _Destination())
        failing.failures += 1
        failing.rests_until_s = self._clock.monotonic() + REST_S
        if len(self._failing) > REMEMBERED_MAX:
            self._failing.popitem(last=False)
