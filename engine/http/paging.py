"""Pages of lists: 50 rows unless `page_size` asks for fewer (spec/facts.md, Conventions)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from engine.domain.errors import NotFound
from engine.http.call import Call

PAGE_SIZE_MAX = 50

_Row = TypeVar("_Row")


class Page(Struct, frozen=True):
    """Which rows are asked for: `size` rows from `offset`."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    def of(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Return those rows of a whole list that are asked for."""
        return rows[self.offset : self.offset + self.size]


def page_of(call: Call) -> Page:
    """Return the page that the request asks for. Raises NotFound for a page that cannot exist."""
    wanted = call.query.get("page_size", "")
    size = min(int(wanted), PAGE_SIZE_MAX) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0
    text = call.query.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise NotFound("Invalid page.")
    return Page(int(text), size or PAGE_SIZE_MAX)


def orderings_of(call: Call, known: Collection[str], otherwise: str) -> dict[str, Any]:
    """Return the first and the second of the `known` fields that `ordering` names, to be taken one after the other."""
    named = [text for text in (part.strip() for part in call.query.get("ordering", "").split(",")) if text in known]
    return {"ordering": named[0] if named else otherwise, "then": named[1] if len(named) > 1 else None}


def page_generated(moment: dt.datetime) -> dict[str, str]:
    """Return the header from which a client asks on that fetches differences."""
    return {"X-Page-Generated": moment.isoformat(timespec="microseconds").replace("+00:00", "Z")}


def page_body(call: Call, page: Page, count: int, results: Sequence[Any]) -> dict[str, Any]:
    """Return the list resource of one page. Raises NotFound past the end (page 1 always exists)."""
    if page.number > 1 and page.offset >= count:
        raise NotFound("Invalid page.")
    return {
        "count": count,
        "next": call.page_url(page.number + 1) if page.offset + page.size < count else None,
        "previous": call.page_url(page.number - 1) if page.number > 1 else None,
        "results": results,
    }
