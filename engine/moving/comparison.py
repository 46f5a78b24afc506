"""The availability of each quota on both servers, side by side."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from engine.domain.catalogue import Event
from engine.http.quotas import availability
from engine.moving.ids import Ids
from engine.moving.source import Source
from engine.sales.house import House
from persistence import quotas

_COUNTED = ("total_size", "pending_orders", "paid_orders", "exited_orders", "blocking_vouchers")


class Line(Struct, frozen=True):
    """One quota. Carts are not taken over: what they hold there is free here, and the numbers agree without them."""

    theirs: str
    ours: int
    name: str
    there: dict[str, Any]
    here: dict[str, Any]

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Return what does not agree, there and here.

        pretix stops counting once it knows that nothing is left, or that there is no end to it: what it has not counted
        is 0. Its `waiting_list` says pending orders; who waits counts in available_number.
        """
        there, here = self.there, self.here
        found = {name: (there[name], here[name]) for name in _COUNTED if name in there and there[name] != here[name]}
        if not there["total_size"] or there["available_number"] == 0:
            found = {name: pair for name, pair in found.items() if name == "total_size" or pair[0] != 0}
        free = _without_carts(there), _without_carts(here)
        # never below 0, so carts that take what others wait for do not show
        hidden = there["available_number"] == 0 and free[0] is not None and 0 <= (free[1] or 0) <= free[0]
        if free[0] != free[1] and not hidden:
            found["available_number"] = free
        return found


def _without_carts(found: dict[str, Any]) -> int | None:
    free = found["available_number"]
    return None if free is None else int(free) + int(found.get("cart_positions") or 0)


async def compare(house: House, source: Source, ids: Ids, event: Event) -> list[Line]:
    """Ask both servers for each quota. Raises SourceFailed."""
    pairs = [(theirs, ours) for theirs, ours in ids.theirs("quota") if ours in event.quotas]
    counts = await house.catalogue.counts(event, [ours for _, ours in pairs])
    lines = []
    for theirs, ours in pairs:
        found = await source.get(f"quotas/{theirs}/availability/", missing=True)
        if found is not None and ours in counts:
            quota = event.quotas[ours]
            lines.append(
                Line(theirs, ours, quota.name, found.body, availability(counts[ours], quota.release_after_exit))
            )
    return lines


async def settle_closed(house: House, source: Source, ids: Ids, event: Event) -> None:
    """Close and open quotas as they are there: taking orders over may have closed one that sold out."""
    counts = await house.catalogue.counts(event, list(event.quotas))
    wanted = []
    for row in await source.all("quotas/"):
        ours = ids.ours("quota", row["id"])
        if ours in counts and bool(row.get("closed")) != counts[ours].closed:
            wanted.append((ours, bool(row.get("closed"))))
    if wanted:
        async with house.catalogue.changing(event.id) as session:
            for ours, closed in wanted:
                await quotas.set_closed(session, event.id, ours, closed)


def table(lines: list[Line]) -> str:
    """Return the lines as text: free, and what is counted, there and here."""
    heads = ("quota", "free there", "here", "size", "pending", "paid", "blocked", "")
    rows: list[tuple[str, ...]] = [heads]
    for line in lines:
        numbers = [
            _side(line.there.get(name), line.here.get(name))
            for name in ("total_size", "pending_orders", "paid_orders", "blocking_vouchers")
        ]
        held = line.there.get("cart_positions") or 0
        remark = "DIFFERS" if line.differences else f"same, {held} in carts there" if held else "same"
        free = [_number(side["available_number"]) for side in (line.there, line.here)]
        rows.append((line.name[:40], *free, *numbers, remark))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join(
        "  "
        + "  ".join(
            text.ljust(width) if column in (0, len(heads) - 1) else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _number(value: Any) -> str:
    return "unlimited" if value is None else f"{value:,}"


def _side(there: Any, here: Any) -> str:
    return _number(here) if there == here else f"{_number(there)}/{_number(here)}"
