"""The five fields of a schedule, and where days and clocks are odd. What is expected here, the reference has told."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.cron import next_backoff_ns, why_invalid
from services.cron.fields import next_slot, parse_fields

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def first(fields: str, zone: str = "UTC") -> str:
    slot = next_slot(parse_fields(fields), int(START.timestamp()), ZoneInfo(zone))
    return "never" if slot is None else f"{datetime.fromtimestamp(slot, UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("fields", "slot"),
    [
        ("0 5 1,15 6,7 *", "2027-06-01 05:00"),
        ("*/7 4 29 2 *", "2028-02-29 04:00"),
        ("5/20 */6 10/10 3 *", "2027-03-10 00:05"),
        ("0 12 ? JAN SUN", "2027-01-03 12:00"),
        ("0 12 * feb-APR mon-WED", "2027-02-01 12:00"),
        ("0 3 13 8 fri", "2027-08-06 03:00"),  # either day will do
        ("0 3 */2 8 fri", "2027-08-01 03:00"),
        ("0 3 */1 8 fri", "2027-08-06 03:00"),  # any day of the month, but a Friday
        ("*-5 2 1 2 *", "2027-02-01 02:00"),
        ("0,, 0 1 1 *", "2027-01-01 00:00"),
        ("59 23 31 12 *", "2026-12-31 23:59"),
        (", 0 1 1 *", "never"),
        ("0 0 31 4,6,9,11 *", "never"),
    ],
)
def test_the_first_slot(fields: str, slot: str) -> None:
    assert first(fields) == slot


@pytest.mark.parametrize(
    ("zone", "fields", "slot"),
    [
        ("America/New_York", "30 2 14 3 *", "2028-03-14 06:30"),  # there is no such time in 2027
        ("America/New_York", "0 1-4 14 3 *", "2027-03-14 06:00"),
        ("America/New_York", "30 1 7 11 *", "2027-11-07 05:30"),  # the first of two
        ("Europe/Berlin", "30 2 31 10 *", "2027-10-31 00:30"),
        ("America/Santiago", "30 0 5 9 *", "2028-09-05 03:30"),  # nor a midnight
        ("America/Santiago", "30 1 5 9 *", "2027-09-05 04:30"),
        ("Asia/Kolkata", "30 5 1 2 *", "2027-02-01 00:00"),
    ],
)
def test_where_clocks_change(zone: str, fields: str, slot: str) -> None:
    assert first(fields, zone) == slot


@pytest.mark.parametrize(
    "fields",
    [
        *("* * * *", "* * * * * *", "0 0 0 1 *", "* * * * 7", "* * * * -1", "5-1 * * * *", "1-2-3 * * * *"),
        *("1/2/3 * * * *", "*/0 * * * *", "*/-1 * * * *", "* * * january *", "* * L * *", "1.5 * * * *", "٣ * * * *"),
    ],
)
def test_what_is_refused(fields: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_fields(fields)


def test_a_schedule_that_is_never_due_is_refused() -> None:
    assert why_invalid("0 0 30 2 *") == "invalid CronSchedule, no time can be found to satisfy the schedule"


def test_periods_count_in_whole_seconds_of_the_clock() -> None:
    start = 100 * 10**9 + 900_000_000
    assert next_backoff_ns("@every 5s", start, start + 10**9) == 4 * 10**9


@pytest.mark.parametrize("schedule", ["tea time", "0 0 30 2 *"])
def test_nothing_follows_from_a_schedule_that_names_no_instant(schedule: str) -> None:
    """A continuation may name one."""
    assert next_backoff_ns(schedule, 0, 0) is None
