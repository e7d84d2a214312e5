"""The five fields of a cron schedule in robfig's standard form, and the instants that they name.

Written anew and not taken from a library, because every corner shows in histories: which forms are refused, when a day
has to match both its fields, and what becomes of times of day that a change of the clocks leaves out or has twice.
"""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

YEARS_MAX: Final = 5  # a schedule without a slot for that long has none

_MONTHS: Final = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_BOUNDS: Final[tuple[tuple[int, int, dict[str, int]], ...]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Fields:
    """What each field allows. `any_day`: one of the fields about days says `*`, so that both have to match."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool

    def has_day(self, at: datetime) -> bool:
        of_month, of_week = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        return of_month and of_week if self.any_day else of_month or of_week


def parse_fields(text: str) -> Fields:
    """Raises ValueError when they are not five fields as robfig's standard parser takes them."""
    parts = text.split()
    if len(parts) != len(_BOUNDS):
        raise ValueError(f"expected five fields, found {len(parts)}: {text}")
    (minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday) = (
        _parse_field(part, *bounds) for part, bounds in zip(parts, _BOUNDS, strict=True)
    )
    return Fields(minutes, hours, days, months, weekdays, any_day or any_weekday)


def _parse_field(text: str, low: int, high: int, names: dict[str, int]) -> tuple[frozenset[int], bool]:
    """The values of a list of ranges, and whether one of them is all there are."""
    allowed: set[int] = set()
    everything = False
    for part in text.split(","):
        if part:  # robfig's parser takes lists with holes
            values, is_all = _parse_range(part, low, high, names)
            allowed.update(values)
            everything = everything or is_all
    return frozenset(allowed), everything


def _parse_range(text: str, low: int, high: int, names: dict[str, int]) -> tuple[range, bool]:
    span, *steps = text.split("/")
    first, *lasts = span.split("-")
    is_all = first in ("*", "?")
    if len(steps) > 1 or (len(lasts) > 1 and not is_all):
        raise ValueError(f"too many hyphens or slashes: {text}")
    if is_all:  # whatever follows a hyphen is not looked at
        start, end = low, high
    else:
        start = _number_or_name(first, names)
        end = _number_or_name(lasts[0], names) if lasts else start
    step = 1
    if steps:
        step = _number(steps[0])
        end = end if lasts else high
    if not (low <= start <= end <= high) or step == 0:
        raise ValueError(f"not within {low}-{high}, or not in order: {text}")
    return range(start, end + 1, step), is_all and step == 1


def _number_or_name(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    return _number(text) if known is None else known


def _number(text: str) -> int:
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"not a number: {text}")
    return int(digits)


def next_slot(fields: Fields, at_s: int, zone: tzinfo) -> int | None:
    """The first instant from `at_s` on that the fields name, both in seconds since 1970; None when there is none."""
    if not all((fields.minutes, fields.hours, fields.days, fields.months, fields.weekdays)):
        return None
    search = _Search(fields, at_s, zone)
    year_max = search.local.year + YEARS_MAX
    while search.local.year <= year_max:
        if search.month_fits() and search.day_fits() and search.hour_fits() and search.minute_fits():
            return search.at_s
    return None


class _Search:
    """A candidate that moves forward, field by field. Each method says False when a larger unit has to be looked at."""

    def __init__(self, fields: Fields, at_s: int, zone: tzinfo) -> None:
        self.fields, self.at_s, self._zone = fields, at_s, zone
        self._moved = False  # the smaller units are at their beginning

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, self._zone)

    def month_fits(self) -> bool:
        while (local := self.local).month not in self.fields.months:
            first = self._begin(local.replace(hour=0, minute=0, second=0)).replace(day=1)
            self._go(first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1))
            if self.local.month == 1:
                return False
        return True

    def day_fits(self) -> bool:
        while not self.fields.has_day(local := self.local):
            self._go(self._begin(local.replace(hour=0, minute=0, second=0)) + timedelta(days=1))
            hour = self.local.hour
            if hour:  # there is no midnight where the clocks change then
                self.at_s += 3600 * (24 - hour if hour > 12 else -hour)
            if self.local.day == 1:
                return False
        return True

    def hour_fits(self) -> bool:
        while (local := self.local).hour not in self.fields.hours:
            if not self._moved:
                self._go(self._begin(local.replace(minute=0, second=0)))
            self.at_s += 3600
            if self.local.hour == 0:
                return False
        return True

    def minute_fits(self) -> bool:
        while self.at_s % 60 or self.local.minute not in self.fields.minutes:
            self._moved = True
            self.at_s += 60 - self.at_s % 60
            if self.local.minute == 0:
                return False
        return True

    def _begin(self, beginning: datetime) -> datetime:
        """The beginning of the unit, when the candidate is still within it; where it is by now, otherwise."""
        if self._moved:
            return self.local.replace(tzinfo=None, fold=0)
        self._moved = True
        return beginning.replace(tzinfo=None, fold=0)

    def _go(self, to: datetime) -> None:
        """To a local time, which the clocks may skip, or have twice: the instant is Go's `time.Date`."""
        as_utc = calendar.timegm(to.timetuple())
        offset = self._offset(as_utc)
        self.at_s = as_utc - self._offset(as_utc - offset)

    def _offset(self, at_s: int) -> int:
        offset = datetime.fromtimestamp(at_s, self._zone).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0
