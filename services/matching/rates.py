"""How fast tasks come and go, and how fast they may go."""

import math
from collections import deque

BUCKET_S = 5
BUCKETS_MAX = 6
ONE_TOKEN = 1 - 1e-9  # a refill after exactly the wait may come out a rounding error short


class RateMeter:
    """Events a second over the last half minute, in buckets of five seconds."""

    __slots__ = ("_buckets", "_since")

    def __init__(self, now: float) -> None:
        self._since = now
        self._buckets: deque[list[int]] = deque()  # [bucket number, events]

    def count(self, now: float) -> None:
        number = int(now // BUCKET_S)
        if self._buckets and self._buckets[-1][0] == number:
            self._buckets[-1][1] += 1
            return
        self._buckets.append([number, 1])
        self._forget(number)

    def per_second(self, now: float) -> float:
        self._forget(int(now // BUCKET_S))
        total = sum(events for _, events in self._buckets)
        window = min(max(now - self._since, 1.0), BUCKET_S * (BUCKETS_MAX - 1) + now % BUCKET_S)
        return total / window

    def _forget(self, number: int) -> None:
        while self._buckets and self._buckets[0][0] <= number - BUCKETS_MAX:
            self._buckets.popleft()


class TokenBucket:
    """A limit on events a second; the bucket holds one second's worth, at least one. Rate 0 lets nothing pass."""

    __slots__ = ("_at", "_burst", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._burst = self._tokens = _burst(rate)
        self._at = now

    def set_rate(self, rate: float, now: float) -> None:
        self._refill(now)
        self.rate = rate
        self._burst = _burst(rate)
        self._tokens = min(self._tokens, self._burst)

    def wait_s(self, now: float) -> float:
        """How long until an event may pass: 0 for now, infinity for never."""
        if self._tokens < self._burst:
            self._refill(now)
        else:
            self._at = now
        if self._tokens >= ONE_TOKEN:
            return 0.0
        return (1.0 - self._tokens) / self.rate if self.rate > 0 else math.inf

    def take(self) -> None:
        """Pays for an event that `wait_s` has let pass."""
        self._tokens -= 1.0

    def give_back(self) -> None:
        """Takes back what was paid."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now


def _burst(rate: float) -> float:
    return float(max(1, math.ceil(rate))) if rate > 0 else 0.0
