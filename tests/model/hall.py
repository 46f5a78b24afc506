"""The dumb model: lists of holds and orders, counted anew for every question."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from engine.domain.catalogue import Event
from engine.domain.order import Order
from engine.sales.seats import seats
from engine.sales.taken import units, uses

USAGES = {7: 2, 8: 4, 9: 2}
"""Vouchers, and how often each may be used."""

RESERVING = 9
RESERVED = (1, 0, 0)
"""The voucher that keeps units free, and of what."""


@dataclass
class Hold:
    cart: str
    product: tuple[int, int, int]
    deadline_ms: int
    taken: bool
    """Did it take anything? One whose deadline had passed never did."""
    seat: tuple[int, str] | None = None
    parent: int = 0
    voucher: int = 0


@dataclass
class Hall:
    """One event. `excess` is how many units beyond its size force or a new size has brought into a quota."""

    event: Event
    holds: dict[int, Hold] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    excess: Counter[int] = field(default_factory=Counter)

    def live(self, now):
        """Return the ids of the holds that take units at an instant."""
        return {number for number, hold in self.holds.items() if hold.taken and hold.deadline_ms >= now}

    def owners(self, now):
        """Return who has each seat, as Redis writes it down."""
        has = dict.fromkeys(self.event.seats.by_name, "free")
        for number in self.live(now):
            if self.holds[number].seat:
                assert has[self.holds[number].seat] == "free", "a seat was given twice"
                has[self.holds[number].seat] = f"h{number}"
        for order in self.orders.values():
            for seat in seats(order):
                assert has[seat] == "free", "a seat was given twice"
                has[seat] = f"o{order.id}"
        return has

    def open(self, seat, owner):
        """Can a seat be had that somebody has who would give it away?"""
        return owner and not self.event.seats.by_name[seat].blocked

    def redeemed(self, voucher):
        """Return how often orders use a voucher."""
        return sum(uses(order).get(voucher, (0, 0))[0] for order in self.orders.values())

    def taken(self, voucher, now, without=()):
        """Return how often carts use a voucher, without some of them."""
        return sum(self.holds[hold].voucher == voucher for hold in self.live(now) if hold not in without)

    def lacking(self, more, consumed, now):
        """Return by voucher how many uses there are too few for `more`, where some holds give theirs back."""
        found = {}
        for voucher, count in more.items():
            total = self.redeemed(voucher) + self.taken(voucher, now, consumed) + count
            if total > USAGES[voucher]:
                found[voucher] = min(count, total - USAGES[voucher])
        return found

    def reserve(self, now):
        """Return (uses of the reserving voucher that nobody has, those that carts have)."""
        taken = self.taken(RESERVING, now)
        return max(0, USAGES[RESERVING] - self.redeemed(RESERVING) - taken), taken

    def counts(self, number, now):
        """Return (held, pending, paid, blocked) of a quota; what carts hold out of a reservation is blocked."""
        products = set(self.event.products[number])
        taken = Counter()
        for order in self.orders.values():
            for (product, state), count in units(order).items():
                taken[state] += count if product in products else 0
        held = sum(self.holds[hold].product in products for hold in self.live(now))
        free, carts = self.reserve(now) if RESERVED in products else (0, 0)
        return held - carts, taken["n"], taken["p"], free + carts

    def fits(self, number, count, now, extra):
        """Is there room for `count` more in a quota, where `extra` units a quota have been dealt out besides?"""
        size = self.event.quotas[number].size
        if number in self.closed:
            return False
        return size is None or sum(self.counts(number, now)) + extra[number] + count <= size

    def deal_groups(self, groups, now):
        """Return for each (products, seats, vouchers, takes anything?) True, or what it cannot have.

        That is the first seat, else a voucher (its id below zero), else the first quota.
        """
        extra, used, answers = Counter(), Counter(), []
        owners = self.owners(now)
        for products, chosen, vouchers, takes in groups:
            gone = next(
                (s for n, s in enumerate(chosen) if s in chosen[:n] or not self.open(s, owners[s] == "free")), None
            )
            wanted = Counter(voucher for voucher in vouchers if voucher)
            needed = Counter(
                number
                for product, voucher in zip(products, vouchers, strict=True)
                if voucher != RESERVING
                for number in self.event.quotas_of(product)
            )
            spent = next(iter(self.lacking(wanted + used, (), now).keys() & wanted.keys()), None)
            if gone or spent:
                answers.append(gone or -spent)
                continue
            short = next((number for number, count in needed.items() if not self.fits(number, count, now, extra)), None)
            answers.append(short or True)
            if not short and takes:
                extra.update(needed)
                owners.update(dict.fromkeys(chosen, "dealt"))
                used.update(wanted)
        return answers

    def deal_entries(self, products, consumed, now, reserved=0):
        """Return (index, first quota without room) of those that do not fit.

        Some holds give their units back, and so many units of the entries have been kept free for them.
        """
        extra, failures = Counter(dict.fromkeys(self.event.quotas_of(RESERVED), -reserved)), []
        for hold in consumed:
            # what was held out of a reservation is kept free again
            if self.holds[hold].voucher != RESERVING:
                extra.subtract(self.event.quotas_of(self.holds[hold].product))
        for index, product in enumerate(products):
            covering = self.event.quotas_of(product)
            short = next((number for number in covering if not self.fits(number, 1, now, extra)), None)
            if short or not covering:
                failures.append((index, short or 0))
            else:
                extra.update(covering)
        return failures

    def deal_seats(self, moves, consumed, now):
        """Return the seats that an order cannot have, where some holds give theirs back."""
        owners = self.owners(now)
        given = {"free", *(f"h{number}" for number in consumed)}
        return [
            move.seat
            for move in moves
            if move.after
            and owners[move.seat] != f"o{move.before}"
            and not self.open(move.seat, owners[move.seat] in given)
        ]

    def sold(self, number, now):
        return sum(self.counts(number, now)[1:])

    def close(self, numbers, now):
        """Close those quotas that close when sold out, and are."""
        for number in numbers:
            quota = self.event.quotas[number]
            if quota.close_when_sold_out and quota.size is not None and self.sold(number, now) >= quota.size:
                self.closed.add(number)

    def allow(self, numbers, now):
        """What is used now beyond the size of these quotas has been brought in on purpose."""
        for number in numbers:
            size = self.event.quotas[number].size
            if size is not None:
                self.excess[number] = max(self.excess[number], sum(self.counts(number, now)) - size)

    def publish(self, event, now):
        words = {number: quota.closed_version for number, quota in self.event.quotas.items()}
        self.event = event
        for number, quota in event.quotas.items():
            if quota.closed_version > words.get(number, 0):
                (self.closed.add if quota.closed else self.closed.discard)(number)
        self.closed &= set(event.quotas)
        self.close(event.quotas, now)
        self.allow(event.quotas, now)
