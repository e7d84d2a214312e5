"""What is asked of a server: the load's size, and what customers and worker must agree on."""

import re
from dataclasses import dataclass

from temporalio.api.common.v1 import Payload, Payloads

NAMESPACE = "default"
IDENTITY = "bench"
CALL_TIMEOUT_S = 30.0
RESULT = Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=b'"done"')])


class BenchError(Exception):
    """A workflow that did not end as it must, or a server that did not serve: the bench has no result."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many workflows at once, each with so many activities scheduled in one task. Written `20` or `20x10`."""

    concurrency: int
    activities: int = 1

    @classmethod
    def parse(cls, text: str) -> "Load":
        """Raises ValueError for anything but `N` or `NxA`, both at least 1."""
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
        if match is None:
            raise ValueError(f"expected a load such as 20 or 20x10, not {text!r}")
        return cls(int(match[1]), int(match[2] or 1))

    def __str__(self) -> str:
        return str(self.concurrency) if self.activities == 1 else f"{self.concurrency}x{self.activities}"
