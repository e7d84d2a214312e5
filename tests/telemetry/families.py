"""A scrape as what dashboards depend on: families with their types, label names and bucket bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? \S+")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_PART = re.compile(r"_(bucket|sum|count)$")


@dataclass(slots=True)
class Family:
    """`labels`: the sets of label names that were seen; `bounds`: of its buckets, without +Inf."""

    name: str
    kind: str
    labels: set[tuple[str, ...]] = field(default_factory=set)
    bounds: set[float] = field(default_factory=set)
    values: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)  # by labels; counts of histograms

    def differences(self, other: Family) -> Iterable[str]:
        """What a query written for one of them would trip over at the other."""
        if self.kind != other.kind:
            yield f"{self.name}: {self.kind} here, {other.kind} there"
        if self.labels and other.labels and self.labels != other.labels:
            yield f"{self.name}: labels {sorted(self.labels)} here, {sorted(other.labels)} there"
        if self.bounds != other.bounds:
            yield f"{self.name}: buckets {sorted(self.bounds)} here, {sorted(other.bounds)} there"


def read(text: str) -> Mapping[str, Family]:
    """The families of a scrape by name."""
    found: dict[str, Family] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            found[name] = Family(name, kind)
        elif line and not line.startswith("#"):
            _add(found, line)
    return found


def _add(found: dict[str, Family], line: str) -> None:
    sample = _SAMPLE.fullmatch(line)
    assert sample is not None, f"no sample: {line!r}"
    name, labels = sample[1], dict(_LABEL.findall(sample[2] or ""))
    family = found.get(name) or found[_PART.sub("", name)]
    bound = labels.pop("le", None)
    if bound not in (None, "+Inf"):
        family.bounds.add(float(bound))
    family.labels.add(tuple(sorted(labels)))
    if bound is None and not name.endswith("_sum"):
        family.values[tuple(sorted(labels.items()))] = float(line.rpartition(" ")[2])
