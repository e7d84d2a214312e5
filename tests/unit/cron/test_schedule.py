"""Cron schedules: the forms the API takes, and when they are due."""

from datetime import UTC, datetime

import pytest

from services.cron import next_backoff_ns, why_invalid

SECOND = 1_000_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    "schedule", ["", "* * * * *", "*/5 1-3 * jan mon-fri", "@hourly", "@every 1h30m", "CRON_TZ=Europe/Berlin 0 9 * * ?"]
)
def test_schedules_of_every_form_are_valid(schedule: str) -> None:
    assert why_invalid(schedule) is None


@pytest.mark.parametrize(
    "schedule", ["tea time", "* * * *", "* * * * * *", "61 * * * *", "@every", "@every tea", "TZ=Moon/Base * * * * *"]
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    assert why_invalid(schedule) == "invalid CronSchedule."


@pytest.mark.parametrize(
    ("schedule", "start", "now", "seconds"),
    [
        ("0 * * * *", "2026-01-01T10:00:00", "2026-01-01T10:00:00", 3600),
        ("0 * * * *", "2026-01-01T10:00:00", "2026-01-01T12:30:00", 1800),  # two slots were missed
        ("@every 10s", "2026-01-01T10:00:00", "2026-01-01T10:00:00", 10),
        ("@every 10s", "2026-01-01T10:00:00", "2026-01-01T10:00:13", 7),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "2026-07-01T06:00:00", "2026-07-01T06:00:00", 3600),
    ],
)
def test_the_next_slot_is_the_first_that_is_not_over(schedule: str, start: str, now: str, seconds: int) -> None:
    assert next_backoff_ns(schedule, at(start), at(now)) == seconds * SECOND


def test_a_part_of_a_second_is_waited_for_whole() -> None:
    now = at("2026-01-01T10:00:00") + 250_000_000
    assert next_backoff_ns("* * * * *", now, now) == 60 * SECOND
