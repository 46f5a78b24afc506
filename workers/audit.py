"""The audit: proves from the stores alone that the books are right.

It reads everything, so it is for after a rush or for a quiet hour. While sales go on, a difference is looked at again
before it is reported, since Postgres follows Redis by milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from engine.domain.catalogue import Event, Product, Quota, SeatName, products_of
from engine.ledger import keys
from engine.ledger.books import Books, EventBooks
from engine.ledger.outcomes import SeatOwner
from engine.settings import Settings
from persistence import audit, outbox
from persistence.database import Database
from workers.sums import Sums

_LOOKS = 5
_LOOK_AGAIN_S = 0.3
_DRAIN_TIMEOUT_S = 15.0


class Problem(Struct, frozen=True):
    """A broken rule: which one, where, what it asks for and what was found."""

    rule: str
    where: str
    expected: Any
    found: Any


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
    wrong: set[int] = set()
    problems += await _drained(books)
    problems += await _shards(database, books)
    checked["shards"] = settings.shards
    async for event in audit.events(database):
        listed, found = await _settled(database, books, event)
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
    """Return (number of listed holds, what is wrong with an event), once two looks in a row would say the same."""
    for _ in range(_LOOKS):
        sums = await Sums.of(database, event)
        seen = await books.event(event)
        found = compared(event, seen, sums)
        if not found:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
        event = await audit.reload(database, event)
    return seen.listed, found


OF_HOLDS = {
    "as many units are held as cart positions hold",
    "each hold has its deadline, each deadline its hold",
    "as many uses are taken as cart positions have",
    "vouchers keep as much free as can be used of them",
    "a seat is given once",
    "Redis knows who has a seat",
}
"""Rules that can be proven only by who has all holds and seats."""


OF_PEOPLE = {
    "not more is sold than there is",
    "size = free + held + pending + paid + blocked",
    "a seat is given once",
    "a voucher is used as often as it may be",
}
"""Rules that counting anew does not heal: somebody has to decide who gets what."""


def compared(event: Event, seen: EventBooks, sums: Sums) -> list[Problem]:
    """Return what is wrong with an event, given what Redis believes and what its orders take."""
    return [
        *_event(event, seen, sums.counts),
        *_vouchers(event, seen, sums.totals, sums.limits),
        *_seats(event, seen, sums.sold),
    ]


async def _drained(books: Books) -> list[Problem]:
    waiting = await books.undrained()
    for _ in range(int(_DRAIN_TIMEOUT_S / _LOOK_AGAIN_S)):
        if not waiting:
            return []
        await asyncio.sleep(_LOOK_AGAIN_S)
        waiting = await books.undrained()
    return [Problem("the outbox is drained", "all shards", 0, waiting)]


async def _shards(database: Database, books: Books) -> list[Problem]:
    marks = await outbox.marks(database)
    rule = "Redis and Postgres agree on the epoch"
    return [
        Problem(rule, f"shard {shard}", mark.epoch, epochs.get(shard))
        for epochs in [await books.epochs()]
        for shard, mark in marks.items()
        if epochs.get(shard) != mark.epoch
    ]


def _event(event: Event, books: EventBooks, counts: dict[tuple[Product, str], int]) -> Iterator[Problem]:
    """Yield what is wrong with one event. `counts` are the units that Postgres has, by product and status."""
    where = f"{event.organizer}/{event.slug}"
    if "v" not in books.fields:
        if event.version > 1:
            yield Problem("the event is live", where, f"version {event.version}", "unknown to Redis")
        return
    for product in sorted(books.products() | {product for product, _ in counts} | set(books.live)):
        at = f"{where} item {product[0]} variation {product[1]} date {product[2]}"
        for state, word in (("n", "pending"), ("p", "paid"), ("x", "exited")):
            sold = counts.get((product, state), 0)
            if books.count(state, product) != sold:
                rule = f"Redis counts as many {word} units as Postgres has"
                yield Problem(rule, at, sold, books.count(state, product))
        if books.count("h", product) != books.live[product]:
            rule = "as many units are held as cart positions hold"
            yield Problem(rule, at, books.live[product], books.count("h", product))
    if books.live_ids != books.due_ids:
        odd = sorted(books.live_ids ^ books.due_ids)[:10]
        yield Problem("each hold has its deadline, each deadline its hold", where, [], odd)
    for quota in event.quotas.values():
        yield from _quota(event, quota, books, counts)


def _vouchers(
    event: Event, books: EventBooks, totals: dict[int, tuple[int, int]], limits: dict[int, int]
) -> Iterator[Problem]:
    """Yield what is wrong with an event's vouchers.

    `totals` is how often orders use each, and for how much; `limits` how often they may.
    """
    uses = {voucher: count for voucher, (count, _) in totals.items()}
    spent = {voucher: amount for voucher, (_, amount) in totals.items()}
    where = f"{event.organizer}/{event.slug} voucher"
    for rule, expected, found in (
        ("Redis counts as many redemptions as orders have", uses, books.uses("r")),
        ("Redis counts as much of vouchers' budgets as orders have used", spent, books.uses("y")),
        ("as many uses are taken as cart positions have", dict(books.vouchers), books.uses("t")),
    ):
        for voucher in sorted(expected.keys() | found.keys()):
            if expected.get(voucher, 0) != found.get(voucher, 0):
                yield Problem(rule, f"{where} {voucher}", expected.get(voucher, 0), found.get(voucher, 0))
    for voucher, most in limits.items():
        if uses.get(voucher, 0) > most:
            yield Problem(
                "a voucher is used as often as it may be", f"{where} {voucher}", f"at most {most}", uses[voucher]
            )
    free: Counter[Product] = Counter()
    taken: Counter[Product] = Counter()
    for one in event.reserving:
        if one.reserved is not None and f"g{one.id}" in books.fields:
            free[one.reserved] += max(0, one.max_usages - uses.get(one.id, 0) - books.vouchers[one.id])
            taken[one.reserved] += books.vouchers[one.id]
    for product in books.products() | set(free):
        found_units = books.count("b", product), books.count("d", product)
        if found_units != (free[product], taken[product]):
            rule = "vouchers keep as much free as can be used of them"
            yield Problem(rule, f"{where}s of {product}", (free[product], taken[product]), found_units)


def _quota(event: Event, quota: Quota, books: EventBooks, counts: dict[tuple[Product, str], int]) -> Iterator[Problem]:
    at = f"{event.organizer}/{event.slug} quota {quota.id} {quota.name!r}"
    products = products_of(quota, event.items)
    exits = sum(books.count("x", product) for product in products) if quota.release_after_exit else 0
    firm = sum(books.count(state, product) for state in "npb" for product in products) - exits
    committed = firm + sum(books.count("d", product) for product in products)
    used = firm + sum(books.count(state, product) for state in "hw" for product in products)
    for field, expected, rule in (
        ("u", used, "used = held + pending + paid + blocked + waiting - exited"),
        ("c", committed, "committed = pending + paid + blocked - exited"),
        ("s", -1 if quota.size is None else quota.size, "the size in Redis is the size in Postgres"),
    ):
        found = int(books.fields.get(f"{field}{quota.id}", 0))
        if found != expected:
            yield Problem(rule, at, expected, found)
    if quota.size is None:
        return
    sold = sum(counts.get((product, state), 0) for state in "np" for product in products)
    allowed = quota.size + max(quota.allowance, int(books.fields.get(f"a{quota.id}", 0)))
    if sold - exits > allowed:
        yield Problem("not more is sold than there is", at, f"at most {allowed}", sold)
    if used > allowed:
        yield Problem("size = free + held + pending + paid + blocked", at, f"at most {allowed} used", used)


def _seats(event: Event, books: EventBooks, sold: dict[SeatName, list[int]]) -> Iterator[Problem]:
    """Yield seats that more than one has, or that Redis says somebody else has than orders and holds do."""
    for seat in {**event.seats.by_name, **sold}:
        at = f"{event.organizer}/{event.slug} date {seat[0]} seat {seat[1]!r}"
        orders_with, holds_with = sold.get(seat, []), books.held_seats.get(seat, [])
        if len(orders_with) + len(holds_with) > 1:
            found = [f"order {number}" for number in orders_with] + [f"hold {number}" for number in holds_with]
            yield Problem("a seat is given once", at, "at most one", found)
            continue
        owner = SeatOwner(order=sum(orders_with), hold=sum(holds_with))
        if books.seats.get(seat) != owner:
            yield Problem("Redis knows who has a seat", at, owner, books.seats.get(seat))


async def _orders(database: Database, books: Books) -> tuple[int, list[Problem]]:
    """Compare every order that Redis still has with Postgres; return how many and what differs."""
    problems: list[Problem] = []
    rule = "Redis and Postgres have the same version of an order"
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
        if not problems:
            break
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
