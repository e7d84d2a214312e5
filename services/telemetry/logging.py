"""Structured logging: one configuration for our own lines and for those of the libraries we stand on.

    log = get_logger("history")
    log.info("Shard acquired", shard_id=7)

A line below the configured level costs under a microsecond; on a hot path hold `get_logger(...).bind()`: a fifth.
"""

import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

LogLevel = Literal["debug", "info", "warn", "error", "never"]
LogForm = Literal["text", "json", "pretty"]

_LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "never": logging.CRITICAL,
}
_NAMES = {"warning": "WARN", "exception": "ERROR"}
_NEVER = logging.CRITICAL + 1


def get_logger(component: str) -> FilteringBoundLogger:
    """A logger whose lines carry `component`. It may be made, but not used, before `configure_logging` runs."""
    return cast("FilteringBoundLogger", structlog.get_logger(component=component))


def configure_logging(*, level: LogLevel = "warn", form: LogForm = "text", stream: TextIO | None = None) -> None:
    """Send every line from `level` on to `stream` (stderr) in one form; "never" sends none.

    Loggers already used keep what they had.
    """
    stream = stream or sys.stderr
    render = _renderers(form, colors=stream.isatty())
    structlog.configure(
        processors=[_drop] if level == "never" else [structlog.contextvars.merge_contextvars, _stamp, *render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_LibraryFormatter(render))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_NEVER if level == "never" else _LEVELS[level])


_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put time, level and message first, under the reference server's names."""
    head = {"time": _timestamp(None, method, {})["timestamp"], "level": _NAMES.get(method, method.upper())}
    return {**head, "msg": event.pop("event", ""), **event}


def _drop(_logger: WrappedLogger, _method: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


def _for_console(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Give time, level and message the names under which the console renderer looks for them."""
    head = {"timestamp": event.pop("time"), "level": event.pop("level").lower(), "event": event.pop("msg")}
    return {**head, **event}


def _renderers(form: LogForm, *, colors: bool) -> list[Processor]:
    """From a stamped event to one line of text."""
    if form == "pretty":
        plain = structlog.dev.plain_traceback
        return [_for_console, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer(bool_as_flag=False)]


class _LibraryFormatter(logging.Formatter):
    """Writes a standard library log record as one of our lines, its logger's name as the component."""

    def __init__(self, render: list[Processor]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        event: Any = {"event": record.getMessage(), "component": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        method = record.levelname.lower()
        for processor in (_stamp, *self._render):
            event = processor(None, method, event)
        return str(event)
