"""What this process counts of its own work: plain numbers, so that counting costs the hot path next to nothing.

Nothing is computed before somebody asks: engine/ledger/reports.py carries the numbers to whoever does, and
engine/http/metrics.py says what each means.
"""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets of durations: from a hold alone to an order that waits for Postgres in vain."""
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
"""Upper bounds of the buckets of batches."""


class Histogram(Struct):
    """How often values fell between two bounds; the last count is of those above all bounds."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def of_seconds() -> Histogram:
    """Return an empty histogram of durations."""
    return Histogram(SECONDS, [0] * (len(SECONDS) + 1))


def of_sizes() -> Histogram:
    """Return an empty histogram of batches."""
    return Histogram(SIZES, [0] * (len(SIZES) + 1))


class RouteMeter(Struct):
    """What was asked of one route, by the status of the answer, and how long the answers took."""

    method: str
    path: str
    statuses: dict[int, int]
    seconds: Histogram


class Pulse(Struct):
    """What was asked and sold in one event since it became busy."""

    requests: int = 0
    orders: int = 0
    units: int = 0


class Rebuild(Struct):
    """How far a shard has been made anew: positions of orders to be counted, and how many have been."""

    positions: int
    read: int = 0


class Meters(Struct):
    """All that a process counts, since its start; `verifying` and `rebuilds`, by shard, are what it does just now."""

    routes: list[RouteMeter] = []
    scripts: dict[str, Histogram] = {}
    batches: dict[str, Histogram] = {}
    drain_seconds: Histogram | None = None
    drain_batches: Histogram | None = None
    events: dict[int, Pulse] = {}
    holds: int = 0
    orders: int = 0
    units: int = 0
    unconfirmed: int = 0
    orders_expired: int = 0
    refused: dict[str, int] = {}
    alarms: int = 0
    drained: int = 0
    parked: int = 0
    verifying: list[str] = []
    rebuilds: dict[int, Rebuild] = {}

    def script(self, name: str, seconds: float) -> None:
        """Count one script call."""
        found = self.scripts.get(name)
        if found is None:
            found = self.scripts[name] = of_seconds()
        found.add(seconds)

    def batch(self, name: str, size: int) -> None:
        """Count how much travelled together."""
        found = self.batches.get(name)
        if found is None:
            found = self.batches[name] = of_sizes()
        found.add(size)

    def drain(self, seconds: float, entries: int) -> None:
        """Count one transaction of the drain."""
        if self.drain_seconds is None or self.drain_batches is None:
            self.drain_seconds, self.drain_batches = of_seconds(), of_sizes()
        self.drain_seconds.add(seconds)
        self.drain_batches.add(entries)
        self.drained += entries

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count wishes that could not be fulfilled: sold_out, seat, voucher."""
        self.refused[reason] = self.refused.get(reason, 0) + count

    def pulse(self, event_id: int) -> Pulse:
        """Return the pulse of an event."""
        found = self.events.get(event_id)
        if found is None:
            found = self.events[event_id] = Pulse()
        return found


METERS = Meters()
"""Those of this process."""
