"""Schedules as the API takes them: five fields, @hourly and the like, `@every 90s`, with CRON_TZ= or TZ= before.

(events_commands.md section 7, Cron)
"""

import re
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from services.cron.fields import Fields, next_slot, parse_fields

SECOND: Final = 1_000_000_000
INVALID: Final = "invalid CronSchedule."
NEVER: Final = "invalid CronSchedule, no time can be found to satisfy the schedule"

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S*) (.*)", re.DOTALL)
_EVERY: Final = "@every "
_PART: Final = r"(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)"  # as Go writes durations
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART})+)")
_UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_INT64_MAX: Final = 2**63 - 1
_SHORTHANDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def why_invalid(schedule: str) -> str | None:
    """The reference's sentence when it is no schedule. An empty one means none, and is fine."""
    return _judged(schedule) if schedule else None


@lru_cache(maxsize=1024)
def _judged(schedule: str) -> str | None:
    try:
        parsed = _parsed(schedule)
    except ValueError:
        return INVALID
    return NEVER if _next_slot_s(parsed, 0, 0) is None else None


def next_backoff_ns(schedule: str, start_ns: int, now_ns: int) -> int | None:
    """From now to the first slot after `start_ns` (when the last run was due) that is not over, in whole seconds.

    Slots that passed while that run was still going are skipped. None when there is none to come: the 30th of February,
    or what is no schedule (a workflow that continues as new is not asked).
    """
    try:
        parsed = _parsed(schedule)
    except ValueError:
        return None
    slot_s = _next_slot_s(parsed, start_ns // SECOND, -(-now_ns // SECOND))
    return None if slot_s is None else -(-(slot_s * SECOND - now_ns) // SECOND) * SECOND


def _next_slot_s(parsed: tuple[tzinfo, Fields | int], start_s: int, now_s: int) -> int | None:
    zone, rule = parsed
    if isinstance(rule, int):
        return start_s + max(-(-(now_s - start_s) // rule), 1) * rule
    return next_slot(rule, max(start_s + 1, now_s), zone)


@lru_cache(maxsize=1024)
def _parsed(schedule: str) -> tuple[tzinfo, Fields | int]:
    """The time zone, and five fields or a period in seconds."""
    zone: tzinfo = UTC
    spec = schedule
    named = _ZONE.fullmatch(spec)
    if named:
        zone, spec = _zone(named[1]), named[2].strip()
    if spec.startswith(_EVERY):
        return zone, _period_s(spec.removeprefix(_EVERY))
    return zone, parse_fields(_SHORTHANDS.get(spec, spec))


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"unknown time zone {name}") from error


def _period_s(text: str) -> int:
    """A duration cut to whole seconds, and at least one."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"not a duration: {text}")
    total = 0.0
    for number, unit in re.findall(_PART, text):
        total += float(number) * _UNITS[unit.replace("\u00b5", "u").replace("\u03bc", "u")]
    if total > _INT64_MAX:
        raise ValueError(f"too long a duration: {text}")
    return 1 if text.startswith("-") else max(int(total) // SECOND, 1)
