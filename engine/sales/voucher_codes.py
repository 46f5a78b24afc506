"""Vouchers by their codes: remembered by version of the catalogue, and asked of Postgres in company.

A rush of buyers names a new code in every request. A question costs Postgres and this process as much as a whole hold;
shared by all who ask while the last one is being answered, it costs each of them little. Who is alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterable

from engine.domain.catalogue import Event, Voucher, code_key
from persistence import catalogue
from persistence.database import Database

_REMEMBERED_MAX = 10_000
"""Codes kept in memory a process, unknown ones too: by event, version and code."""

Found = dict[str, Voucher | None]
"""By `code_key`; None for a code that the event has not."""


class _Question:
    """The codes that are going to be asked together, and what came of it."""

    __slots__ = ("answer", "keys")

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.answer: asyncio.Task[Found]


class VoucherCodes:
    """What one process knows of codes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: OrderedDict[tuple[int, int, str], Voucher | None] = OrderedDict()
        self._questions: dict[tuple[int, int], _Question] = {}
        self._asking: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def find(self, event: Event, codes: Iterable[str]) -> Found:
        """Return what each code stands for. Raises StaleCatalogue if the event has changed."""
        keys = {code_key(code) for code in codes}
        known = {key: self._remembered[event.id, event.version, key] for key in keys if self._remembers(event, key)}
        if missing := keys - known.keys():
            question = self._questions.get((event.id, event.version))
            if question is None:
                question = self._questions[event.id, event.version] = _Question()
                question.answer = asyncio.create_task(self._ask(event, question))
            question.keys |= missing
            # one who gives up must not take the answer from the others
            found = await asyncio.shield(question.answer)
            known |= {key: found[key] for key in missing}
        return known

    async def _ask(self, event: Event, question: _Question) -> Found:
        lock = self._asking[event.id]
        try:
            async with lock:
                del self._questions[event.id, event.version]  # whoever comes from here on asks the next one
                keys = sorted(question.keys)
                vouchers = await catalogue.vouchers(self._database, event, keys, ())
        finally:
            if not lock.locked():
                self._asking.pop(event.id, None)
        found: Found = dict.fromkeys(keys) | {code_key(voucher.code): voucher for voucher in vouchers}
        for key in keys:
            self._remembered[event.id, event.version, key] = found[key]
        while len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return found

    def _remembers(self, event: Event, key: str) -> bool:
        name = (event.id, event.version, key)
        if name not in self._remembered:
            return False
        self._remembered.move_to_end(name)
        return True
