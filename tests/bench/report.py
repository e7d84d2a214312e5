"""What the rounds say: medians of rates, percentiles over all latencies, and ours over the official server's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.load import Load
from tests.bench.measure import Sample
from tests.bench.servers import OFFICIAL, PERDURE

Samples = Mapping[tuple[str, Load], Sequence[Sample]]
TITLES = ("at once", "server", "workflows/s", "p50 ms", "p99 ms", "CPU ms/workflow", "driver CPU")
RATIO = "ours/official"
LOAD_OF_RATES = Load(20)
LOAD_OF_LATENCY = Load(1)


@dataclass(frozen=True, slots=True)
class Figures:
    """One server under one load, over all its rounds."""

    throughput: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    driver_cpu_ms: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Figures":
        """Rates are medians over rounds; latencies are pooled, so that p99 has something to stand on."""
        latencies_s = sorted(latency for sample in samples for latency in sample.latencies_s)
        return cls(
            throughput=median(sample.throughput for sample in samples),
            p50_ms=_percentile(latencies_s, 50) * 1e3,
            p99_ms=_percentile(latencies_s, 99) * 1e3,
            server_cpu_ms=median(sample.server_cpu_ms for sample in samples),
            driver_cpu_ms=median(sample.driver_cpu_ms for sample in samples),
        )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """Nearest rank: the smallest value that at least `percent` of a hundred do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]


def render(samples: Samples) -> str:
    """The table, a block for each load, and the last line."""
    figures = {key: Figures.of(taken) for key, taken in samples.items()}
    rows: list[Sequence[str]] = [TITLES]
    for load in dict.fromkeys(load for _, load in samples):
        official, ours = figures.get((OFFICIAL, load)), figures.get((PERDURE, load))
        rows += [_row(load, name, each, "") for name, each in ((OFFICIAL, official), (PERDURE, ours)) if each]
        if official and ours:
            rows.append(_row(load, RATIO, _over(ours, official), "x"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*table, "", _last_line(figures)])


def _row(load: Load, name: str, each: Figures, unit: str) -> Sequence[str]:
    numbers = (each.throughput, each.p50_ms, each.p99_ms, each.server_cpu_ms, each.driver_cpu_ms)
    return (str(load), name, *(f"{number:.2f}{unit}" for number in numbers))


def _over(ours: Figures, official: Figures) -> Figures:
    return Figures(
        throughput=ours.throughput / official.throughput,
        p50_ms=ours.p50_ms / official.p50_ms,
        p99_ms=ours.p99_ms / official.p99_ms,
        server_cpu_ms=ours.server_cpu_ms / official.server_cpu_ms,
        driver_cpu_ms=ours.driver_cpu_ms / official.driver_cpu_ms,
    )


def _last_line(figures: Mapping[tuple[str, Load], Figures]) -> str:
    """Ratios when both servers ran, else the one server's figures; `n/a` for a load that was left out."""
    names = {name for name, _ in figures}
    units = ("x", "x", "x") if len(names) == 2 else ("/s", "ms", "ms")

    def figure(load: Load) -> Figures | None:
        official, ours = figures.get((OFFICIAL, load)), figures.get((PERDURE, load))
        return _over(ours, official) if official and ours else official or ours

    rates, latency = figure(LOAD_OF_RATES), figure(LOAD_OF_LATENCY)
    numbers = (rates and rates.throughput, rates and rates.server_cpu_ms, latency and latency.p50_ms)
    shown = ["n/a" if number is None else f"{number:.2f}{unit}" for number, unit in zip(numbers, units, strict=True)]
    return "bench: throughput {}, cpu {}, p50 {}".format(*shown)
