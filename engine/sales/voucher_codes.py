"""Vouchers by their codes: remembered by version of the catalogue, asked of Postgres in company, and read ahead.

A rush of buyers names a new code in every request. A question costs Postgres and this process as much as a whole hold.
Shared by all who ask while the last one is being answered, it costs each of them a part of that; who is alone waits for
nobody. And from an event's second question on, each is followed by a page of all that the event has, which costs a few
microseconds a voucher, and so is the first use of a page: soon nobody has to ask.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable

from engine.domain.catalogue import Event, Voucher, code_key
from engine.domain.errors import Fenced, StaleCatalogue
from persistence import catalogue
from persistence.database import Database

_REMEMBERED_MAX = 50_000
"""Codes kept in memory a process, of all events, unknown ones too: some 25 MB. The others are asked for."""

_EVENTS_MAX = 1000
"""And so many events whose codes are remembered."""

_PAGE = 500
"""Vouchers that are read ahead at once: two milliseconds. One page a question, and one more once somebody has named a
voucher of the newest, so that reading what nobody names, or what has to be read again because the catalogue keeps
changing, costs little more than the questions do."""

Found = dict[str, Voucher | None]
"""By `code_key`; None for a code that the event has not."""


class _Question:
    """The codes that are going to be asked together, and what came of it."""

    __slots__ = ("answer", "keys")

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.answer: asyncio.Task[Found]


class _Codes:
    """What is known of an event's codes at one version of its catalogue.

    Its vouchers have been read up to the id `read_to`, and `whole` tells that this is all of them. After the id
    `used_to` begins the newest page, unless somebody has named one of it. `next` is the question that is going to be
    asked, `asking` makes one wait for the other.
    """

    __slots__ = ("asked", "asking", "next", "read_to", "reading", "remembered", "used_to", "version", "whole")

    def __init__(self, version: int) -> None:
        self.version = version
        self.remembered: Found = {}
        self.read_to, self.used_to, self.whole = 0, 0, False
        self.reading: asyncio.Task[None] | None = None
        self.asked = 0
        self.asking = asyncio.Lock()
        self.next: _Question | None = None


class VoucherCodes:
    """What one process knows of codes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: OrderedDict[int, _Codes] = OrderedDict()
        self._count = 0

    async def find(self, event: Event, codes: Collection[str]) -> Found:
        """Return what each code stands for. Raises StaleCatalogue if the event has changed."""
        found: Found = {}
        if not codes:
            return found
        known = self._codes_of(event)
        missing = []
        for code in codes:
            key = code_key(code)
            voucher = found[key] = known.remembered.get(key)
            if voucher is None:
                if not known.whole and key not in known.remembered:
                    missing.append(key)
            elif known.used_to < voucher.id <= known.read_to:
                self._read_ahead(event, known)
        if missing:
            question = known.next
            if question is None:
                question = known.next = _Question()
                question.answer = asyncio.create_task(self._ask(event, known, question))
            question.keys.update(missing)
            # one who gives up must not take the answer from the others
            answer = await asyncio.shield(question.answer)
            for key in missing:
                found[key] = answer[key]
        return found

    def _codes_of(self, event: Event) -> _Codes:
        """Return what is known of an event's codes. Raises StaleCatalogue if there is a newer version of the event."""
        known = self._events.get(event.id)
        if known is None or known.version < event.version:
            self._forget(event.id)
            if len(self._events) >= _EVENTS_MAX:
                self._forget(next(iter(self._events)))
            known = self._events[event.id] = _Codes(event.version)
        elif known.version > event.version:
            raise StaleCatalogue
        else:
            self._events.move_to_end(event.id)
        return known

    async def _ask(self, event: Event, known: _Codes, question: _Question) -> Found:
        async with known.asking:
            known.next = None  # whoever comes from here on asks the next one
            keys = sorted(question.keys)
            vouchers = await catalogue.coded_vouchers(self._database, event, keys)
        found: Found = dict.fromkeys(keys) | _by_key(vouchers)
        while self._count + len(found) > _REMEMBERED_MAX and (other := self._oldest_but(known)) is not None:
            self._forget(other)
        self._remember(event, known, found)
        known.asked += 1
        if known.asked > 1:
            self._read_ahead(event, known)
        return found

    def _read_ahead(self, event: Event, known: _Codes) -> None:
        """Have the next page read, if there is one and nobody reads it yet."""
        known.used_to = known.read_to
        if not known.whole and known.reading is None:
            known.reading = asyncio.create_task(self._read_on(event, known))

    async def _read_on(self, event: Event, known: _Codes) -> None:
        """Read a page of an event's vouchers, if there is room for it."""
        try:
            if self._count + _PAGE <= _REMEMBERED_MAX:
                page = await catalogue.page_of_vouchers(self._database, event, known.read_to, _PAGE)
                if self._remember(event, known, _by_key(page)):
                    known.used_to, known.read_to = known.read_to, page[-1].id if page else known.read_to
                    known.whole = len(page) < _PAGE
        except (Fenced, StaleCatalogue):
            pass  # nobody waits for it: who needs a code asks for it, and learns what is the matter
        finally:
            known.reading = None

    def _remember(self, event: Event, known: _Codes, found: Found) -> bool:
        """Remember codes, unless there is no room for them or the event is at another version by now."""
        if self._events.get(event.id) is not known or self._count + len(found) > _REMEMBERED_MAX:
            return False
        self._count -= len(known.remembered)
        known.remembered |= found
        self._count += len(known.remembered)
        return True

    def _oldest_but(self, known: _Codes) -> int | None:
        """Return the event whose codes were not asked for the longest."""
        return next((event_id for event_id, other in self._events.items() if other is not known), None)

    def _forget(self, event_id: int) -> None:
        known = self._events.pop(event_id, None)
        if known is not None:
            self._count -= len(known.remembered)


def _by_key(vouchers: Iterable[Voucher]) -> Found:
    return {code_key(voucher.code): voucher for voucher in vouchers}
