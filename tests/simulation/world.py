"""What all simulated parts share: the loop, the seed's random numbers, the weather, and the trace of what happened."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from random import Random
from typing import Any, Final

from tests.simulation.loop import LIFE, Life, VirtualLoop

KEPT_LINES: Final = 100_000
EPOCH_NS: Final = 1_700_000_000_000_000_000


@dataclass(slots=True)
class Weather:
    """How often things go wrong. Each seed draws its own: some faults often, some never. `calm` ends them all."""

    delay_s: float = 0.001  # of a message or a database's answer, on average
    slow: float = 0.0  # messages that take up to `slow_s`
    slow_s: float = 0.0
    lost: float = 0.0  # requests, and replies, that break their connection
    doubled: float = 0.0  # repeatable requests that arrive twice
    store_slow: float = 0.0
    store_slow_s: float = 0.0
    store_refused: float = 0.0
    store_unknown: float = 0.0
    cuts_per_s: float = 0.0  # a link between two hosts goes one way only, or none
    crashes_per_s: float = 0.0
    freezes_per_s: float = 0.0
    drains_per_s: float = 0.0
    outages_per_s: float = 0.0  # of the database
    skew: float = 0.0  # how far clocks' speeds are from 1
    worker_dies: float = 0.0  # tasks whose worker is never heard of again
    worker_late: float = 0.0
    worker_twice: float = 0.0

    @classmethod
    def draw(cls, random: Random) -> "Weather":
        weather = cls(delay_s=10 ** random.uniform(-4, -2))
        stormy = random.random() < STORMY
        for name, (low, high) in _RANGES.items():
            if random.random() < LIKELY:
                worse = STORM if stormy and name not in _LENGTHS else 1
                setattr(weather, name, low * (high / low) ** random.random() * worse)
        return weather

    def calm(self) -> None:
        skew = self.skew  # clocks stay as they are
        for each in fields(self):
            setattr(self, each.name, each.default)
        self.skew = skew

    def __str__(self) -> str:
        worse = {each.name: getattr(self, each.name) for each in fields(self)}
        return ", ".join(f"{name} {value:.3g}" for name, value in worse.items() if value)


LIKELY: Final = 0.6
STORMY: Final = 0.25  # of the seeds: everything happens so many times as often
STORM: Final = 4
_LENGTHS: Final = frozenset({"slow_s", "store_slow_s", "skew"})
_RANGES: Final = {
    "slow": (0.001, 0.1),
    "slow_s": (0.05, 4.0),
    "lost": (0.001, 0.05),
    "doubled": (0.001, 0.05),
    "store_slow": (0.001, 0.05),
    "store_slow_s": (0.05, 8.0),
    "store_refused": (0.001, 0.05),
    "store_unknown": (0.001, 0.05),
    "cuts_per_s": (0.01, 0.3),
    "crashes_per_s": (0.01, 0.2),
    "freezes_per_s": (0.01, 0.2),
    "drains_per_s": (0.01, 0.1),
    "outages_per_s": (0.005, 0.05),
    "skew": (0.0001, 0.02),
    "worker_dies": (0.001, 0.1),
    "worker_late": (0.001, 0.1),
    "worker_twice": (0.001, 0.1),
}


@dataclass(slots=True)
class Trace:
    """What happened, line by line, and a digest of all of it."""

    loop: VirtualLoop
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _digest: Any = field(default_factory=lambda: blake2b(digest_size=8))

    def note(self, who: object, what: str) -> None:
        line = f"{self.loop.time():11.6f} {who} {what}"
        self._digest.update(line.encode())
        self.lines.append(line)

    @property
    def digest(self) -> str:
        return str(self._digest.hexdigest())


class World:
    """One simulation's ground. What is wrong goes to `violations`; the first one ends the simulation."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"weather {seed}")
        self.loop = VirtualLoop(Random(f"order {seed}").random)
        self.life = Life("world")
        self.trace = Trace(self.loop)
        self.weather = Weather.draw(self.random)
        self.database_back_at = 0.0  # when its outage ends
        self.violations: list[str] = []
        self.on_violation: Callable[[], object] = lambda: None

    def later(self, delay_s: float, callback: Callable[..., object], *args: object) -> None:
        """What the world does by itself: nobody's crash takes it back."""
        self.loop.call_later(delay_s, callback, *args, context=self.life.context())

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def violated(self, what: str) -> None:
        life = LIFE.get(self.life)
        self.trace.note(life, f"VIOLATION {what}")
        self.violations.append(what)
        self.on_violation()

    def delay_s(self) -> float:
        """How long one message is under way."""
        weather = self.weather
        if self.happens(weather.slow):
            return self.random.uniform(0, weather.slow_s or 0.2)
        return self.random.expovariate(1 / weather.delay_s)
