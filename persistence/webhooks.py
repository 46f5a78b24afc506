"""Webhooks in Postgres: what organizers want to be told, what is to be told of orders, and what could not be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.order import Order
from persistence.database import Database, Row, Session
from persistence.queries import Queries
from persistence.resources import jsonb

_SQL = Queries("webhooks")
_versions = msgspec.json.Decoder(list[Order | None])


# ------------------------------------------------------------------------------------------------------------ webhooks


async def all_of(database: Database, organizer_id: int) -> list[Row]:
    """Return all webhooks of an organizer, in order of creation."""
    return await database.rows(_SQL["all"], {"organizer_id": organizer_id})


async def one(session: Session, organizer_id: int, webhook_id: int) -> Row | None:
    """Return a webhook, locked for the rest of the transaction."""
    return await session.row(_SQL["one"], {"organizer_id": organizer_id, "id": webhook_id})


async def add(session: Session, organizer_id: int, values: dict[str, Any]) -> int:
    """Keep a new webhook and return its id."""
    row = await session.row(_SQL["add"], {**values, "organizer_id": organizer_id})
    assert row is not None
    return int(row["id"])


async def replace(session: Session, before: Row, values: dict[str, Any]) -> None:
    """Give a webhook new content. One that is disabled by it forgets what it was still to be told."""
    await session.run(_SQL["replace"], {**values, "id": before["id"]})
    if not values["enabled"]:
        await session.run(_SQL["silence"], {"id": before["id"]})
    elif values["target_url"] != before["target_url"]:
        await session.run(_SQL["hurry"], {"id": before["id"]})


async def disable(session: Session, webhook_id: int) -> bool:
    """Disable a webhook, which forgets what it was still to be told; return whether it was enabled until now."""
    if await session.row(_SQL["disable"], {"id": webhook_id}) is None:
        return False
    await session.run(_SQL["silence"], {"id": webhook_id})
    return True


# ------------------------------------------------------------------------------------------------- what is to be told


class Change(Struct, frozen=True):
    """An order from one version to another, as JSON."""

    id: int
    order_id: int
    organizer_id: int
    organizer: str
    event: str
    split: bool
    versions: str

    def orders(self) -> list[Order | None]:
        """Return the versions: two of them or more, None where the order is not there."""
        return _versions.decode(self.versions)


class Told(Struct, frozen=True):
    """One action of one order, of the `type` that webhooks ask for; `body` is JSON but for the notification's id."""

    place: int
    organizer_id: int
    order_id: int
    event: str
    type: str
    body: str


async def lock_telling(session: Session) -> bool:
    """Be the only one who tells until the transaction ends; False if another process is."""
    row = await session.row(_SQL["lock_telling"])
    return row is not None and bool(row["got"])


async def changes(session: Session, most: int) -> list[Change]:
    """Return what has not been told yet, oldest first."""
    return [Change(**row) for row in await session.rows(_SQL["changes"], {"most": most})]


async def tell(session: Session, told: Sequence[Told], done: Sequence[Change]) -> None:
    """Queue notifications for all webhooks that ask for what was `told`, in order; changes that are `done` go."""
    if told:
        # nobody is disabled, and so silenced, between being asked for and being queued
        await session.rows(_SQL["hold"], {"organizer_ids": list({each.organizer_id for each in told})})
        await session.run(_SQL["tell"], {"actions": jsonb(told)})
    await session.run(_SQL["told"], {"ids": [change.id for change in done]})


# ----------------------------------------------------------------------------------------------------------- delivery


class Due(Struct, frozen=True):
    """The first notification of a queue, to be delivered before `due_at`; `id` is None if there is none.

    `late` says that nobody will try again if this fails.
    """

    webhook_id: int
    order_id: int
    due_at: dt.datetime
    target_url: str
    id: int | None
    notification_id: int | None
    body: str | None
    late: bool | None


async def claim(database: Database, *, most: int, each: int, busy: Sequence[int]) -> list[Due]:
    """Return what is due of webhooks that are not `busy`, at most `each` of one; for a while nobody else gets it."""
    return [Due(**row) for row in await database.rows(_SQL["claim"], {"most": most, "each": each, "busy": list(busy)})]


async def delivered(database: Database, due: Due) -> None:
    """Note that a notification was received, and go on with its queue."""
    async with database.transaction() as session:
        held = await _held(session, due)
        await session.run(_SQL["delivered"], {"id": due.id})
        if held:
            await _go_on(session, due, delivered=True)


async def failed(database: Database, due: Due, error: str) -> None:
    """Note that a notification was not received; it is tried again later unless it is late."""
    async with database.transaction() as session:
        held = await _held(session, due)
        await session.run(_SQL["failed"], {"id": due.id, "error": error, "dead": due.late})
        if held and due.late:
            await _go_on(session, due, delivered=False)
        elif held:
            await session.run(_SQL["put_off"], _queue(due))


async def gone(database: Database, due: Due) -> None:
    """Disable a webhook that is there no more."""
    async with database.transaction() as session:
        await disable(session, due.webhook_id)


async def close(database: Database, due: Due) -> None:
    """Take a queue away that was claimed with nothing in it."""
    async with database.transaction() as session:
        if await _held(session, due):
            await session.run(_SQL["close"], _queue(due))


async def _held(session: Session, due: Due) -> bool:
    """Lock a queue, unless it took so long that somebody else has claimed it; tell whether it is still ours."""
    return await session.row(_SQL["lock_queue"], _queue(due)) is not None


async def _go_on(session: Session, due: Due, *, delivered: bool) -> None:
    await session.run(_SQL["go_on"], {**_queue(due), "delivered": delivered})
    await session.run(_SQL["close"], _queue(due))


def _queue(due: Due) -> dict[str, Any]:
    return {"webhook_id": due.webhook_id, "order_id": due.order_id, "due_at": due.due_at}


# --------------------------------------------------------------------------------------------------------------- dead


async def dead(database: Database, most: int) -> list[Row]:
    """Return notifications that nobody tries to deliver any more, latest first."""
    return await database.rows(_SQL["dead"], {"most": most})


async def revive(database: Database, ids: Sequence[int] | None) -> int:
    """Try dead notifications again, all or some, if their webhook is enabled; return how many."""
    row = await database.row(_SQL["revive"], {"ids": None if ids is None else list(ids)})
    return int(row["revived"]) if row else 0
