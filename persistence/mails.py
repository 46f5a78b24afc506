"""Mails to buyers in Postgres: asked for with an order's version, claimed, sent once or given up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from engine.domain.order import MailKind, Order, decode
from persistence.database import Database, Row
from persistence.queries import Queries

_SQL = Queries("mails")


class Due(Struct, frozen=True):
    """A mail to be sent, about the newest version of its order; `tries` counts this time too."""

    order: Order
    version: int
    kind: MailKind
    comment: str
    queued_at: dt.datetime
    tries: int
    event: str
    event_name: dict[str, str | None]
    organizer: str


async def claim(database: Database, most: int) -> list[Due]:
    """Return mails that are due. They come again after a while, longer each time, unless `sent` or given up."""
    return [
        Due(
            order=decode(row["doc"]),
            version=row["version"],
            kind=MailKind(row["kind"]),
            comment=row["comment"],
            queued_at=row["queued_at"],
            tries=row["tries"],
            event=row["event"],
            event_name=row["event_name"],
            organizer=row["organizer"],
        )
        for row in await database.rows(_SQL["claim"], {"most": most})
    ]


async def sent(database: Database, due: Due) -> None:
    """Note that a mail has gone out, unless it was asked for again meanwhile."""
    await database.run(_SQL["sent"], _key(due))


async def failed(database: Database, due: Due, error: str, *, last: bool) -> None:
    """Note that a mail has not gone out; the `last` time means that it never will."""
    await database.run(_SQL["failed"], {**_key(due), "error": error, "last": last})


async def ask(database: Database, order_id: int, kind: MailKind) -> bool:
    """Ask for a mail about an order, again if it has been sent. False if Postgres has no such order."""
    return await database.row(_SQL["ask"], {"order_id": order_id, "kind": kind}) is not None


async def dead(database: Database, most: int) -> list[Row]:
    """Return mails that nobody tries to send any more, latest first."""
    return await database.rows(_SQL["dead"], {"most": most})


async def revive(database: Database, codes: Sequence[str] | None) -> int:
    """Try dead mails again, all or those of some orders; return how many."""
    return await database.run(_SQL["revive"], {"codes": None if codes is None else list(codes)})


def _key(due: Due) -> dict[str, Any]:
    return {"order_id": due.order.id, "version": due.version, "kind": due.kind, "queued_at": due.queued_at}
