"""Schedules of robfig's standard form: five fields, @hourly and the like, `@every 90s`, with CRON_TZ= or TZ= before.

The five fields are croniter's business (a well-kept library); what is only of this form is here.
(events_commands.md section 7, Cron)
"""

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter

SECOND: Final = 1_000_000_000
INVALID: Final = "invalid CronSchedule."

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_EVERY = re.compile(r"@every\s+((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
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
    if not schedule:
        return None
    try:
        _parsed(schedule)
    except ValueError:
        return INVALID
    return None


def next_backoff_ns(schedule: str, start_ns: int, now_ns: int) -> int:
    """From now to the first slot after `start_ns` (when the last run was due) that is not over, in whole seconds.

    Slots that passed while that run was still going are skipped. Raises ValueError when it is no schedule.
    """
    zone, rule = _parsed(schedule)
    if isinstance(rule, int):
        period_ns = rule * SECOND
        slot_ns = start_ns + max(-(-(now_ns - start_ns) // period_ns), 1) * period_ns
    else:
        after_ns = max(start_ns, now_ns - 1)
        after = datetime.fromtimestamp(after_ns / SECOND, zone)
        slot = croniter(rule, after, ret_type=datetime).get_next(datetime)
        slot_ns = int(slot.timestamp()) * SECOND
    return max(-(-(slot_ns - now_ns) // SECOND), 1) * SECOND


@lru_cache(maxsize=1024)
def _parsed(schedule: str) -> tuple[tzinfo, str | int]:
    """The time zone, and five fields or a period in seconds."""
    zone: tzinfo = UTC
    spec = schedule.strip()
    named = _ZONE.fullmatch(spec)
    if named:
        try:
            zone = ZoneInfo(named[1])
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"unknown time zone {named[1]}") from error
        spec = named[2].strip()
    every = _EVERY.fullmatch(spec)
    if every:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(every[1]))
        return zone, max(int(seconds), 1)
    fields = _SHORTHANDS.get(spec, spec).replace("?", "*")
    if len(fields.split()) != 5 or not croniter.is_valid(fields):
        raise ValueError(f"not five cron fields: {spec}")
    return zone, fields
