"""Which seats are blocked, as the source says: settled once orders have theirs, since nobody gets a blocked seat."""

from __future__ import annotations

from typing import Any

from engine.domain.catalogue import Event
from engine.moving.ids import Ids, Problems
from engine.moving.source import Source
from engine.sales.house import House
from persistence import seating

Found = dict[tuple[int, str], bool]


async def theirs(source: Source, event: Event, ids: Ids) -> Found:
    """Return which seats there are at the source, by date here and name: whether each is blocked."""
    found: Found = {}
    places: list[tuple[int, str]] = [(0, "seats/")]
    if event.has_subevents:
        places = [(ours, f"subevents/{number}/seats/") for number, ours in ids.theirs("subevent")]
    for date, path in places:
        for row in await source.all(path, missing=True):
            found[date, str(row.get("seat_guid"))] = bool(row.get("blocked"))
    return found


async def free(house: House, event: Event, found: Found) -> None:
    """Unblock the seats that are not blocked there any more: somebody may have bought them."""
    await _set(
        house, event, [name for name, seat in event.seats.by_name.items() if seat.blocked and not found.get(name)]
    )


async def block(house: House, event: Event, found: Found, problems: Problems) -> None:
    """Block the seats that are blocked there, and tell of those that only one of both has."""
    known = event.seats.by_name
    wanted = [name for name, blocked in found.items() if blocked and name in known and not known[name].blocked]
    await _set(house, event, wanted, blocked=True)
    if found:
        for name in sorted(found.keys() - known.keys()):
            problems.add(f"seat {name[1]}", "is not in the seating plan and was not taken over")
        for name in sorted(known.keys() - found.keys()):
            problems.add(f"seat {name[1]}", "is in the seating plan, and not at the source")


async def _set(house: House, event: Event, names: list[tuple[int, str]], *, blocked: bool = False) -> None:
    if not names:
        return
    async with house.catalogue.changing(event.id) as session:
        for name in names:
            seat: Any = event.seats.by_name[name]
            await seating.block(session, event.id, seat.place.id, blocked=blocked)
