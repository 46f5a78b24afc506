"""What front doors and workers write to standard error."""

from __future__ import annotations

import datetime as dt
import logging
import os
from typing import Any

import msgspec

from engine.request_ids import CURRENT
from engine.settings import Settings


def begin(settings: Settings) -> None:
    """Log one line an incident. There is no line a request, which would cost more than the request."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # arq has two lines for each run of each timed job, and there is one a second.
    logging.getLogger("arq").setLevel(logging.WARNING)


class _Text(logging.Formatter):
    """A line for people, with the id of the request that it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record)
        request_id = CURRENT.get()
        return f"{line} [{request_id}]" if request_id else line


class _Json(logging.Formatter):
    """One JSON object a line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().encode(errors="backslashreplace").decode(),
            "pid": os.getpid(),
        }
        if request_id := CURRENT.get():
            line["request_id"] = request_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info).encode(errors="backslashreplace").decode()
        if record.stack_info:
            line["stack"] = record.stack_info
        return msgspec.json.encode(line).decode()
