"""Files of tickets in Postgres: asked for by a front door, made by a worker, kept for a while."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from engine.domain.order import Order, Position, decode
from persistence.database import Database, Row
from persistence.queries import Queries

_SQL = Queries("ticket_files")
KEPT = dt.timedelta(days=1)
"""How long a file stays after it was asked for or made. Then it is made again for whoever asks."""
_REMOVED_MAX = 1000

WHOLE_ORDER = 0
"""Stands for the id of a position where a file has all tickets of an order."""


class Due(Struct, frozen=True):
    """A file to be made, of the newest version of its order; `tries` counts this time too."""

    order: Order
    position_id: int
    wanted: str
    tries: int
    event: str
    organizer: str


def named(order: Order, look: str) -> str:
    """Return what a file is known by that shows this version of an order, with a catalogue that looks so."""
    return f"{order.version}.{look}"


async def get(database: Database, order: Order, position_id: int, look: str) -> bytes | None:
    """Return a file that shows exactly this; None if there is none."""
    which = {"order_id": order.id, "position_id": position_id, "wanted": named(order, look)}
    row = await database.row(_SQL["file"], which)
    return None if row is None else bytes(row["file"])


async def ask(database: Database, order: Order, position_id: int, look: str) -> int:
    """Have a file made, unless somebody is at it; return in how many seconds to look for it."""
    row = await database.row(
        _SQL["ask"],
        {
            "order_id": order.id,
            "position_id": position_id,
            "wanted": named(order, look),
            "version": order.version,
            "kept": KEPT,
        },
    )
    assert row is not None
    return int(row["wait_s"])


async def claim(database: Database) -> Due | None:
    """Return a file that is to be made. It comes again after a while, longer each time, unless stored or given up."""
    row = await database.row(_SQL["claim"])
    if row is None:
        return None
    return Due(
        order=decode(row["doc"]),
        position_id=row["position_id"],
        wanted=row["wanted"],
        tries=row["tries"],
        event=row["event"],
        organizer=row["organizer"],
    )


async def shown(database: Database, event_id: int, positions: Iterable[Position]) -> Row:
    """Return what papers show of an event: its `body`, and pairs of id and text of `items` and `variations`.

    `subevents` are pairs of id and body.
    """
    positions = list(positions)
    row = await database.row(
        _SQL["shown"],
        {
            "event_id": event_id,
            "items": [position.item for position in positions],
            "variations": [position.variation for position in positions],
            "subevents": [position.subevent for position in positions],
        },
    )
    assert row is not None
    return row


async def store(database: Database, due: Due, made: str, file: bytes) -> None:
    """Keep a file that shows what `made` names. Nothing happens if its order has been deleted."""
    await database.run(_SQL["store"], {**_key(due), "made": made, "file": file, "kept": KEPT})


async def failed(database: Database, due: Due, error: str, *, last: bool) -> None:
    """Note that a file could not be made; the `last` time means not until somebody asks again."""
    await database.run(_SQL["failed"], {**_key(due), "error": error, "last": last})


async def remove_expired(database: Database) -> int:
    """Remove files that have been kept long enough, a bounded number; return how many."""
    return await database.run(_SQL["remove"], {"most": _REMOVED_MAX})


def _key(due: Due) -> dict[str, Any]:
    return {"order_id": due.order.id, "position_id": due.position_id, "wanted": due.wanted}
