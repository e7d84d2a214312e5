import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.telemetry import LogForm, LogLevel, configure_logging, get_logger


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines_carry_the_references_names() -> None:
    stream = io.StringIO()
    configure_logging(level="info", form="json", stream=stream)
    get_logger("history").info("Shard acquired", shard_id=7)
    line = json.loads(stream.getvalue())
    assert list(line)[:3] == ["time", "level", "msg"]
    assert (line["level"], line["msg"], line["component"], line["shard-id"]) == ("INFO", "Shard acquired", "history", 7)


def test_text_lines_are_key_value_pairs() -> None:
    stream = io.StringIO()
    configure_logging(level="warn", form="text", stream=stream)
    get_logger("history").warning("Shard lost", reason="fenced off")
    assert stream.getvalue().endswith(' reason="fenced off" logging-call-at=test_logging.py:34\n')


def test_pretty_lines_go_without_colour_where_nobody_sees_it() -> None:
    stream = io.StringIO()
    configure_logging(level="info", form="pretty", stream=stream)
    get_logger("history").info("Shard acquired", shard_id=7)
    assert "[info     ] Shard acquired" in stream.getvalue()
    assert "component=history logging-call-at=" in stream.getvalue()
    assert " shard-id=7" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "expected"), [("debug", "diwe"), ("info", "iwe"), ("warn", "we"), ("error", "e"), ("never", "")]
)
def test_lines_below_the_level_are_not_written(level: LogLevel, expected: str) -> None:
    stream = io.StringIO()
    configure_logging(level=level, form="json", stream=stream)
    log, library = get_logger("c"), logging.getLogger("library")
    for source in (log, library):
        source.debug("d")
        source.info("i")
        source.warning("w")
        source.error("e")
    assert "".join(json.loads(line)["msg"] for line in stream.getvalue().splitlines()) == expected * 2


@pytest.mark.parametrize("form", ["text", "json", "pretty"])
def test_exceptions_are_written_in_full_ours_and_those_of_libraries(form: LogForm) -> None:
    stream = io.StringIO()
    configure_logging(level="error", form=form, stream=stream)
    try:
        raise KeyError("the cause")
    except KeyError:
        get_logger("c").exception("Failed")
        logging.getLogger("library").exception("Failed too")
    assert stream.getvalue().count("KeyError: 'the cause'") == 2
    assert stream.getvalue().count("Traceback") == 2


def test_a_logger_made_before_the_configuration_follows_it() -> None:
    log, stream = get_logger("early"), io.StringIO()
    configure_logging(level="error", form="json", stream=stream)
    log.warning("unseen")
    log.error("seen")
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == ["seen"]


def test_a_servers_lines_begin_as_the_references_servers_do() -> None:
    stream = io.StringIO()
    configure_logging(level="info", form="json", stream=stream, as_server=True)
    get_logger("history").info("A task waits", wf_id="w", wf_run_id="r", queue_task_id=7)
    logging.getLogger("library").warning("Odd")
    ours, library = (json.loads(line) for line in stream.getvalue().splitlines())
    assert list(ours)[:3] == list(library)[:3] == ["level", "ts", "msg"]
    assert (ours["level"], library["level"]) == ("info", "warn")
    assert (ours["wf-id"], ours["wf-run-id"], ours["queue-task-id"]) == ("w", "r", 7)
    assert ours["logging-call-at"].startswith("test_logging.py:")


def test_an_error_is_told_by_its_text_and_its_stack_apart() -> None:
    stream = io.StringIO()
    configure_logging(level="error", form="json", stream=stream)
    try:
        raise KeyError("the cause")
    except KeyError as error:
        get_logger("c").error("Failed", exc_info=error)
    line = json.loads(stream.getvalue())
    assert line["error"] == "'the cause'"
    assert line["stacktrace"].startswith("Traceback")
