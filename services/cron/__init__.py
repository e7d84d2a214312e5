"""Cron schedules as the API takes them: which are valid, and when the next run is due."""

from services.cron.schedule import next_backoff_ns, why_invalid

__all__ = ["next_backoff_ns", "why_invalid"]
