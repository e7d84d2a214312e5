"""Cron schedules: told from nonsense, and refused until they are built."""

import re
from typing import Final

from services.errors import InvalidArgument, Unimplemented

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Minute, hour, day of the month, month, day of the week: the least, the greatest, and the names of the first ones.
_FIELDS: Final[tuple[tuple[int, int, tuple[str, ...]], ...]] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_ITEM = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?")
_EVERY = re.compile(r"@every (?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+")
_SHORTHANDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+) ")
_INVALID = "invalid CronSchedule."


def check(schedule: str) -> None:
    """Raises InvalidArgument for what is no schedule."""
    if not schedule:
        return
    spec = schedule.strip()
    zone = _ZONE.match(spec)
    if zone:
        spec = spec[zone.end() :].strip()
    fields = spec.split()
    if zone and not _is_zone(zone[1]):
        raise InvalidArgument(_INVALID)
    if spec in _SHORTHANDS or _EVERY.fullmatch(spec):
        return
    if len(fields) != len(_FIELDS) or not all(map(_is_field, fields, _FIELDS)):
        raise InvalidArgument(_INVALID)


def refuse(schedule: str) -> None:
    """Raises Unimplemented for any schedule: to start such a workflow once, and at once, would be worse."""
    if schedule:
        raise Unimplemented("cron schedules are not built in Perdure yet")


def _is_field(text: str, bounds: tuple[int, int, tuple[str, ...]]) -> bool:
    least, greatest, names = bounds

    def number(word: str) -> int:
        if word.lower() in names:
            return names.index(word.lower()) + least
        return int(word) if word.isdecimal() else -1

    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            return False
        if match[1] is not None:
            first = number(match[1])
            last = first if match[2] is None else number(match[2])
            if not least <= first <= last <= greatest:
                return False
    return True


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo  # few starts name one

    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return False
    return True
