"""Ends a command in order when it is asked to."""

from __future__ import annotations

import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Raised in the main thread, wherever it is, by the first Ctrl-C, SIGTERM or SIGHUP; later ones are ignored."""


def raise_on_signals() -> None:
    """Make the signals raise Stopped from now on, so that every `finally` on the way out is run once."""

    def handle(number: int, frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    for each in _SIGNALS:
        signal.signal(each, handle)
