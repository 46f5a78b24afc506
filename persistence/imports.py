"""What was taken over from other servers, and which of our ids stands for which of theirs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.domain.order import Order, decode
from persistence.database import Database, Session
from persistence.queries import Queries

_SQL = Queries("imports")


class Import(Struct, frozen=True):
    """One event of another server. `slug` is the event's here."""

    id: int
    event_id: int
    slug: str
    placed_until: dt.datetime | None = None
    followed_to: dt.datetime | None = None


class Kept(Struct, frozen=True):
    """Our id of one of their things, and the digest of what they said of it."""

    ours: int
    digest: str


async def lock(session: Session, organizer_id: int, source: str) -> bool:
    """Be the only one who imports from `source` as long as the session lasts; False if another process does."""
    row = await session.row(_SQL["lock"], {"organizer_id": organizer_id, "source": source})
    return row is not None and bool(row["got"])


async def one(database: Database | Session, organizer_id: int, source: str) -> Import | None:
    """Return the import from `source`, if it has begun."""
    row = await database.row(_SQL["one"], {"organizer_id": organizer_id, "source": source})
    return Import(**row) if row else None


async def add(session: Session, organizer_id: int, source: str, event_id: int) -> None:
    """Note that an event comes from `source`."""
    await session.row(_SQL["add"], {"organizer_id": organizer_id, "source": source, "event_id": event_id})


async def placed(database: Database, import_id: int, until: dt.datetime | None) -> None:
    """Note that all orders placed until then have been taken over; None begins again."""
    await database.run(_SQL["placed"], {"id": import_id, "until": until})


async def followed(database: Database, import_id: int, to: dt.datetime) -> None:
    """Note that all that has changed until then has been taken over."""
    await database.run(_SQL["followed"], {"id": import_id, "to": to})


async def ids(source: Database | Session, import_id: int, kind: str) -> dict[str, Kept]:
    """Return all ids of one kind by theirs."""
    rows = await source.rows(_SQL["ids"], {"import_id": import_id, "kind": kind})
    return {row["theirs"]: Kept(row["ours"], row["digest"]) for row in rows}


async def some(source: Database | Session, import_id: int, kind: str, theirs: Sequence[str]) -> dict[str, int]:
    """Return those of some ids of one kind that are known, by theirs."""
    rows = await source.rows(_SQL["some"], {"import_id": import_id, "kind": kind, "theirs": list(theirs)})
    return {row["theirs"]: row["ours"] for row in rows}


async def stored(source: Database | Session, import_id: int) -> int:
    """Return how many orders have been taken over and are there."""
    row = await source.row(_SQL["stored"], {"import_id": import_id})
    return int(row["count"]) if row else 0


async def keep(session: Session, import_id: int, kind: str, theirs: str, *, ours: int, digest: str) -> None:
    """Keep an id, or the newer digest of one that is kept."""
    values: dict[str, Any] = {"import_id": import_id, "kind": kind, "theirs": theirs, "ours": ours, "digest": digest}
    await session.run(_SQL["keep"], values)


async def keep_all(database: Database, import_id: int, taken: Iterable[tuple[str, str, int]]) -> None:
    """Keep ids, each as (kind, theirs, ours), in one statement."""
    rows = list(taken)
    values = {
        "import_id": import_id,
        "kinds": [kind for kind, _, _ in rows],
        "theirs": [theirs for _, theirs, _ in rows],
        "ours": [ours for _, _, ours in rows],
    }
    await database.run(_SQL["keep_all"], values)


async def claim(database: Database, scope: str, owner_id: int, wanted: Mapping[str, int]) -> set[str]:
    """Claim values for orders, by value; return those that they have now."""
    values = {"scope": scope, "owner_id": owner_id, "values": list(wanted), "orders": list(wanted.values())}
    return {row["value"] for row in await database.rows(_SQL["claim"], values)}


async def codes_used(database: Database, organizer_id: int, codes: Mapping[str, int]) -> set[str]:
    """Return those codes that other orders of the organizer have than these."""
    values = {"organizer_id": organizer_id, "codes": list(codes), "ids": list(codes.values())}
    return {row["code"] for row in await database.rows(_SQL["codes_used"], values)}


async def leased(database: Database, numbers: Sequence[int]) -> set[int]:
    """Return those numbers of orders that some process may be about to use."""
    return {row["number"] for row in await database.rows(_SQL["leased"], {"numbers": list(numbers)})}


async def orders(database: Database, order_ids: Sequence[int]) -> dict[int, Order]:
    """Return those orders that Postgres has, by id."""
    rows = await database.rows(_SQL["documents"], {"ids": list(order_ids)})
    return {order.id: order for order in (decode(row["doc"]) for row in rows)}


async def versions(database: Database, order_ids: Sequence[int]) -> dict[int, int]:
    """Return the versions of those orders that Postgres has, by id."""
    rows = await database.rows(_SQL["versions"], {"ids": list(order_ids)})
    return {row["id"]: row["version"] for row in rows}
