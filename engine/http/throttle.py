"""How many requests a token may make: counted by each front door for itself, so that it costs no word with Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from engine.domain.errors import Throttled
from engine.settings import Rate

_KNOWN_MAX = 10_000
"""Tokens remembered; when there are more, those that have been quiet are forgotten."""


class Throttle:
    """Lets each token have `rate.requests` at once, and then as many evenly over each `rate.period_s`."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = rate.period_s
        self._interval_s = rate.period_s / rate.requests
        self._clock = clock
        self._spent_until: dict[bytes, float] = {}
        """By token: when it will have all of its requests back."""

    def take(self, token: bytes) -> None:
        """Count one request. Raises Throttled, and then it does not count."""
        now = self._clock()
        until = max(self._spent_until.get(token, now), now) + self._interval_s
        wait_s = until - now - self._period_s
        # a hair's breadth, or what floats lose on the way would cost one request
        if wait_s > self._interval_s * 1e-6:
            raise Throttled(math.ceil(wait_s))
        if len(self._spent_until) >= _KNOWN_MAX:
            self._spent_until = {one: until for one, until in self._spent_until.items() if until > now}
        self._spent_until[token] = until
