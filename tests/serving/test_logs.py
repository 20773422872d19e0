from __future__ import annotations

import json
import logging

import pytest

from serving.logs import CURRENT_REQUEST, JsonFormatter, configure_logs


def line_of(**fields: object) -> dict[str, object]:
    record = logging.LogRecord("serving.host", logging.INFO, "file.py", 1, "loaded %s", ("digits/3",), None)
    record.__dict__.update(fields)
    line: dict[str, object] = json.loads(JsonFormatter().format(record))
    return line


def test_a_line_is_json_with_time_level_and_message() -> None:
    line = line_of()
    assert (line["level"], line["logger"], line["message"]) == ("info", "serving.host", "loaded digits/3")
    assert str(line["time"]).endswith("+00:00")
    assert "request_id" not in line


def test_the_request_that_is_being_answered_is_named() -> None:
    token = CURRENT_REQUEST.set("abc-1")
    try:
        assert line_of()["request_id"] == "abc-1"
    finally:
        CURRENT_REQUEST.reset(token)


def test_extra_fields_of_any_type_are_kept() -> None:
    line = line_of(ports={"http": 8000}, error=ValueError("odd"), path="\ud800")
    assert line["ports"] == {"http": 8000}
    assert line["error"] == "odd"


def test_exceptions_bring_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    root, level, handlers = logging.getLogger(), logging.getLogger().level, logging.getLogger().handlers[:]
    configure_logs("info")
    try:
        raise RuntimeError("broken\nin two")
    except RuntimeError:
        logging.getLogger("serving.test").exception("it failed")
    finally:
        root.handlers[:], root.level = handlers, level
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "RuntimeError: broken" in json.loads(lines[0])["exception"]


def test_libraries_that_blame_clients_write_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    root, level, handlers = logging.getLogger(), logging.getLogger().level, logging.getLogger().handlers[:]
    configure_logs("debug")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("python_multipart.multipart").warning("Expected boundary character")
    root.handlers[:], root.level = handlers, level
    assert not capsys.readouterr().err
