"""Durations as Go programs write them: "300ms", "1h30m", "-2s", "7d"."""

import re
from datetime import timedelta

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")
_WHOLE = re.compile(rf"[+-]?(?:{_PART.pattern})+")
_FORMS = (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))


def parse_duration(text: str) -> timedelta:
    """Read a duration; a bare number counts seconds, as in the reference. ValueError when it is neither."""
    text = text.strip()
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        pass
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    try:
        size = sum((timedelta(seconds=float(n) * _UNIT_SECONDS[unit]) for n, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None
    return -size if text.startswith("-") else size


def format_duration(duration: timedelta) -> str:
    """Write a duration so that `parse_duration` reads it back, in the largest units that fit."""
    rest = round(abs(duration) / timedelta(microseconds=1))
    parts = []
    for unit, microseconds in _FORMS:
        count, rest = divmod(rest, microseconds)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if duration < timedelta() else "") + ("".join(parts) or "0s")
