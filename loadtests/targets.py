"""What the bench's figures have to be, and whether they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from loadtests import drain
from loadtests.drain import Drain
from loadtests.figures import number
from loadtests.full_hold import RATIO_MOST, Comparison
from loadtests.measured import BULK, Point
from loadtests.store_floor import StoreFloor

WIDE = 128
"""The concurrency that most targets are for."""
FIRST = {"hold": 3.5, "order": 7.0}
"""CPU of all processes together, in multiples of the floor's: the targets of the first version."""
FIRST_FROM = 32
"""They count from this concurrency on: a lone order pays for a commit of its own, and hurries nobody."""
WIDE_MOST: dict[str, dict[str, float]] = {
    "hold": {"p99_ms": 50.0, "ratio": 2.5, "door_ratio": 1.8},
    "order": {"p99_ms": 120.0, "ratio": 4.0, "door_ratio": 2.0},
    "confirm": {"p99_ms": 120.0, "ratio": 4.0, "door_ratio": 2.0},
    "mark_paid": {"p99_ms": 120.0, "ratio": 4.0, "door_ratio": 2.0},
    "availability": {"ratio": 1.5},
    "detail": {"ratio": 3.0},
}
WIDE_RATES = {"hold": 8000.0, "order": 2000.0, "confirm": 2000.0, "mark_paid": 2000.0, "cold": 1000.0}
WORDS = {"p99_ms": "p99, ms", "ratio": "all processes, floors", "door_ratio": "front doors, floors"}
STORE_MOST = 1.3
BULK_MOST = 0.25
LONE_ORDER_MS = 8.0
CROWD = 256
CROWD_SPREAD = 3.0
"""At so many at once, the 99th percentile is at most so many medians."""


class Verdict(Struct):
    """One target and what was found."""

    kind: str
    concurrency: int | None
    figure: str
    found: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Return whether the target was met."""
        return self.found >= self.limit if self.least else self.found <= self.limit

    def row(self) -> list[str]:
        """Return the row of a table."""
        sign = ">=" if self.least else "<="
        where = "" if self.concurrency is None else str(self.concurrency)
        found = number(self.found)
        return [self.kind, where, self.figure, found, f"{sign} {number(self.limit)}", "met" if self.met else "MISSED"]


def verdicts(
    points: Sequence[Point],
    comparisons: Sequence[Comparison],
    store: StoreFloor | None,
    drained: Drain | None,
) -> list[Verdict]:
    """Return what can be judged of what was measured."""
    found = [one for point in points for one in (*_of_rates(point), *_of_costs(point))]
    wide = {point.kind: point for point in points if point.concurrency == WIDE}
    if store is not None and (hold := wide.get("hold")) and hold.cpu_us:
        times = hold.cpu_us["redis"] / store.hold_us
        found.append(Verdict("hold", WIDE, "Redis, in calls of the script alone", times, STORE_MOST))
    found += [Verdict("full hold", one.concurrency, "in plain holds", one.ratio, RATIO_MOST) for one in comparisons]
    if drained is not None:
        found.append(Verdict("drain", None, "orders a second", drained.rate, drain.RATE_LEAST, least=True))
        found.append(Verdict("drain", None, "in bare COPYs", drained.ratio, drain.RATIO_MOST))
    return found


def _of_rates(point: Point) -> Iterator[Verdict]:
    kind, at = point.kind, point.concurrency
    if at == WIDE and kind in WIDE_RATES:
        yield Verdict(kind, at, "requests a second", point.rate, WIDE_RATES[kind], least=True)
    if at == 1 and kind == "order":
        yield Verdict(kind, at, "p50, ms", point.p50_ms, LONE_ORDER_MS)
    if at == CROWD:
        yield Verdict(kind, at, "p99 in p50s", point.p99_ms / (point.p50_ms or 1.0), CROWD_SPREAD)


def _of_costs(point: Point) -> Iterator[Verdict]:
    kind, at, ratio = point.kind, point.concurrency, point.ratio
    if at == WIDE:
        for figure, most in WIDE_MOST.get(kind, {}).items():
            value = getattr(point, figure)
            if value is not None:
                yield Verdict(kind, at, WORDS[figure], value, most)
    if ratio is not None and at == WIDE and kind == "bulk":
        yield Verdict(kind, at, "a position, floors of the whole", ratio / BULK, BULK_MOST)
    if ratio is not None and at >= FIRST_FROM and kind in FIRST:
        yield Verdict(kind, at, "all processes, floors (first target)", ratio, FIRST[kind])
