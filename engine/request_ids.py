"""The id of the request at hand: in its answer, and in every line that is logged because of it."""

from __future__ import annotations

import itertools
import re
import secrets
from contextvars import ContextVar

CURRENT: ContextVar[str] = ContextVar("request_id", default="")
"""Empty where no request is at work."""

_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_PROCESS = f"{secrets.token_hex(5)}-"
_numbers = itertools.count(1)


def begin(sent: str | None) -> str:
    """Return the id for a request: the one that its client has `sent` if that can go into a log, else a new one."""
    if sent is None or _SANE.fullmatch(sent) is None:
        # one random part a process: a number each is unique all the same, and costs a tenth
        sent = _PROCESS + str(next(_numbers))
    CURRENT.set(sent)
    return sent
