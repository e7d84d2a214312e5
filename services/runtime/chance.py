"""Random numbers and ids."""

import os
import random
import time
import uuid
from typing import Protocol


class Chance(Protocol):
    """All that the services know of randomness."""

    def random(self) -> float:
        """A number in [0, 1), for jitter and for choices."""
        ...

    def run_id(self) -> str:
        """A fresh UUID that sorts by time (version 7), for runs."""
        ...

    def unique_id(self) -> str:
        """A fresh UUID, for requests and namespaces."""
        ...


class SystemChance:
    """The machine's randomness."""

    def random(self) -> float:
        return random.random()

    def run_id(self) -> str:
        value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
        value = value & ~(0xF << 76) | 7 << 76
        value = value & ~(0x3 << 62) | 2 << 62
        return str(uuid.UUID(int=value))

    def unique_id(self) -> str:
        return str(uuid.uuid4())
