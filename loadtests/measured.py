"""One figure of the bench: a kind of request at one concurrency, beside its floor."""

from __future__ import annotations

from msgspec import Struct

GROUPS = ("front_doors", "redis", "workers", "postgres")
BULK = 50
"""Positions of one bulk_create."""
TITLES = {
    "hold": "hold",
    "order": "order",
    "confirm": "confirm",
    "mark_paid": "mark_paid",
    "cold": "confirm, not in Redis",
    "availability": "availability",
    "detail": "order detail",
    "bulk": f"bulk_create of {BULK}",
}


class Point(Struct):
    """One kind of request at one concurrency. CPU in microseconds a request; none where the pids are not known."""

    kind: str
    concurrency: int
    processes: int
    requests: int
    seconds: float
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    floor_us: float
    floor_rate: float
    unexpected: int
    example: str

    @property
    def sum_us(self) -> float | None:
        """Return all processes' CPU."""
        return sum(self.cpu_us.values()) if self.cpu_us else None

    @property
    def ratio(self) -> float | None:
        """Return all processes' CPU in multiples of the floor's."""
        return self.sum_us / self.floor_us if self.sum_us is not None and self.floor_us else None

    @property
    def door_ratio(self) -> float | None:
        """Return the front doors' CPU in multiples of the floor's."""
        return self.cpu_us["front_doors"] / self.floor_us if self.cpu_us and self.floor_us else None
