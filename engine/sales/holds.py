"""Cart positions: held, read and released. Redis alone knows them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from engine.domain.catalogue import Event
from engine.ledger.replies import Kept
from engine.ledger.values import (
    Held,
    HoldGroup,
    HoldPosition,
    Outcome,
    SeatTaken,
    Short,
    StoredHold,
    UsedUp,
    VoucherUse,
)
from engine.sales.house import House

__all__ = [
    "Held",
    "HoldGroup",
    "HoldPosition",
    "Outcome",
    "SeatTaken",
    "Short",
    "StoredHold",
    "UsedUp",
    "VoucherUse",
    "get",
    "hold",
    "page",
    "release",
]


def hold(house: House, event: Event, groups: Sequence[HoldGroup], kept: Kept | None = None) -> Awaitable[list[Outcome]]:
    """Hold for each group all that it asks for, or nothing. Raises StaleCatalogue, Duplicate."""
    return house.ledger.hold(event, groups, kept)


async def page(house: House, event: Event, offset: int, size: int, ordering: str) -> tuple[int, list[StoredHold]]:
    """Return (number of all, one page) of the event's cart positions, expired ones included.

    `ordering` is datetime, -datetime, cart_id or -cart_id.
    """
    return await house.ledger.hold_page(event, offset, size, ordering)


async def get(house: House, event: Event, hold_id: int) -> StoredHold:
    """Return one cart position. Raises NotFound."""
    return await house.ledger.hold_read(event, hold_id)


async def release(house: House, event: Event, hold_id: int, kept: Kept | None = None) -> None:
    """Delete one cart position and give its units back, once. Raises NotFound, Duplicate."""
    await house.ledger.hold_release(event, hold_id, kept)
