"""Reconciliation: compares Redis with Postgres, event by event, while sales go on; it changes nothing.

Postgres follows Redis by milliseconds, so both are never equal in a rush. They are compared exactly nevertheless: an
event is read in Redis together with its shard's outbox, at one instant. A snapshot of Postgres taken right after it
that has not come further than that outbox lacks nothing but entries which were just read; what those would change is
added to what Postgres counts. A snapshot that has come further is thrown away, and both are read again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterable

from redis.exceptions import RedisError

from engine.domain.catalogue import Event
from engine.domain.order import decode
from engine.ledger import keys
from engine.ledger.books import Books, Moment
from engine.ledger.commits import entry_id
from persistence import audit as audited
from persistence import catalogue, outbox, reconciliation
from persistence.database import Database
from persistence.reconciliation import Difference
from workers.entries import Entry, entries_of, orders_of
from workers.rules import OF_HOLDS, Problem, compared
from workers.sums import Sums

log = logging.getLogger("holdfast.reconcile")

WORK_S = 0.5
"""How long one run compares before it leaves the rest to the next. Work takes a twentieth of the time at most."""
REST = 19
PAUSE_S = 15.0
"""And how long it rests at least, where there are few events: to compare one means to read all that it has sold. Each
three seconds, that took a twentieth of all CPU in a rush."""
_LOOKS = 20
_LOOK_AGAIN_S = 0.02
_ROWS_MAX = 20_000
"""Holds and seats of an event that are read at once: about ten milliseconds of Redis' time."""
_ENTRIES_MAX = 250
"""Entries that may wait for the drain, each with the orders of a call; if there are more, nothing is compared yet."""


class Reconciler:
    """Goes through all events, a few at a time. One per worker; where it has come to is in Postgres."""

    def __init__(self, database: Database, books: Books, shards: int) -> None:
        self._database = database
        self._books = books
        self._shards = shards
        self._rest_until = 0.0
        self._opened = False

    async def close(self) -> None:
        """Leave Redis."""
        await self._books.close()

    async def run(self) -> int:
        """Compare events for a while, unless it is too early for that; return how many."""
        began = time.monotonic()
        if began < self._rest_until:
            return 0
        self._rest_until = began + REST * WORK_S
        if not self._opened:
            await self._books.open()
            self._opened = True
        return await self._compare_for_a_while(began)

    async def _compare_for_a_while(self, began: float) -> int:
        count = 0
        while time.monotonic() - began < WORK_S:
            row = await reconciliation.next_event(self._database)
            if row is None:
                await reconciliation.end_round(self._database)
                break
            event = await catalogue.load_event(self._database, row["organizer_id"], row["slug"])
            found = None if event is None else await self._compare_if_there(event)
            for one in found or ():
                log.error("%s: %s: expected %s, found %s: %s", one.place, one.rule, one.expected, one.found, one.cause)
            await reconciliation.note(self._database, row["id"], found)
            count += 1
        self._rest_until = time.monotonic() + max(PAUSE_S, REST * (time.monotonic() - began))
        return count

    async def _compare_if_there(self, event: Event) -> list[Difference] | None:
        """Compare an event unless its server is away, which keeps nobody from comparing those of other servers."""
        try:
            return await self.compare(event)
        except RedisError as error:
            log.warning("cannot compare %s/%s: %s", event.organizer, event.slug, error)
            # in a cluster the shard may be on another node by now
            await self._books.close()
            await self._books.open()
            return None

    async def compare(self, event: Event) -> list[Difference] | None:
        """Return what differs in an event, each with what may have caused it; None if `problems` cannot tell."""
        found = await self.problems(event, rows_max=_ROWS_MAX)
        if not found:
            return None if found is None else []
        parked = await reconciliation.parked(self._database, self._shard_of(event))
        return [Difference(one.rule, one.where, str(one.expected), str(one.found), cause(one, parked)) for one in found]

    async def problems(self, event: Event, *, rows_max: int = sys.maxsize) -> list[Problem] | None:
        """Return what differs in an event, None if the stores could not be seen at one moment.

        Who has which hold and seat is left out if there are more than `rows_max`.
        """
        found: list[Problem] | None = None
        for _ in range(_LOOKS):
            moment = await self._books.moment(event, rows_max=rows_max, entries_max=_ENTRIES_MAX)
            if moment is not None:
                again = found
                found = await self._compared(event, moment)
                # what differs is looked at twice, since the catalogue is written first and made live afterwards
                if found == [] or (found and again and _rules(found) & _rules(again)):
                    return found
            await asyncio.sleep(_LOOK_AGAIN_S)
        return found

    def _shard_of(self, event: Event) -> int:
        return keys.shard_of(event.organizer, event.slug, self._shards)

    async def _compared(self, event: Event, moment: Moment) -> list[Problem] | None:
        shard = self._shard_of(event)
        async with self._database.snapshot() as session:
            mark = (await outbox.marks(session)).get(shard)
            if mark is None or mark.epoch != moment.epoch or mark.last > entry_id(moment.last):
                return None
            entries = entries_of(shard, moment.entries)
            waiting = newest(entry for entry in orders_of(e for e in entries if e.id > mark.last) if of(entry, event))
            # only what has changed in between: to read all seats of a hall costs as much as the rest of a comparison
            fresh = await catalogue.load_event(session, event.organizer_id, event.slug, event)
            if fresh is None:
                return None
            sums = await Sums.of(session, fresh)
            before = await audited.orders(session, list(waiting))
        for number, entry in waiting.items():
            old = before.get(number)
            if entry.document and (old is None or entry.version > old.version):
                sums.move(old, decode(entry.document))
            elif not entry.document and old is not None:
                sums.move(old, None)
        return differences(fresh, moment, sums)


def differences(event: Event, moment: Moment, sums: Sums) -> list[Problem]:
    """Return what does not fit."""
    live = moment.books.fields.get("v")
    where = f"{event.organizer}/{event.slug}"
    if live is not None and int(live) != event.version:
        return [Problem("the catalogue of Postgres is live in Redis", where, event.version, int(live))]
    problems = compared(event, moment.books, sums)
    if moment.whole:
        return problems
    problems = [problem for problem in problems if problem.rule not in OF_HOLDS]
    if moment.deadlines < moment.books.held():
        rule = "each hold has its deadline, each deadline its hold"
        problems.append(Problem(rule, where, f"at least {moment.books.held()}", moment.deadlines))
    return problems


def cause(problem: Problem, parked: int) -> str:
    """Say what may have led to a difference, the likeliest first."""
    if parked and problem.rule.startswith("Redis "):
        return f"{parked} entries of this shard could not be written and are in parked_entries"
    if problem.rule == "the event is live":
        return "Redis has lost the event, and nobody has asked for it since; the next sale rebuilds it"
    if problem.rule == "the catalogue of Postgres is live in Redis":
        return "the catalogue was written and not made live; the next request for the event does it"
    if "has its deadline" in problem.rule:
        return "somebody has deleted deadlines from Redis: what they are of is not released before it is repaired"
    if problem.rule.startswith("Redis counts") and isinstance(problem.found, int):
        if problem.found > problem.expected:
            return "Redis counts orders that Postgres never got, or somebody has written to Redis"
        return "Redis has lost orders that Postgres has, or somebody has written to one of the stores"
    if problem.rule.startswith(("not more", "size =")):
        return "more was sold than there is: orders were written to Postgres, or the quota changed, by another way"
    return "somebody other than Holdfast's scripts has written to Redis, or a script is wrong"


def newest(entries: Iterable[Entry]) -> dict[int, Entry]:
    """Return the last entry of each order."""
    return {entry.number: entry for entry in entries}


def of(entry: Entry, event: Event) -> bool:
    """Tell whether an entry is about an order of an event, which its key says."""
    return entry.key.split(b":")[-2:-1] == [b"%d" % event.id]


def _rules(found: Iterable[Problem]) -> set[tuple[str, str]]:
    return {(one.rule, one.where) for one in found}
