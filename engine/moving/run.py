"""An import from its beginning to the comparison, and on from wherever an earlier one was interrupted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.catalogue import Event
from engine.moving import comparison, seats
from engine.moving.catalogue import Catalogue, begin
from engine.moving.comparison import Line
from engine.moving.ids import Ids, Problems
from engine.moving.orders import Orders, Tally
from engine.moving.source import Source, SourceFailed
from engine.sales.house import House
from persistence import imports
from persistence.resources import CHECKIN_LISTS

_PASSES = 3
"""Looks at all orders before somebody is told that some are missing."""
_COMPARISONS = 4
"""Both servers are asked one after the other, and theirs goes on selling: what differs is asked again after a look."""
_FOLLOW_S = 5.0


class Outcome(Struct, frozen=True):
    """What an import came to."""

    lines: list[Line]
    tally: Tally
    seconds: float
    requests: int

    @property
    def agrees(self) -> bool:
        return not any(line.differences for line in self.lines)


async def run(
    house: House,
    source: Source,
    organizer_id: int,
    problems: Problems,
    *,
    say: Callable[[str], None],
    progress: Callable[[Tally], None],
    stop: asyncio.Event | None,
) -> Outcome:
    """Take over an event; with `stop`, follow what changes there until it is set. Raises SourceFailed, NotDrained."""
    async with house.database.session() as session:
        if not await imports.lock(session, organizer_id, source.url):
            raise SourceFailed("another import from there is running")
        return await _Run(house, source, problems, say, progress).bring(organizer_id, stop)


class _Run(Struct, frozen=True):
    """One run, with what all its steps need."""

    house: House
    source: Source
    problems: Problems
    say: Callable[[str], None]
    progress: Callable[[Tally], None]

    async def bring(self, organizer_id: int, stop: asyncio.Event | None) -> Outcome:
        house, source, problems = self.house, self.source, self.problems
        ids = Ids(await begin(house, source, organizer_id))
        await ids.load(house.database)
        catalogue = Catalogue(house, source, ids, problems, self.say)
        await catalogue.take()
        event = await catalogue.event()
        found = await seats.theirs(source, event, ids) if event.seats.by_name else {}
        await seats.free(house, event, found)
        event = await catalogue.event()
        started = time.monotonic()
        reentry = await _reentry(house, event)
        orders = Orders(house, source, ids, event, problems, reentry=reentry, progress=self.progress)
        since = await self._all(orders)
        outcome = Outcome([], orders.tally, time.monotonic() - started, 0)
        if stop is not None:
            self.say("following; Ctrl-C ends it with the comparison")
            since = await _follow(house, catalogue, orders, since, stop)
            found = await seats.theirs(source, event, ids) if event.seats.by_name else {}
        await seats.block(house, await catalogue.event(), found, problems)
        for _ in range(_COMPARISONS):
            await comparison.settle_closed(house, source, ids, await catalogue.event())
            lines = await comparison.compare(house, source, ids, await catalogue.event())
            outcome = replace(outcome, lines=lines, requests=source.asked)
            if outcome.agrees:
                break
            await asyncio.sleep(0.5)
            since = await orders.catch_up(since)
        return outcome

    async def _all(self, orders: Orders) -> str:
        for _ in range(_PASSES):
            since = await orders.catch_up(await orders.take_all())
            if await orders.complete():
                return since
        self.problems.add("orders", "the source has more of them than were taken over")
        return since


async def _follow(house: House, catalogue: Catalogue, orders: Orders, since: str, stop: asyncio.Event) -> str:
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), _FOLLOW_S)
        except TimeoutError:
            await catalogue.take(again=True)
            event = await catalogue.event()
            orders.judge_by(event, await _reentry(house, event))
            since = await orders.catch_up(since)
    return await orders.catch_up(since)


async def _reentry(house: House, event: Event) -> frozenset[int]:
    """Return the check-in lists that let people in again who have left."""
    async with house.database.session() as session:
        rows = await CHECKIN_LISTS.all(session, event.id)
    return frozenset(row["id"] for row in rows if row["body"]["allow_entry_after_exit"])
