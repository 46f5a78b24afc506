"""The dumb model: lists of holds and orders, counted anew for every question."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from engine.domain.catalogue import Event, products_of
from engine.domain.order import Order
from engine.sales.orders import units


@dataclass
class Hold:
    cart: str
    product: tuple[int, int, int]
    deadline_ms: int
    taken: bool
    """Did it take units? One whose deadline had passed never did."""


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

    def counts(self, number, now):
        """Return (held, pending, paid) of a quota."""
        products = set(products_of(self.event.quotas[number], self.event.items))
        taken = Counter()
        for order in self.orders.values():
            for (product, state), count in units(order).items():
                taken[state] += count if product in products else 0
        held = sum(self.holds[hold].product in products for hold in self.live(now))
        return held, taken["n"], taken["p"]

    def fits(self, number, count, now, extra):
        """Is there room for `count` more in a quota, where `extra` units a quota have been dealt out besides?"""
        size = self.event.quotas[number].size
        if number in self.closed:
            return False
        return size is None or sum(self.counts(number, now)) + extra[number] + count <= size

    def deal_groups(self, groups, now):
        """Return for each (products, takes units?) True or the first quota without room."""
        extra, answers = Counter(), []
        for products, takes in groups:
            needed = Counter(number for product in products for number in self.event.quotas_of(product))
            short = next((number for number, count in needed.items() if not self.fits(number, count, now, extra)), None)
            answers.append(short or True)
            if not short and takes:
                extra.update(needed)
        return answers

    def deal_entries(self, products, consumed, now):
        """Return (index, first quota without room) of those that do not fit, where some holds give their units back."""
        extra, failures = Counter(), []
        for hold in consumed:
            extra.subtract(self.event.quotas_of(self.holds[hold].product))
        for index, product in enumerate(products):
            covering = self.event.quotas_of(product)
            short = next((number for number in covering if not self.fits(number, 1, now, extra)), None)
            if short or not covering:
                failures.append((index, short or 0))
            else:
                extra.update(covering)
        return failures

    def sold(self, number):
        return sum(self.counts(number, 0)[1:])

    def close(self, numbers):
        """Close those quotas that close when sold out, and are."""
        for number in numbers:
            quota = self.event.quotas[number]
            if quota.close_when_sold_out and quota.size is not None and self.sold(number) >= quota.size:
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
        self.close(event.quotas)
        self.allow(event.quotas, now)
