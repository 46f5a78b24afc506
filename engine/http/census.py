"""Counts requests by route, method and status, and how long their answers took."""

from __future__ import annotations

from bisect import bisect_left

from engine.http.listener import Incoming
from engine.http.routing import Route
from engine.meters import METERS, SECONDS, RouteMeter, of_seconds

_NOWHERE = "unknown"
"""The path of requests that no route has: whatever strangers ask for must not become a name each."""
_OTHER = "other"


class Census:
    """The meters of one process's routes, found by the route."""

    def __init__(self) -> None:
        self._by_route: dict[int, RouteMeter] = {}
        self._by_name: dict[tuple[str, str], RouteMeter] = {}

    def count(self, request: Incoming, status: int, seconds: float) -> None:
        """Count one answer."""
        route = None if request.routes is None else request.routes.get(request.method)
        # a route lives as long as the process, and its identity is found in a tenth of the time of its value
        meter = self._by_route.get(id(route)) or self._meter(request, route)
        statuses = meter.statuses
        if status in statuses:
            statuses[status] += 1
        else:
            statuses[status] = 1
        # as meter.seconds.add does: this is on everybody's way
        histogram = meter.seconds
        histogram.counts[bisect_left(SECONDS, seconds)] += 1
        histogram.sum += seconds

    def _meter(self, request: Incoming, route: Route | None) -> RouteMeter:
        if route is not None:
            meter = self._by_route[id(route)] = self._named(route.method, route.path)
            return meter
        if request.routes is None:
            return self._named(_OTHER, _NOWHERE)
        path = next(iter(request.routes.values())).path
        return self._named("GET" if request.method == "HEAD" else _OTHER, path)

    def _named(self, method: str, path: str) -> RouteMeter:
        meter = self._by_name.get((method, path))
        if meter is None:
            meter = self._by_name[method, path] = RouteMeter(method, path, {}, of_seconds())
            METERS.routes.append(meter)
        return meter
