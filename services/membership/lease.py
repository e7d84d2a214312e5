"""How long this host may act as an owner without hearing from ZooKeeper.

The arithmetic: a proof is a write that ZooKeeper committed, counted from before it was sent. ZooKeeper ends a session
when its timeout S has passed since the leader last heard of it, which is at most a heartbeat (S / 10) and half a tick
(S / 4: the shortest session allowed is two ticks) before the proof. So the session lives until 0.65 S after the
proof, whichever node of the ensemble is cut off from whichever; the lease ends at 0.6 S.
"""

from collections.abc import Callable

from services.runtime import Clock, TimerHandle
from services.telemetry import get_logger

LEASE = 0.6  # of the session timeout
HEARTBEAT = 0.1  # of the session timeout

_log = get_logger("membership")


class Lease:
    """Held from `begin` for as long as `renew` comes in time; once lost, lost until the next `begin`.

    The clock is read at every look at `held`: a process that was stopped finds it lost before it does anything else.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: float | None = None
        self._timer: TimerHandle | None = None
        self._listeners: list[Callable[[bool], None]] = []
        self._told = False

    @property
    def held(self) -> bool:
        if self._until is not None and self._clock.monotonic() >= self._until:
            _log.warning("No word from ZooKeeper for too long: this host stops acting as an owner")
            self.lose()
        return self._until is not None

    def begin(self, proof: float, length_s: float) -> None:
        """Held from now on, if the proof is not too old already."""
        self._tell()
        if self._clock.monotonic() < proof + length_s:
            self._until = proof + length_s
            self._arm()
            self._tell()

    def renew(self, proof: float, length_s: float) -> None:
        """Held for longer, if it is held still."""
        if self.held:
            self._until = proof + length_s

    def lose(self) -> None:
        """Not held from now on. Listeners hear it soon: the caller may be in the middle of something."""
        if self._until is not None:
            self._until = None
            self._clock.call_later(0, self._tell)

    def watch(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _arm(self) -> None:
        """Looks again when the lease would end, so that listeners hear of it although nobody reads."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.held and self._until is not None:
            self._timer = self._clock.call_later(self._until - self._clock.monotonic(), self._arm)

    def _tell(self) -> None:
        held = self._until is not None
        if held == self._told:
            return
        self._told = held
        for listener in tuple(self._listeners):
            try:
                listener(held)
            except Exception:
                _log.exception("A listener of this host's authority failed")
