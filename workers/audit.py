"""The audit: proves from the stores alone that the books are right.

It reads everything, so it is for after a rush or for a quiet hour. While sales go on, a difference is looked at again
before it is reported, since Postgres follows Redis by milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from msgspec import Struct
from redis.exceptions import ResponseError

from engine.domain.catalogue import Event
from engine.ledger import keys
from engine.ledger.books import Books
from engine.ledger.losses import overwritten
from engine.settings import Settings
from persistence import audit, outbox
from persistence.database import Database
from workers.reconcile import Reconciler
from workers.rules import OF_PEOPLE, Problem, compared
from workers.sums import Sums

_LOOKS = 5
_LOOK_AGAIN_S = 0.3
_DRAIN_TIMEOUT_S = 15.0


class Finding(Struct, frozen=True):
    """What was looked at, how many of each, and every broken rule.

    `shards` are those whose counts in Redis are wrong, which a repair makes anew; `repaired` is what one has done.
    """

    ok: bool
    checked: dict[str, int]
    problems: list[Problem]
    shards: list[int] = []
    repaired: list[str] = []


async def run(settings: Settings) -> Finding:
    """Audit both stores. Raises Fenced if a store cannot be reached, RedisError if Redis goes away."""
    database = Database(settings.database_url)
    books = Books(settings)
    try:
        await database.open()
        await books.open()
        return await _audit(settings, database, books)
    finally:
        await books.close()
        await database.close()


async def _audit(settings: Settings, database: Database, books: Books) -> Finding:
    problems: list[Problem] = []
    checked: Counter[str] = Counter()
    lost = await _outboxes(database, books)
    wrong = set(lost)
    problems += lost.values()
    problems += await _drained(database, books)
    problems += await _shards(database, books)
    checked["shards"] = settings.shards
    exactly = Reconciler(database, books, settings.shards)
    async for event in audit.events(database):
        try:
            listed, found = await _settled(database, books, event)
            if found:
                # in a rush Postgres is never where Redis is
                seen = await exactly.problems(event)
                found = found if seen is None else seen
        except ResponseError as error:
            if not overwritten(error):
                raise
            where = f"event {event.organizer}/{event.slug}"
            listed, found = 0, [Problem("each key in Redis is of its type", where, "its type", "another")]
        checked.update({"events": 1, "quotas": len(event.quotas), "seats": len(event.seats.by_name), "holds": listed})
        problems += found
        if any(problem.rule not in OF_PEOPLE for problem in found):
            wrong.add(keys.shard_of(event.organizer, event.slug, settings.shards))
    checked["orders"] = await audit.order_count(database)
    recent, differences = await _orders(database, books)
    checked["orders still in Redis"] = recent
    problems += differences
    problems += await _money(database)
    problems += await _invoices(database)
    if parked := await outbox.parked(database):
        problems.append(Problem("every entry of the outbox can be written", "parked entries", 0, parked))
    return Finding(not problems, dict(checked), problems, sorted(wrong))


async def _settled(database: Database, books: Books, event: Event) -> tuple[int, list[Problem]]:
    """Return (number of listed holds, what seems to be wrong with an event), after a few looks if anything does."""
    for _ in range(_LOOKS):
        sums = await Sums.of(database, event)
        seen = await books.event(event)
        found = compared(event, seen, sums)
        if not found:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
        event = await audit.reload(database, event)
    return seen.listed, found


async def _drained(database: Database, books: Books) -> list[Problem]:
    """Wait until Postgres has all that was in the outboxes at first."""
    outboxes = await books.outboxes()
    for _ in range(int(_DRAIN_TIMEOUT_S / _LOOK_AGAIN_S)):
        marks = await outbox.marks(database)
        behind = [
            box
            for shard, box in outboxes.items()
            if box.waiting and (shard not in marks or box.last > marks[shard].last)
        ]
        if not behind:
            return []
        await asyncio.sleep(_LOOK_AGAIN_S)
    return [Problem("the outbox is drained", "all shards", 0, sum(box.waiting for box in behind))]


async def _shards(database: Database, books: Books) -> list[Problem]:
    marks = await outbox.marks(database)
    rule = "Redis and Postgres agree on the epoch"
    return [
        Problem(rule, f"shard {shard}", mark.epoch, epochs.get(shard))
        for epochs in [await books.epochs()]
        for shard, mark in marks.items()
        if epochs.get(shard) != mark.epoch
    ]


async def _outboxes(database: Database, books: Books) -> dict[int, Problem]:
    """Return by shard what is wrong with its outbox."""
    marks = await outbox.marks(database)
    found = await books.outboxes()
    rule = "each shard has its outbox, as far as Postgres has got"
    return {
        shard: Problem(rule, f"shard {shard}", mark.last, found[shard].last if shard in found else None)
        for shard, mark in marks.items()
        if shard not in found or found[shard].last < mark.last
    }


async def _orders(database: Database, books: Books) -> tuple[int, list[Problem]]:
    """Compare every order that Redis still has with Postgres; return how many and what differs."""
    problems: list[Problem] = []
    rule = "Redis and Postgres have the same version of an order"
    seen: list[Problem] | None = None
    for _ in range(_LOOKS):
        recent = await books.orders()
        problems = []
        for first in range(0, len(recent), 500):
            page = recent[first : first + 500]
            stored = await audit.orders(database, [order.id for order in page])
            for order in page:
                other = stored.get(order.id)
                if other is None:
                    problems.append(Problem(rule, f"order {order.code}", order.version, "not in Postgres"))
                elif other != order:
                    problems.append(Problem(rule, f"order {order.code}", order.version, other.version))
        # in a rush there is always some order that is on its way
        problems = [problem for problem in problems if seen is None or problem in seen]
        if not problems:
            break
        seen = problems
        await asyncio.sleep(_LOOK_AGAIN_S)
    return len(recent), problems


async def _money(database: Database) -> list[Problem]:
    problems = []
    for row in await audit.torn(database):
        rule = "an order's rows say what its document says"
        problems.append(Problem(rule, f"order {row['code']}", "equal", "different"))
    for row in await audit.wrong_totals(database):
        rule = "an order's total is the sum of its positions and fees"
        problems.append(Problem(rule, f"order {row['code']}", str(row["expected"]), str(row["total"])))
    for row in await audit.unpaid(database):
        rule = "a paid order's payments cover its total"
        problems.append(Problem(rule, f"order {row['code']}", f"at least {row['total']}", str(row["received"])))
    for row in await audit.not_refunded(database):
        rule = "the refunds of a refunded payment make up all of it"
        where = f"order {row['code']} payment {row['local_id']}"
        problems.append(Problem(rule, where, str(row["amount"]), str(row["back"])))
    return problems


async def _invoices(database: Database) -> list[Problem]:
    problems = []
    for row in await audit.invoice_gaps(database):
        rule = "the numbers of invoices have no gaps"
        problems.append(Problem(rule, f"series {row['prefix']}", row["last"], row["issued"]))
    for row in await audit.uncanceled(database):
        rule = "a canceled invoice is taken back whole, by one other"
        problems.append(Problem(rule, f"invoice {row['number']}", str(-row["billed"]), str(row["taken_back"])))
    return problems
