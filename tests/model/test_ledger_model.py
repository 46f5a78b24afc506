"""The ledger and a dumb model of it, side by side: they agree on every answer, and on every count after every step.

Hypothesis chooses the steps, and prints those that went wrong. Time is real: a step that a deadline falls into may turn
out as before or as after it, and the model follows.
"""

from __future__ import annotations

import asyncio

import redis
from both_sides import SOON_MS, BothSides
from chosen import (
    CARTS,
    DATED,
    DATES,
    EVERYTHING,
    KEEPING,
    NUMBERS,
    SEATS,
    event,
    groups,
    halls,
    indexes,
    numbers,
    specs,
    with_voucher,
)
from hall import RESERVING, USAGES, Hall
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from msgspec.structs import replace
from sample_events import LONG_AGO_MS, MINUTE_MS, following, group, neighbour, now_ms, order, product, quota, seats

from engine.domain.errors import Busy, NotFound
from engine.ledger.ledger import Ledger
from engine.sales.taken import entering, units
from engine.settings import Settings
from persistence.database import Database

CROWD = 80
"""More holds than one script call releases."""


class Sales(BothSides):
    """What people buy, and what organizers change meanwhile."""

    @initialize(first=st.lists(specs, min_size=1, max_size=4), second=st.lists(specs, min_size=1, max_size=2))
    def open(self, first, second):
        places = seats(*SEATS, dates=(0, *DATES))
        one = event(*(self.quota(spec, 1) for spec in first), EVERYTHING, seated=places)
        beside = neighbour(one, *(self.quota(spec, 1) for spec in second), EVERYTHING, seated=places)
        other = replace(beside, reserving=(KEEPING,))
        self.shard = self.ledger.shard_of(one)
        self.halls = [Hall(one), Hall(other)]
        for hall in self.halls:
            self.publish(hall, hall.event)

    @rule(where=halls, wanted=st.lists(groups, min_size=1, max_size=6), late=st.booleans())
    def hold(self, where, wanted, late):
        hall = self.halls[where]
        if late:
            self.let_pass()
        asked = []
        for chosen, guids, cart, when, family, voucher in wanted:
            covered = [number for number in chosen if hall.event.quotas_of(product(number))]
            if covered:
                deadline = LONG_AGO_MS if when == "past" else None
                ttl = SOON_MS if when == "soon" else MINUTE_MS
                one = group(*covered, cart=cart, ttl_ms=ttl, deadline_ms=deadline, seats=guids)
                if family:
                    one.positions[1:] = [replace(p, parent=0) for p in one.positions[1:]]
                asked.append(with_voucher(one, voucher))
        self.ask_to_hold(hall, asked)

    @rule(where=halls, beside=halls, number=st.sampled_from((*NUMBERS, *DATED)), order_it=st.booleans())
    def crowd(self, where, beside, number, order_it):
        """Somebody wants what is held behind a crowd of holds that are all due, and that nobody has released."""
        hall, other = self.halls[where], self.halls[beside]
        deadline = now_ms(self.redis) + SOON_MS
        self.ask_to_hold(other, [group(*[3] * CROWD, cart="crowd", deadline_ms=deadline)])
        if not hall.event.quotas_of(product(number)):
            return
        self.ask_to_hold(hall, [group(number, deadline_ms=deadline + 1) for _ in range(7)])
        self.let_pass()
        if order_it:
            new = order(hall.event, number, number)
            self.commit(hall, None, new, needs=[product(number)] * 2, carts=["c@api"])
        else:
            self.ask_to_hold(hall, [group(number), group(number, 3)])

    @rule(where=halls, index=indexes, late=st.booleans())
    def release(self, where, index, late):
        hall = self.halls[where]
        if late:
            self.let_pass()
        if hall.holds:
            number = list(hall.holds)[index % len(hall.holds)]
            self.loop.run_until_complete(self.ledger.hold_release(hall.event, number))
            for gone in [n for n, one in hall.holds.items() if number in (n, one.parent)]:
                del hall.holds[gone]

    @rule(where=halls, index=indexes)
    def release_in_the_wrong_event(self, where, index):
        mine, other = self.halls[where], self.halls[1 - where]
        if mine.holds:
            number = list(mine.holds)[index % len(mine.holds)]
            try:
                self.loop.run_until_complete(self.ledger.hold_release(other.event, number))
            except NotFound:
                return
            raise AssertionError("a hold was found in an event that it is not of")

    @rule(late=st.booleans())
    def sweep(self, late):
        if late:
            self.let_pass()
        self.loop.run_until_complete(self.ledger.sweep(self.shard))

    @rule(
        where=halls,
        chosen=st.lists(numbers, min_size=1, max_size=5),
        guids=st.lists(st.sampled_from(SEATS), max_size=2, unique=True),
        status=st.sampled_from("nnp"),
        carts=st.lists(st.sampled_from(CARTS), unique=True, max_size=2),
        mode=st.sampled_from(("commit", "commit", "commit", "force", "simulate")),
        voucher=st.sampled_from((0, 0, *USAGES)),
        late=st.booleans(),
    )
    def create(self, *, where, chosen, guids, status, carts, mode, voucher, late):
        hall = self.halls[where]
        if late:
            self.let_pass()
        new = with_voucher(order(hall.event, *chosen, status=status, seats=guids), voucher)
        skips = new.positions[0].voucher == RESERVING
        needs = [product(number) for number in chosen[1 if skips else 0 :]]
        self.commit(hall, None, new, needs=needs, carts=carts, mode=mode)

    @rule(
        where=halls, index=indexes, status=st.sampled_from("npec"), mode=st.sampled_from(("commit", "commit", "force"))
    )
    def turn(self, where, index, status, mode):
        """Pay, cancel, expire or reactivate an order."""
        hall = self.halls[where]
        if hall.orders:
            old = hall.orders[list(hall.orders)[index % len(hall.orders)]]
            new = following(old, status)
            self.commit(hall, old, new, needs=entering(units(old), units(new)), mode=mode)

    @rule(where=halls, index=indexes)
    def cancel_position(self, where, index):
        hall = self.halls[where]
        if hall.orders:
            old = hall.orders[list(hall.orders)[index % len(hall.orders)]]
            first = replace(old.positions[0], canceled=not old.positions[0].canceled)
            new = replace(following(old, old.status), positions=(first, *old.positions[1:]))
            self.commit(hall, old, new, needs=entering(units(old), units(new)))

    @rule(where=halls, index=indexes)
    def change_what_somebody_changed_before(self, where, index):
        hall = self.halls[where]
        if hall.orders:
            old = hall.orders[list(hall.orders)[index % len(hall.orders)]]
            rival = replace(old, status="c")
            try:
                self.loop.run_until_complete(self.ledger.order_commit(hall.event, rival, b"never"))
            except Busy:
                return
            raise AssertionError("an order took a version that it had already")

    @rule(where=halls, index=indexes, spec=specs, word=st.sampled_from((None, None, True, False)))
    def change_quota(self, where, index, spec, word):
        """Give a quota another size and other products; say at the same time whether it is closed, or do not."""
        hall = self.halls[where]
        mine = [one for one in hall.event.quotas.values() if one.id != EVERYTHING.id]
        if mine:
            old = mine[index % len(mine)]
            version = hall.event.version + 1
            size, covered, closing, date = spec
            closed, said = (old.closed, old.closed_version) if word is None else (word, version)
            new = quota(old.id, size, *covered, close_when_sold_out=closing, closed=closed, word=said, date=date)
            others = [one for one in hall.event.quotas.values() if one.id != old.id]
            self.publish(hall, event(*others, new, like=hall.event))

    @rule(where=halls, spec=specs)
    def add_quota(self, where, spec):
        hall = self.halls[where]
        new = self.quota(spec, hall.event.version + 1)
        self.publish(hall, event(*hall.event.quotas.values(), new, like=hall.event))

    @rule(where=halls, index=indexes)
    def remove_quota(self, where, index):
        hall = self.halls[where]
        mine = [one.id for one in hall.event.quotas.values() if one.id != EVERYTHING.id]
        if mine:
            gone = mine[index % len(mine)]
            self.publish(hall, event(*(q for q in hall.event.quotas.values() if q.id != gone), like=hall.event))

    @rule(where=halls, blocked=st.sets(st.sampled_from(SEATS), max_size=2))
    def block_seats(self, where, blocked):
        hall = self.halls[where]
        marked = seats(*SEATS, version=hall.event.version + 1, blocked=blocked, dates=(0, *DATES))
        self.publish(hall, event(*hall.event.quotas.values(), like=hall.event, seated=marked))

    @rule(where=halls)
    def publish_again(self, where):
        self.loop.run_until_complete(self.ledger.publish(self.halls[where].event))


def test_the_ledger_agrees_with_the_model(redis_url, database_url):
    loop = asyncio.new_event_loop()
    database = Database(database_url)
    ledger = None

    async def start():
        await database.open()
        opened = Ledger(Settings(redis_url=redis_url, database_url=database_url), database)
        await opened.open()
        return opened

    async def stop():
        if ledger is not None:
            await ledger.close()
        await database.close()

    try:
        ledger = loop.run_until_complete(start())
        with redis.Redis.from_url(redis_url) as client:
            run_state_machine_as_test(
                lambda: Sales(loop, ledger, client),
                settings=settings(
                    max_examples=settings.default.max_examples * 2 // 5,
                    stateful_step_count=40,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
    finally:
        loop.run_until_complete(stop())
        loop.close()
