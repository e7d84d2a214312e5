"""Counters, gauges and histograms under the reference server's names and types.

A family is declared once, at module level; a caller binds its labels once and keeps what it gets:

    REQUESTS = Counter("service_requests", ("operation", "namespace", "service_name"))
    started = REQUESTS.bind(operation="StartWorkflowExecution", namespace="default", service_name="frontend")
    started.inc()

Bound metrics are plain cells, far below a microsecond per update: under the interpreter lock an update is atomic, since
no thread switch falls between its load and its store. The text format is our own because prometheus_client renames
every counter to `..._total`, which the reference's dashboards do not ask for. As there, whatever is no letter, digit or
underscore in a label's value is shown as an underscore.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Generic, TypeVar, final

# The reference's buckets, by unit.
SECONDS_BUCKETS: tuple[float, ...] = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
COUNT_BUCKETS: tuple[float, ...] = (*(n * 10**e for e in range(5) for n in (1, 2, 5)), 100_000)
BYTES_BUCKETS: tuple[float, ...] = tuple(1024 << n for n in range(15))

UNKNOWN_NAMESPACE = "_unknown_"  # the namespace label of a call that names none
EXCLUDED = "_tag_excluded_"  # instead of a value that the configuration keeps out of the metrics

_ODD = re.compile(r"[^a-zA-Z0-9_]")


@final
class BoundCounter:
    """A sum that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.value += amount


@final
class BoundGauge:
    """A number that goes up and down, or (`read`) is asked for when somebody looks."""

    __slots__ = ("_read", "_value")

    def __init__(self) -> None:
        self._value = 0.0
        self._read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self._value = value

    def inc(self, amount: float = 1.0) -> None:
        self._value += amount

    def dec(self, amount: float = 1.0) -> None:
        self._value -= amount

    def read(self, source: Callable[[], float]) -> None:
        """Take the value from `source` at each scrape, in the thread that serves it."""
        self._read = source

    @property
    def value(self) -> float:
        return self._value if self._read is None else self._read()


@final
class BoundHistogram:
    """How often observed values fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


Bound = TypeVar("Bound", BoundCounter, BoundGauge, BoundHistogram)


class Registry:
    """The families one scrape shows."""

    def __init__(self) -> None:
        self.families: dict[str, Counter | Gauge | Histogram] = {}
        self._prefix, self._tags = "", ""
        self._shown: dict[str, frozenset[str]] = {}

    def add(self, family: "Counter | Gauge | Histogram") -> None:
        """Refuses a name that is taken: two declarations would write over each other."""
        if family.name in self.families:
            raise ValueError(f"metric {family.name!r} is declared twice")
        self.families[family.name] = family

    def dress(
        self,
        *,
        prefix: str = "",
        tags: Mapping[str, str] | None = None,
        exclude: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """What an installation adds to all it shows: a prefix of names, and labels. `exclude`: of these labels only the
        given values are shown. Call it before anything is bound.
        """
        self._prefix = f"{prefix}_" if prefix else ""
        self._tags = ",".join(f'{_ODD.sub("_", name)}="{_ODD.sub("_", value)}"' for name, value in (tags or {}).items())
        self._shown = {name: frozenset(values) for name, values in (exclude or {}).items()}

    def shown(self, label: str, value: str) -> str:
        """A label's value as a scrape has it."""
        allowed = self._shown.get(label)
        return EXCLUDED if allowed is not None and value not in allowed else _ODD.sub("_", value)

    def text(self) -> str:
        """Everything with a value, in Prometheus text format 0.0.4."""
        lines: list[str] = []
        for name in sorted(self.families):
            lines.extend(self.families[name].lines(self._prefix, self._tags))
        return "\n".join([*lines, ""])


REGISTRY = Registry()


class _Family(Generic[Bound]):
    """One metric and its children, one per combination of label values."""

    kind: str

    def __init__(self, name: str, labels: Sequence[str], help: str, registry: Registry) -> None:
        self.name, self.labels, self.help = name, tuple(labels), help
        self._registry = registry
        self._children: dict[tuple[str, ...], Bound] = {}

    def _new(self) -> Bound:
        raise NotImplementedError

    def bind(self, **labels: str) -> Bound:
        """The child for these label values, made at first use. ValueError unless they are the declared labels."""
        if len(labels) != len(self.labels) or not all(name in labels for name in self.labels):
            raise ValueError(f"metric {self.name!r} has labels {self.labels}, not {tuple(labels)}")
        values = self._values(labels)
        child = self._children.get(values)
        if child is None:
            child = self._children.setdefault(values, self._new())
        return child

    def unbind(self, **labels: str) -> None:
        """Forget the child for these label values: what it measured is gone. Nothing happens when there is none."""
        self._children.pop(self._values(labels), None)

    def _values(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple([self._registry.shown(name, labels[name]) for name in self.labels])

    def lines(self, prefix: str = "", tags: str = "") -> Iterator[str]:
        children = list(self._children.items())  # one step, so that a scrape may run beside `bind`
        if not children:
            return
        name = prefix + self.name
        yield f"# HELP {name} {self.help or f'{self.name} {self.kind}'}"
        yield f"# TYPE {name} {self.kind}"
        for values, child in children:
            labels = ",".join([f'{label}="{value}"' for label, value in zip(self.labels, values, strict=True)])
            yield from self._samples(child, name, f"{labels},{tags}" if labels and tags else labels or tags)

    def _samples(self, child: Bound, name: str, labels: str) -> Iterator[str]:
        raise NotImplementedError


@final
class Counter(_Family[BoundCounter]):
    """A family of counters."""

    kind = "counter"

    def __init__(self, name: str, labels: Sequence[str] = (), help: str = "", registry: Registry = REGISTRY) -> None:
        super().__init__(name, labels, help, registry)
        registry.add(self)

    def _new(self) -> BoundCounter:
        return BoundCounter()

    def _samples(self, child: BoundCounter, name: str, labels: str) -> Iterator[str]:
        yield f"{name}{_braced(labels)} {_number(child.value)}"


@final
class Gauge(_Family[BoundGauge]):
    """A family of gauges."""

    kind = "gauge"

    def __init__(self, name: str, labels: Sequence[str] = (), help: str = "", registry: Registry = REGISTRY) -> None:
        super().__init__(name, labels, help, registry)
        registry.add(self)

    def _new(self) -> BoundGauge:
        return BoundGauge()

    def _samples(self, child: BoundGauge, name: str, labels: str) -> Iterator[str]:
        yield f"{name}{_braced(labels)} {_number(child.value)}"


@final
class Histogram(_Family[BoundHistogram]):
    """A family of histograms; latencies are in seconds, as their default buckets are."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        labels: Sequence[str] = (),
        help: str = "",
        *,
        buckets: Sequence[float] = SECONDS_BUCKETS,
        registry: Registry = REGISTRY,
    ) -> None:
        if "le" in labels or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"metric {name!r} needs rising buckets, and no label 'le'")
        super().__init__(name, labels, help, registry)
        self.bounds = tuple(float(bound) for bound in buckets)
        self._bound_texts = [*(_number(bound) for bound in self.bounds), "+Inf"]
        registry.add(self)

    def _new(self) -> BoundHistogram:
        return BoundHistogram(self.bounds)

    def _samples(self, child: BoundHistogram, name: str, labels: str) -> Iterator[str]:
        lead, total = f"{labels}," if labels else "", 0
        for bound, count in zip(self._bound_texts, child.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{lead}le="{bound}"}} {total}'
        yield f"{name}_sum{_braced(labels)} {_number(child.sum)}"
        yield f"{name}_count{_braced(labels)} {total}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    """A number as Go writes it, so that bucket labels are the reference's: 1, 0.5, 1.048576e+06."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[repr(float(value))]
    digits = Decimal(repr(float(value))).normalize()
    exponent = digits.adjusted()
    if -4 <= exponent < 6 or not digits:
        return f"{digits:f}"
    return f"{digits.scaleb(-exponent):f}e{exponent:+03d}"
