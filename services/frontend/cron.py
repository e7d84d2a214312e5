"""Cron schedules: told from nonsense, and refused until they are built."""

import re

from services.errors import InvalidArgument, Unimplemented

_FIELDS = 5
_NAMES = r"sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_ITEM = rf"(?:\*|\?|(?:\d+|{_NAMES})(?:-(?:\d+|{_NAMES}))?)(?:/\d+)?"
_FIELD = re.compile(rf"{_ITEM}(?:,{_ITEM})*", re.IGNORECASE)
_EVERY = re.compile(r"@every (?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+")
_SHORTHANDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_ZONE = re.compile(r"(?:CRON_)?TZ=\S+ ")


def check(schedule: str) -> None:
    """Raises InvalidArgument for what is no schedule, and Unimplemented for what is one."""
    if not schedule:
        return
    spec = _ZONE.sub("", schedule.strip(), count=1)
    fields = spec.split()
    if not (
        spec in _SHORTHANDS
        or _EVERY.fullmatch(spec)
        or (len(fields) == _FIELDS and all(_FIELD.fullmatch(each) for each in fields))
    ):
        raise InvalidArgument("invalid CronSchedule.")
    raise Unimplemented("cron schedules are not built in Perdure yet")
