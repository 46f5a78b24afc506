"""An event loop whose clock jumps from one timer to the next: no waiting, and always the same order."""

from __future__ import annotations

import asyncio
import datetime as dt
import selectors
from types import SimpleNamespace

OPENING = dt.datetime(2031, 3, 5, 12, 0, tzinfo=dt.UTC)
_OPENING_MS = int(OPENING.timestamp()) * 1000


class Standstill(Exception):
    """Everything waits for something that nothing is going to bring about."""


class _Jumping(selectors.SelectSelector):
    """Nobody is ever heard of from outside; waiting moves the clock."""

    loop: VirtualLoop

    def select(self, timeout=None):
        if timeout is None:
            raise Standstill
        self.loop.elapsed_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs tasks on simulated time. All input and output has to be done at once, by blocking calls."""

    elapsed_s = 0.0

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed_s

    def now_ms(self) -> int:
        """Return what the server's clock shows."""
        return _OPENING_MS + int(self.elapsed_s * 1000)

    def now(self) -> dt.datetime:
        """Return what a right clock shows."""
        return OPENING + dt.timedelta(microseconds=int(self.elapsed_s * 1_000_000))

    def timers(self):
        """Return a stand-in for the module time."""
        return SimpleNamespace(monotonic=self.time, sleep=lambda seconds: None)
