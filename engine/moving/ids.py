"""Which of our ids stands for which of theirs, and what could not be taken over as it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from persistence import imports
from persistence.database import Database, Session
from persistence.imports import Import, Kept

CATALOGUE = (
    "event",
    "seating_plan",
    "tax_rule",
    "category",
    "item",
    "variation",
    "addon",
    "bundle",
    "question",
    "option",
    "subevent",
    "quota",
    "voucher",
    "waiting_entry",
    "checkin_list",
)
"""The kinds of things whose ids are kept in memory."""

_PROBLEMS_SHOWN = 50


class Problems:
    """What somebody has to look at, each in one line and once; all are counted, the first of them are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._seen: set[int] = set()

    @property
    def count(self) -> int:
        return len(self._seen)

    def add(self, what: str, text: str) -> None:
        line = f"{what}: {text}"
        if hash(line) not in self._seen and len(self.lines) < _PROBLEMS_SHOWN:
            self.lines.append(line)
        self._seen.add(hash(line))


class Ids:
    """The ids of the catalogue of one import. Those of orders are too many and are asked for by page."""

    def __init__(self, begun: Import) -> None:
        self.begun = begun
        self._kept: dict[str, dict[str, Kept]] = {kind: {} for kind in CATALOGUE}

    async def load(self, database: Database) -> None:
        """Read what an earlier run has kept."""
        for kind in CATALOGUE:
            self._kept[kind] = await imports.ids(database, self.begun.id, kind)

    def ours(self, kind: str, theirs: Any) -> int | None:
        """Return our id of one of their things, or None if there is none."""
        kept = self._kept[kind].get(str(theirs))
        return kept.ours if kept else None

    def theirs(self, kind: str) -> Iterable[tuple[str, int]]:
        """Return all pairs of one kind: theirs and ours."""
        return [(theirs, kept.ours) for theirs, kept in self._kept[kind].items()]

    def is_current(self, kind: str, theirs: Any, digest: str) -> bool:
        """Tell whether a thing was kept as it is."""
        kept = self._kept[kind].get(str(theirs))
        return kept is not None and kept.digest == digest

    async def keep(self, session: Session, kind: str, theirs: Any, ours: int, digest: str) -> None:
        """Keep the id of a thing in the transaction that keeps the thing."""
        await imports.keep(session, self.begun.id, kind, str(theirs), ours=ours, digest=digest)
        self._kept[kind][str(theirs)] = Kept(ours, digest)
