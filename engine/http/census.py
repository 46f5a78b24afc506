"""Counts requests by route, method and status, and how long their answers took."""

from __future__ import annotations

from bisect import bisect_left

from engine.http.routing import Way
from engine.meters import METERS, SECONDS, RouteMeter, of_seconds

_NOWHERE = "unknown"
"""The path of requests that no route has: whatever strangers ask for must not become a name each."""
_OTHER = "other"


class Census:
    """The meters of one process's routes, found by the way to them."""

    def __init__(self) -> None:
        self._by_way: dict[int, RouteMeter] = {}
        self._by_name: dict[tuple[str, str], RouteMeter] = {}

    def count(self, way: Way | None, status: int, seconds: float) -> None:
        """Count one answer; there is no way where no route has the path."""
        # a way lives as long as the process, and its identity is found in a tenth of the time of its value
        meter = self._by_way.get(id(way)) or self._meter(way)
        statuses = meter.statuses
        if status in statuses:
            statuses[status] += 1
        else:
            statuses[status] = 1
        # as meter.seconds.add does: this is on everybody's way
        histogram = meter.seconds
        histogram.counts[bisect_left(SECONDS, seconds)] += 1
        histogram.sum += seconds

    def _meter(self, way: Way | None) -> RouteMeter:
        method = _OTHER if way is None or way.route is None else way.route.method
        meter = self._by_way[id(way)] = self._named(method, _NOWHERE if way is None else way.path)
        return meter

    def _named(self, method: str, path: str) -> RouteMeter:
        meter = self._by_name.get((method, path))
        if meter is None:
            meter = self._by_name[method, path] = RouteMeter(method, path, {}, of_seconds())
            METERS.routes.append(meter)
        return meter
