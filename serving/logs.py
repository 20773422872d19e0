"""Structured logs: one JSON object a line on stderr, with the id of the request that was being answered, if any."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

CURRENT_REQUEST: ContextVar[str] = ContextVar("request_id", default="")
"""Set where a request comes in, to what its caller knows it by; everything that its own task logs carries it."""

UNTOLD_REQUEST: ContextVar[str] = ContextVar("untold_request", default="")
"""The server's own id of a request whose caller sent none and is told none. The log and the trace have it; feedback,
which nobody could send, has not."""

BLAMING_CLIENTS = ("uvicorn.error", "python_multipart")
"""Libraries that warn of every malformed request: a client could fill the disk with them. Metrics count those."""

PLAIN_FIELDS = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Time in UTC, level, logger, message, request id, whatever was passed as `extra`, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := CURRENT_REQUEST.get() or UNTOLD_REQUEST.get():
            line["request_id"] = request_id
        line |= {name: value for name, value in record.__dict__.items() if name not in PLAIN_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # escapes whatever a file name or a client may hold


def configure_logs(level: str) -> None:
    """Everything that this process logs, libraries included, in one format; of libraries only what went wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for library in BLAMING_CLIENTS:
        logging.getLogger(library).setLevel(logging.ERROR)
    for package in ("serving", "monitoring", "registry", "tasks"):
        logging.getLogger(package).setLevel(level.upper())
