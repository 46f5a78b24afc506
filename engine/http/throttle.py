"""How much somebody may ask: counted by each front door for itself, so that it costs no word with Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from engine.domain.errors import Throttled
from engine.settings import Rate

_KNOWN_MAX = 10_000
"""Those remembered; when there are more, who has been quiet is forgotten, and if that does not help, all are."""


class Throttle:
    """Lets each token, or address, have `rate.requests` at once, and then as many evenly over each `rate.period_s`."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = rate.period_s
        self._interval_s = rate.period_s / rate.requests
        self._clock = clock
        self._spent_until: dict[bytes, float] = {}
        """By token: when it will have all of its requests back."""

    def spent(self, token: bytes) -> bool:
        """Tell whether a request would be refused now."""
        now = self._clock()
        return self._wait_s(token, now) > 0

    def take(self, token: bytes) -> None:
        """Count one request. Raises Throttled, and then it does not count."""
        now = self._clock()
        wait_s = self._wait_s(token, now)
        if wait_s > 0:
            raise Throttled(math.ceil(wait_s))
        known = self._spent_until
        if len(known) >= _KNOWN_MAX and token not in known:
            self._spent_until = known = {one: until for one, until in known.items() if until > now}
            if len(known) >= _KNOWN_MAX:
                known.clear()
        known[token] = max(known.get(token, now), now) + self._interval_s

    def _wait_s(self, token: bytes, now: float) -> float:
        """Return how long to wait for the next request, 0 for not at all."""
        wait_s = max(self._spent_until.get(token, now), now) + self._interval_s - now - self._period_s
        # a hair's breadth, or what floats lose on the way would cost one request
        return wait_s if wait_s > self._interval_s * 1e-6 else 0.0
