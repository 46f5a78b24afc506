"""What follows from an event's catalogue alone: worked out once for each version of it, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from engine.domain.catalogue import Event, Product

Found = TypeVar("Found")

_EVENTS_MAX = 100


class Remembered(Generic[Found]):
    """What one process has worked out of up to a hundred events; when there are more, all are forgotten."""

    def __init__(self, begin: Callable[[Event], Found]) -> None:
        """`begin` returns what there is of an event at first."""
        self._begin = begin
        self._known: dict[int, tuple[int, dict[Product, tuple[int, ...]], Found]] = {}

    def of(self, event: Event) -> Found:
        """Return what is remembered for this version of an event's catalogue."""
        known = self._known.get(event.id)
        # a version that was never committed gives its number to another (docs/decisions/0007-changes-of-a-catalogue.md)
        if known is not None and known[0] == event.version and known[1] is event.quotas_by_product:
            return known[2]
        if len(self._known) >= _EVENTS_MAX:
            self._known.clear()
        found = self._begin(event)
        self._known[event.id] = event.version, event.quotas_by_product, found
        return found
