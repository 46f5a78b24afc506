"""The model: what the scripts ought to answer and to leave behind, in plain Python, from lists that are counted.

It is told of each script call at the moment when Redis runs it, with the arguments, and says what the answer has to be.
It knows units by product only; what a quota has used is summed up for every question.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile

from engine.domain.order import decode
from engine.ledger.outcomes import quoted


class Disagreement(AssertionError):
    """The ledger does what the model would not, or a promise is broken."""


def require(condition, text):
    if not condition:
        raise Disagreement(text)


def _like(one, **parts):
    """Return a copy with some parts replaced; that of copy takes ten times as long."""
    made = object.__new__(type(one))
    made.__dict__.update(one.__dict__, **parts)
    return made


@dataclass
class Hold:
    id: int
    product: str
    created: int
    deadline: int
    cart: str
    seat: str
    voucher: str
    parent: int
    payload: bytes
    live: bool = True
    """Does it take anything? Not once it has expired."""

    @property
    def field(self):
        return f"{self.product.rpartition('.')[2]}.{self.seat}"

    def packed(self):
        head = f"{self.id}|{'H' if self.live else 'E'}|{self.product}|{self.created}|{self.deadline}|{self.cart}"
        return f"{head}|{self.seat}|{self.voucher}|{self.parent}|".encode() + self.payload


@dataclass
class Quota:
    size: int
    closes: bool
    exits: bool
    products: list[str]
    closed: bool = False
    allowance: int = 0
    excused: int = 0
    """Units beyond since Redis lost something: sold, and allowed before."""


@dataclass
class Reserve:
    most: int
    till: int | None
    product: str


@dataclass
class Accepted:
    """An order as its document says; seats by name."""

    version: int
    document: bytes
    units: Counter
    uses: Counter
    seats: dict[str, str]


def accepted(document):
    order = decode(document)
    units, uses, seats = Counter(), Counter(), {}
    for position in order.positions:
        if position.canceled:
            continue
        product = f"{position.item}.{position.variation or 0}.{position.subevent or 0}"
        if position.voucher is not None and order.status != "c":
            uses["r", str(position.voucher)] += 1
            if order.status != "e":
                uses["y", str(position.voucher)] += int((position.voucher_budget_use or 0) * 100)
        if order.status in ("n", "p"):
            units[str(order.status), product] += 1
            if position.has_left:
                units["x", product] += 1
            if position.seat:
                seats[f"{position.subevent or 0}.{quoted(position.seat.seat_guid)}"] = f"o{order.id}"
    return Accepted(order.version, document, units, uses, seats)


@dataclass
class Hall:
    """One event as Redis has it. `version` None: Redis does not know it."""

    id: int
    version: int | None = None
    early: bool = False
    """Has nobody said yet that the version is committed?"""
    next_id: int = 1
    last_id: int = 0
    units: Counter = field(default_factory=Counter)
    """By (state, product): h n p w x."""
    uses: Counter = field(default_factory=Counter)
    """By (state, voucher): r t y."""
    quotas: dict[int, Quota] = field(default_factory=dict)
    words: dict[int, int] = field(default_factory=dict)
    reserves: dict[str, Reserve] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    seats: dict[str, tuple[str, str]] = field(default_factory=dict)
    seats_live: int = 0
    seats_coming: int = 0
    hot: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Versions and documents of the orders that Redis has, by code."""
    orders: dict[int, Accepted] = field(default_factory=dict)
    """What was accepted last of each order, by id; deleted ones are gone."""

    def copy(self):
        """Return another of its own; what was accepted never changes, and is in both."""
        return _like(
            self,
            units=self.units.copy(),
            uses=self.uses.copy(),
            quotas={number: _like(quota, products=[*quota.products]) for number, quota in self.quotas.items()},
            words={**self.words},
            reserves={voucher: _like(reserve) for voucher, reserve in self.reserves.items()},
            holds={number: _like(hold) for number, hold in self.holds.items()},
            seats={**self.seats},
            hot={**self.hot},
            orders={**self.orders},
        )

    def lose(self):
        """Forget the event, but for what stands in keys of its own."""
        self.version, self.early = None, False
        for part in (self.units, self.uses, self.quotas, self.words, self.reserves):
            part.clear()

    def blocked(self, product):
        """Return (units that vouchers keep free, those of them that carts hold)."""
        free = taken = 0
        for voucher, reserve in self.reserves.items():
            if reserve.product == product:
                carts = self.uses["t", voucher]
                free += max(0, reserve.most - self.uses["r", voucher] - carts)
                taken += carts
        return free, taken

    def sums(self, products):
        """Return units held, pending, paid, blocked, waiting, exited, and those held that a voucher keeps free."""
        # Counter's own way to say 0 takes ten times as long
        units = self.units.get
        held = pending = paid = blocked = waiting = exited = kept = 0
        for product in products:
            held += units(("h", product), 0)
            pending += units(("n", product), 0)
            paid += units(("p", product), 0)
            waiting += units(("w", product), 0)
            exited += units(("x", product), 0)
            if self.reserves:
                free, taken = self.blocked(product)
                blocked += free
                kept += taken
        return held, pending, paid, blocked, waiting, exited, kept

    def used(self, quota):
        # what is asked most, so not by way of `sums`
        units, count = self.units.get, 0
        for product in quota.products:
            for state in "hnpw":
                count += units((state, product), 0)
            if quota.exits:
                count -= units(("x", product), 0)
            if self.reserves:
                count += self.blocked(product)[0]
        return count

    def committed(self, quota):
        _, pending, paid, blocked, _, exited, taken = self.sums(quota.products)
        return pending + paid + blocked + taken - (exited if quota.exits else 0)

    def covering(self, product):
        """Return the quotas of a product in order."""
        return [(number, quota) for number, quota in self.quotas.items() if product in quota.products]

    def room(self, quota, count, extra=0):
        if quota.closed:
            return False
        return quota.size == -1 or self.used(quota) + extra + count <= quota.size

    def family(self, hold):
        """Return a hold and those that belong to it: made together, they follow it."""
        behind = [self.holds[number] for number in sorted(self.holds) if number > hold.id]
        return [hold, *takewhile(lambda other: other.parent == hold.id, behind)]

    def take(self, hold, sign):
        self.units["h", hold.product] += sign
        if hold.voucher != "0":
            self.uses["t", hold.voucher] += sign

    def leave(self, hold):
        """Give a seat back."""
        if hold.seat:
            owner, mark = self.seats.get(hold.field, ("", ""))
            if owner == f"h{hold.id}":
                self.seats[hold.field] = ("free", mark)

    def opens(self, mark, voucher, now):
        """May somebody with a voucher take a seat with this mark?"""
        if not mark:
            return True
        if mark == "|b":
            return False
        number, _, till = mark[2:].partition(",")
        return number == voucher or (till != "" and int(till) < now) or self.uses["r", number] > 0


@dataclass
class Shard:
    epoch: int | None = None
    rebuilt: int = 0
    rebuilding: int | None = None
    """The epoch under which it is being rebuilt."""
    outbox: bool = False
    due: list[tuple[int, bytes]] = field(default_factory=list)
    purge: list[tuple[int, bytes]] = field(default_factory=list)

    @staticmethod
    def put(queue, score, member):
        Shard.drop(queue, member)
        insort(queue, (score, member))

    @staticmethod
    def drop(queue, member):
        queue[:] = [row for row in queue if row[1] != member]


@dataclass
class Memory:
    """All that Redis has. A server that loses its last moments goes back to an older one of these."""

    shards: dict[int, Shard] = field(default_factory=dict)
    halls: dict[int, Hall] = field(default_factory=dict)
    replies: dict[str, dict[str, bytes]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)

    def shard(self, number):
        return self.shards.setdefault(number, Shard())

    def hall(self, number):
        if number not in self.halls:
            self.halls[number] = Hall(number)
        return self.halls[number]

    def copy(self):
        shards = {number: _like(one, due=[*one.due], purge=[*one.purge]) for number, one in self.shards.items()}
        halls = {number: hall.copy() for number, hall in self.halls.items()}
        return Memory(shards, halls, {key: {**reply} for key, reply in self.replies.items()}, {*self.deleted})


class Chosen:
    """What is due in several halls of a shard, released in the order of deadlines."""

    def __init__(self, memory, number):
        self.memory, self.shard = memory, memory.shard(number)

    def reap(self, now, most, listed_ms):
        """Release what is due, at most so much; return whether there is more."""
        queue = self.shard.due
        count = bisect_left(queue, (now, b""))
        rows, queue[: min(count, most)] = queue[: min(count, most)], []
        for _, member in rows:
            event, _, name = member.decode().partition(":")
            hall = self.memory.hall(int(event))
            if name.startswith("v"):
                self._let_go(hall, name[1:], member, now)
                continue
            hold = hall.holds.get(int(name))
            if hold and hold.live:
                if hall.version is not None:
                    hall.take(hold, -1)
                hall.leave(hold)
                hold.live = False
                Shard.put(self.shard.purge, now + listed_ms, member)
        return count > most

    def _let_go(self, hall, voucher, member, now):
        reserve = hall.reserves.get(voucher)
        if reserve is None or reserve.till is None:
            return
        if reserve.till >= now:
            Shard.put(self.shard.due, reserve.till, member)
        else:
            del hall.reserves[voucher]
