"""Whether an id that an event does not have is known elsewhere: asked only to word a refusal."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from persistence.database import Database
from persistence.queries import Queries

_SQL = Queries("lookups")
_ID_MAX = 2**63 - 1

Kind = Literal["items", "variations", "subevents", "vouchers", "questions", "question_options", "tax_rules"]


async def known(database: Database, organizer_id: int, kind: Kind, ids: Collection[int]) -> set[int]:
    """Return those of `ids` that some event of the organizer has."""
    possible = sorted({number for number in ids if 0 < number <= _ID_MAX})
    if not possible:
        return set()
    rows = await database.rows(_SQL[kind], {"organizer_id": organizer_id, "ids": possible})
    return {row["id"] for row in rows}
