"""Catalogues of events: kept in memory by version, changed in Postgres first, then made live in Redis."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

from msgspec.structs import replace

from engine.domain.catalogue import Event, Product, code_key
from engine.domain.errors import Busy, Forbidden, StaleCatalogue
from engine.ledger.ledger import Ledger
from engine.ledger.values import Counts
from engine.sales.voucher_codes import VoucherCodes
from persistence import catalogue
from persistence.database import Database, Session

_EVENTS_MAX = 1000
"""Events kept in memory a process; the one that was not asked for the longest goes first."""

_NOTHING: Mapping[int, int] = MappingProxyType({})

_NEWER_MAX = 5
"""Times that a catalogue may change while one question about it is asked."""


class Catalogue:
    """The events that one process knows. A copy is replaced by newer ones only."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database, self._ledger = database, ledger
        self._events: OrderedDict[tuple[int, str], Event] = OrderedDict()
        self._loading: dict[tuple[int, str], asyncio.Lock] = {}
        self._codes = VoucherCodes(database)

    def known(self, organizer_id: int, slug: str) -> Event | None:
        """Return an event if it is in memory."""
        key = (organizer_id, slug)
        event = self._events.get(key)
        if event is not None:
            self._events.move_to_end(key)
        return event

    async def event(self, organizer_id: int, slug: str) -> Event:
        """Return an event, from memory if it is there. Raises Forbidden if the organizer has no such event.

        One that was not in memory is made live in Redis if the process that changed it last could not.
        """
        return self.known(organizer_id, slug) or await self._load((organizer_id, slug), newer_than=0)

    async def current(self, event: Event) -> Event:
        """Return the event as it is live in Redis: `event` itself, or a newer copy. One round trip to Redis."""
        if await self._ledger.version(event) == event.version:
            return event
        return await self.refresh(event)

    async def refresh(self, event: Event) -> Event:
        """Return a copy newer than `event`, which Redis has refused, read from Postgres if need be.

        If Postgres has none that is newer, then Redis is behind, and what Postgres has is made live.
        """
        return await self._load((event.organizer_id, event.slug), newer_than=event.version)

    async def with_vouchers(self, event: Event, codes: Collection[str] = (), ids: Iterable[int] = ()) -> Event:
        """Return the event with those of the named vouchers that it has. Raises StaleCatalogue if it has changed.

        Postgres is asked at most once for each code and version of the catalogue; for vouchers named by id each time.
        """
        found = await self._codes.find(event, codes)
        known = {key: voucher for key, voucher in found.items() if voucher is not None}
        if wanted_ids := sorted(set(ids)):
            named = await catalogue.vouchers(self._database, event, wanted_ids)
            known |= {code_key(voucher.code): voucher for voucher in named}
        return replace(event, vouchers=known)

    async def counts(self, event: Event, quota_ids: Sequence[int]) -> dict[int, Counts]:
        """Return the counts of quotas by the newest catalogue; those that it no longer has are left out.

        Raises Busy if the catalogue keeps changing.
        """
        for _ in range(_NEWER_MAX):
            try:
                return await self._ledger.availability(event, [q for q in quota_ids if q in event.quotas])
            except StaleCatalogue:
                event = await self.refresh(event)
        raise Busy(reason="the catalogue keeps changing")

    @asynccontextmanager
    async def changing(
        self, event_id: int, *, removing: Product | None = None, reserving: Mapping[int, int] = _NOTHING
    ) -> AsyncIterator[Session]:
        """Yield a transaction that changes an event and nobody else can; commit, then make the change live.

        With `removing`, a product of which each part may be 0 for any, or with units by quota that are going to be kept
        free, in `reserving` by then, it is live before the commit, since only that script can tell whether the one is
        taken (raises InUse) and the other free (raises StaleCatalogue). Whoever makes a change live before its commit
        may fail to commit: `_load` sees to what was live and never committed.
        Raises Fenced if Redis cannot be reached after the commit: the change is kept, and is made live by the next
        change, or by the first process that reads the event afresh.
        """
        known = next((event for event in self._events.values() if event.id == event_id), None)
        async with self._database.transaction() as session:
            before = await catalogue.bump(session, event_id) - 1
            if known is not None and known.version < before:
                known = replace(await catalogue.load_event_by_id(session, event_id, known), version=before)
            yield session
            event = await catalogue.load_event_by_id(session, event_id, known)
            early = removing is not None or bool(reserving)
            if early:
                await self._ledger.publish_if(event, removing, reserving, known)
        self._keep(event)
        if early:
            await self._ledger.confirm(event)
        else:
            await self._ledger.publish(event, known)

    async def _load(self, key: tuple[int, str], newer_than: int) -> Event:
        """Read an event, once for all who ask at the same time."""
        lock = self._loading.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._events.get(key)
                if known is not None and known.version > newer_than:
                    return known
                event = await catalogue.load_event(self._database, *key, known)
                if event is None:
                    raise Forbidden
                live, committed = await self._ledger.live(event)
                if live is None or live < event.version or (live == event.version and not committed):
                    await self._ledger.publish(event, known)
                elif live > event.version:
                    event = await self._caught_up(event, live)
                return self._keep(event)
        finally:
            if not lock.locked():
                self._loading.pop(key, None)

    async def _caught_up(self, event: Event, live: int) -> Event:
        """Return the event at the version that Redis has and Postgres had not, once that has been committed.

        If it never was, what Postgres has is made live anew, as the version after it.
        """
        async with self._database.transaction() as session:
            await catalogue.pass_version(session, event.id, live)
            event = await catalogue.load_event_by_id(session, event.id, event)
        await self._ledger.publish(event)
        return event

    def _keep(self, event: Event) -> Event:
        key = (event.organizer_id, event.slug)
        known = self._events.get(key)
        if known is not None and known.version > event.version:
            return known
        self._events[key] = event
        self._events.move_to_end(key)
        while len(self._events) > _EVENTS_MAX:
            self._events.popitem(last=False)
        return event
