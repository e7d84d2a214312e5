"""What the cluster has acknowledged, and what workers have seen: the simulation's second book."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """Only what was answered with OK stands in it."""

    starts: dict[str, set[str]] = field(default_factory=dict)  # workflow id -> run ids that answers named
    signals: dict[str, str] = field(default_factory=dict)  # request id -> workflow id
    sent_signals: set[str] = field(default_factory=set)
    updates: dict[str, tuple[str, str]] = field(default_factory=dict)  # update id -> workflow id, run id
    cancels: set[str] = field(default_factory=set)  # workflow ids
    terminations: set[str] = field(default_factory=set)
    workflow_tasks: list[tuple[str, int]] = field(default_factory=list)  # run id, started event id
    activities: list[tuple[str, str]] = field(default_factory=list)  # run id, activity id
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)  # run id, activity id
    attempts_max: dict[tuple[str, str], int] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)  # workflow id -> name of the close event

    def __str__(self) -> str:
        counts = {
            "starts": len(self.starts),
            "signals": len(self.signals),
            "updates": len(self.updates),
            "workflow tasks": len(self.workflow_tasks),
            "activities": len(self.activities),
        }
        return ", ".join(f"{count} {name}" for name, count in counts.items())
