"""What has to be true of an event: between Redis and Postgres, and within each. Pure; audit and reconcile look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from engine.domain.catalogue import Event, Product, Quota, SeatName
from engine.ledger.books import EventBooks
from engine.ledger.outcomes import SeatOwner
from workers.sums import Sums


class Problem(Struct, frozen=True):
    """A broken rule: which one, where, what it asks for and what was found."""

    rule: str
    where: str
    expected: Any
    found: Any


OF_HOLDS = {
    "as many units are held as cart positions hold",
    "each hold has its deadline, each deadline its hold",
    "each voucher that keeps units free has its deadline",
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
    if lost := books.expiring() - books.due_vouchers:
        yield Problem("each voucher that keeps units free has its deadline", where, [], sorted(lost)[:10])
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
    products = event.products[quota.id]
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
