"""Structured logging: one configuration for our own lines and for those of the libraries we stand on.

    log = get_logger("history")
    log.info("Shard acquired", shard_id=7)

Fields are shown as the reference server shows them: `shard_id` as shard-id, an error's text and its stack apart, and
where the line comes from as logging-call-at. A line below the configured level costs under a microsecond; on a hot
path hold `get_logger(...).bind()`: a fifth.
"""

import logging
import sys
from typing import Any, Final, Literal, TextIO, cast

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
CALLED_AT: Final = "logging-call-at"
_NEVER = logging.CRITICAL + 1


def get_logger(component: str) -> FilteringBoundLogger:
    """A logger whose lines carry `component`. It may be made, but not used, before `configure_logging` runs."""
    return cast("FilteringBoundLogger", structlog.get_logger(component=component))


def configure_logging(
    *, level: LogLevel = "warn", form: LogForm = "text", stream: TextIO | None = None, as_server: bool = False
) -> None:
    """Send every line from `level` on to `stream` (stderr) in one form; "never" sends none. `as_server`: JSON lines
    begin as those of the reference's server, not as those of its dev server.

    Loggers already used keep what they had.
    """
    stream = stream or sys.stderr
    stamp = _stamp_as_server if as_server and form == "json" else _stamp
    render = _renderers(form, colors=stream.isatty())
    structlog.configure(
        processors=[_drop]
        if level == "never"
        else [structlog.contextvars.merge_contextvars, _callsite, _name_fields, stamp, *render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_LibraryFormatter([_name_fields, stamp, *render]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_NEVER if level == "never" else _LEVELS[level])


_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put time, level and message first, under the reference server's names."""
    head = {"time": _timestamp(None, method, {})["timestamp"], "level": _NAMES.get(method, method.upper())}
    return {**head, "msg": event.pop("event", ""), **event}


def _stamp_as_server(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    head = {"level": _NAMES.get(method, method).lower(), "ts": _timestamp(None, method, {})["timestamp"]}
    return {**head, "msg": event.pop("event", ""), **event}


_find_callsite = structlog.processors.CallsiteParameterAdder(
    [structlog.processors.CallsiteParameter.FILENAME, structlog.processors.CallsiteParameter.LINENO],
    additional_ignores=[__name__],
)


def _callsite(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event = _find_callsite(logger, method, event)
    event[CALLED_AT] = f"{event.pop('filename')}:{event.pop('lineno')}"
    return event


def _name_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """`wf_id` becomes wf-id. What was raised is told by its text, and by its stack, which comes last."""
    for name in [name for name in event if "_" in name and name != "exc_info"]:
        event[name.replace("_", "-")] = event.pop(name)
    raised = event.get("exc_info")
    if raised:
        error = raised if isinstance(raised, BaseException) else (raised if raised is not True else sys.exc_info())[1]
        if error is not None:
            event.setdefault("error", str(error) or type(error).__name__)
    if CALLED_AT in event:
        event[CALLED_AT] = event.pop(CALLED_AT)
    return event


def _stack(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event = structlog.processors.format_exc_info(logger, method, event)
    if "exception" in event:
        event["stacktrace"] = event.pop("exception")
    return event


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
        return [_stack, structlog.processors.JSONRenderer(default=str)]
    return [_stack, structlog.processors.LogfmtRenderer(bool_as_flag=False)]


class _LibraryFormatter(logging.Formatter):
    """Writes a standard library log record as one of our lines, its logger's name as the component."""

    def __init__(self, processors: list[Processor]) -> None:
        super().__init__()
        self._processors = processors

    def format(self, record: logging.LogRecord) -> str:
        event: Any = {"event": record.getMessage(), "component": record.name}
        event[CALLED_AT] = f"{record.filename}:{record.lineno}"
        if record.exc_info:
            event["exc_info"] = record.exc_info
        method = record.levelname.lower()
        for processor in self._processors:
            event = processor(None, method, event)
        return str(event)
