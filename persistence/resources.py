"""Resources of an event that are kept as JSON: one class for all tables of that shape.

Each table has a .sql file with the same query names: add, all, one, replace, remove, and known where others refer to
it. What a table has besides (sold, taken, clear_…) is asked for by name.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from persistence.database import Row, Session
from persistence.queries import Queries


def jsonb(value: Any) -> Jsonb:
    """Return a jsonb parameter; amounts go in as strings and times as ISO 8601, as clients see them."""
    return Jsonb(value, dumps=msgspec.json.encode)


class Table:
    """Rows (id, parent_id where there is a parent, body) of one table; `fixed` values go into every query."""

    def __init__(self, name: str, **fixed: Any) -> None:
        self._sql = Queries(name)
        self._fixed = fixed

    async def add(self, session: Session, event_id: int, body: dict[str, Any], **columns: Any) -> int:
        """Keep a new row and return its id."""
        row = await session.row(self._sql["add"], {**self._fixed, "event_id": event_id, "body": jsonb(body), **columns})
        assert row is not None
        return int(row["id"])

    async def all(self, session: Session, event_id: int, parent_id: int | None = None) -> list[Row]:
        """Return all rows of an event, or those below one parent, in order of creation."""
        return await session.rows(self._sql["all"], {**self._fixed, "event_id": event_id, "parent_id": parent_id})

    async def one(self, session: Session, event_id: int, row_id: int, parent_id: int | None = None) -> Row | None:
        return await session.row(
            self._sql["one"], {**self._fixed, "event_id": event_id, "parent_id": parent_id, "id": row_id}
        )

    async def replace(self, session: Session, event_id: int, row_id: int, body: dict[str, Any], **columns: Any) -> None:
        values = {**self._fixed, "event_id": event_id, "id": row_id, "body": jsonb(body), **columns}
        await session.run(self._sql["replace"], values)

    async def remove(self, session: Session, event_id: int, row_id: int) -> None:
        await session.run(self._sql["remove"], {**self._fixed, "event_id": event_id, "id": row_id})

    async def known(self, session: Session, event_id: int, ids: list[int]) -> set[int]:
        """Return those of `ids` that the event has."""
        rows = await session.rows(self._sql["known"], {"event_id": event_id, "ids": ids})
        return {row["id"] for row in rows}

    async def placed(self, session: Session, organizer_id: int, ids: list[int]) -> dict[int, Row]:
        """Return by id those of `ids` that any event of the organizer has, with what the query says of them."""
        rows = await session.rows(self._sql["placed"], {"organizer_id": organizer_id, "ids": ids})
        return {row["id"]: row for row in rows}

    async def is_true(self, session: Session, question: str, **params: Any) -> bool:
        """Ask a yes-or-no query of this table by name."""
        row = await session.row(self._sql[question], params)
        return row is not None and bool(next(iter(row.values())))

    async def clear(self, session: Session, what: str, event_id: int, row_id: int) -> None:
        """Run a query that takes a row out of what refers to it."""
        await session.run(self._sql[f"clear_{what}"], {"event_id": event_id, "id": row_id})


CATEGORIES = Table("categories")
TAX_RULES = Table("tax_rules")
ITEMS = Table("items")
VARIATIONS = Table("variations")
ADDONS = Table("item_links", kind="addon")
BUNDLES = Table("item_links", kind="bundle")
QUESTIONS = Table("questions")
QUESTION_OPTIONS = Table("question_options")
SUBEVENTS = Table("subevents")
QUOTAS = Table("quotas")
VOUCHERS = Table("vouchers")
WAITING = Table("waiting_entries")
CHECKIN_LISTS = Table("checkin_lists")
