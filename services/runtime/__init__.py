"""Where time, ids and random numbers come from: the only room that touches the real ones.

Everybody else gets a `Clock` and a `Chance` in the constructor, so that a whole cluster can run on a virtual clock.
"""

from services.runtime.chance import Chance, SystemChance
from services.runtime.clock import Clock, SystemClock, TimerHandle

__all__ = ["Chance", "Clock", "SystemChance", "SystemClock", "TimerHandle"]
