"""Events, and the whole catalogue of one event as the rules see it (engine/domain/catalogue.py)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.domain.catalogue import Event, Seats, Voucher
from engine.domain.errors import StaleCatalogue
from engine.domain.event_settings import effective
from persistence import seating
from persistence.assembly import assemble, kept_voucher, language
from persistence.database import Database, Row, Session
from persistence.queries import Queries
from persistence.resources import jsonb

_SQL = Queries("events")
_VOUCHERS = Queries("vouchers")
SLUG = re.compile(r"[A-Za-z0-9.\-]{1,50}")
"""What an event's slug may be; nothing else is ever looked up."""


async def load_event(
    source: Session | Database, organizer_id: int, slug: str, known: Event | None = None
) -> Event | None:
    """Return an event with everything below it as of one moment, or None if the organizer has no such event.

    `known` is an older copy, if there is one: only what has changed since is read.
    """
    if not SLUG.fullmatch(slug):
        return None
    return await _load(source, {"id": None, "organizer_id": organizer_id, "slug": slug}, known)


async def load_event_by_id(source: Session | Database, event_id: int, known: Event | None = None) -> Event:
    """Return the event with this id, which must exist."""
    event = await _load(source, {"id": event_id, "organizer_id": None, "slug": None}, known)
    assert event is not None
    return event


async def _load(source: Session | Database, which: dict[str, Any], known: Event | None) -> Event | None:
    seats = known.seats if known else Seats()
    while True:
        row = await _since(source, known) if known else None
        if row is None:
            known, row = None, await source.row(_SQL["whole"], which)
        if row is None:
            return None
        if row["seats_version"] != seats.version:
            seats = await seating.load(source, row["id"], seats)
        # else they were changed in between, and are of another moment
        if row["seats_version"] == seats.version:
            return assemble(row, seats, known)


async def _since(source: Session | Database, known: Event) -> Row | None:
    """Return what has changed of an event; None if it is no successor of what is known, or speaks another language."""
    row = await source.row(_SQL["since"], {"id": known.id, "after": known.version})
    if row is None or language(effective(row["settings"])) != language(known.settings):
        return None
    return row


async def bump(session: Session, event_id: int) -> int:
    """Count one more change to an event and keep others from changing it until the transaction ends."""
    row = await session.row(_SQL["bump"], {"id": event_id})
    assert row is not None
    return int(row["version"])


async def pass_version(session: Session, event_id: int, live: int) -> None:
    """Wait for whoever is changing an event; if its version is older than `live` then, give it the one after that."""
    await session.run(_SQL["pass_version"], {"id": event_id, "live": live})


async def add_event(
    session: Session, organizer_id: int, slug: str, body: dict[str, Any], settings: dict[str, Any]
) -> int | None:
    """Keep a new event and return its id; None if the organizer has the slug already."""
    row = await session.row(
        _SQL["add"],
        {"organizer_id": organizer_id, "slug": slug, "body": jsonb(body), "settings": jsonb(settings)},
    )
    return None if row is None else int(row["id"])


async def events(source: Session | Database, organizer_id: int) -> list[Row]:
    """Return all events of an organizer (id, slug, body, settings) by slug."""
    return await source.rows(_SQL["all"], {"organizer_id": organizer_id})


async def event_row(source: Session | Database, event_id: int) -> Row:
    row = await source.row(_SQL["one"], {"id": event_id})
    assert row is not None
    return row


async def replace_event(session: Session, event_id: int, body: dict[str, Any], settings: dict[str, Any]) -> None:
    await session.run(_SQL["replace"], {"id": event_id, "body": jsonb(body), "settings": jsonb(settings)})


async def vouchers(database: Database, event: Event, ids: Sequence[int]) -> list[Voucher]:
    """Return those vouchers of an event that have one of the ids. Raises StaleCatalogue if it has changed."""
    return await _vouchers(database, event, "named", ids=list(ids))


async def coded_vouchers(database: Database, event: Event, code_keys: Sequence[str]) -> list[Voucher]:
    """Return those vouchers of an event that have one of the codes. Raises StaleCatalogue if it has changed."""
    return await _vouchers(database, event, "coded", code_keys=list(code_keys))


async def page_of_vouchers(database: Database, event: Event, after: int, most: int) -> list[Voucher]:
    """Return vouchers of an event in order of their ids, from the first one after an id. Raises StaleCatalogue."""
    return await _vouchers(database, event, "page", after=after, most=most)


async def _vouchers(database: Database, event: Event, query: str, **which: Any) -> list[Voucher]:
    rows = await database.tuples(_VOUCHERS[query], {"event_id": event.id, "version": event.version, **which})
    if not rows:
        raise StaleCatalogue
    return [kept_voucher(voucher_id, body) for voucher_id, body in rows if voucher_id is not None]
