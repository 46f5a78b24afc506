"""The ledger and a dumb model of it, side by side: they agree on every answer, and on every count after every step.

Hypothesis chooses the steps, and prints those that went wrong. Time is real: a step that a deadline falls into may turn
out as before or as after it, and the model follows.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec
import redis
import sample_events
from hall import RESERVED, RESERVING, USAGES, Hall, Hold
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace
from sample_events import (
    LONG_AGO_MS,
    MINUTE_MS,
    following,
    group,
    neighbour,
    now_ms,
    order,
    product,
    quota,
    seats,
)

from engine.domain.catalogue import Voucher
from engine.domain.errors import Busy, NotFound, SeatsTaken, SoldOut, VoucherSpent
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.ledger import Ledger
from engine.ledger.outcomes import seat_name
from engine.ledger.values import Held, SeatTaken, UsedUp, VoucherMove, VoucherUse
from engine.sales.seats import seat_moves
from engine.sales.taken import entering, unit_moves, units, uses
from engine.settings import Settings
from persistence.database import Database

NUMBERS = (1, 2, (9, 91))
"""What is sold by the quotas that come and go; item 3 is always for sale, without limit."""
DATES = (5, 6)
DATED = tuple((*product(number)[:2], date) for number in NUMBERS for date in DATES)
"""The same on a date of a series, with quotas and seats of that date."""
CARTS = ("a", "a1", "a-b", "ü|:")
SOON_MS = 15
CROWD = 80
"""More holds than one script call releases."""

indexes = st.integers(0, 99)
halls = st.sampled_from((0, 1))
sizes = st.one_of(st.none(), st.integers(0, 7))
numbers = st.sampled_from((*NUMBERS, *NUMBERS, *DATED, 3))
specs = st.tuples(
    sizes,
    st.lists(st.sampled_from(NUMBERS), unique=True, min_size=1),
    st.booleans(),
    st.sampled_from((None, None, *DATES)),
)
SEATS = ("A", "B", "C ü|", "D")
some_seats = st.lists(st.sampled_from(("", "", *SEATS)), max_size=3)
groups = st.tuples(
    st.lists(numbers, min_size=1, max_size=4),
    some_seats,
    st.sampled_from(CARTS),
    st.sampled_from(("long", "long", "soon", "soon", "past")),
    st.booleans(),
    st.sampled_from((0, 0, *USAGES)),
)
EVERYTHING = quota(90, None, 3)
KEEPING = Voucher(
    id=RESERVING,
    code="KEEP",
    max_usages=USAGES[RESERVING],
    valid_until=None,
    block_quota=True,
    allow_ignore_quota=False,
    price_mode="none",
    value=None,
    budget=None,
    item=RESERVED[0],
    variation=None,
    quota=None,
    subevent=None,
    seat=None,
)


def event(*quotas, **fields):
    """Return an event with a voucher that keeps units free."""
    return sample_events.event(*quotas, reserving=(KEEPING,), **fields)


def with_voucher(of, voucher):
    """Return a group, or an order, whose first position has a voucher; the reserving one only fits its product."""
    first = of.positions[0]
    made_for = getattr(first, "product", None) or (first.item, first.variation or 0, first.subevent or 0)
    if not voucher or (voucher == RESERVING and made_for != RESERVED):
        return of
    use = VoucherUse(voucher, USAGES[voucher], voucher == RESERVING) if hasattr(first, "product") else voucher
    return replace(of, positions=type(of.positions)([replace(first, voucher=use), *of.positions[1:]]))


def answer_of(answer):
    """Return True, or the seat, the voucher (below zero) or the quota that a group cannot have."""
    match answer:
        case Held():
            return True
        case SeatTaken(seat=seat):
            return seat
        case UsedUp(voucher=voucher):
            return -voucher
    return answer.quota


class Sales(RuleBasedStateMachine):
    """Two events in one shard, so that each releases what is due in the other."""

    def __init__(self, loop, ledger, client):
        super().__init__()
        self.loop, self.ledger, self.redis = loop, ledger, client
        self.halls = []
        self.quota_ids = 0

    # ------------------------------------------------------------------------------------------------ both sides

    def compare(self, action, predict):
        """Do something and return (what the model says to it too, the instant at which it says so)."""
        began = now_ms(self.redis)
        try:
            answer = self.loop.run_until_complete(action)
        except SoldOut as short:
            answer = short.failures
        except SeatsTaken as taken:
            answer = taken.seats
        return self.agree(answer, predict, began)

    def agree(self, answer, predict, began):
        ended = now_ms(self.redis)
        deadlines = {hold.deadline_ms + 1 for hall in self.halls for hold in hall.holds.values()}
        instants = [began, *sorted(instant for instant in deadlines if began < instant < ended), ended]
        expected = [predict(instant) for instant in instants]
        assert answer in expected, f"the ledger says {answer}, the model {expected}"
        return instants[expected.index(answer)]

    def quota(self, spec, word):
        self.quota_ids += 1
        size, covered, closing, date = spec
        return quota(self.quota_ids, size, *covered, close_when_sold_out=closing, word=word, date=date)

    def publish(self, hall, following_event):
        began = now_ms(self.redis)
        # now and then whoever publishes does not know what is live
        since = hall.event if following_event.version % 3 else None
        self.loop.run_until_complete(self.ledger.publish(following_event, since))
        hall.publish(following_event, began)

    # ----------------------------------------------------------------------------------------------------- steps

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
                    one.positions[1:] = [msgspec.structs.replace(p, parent=0) for p in one.positions[1:]]
                asked.append(with_voucher(one, voucher))
        self.ask_to_hold(hall, asked)

    def ask_to_hold(self, hall, asked):
        answers = []

        def predict(now):
            dealt = [
                (
                    [p.product for p in g.positions],
                    [(p.product[2], p.seat) for p in g.positions if p.seat],
                    [p.voucher.voucher if p.voucher else 0 for p in g.positions],
                    g.deadline_ms is None or g.deadline_ms > now,
                )
                for g in asked
            ]
            return hall.deal_groups(dealt, now)

        async def ask():
            answers.extend(await self.ledger.hold(hall.event, asked))
            return [answer_of(answer) for answer in answers]

        self.compare(ask(), predict)
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Held):
                for position, number in zip(one.positions, answer.ids, strict=True):
                    taken = answer.deadline_ms > answer.created_ms
                    parent = 0 if position.parent < 0 else answer.ids[position.parent]
                    voucher = position.voucher.voucher if position.voucher else 0
                    seat = (position.product[2], position.seat) if position.seat else None
                    hall.holds[number] = Hold(
                        one.cart_id, position.product, answer.deadline_ms, taken, seat, parent, voucher
                    )

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

    def let_pass(self):
        """Let everything that is due soon fall due, with nobody there to release it before the step at hand."""
        now = now_ms(self.redis)
        soon = [d for hall in self.halls for h in hall.holds.values() if now <= (d := h.deadline_ms) <= now + SOON_MS]
        time.sleep(max(0, max(soon, default=0) + 1 - now) / 1000)

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
            self.commit(hall, old, new, needs=entering(old, new), mode=mode)

    @rule(where=halls, index=indexes)
    def cancel_position(self, where, index):
        hall = self.halls[where]
        if hall.orders:
            old = hall.orders[list(hall.orders)[index % len(hall.orders)]]
            first = msgspec.structs.replace(old.positions[0], canceled=not old.positions[0].canceled)
            new = msgspec.structs.replace(following(old, old.status), positions=(first, *old.positions[1:]))
            self.commit(hall, old, new, needs=entering(old, new))

    @rule(where=halls, index=indexes)
    def change_what_somebody_changed_before(self, where, index):
        hall = self.halls[where]
        if hall.orders:
            old = hall.orders[list(hall.orders)[index % len(hall.orders)]]
            rival = msgspec.structs.replace(old, status="c")
            try:
                self.loop.run_until_complete(self.ledger.order_commit(hall.event, rival, b"never"))
            except Busy:
                return
            raise AssertionError("an order took a version that it had already")

    def commit(self, hall, old, new, *, needs, carts=(), mode="commit"):
        before = units(old) if old else Counter()
        moves = unit_moves(before, units(new))
        changing = seat_moves(old, new)
        old_uses, new_uses = uses(old), uses(new)
        more = {
            voucher: n
            for voucher in USAGES
            if (n := new_uses.get(voucher, (0, 0))[0] - old_uses.get(voucher, (0, 0))[0])
        }
        vouchers = [VoucherMove(voucher, n, USAGES[voucher]) for voucher, n in more.items()]
        listed = set(hall.holds)

        async def ask():
            failures = []
            try:
                await self.ledger.order_commit(
                    hall.event,
                    new,
                    encode(new),
                    moves=moves,
                    needs=needs,
                    carts=carts,
                    seats=changing,
                    mode=mode,
                    vouchers=vouchers,
                )
            except VoucherSpent as spent:
                failures = spent.lacking
            except SoldOut as short:
                failures = short.failures
            except SeatsTaken as taken:
                failures = taken.seats
            return failures, listed - self.listed(hall)

        def consumed(now):
            return {number for number in hall.live(now) if hall.holds[number].cart in carts}

        def predict(now):
            failures = hall.lacking({voucher: n for voucher, n in more.items() if n > 0}, consumed(now), now)
            failures = failures or hall.deal_seats(changing, consumed(now), now)
            if not failures and mode != "force":
                # a new order's entry with the voucher is not among the needs
                reserved = max(0, more.get(RESERVING, 0)) if old else 0
                failures = hall.deal_entries(needs, consumed(now), now, reserved)
            return failures, set() if failures or mode == "simulate" else consumed(now)

        now = self.compare(ask(), predict)
        failures, gone = predict(now)
        if not failures and mode != "simulate":
            for number in gone:
                del hall.holds[number]
            hall.orders[new.code] = new
            moved = {number for move in moves for number in hall.event.quotas_of(move.product)}
            returned = set(hall.event.quotas_of(RESERVED)) if more.get(RESERVING, 0) < 0 else set()
            if mode == "force":
                hall.allow(moved, now)
            hall.allow(returned, now)  # what an expired order gives up is kept free again, sold or not
            hall.close(moved | returned, now)
        stored = self.loop.run_until_complete(self.ledger.order_read(hall.event, new.code))
        assert stored == hall.orders.get(new.code)

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

    # ------------------------------------------------------------------------------------------------ every step

    def owners(self, hall):
        values = self.redis.hgetall(keys.seats(self.shard, hall.event.id))
        return {seat_name(f): v.decode().partition("|")[0] for f, v in values.items() if b"." in f}

    def listed(self, hall):
        return {int(row[1]) for row in self.redis.zrange(keys.holds(self.shard, hall.event.id), 0, -1, withscores=True)}

    @invariant()
    def counts_agree(self):
        for hall in self.halls:
            self.counts_of_one_agree(hall)

    def counts_of_one_agree(self, hall):
        began = now_ms(self.redis)
        found = self.loop.run_until_complete(self.ledger.availability(hall.event, list(hall.event.quotas)))
        counted = {number: (count.held, count.pending, count.paid, count.blocked) for number, count in found.items()}
        used = self.loop.run_until_complete(self.ledger.voucher_uses(hall.event, list(USAGES)))
        self.agree(
            (
                counted,
                {voucher: (use.redeemed, use.taken) for voucher, use in used.items()},
                self.due(hall),
                self.owners(hall),
            ),
            lambda now: (
                {number: hall.counts(number, now) for number in hall.event.quotas},
                {voucher: (hall.redeemed(voucher), hall.taken(voucher, now)) for voucher in USAGES},
                hall.live(now),
                hall.owners(now),
            ),
            began,
        )
        fields = self.redis.hgetall(keys.event(self.shard, hall.event.id))
        for number, count in found.items():
            assert int(fields[b"c%d" % number]) == count.pending + count.paid + count.blocked
            assert count.size == hall.event.quotas[number].size
            assert count.closed == (number in hall.closed), f"quota {number}"
            taken = count.held + count.pending + count.paid + count.blocked + count.waiting - count.exited
            assert count.used == taken
            if count.size is not None:
                assert taken <= count.size + hall.excess[number], f"quota {number} is oversold"
                if not count.closed and taken <= count.size:
                    assert count.size == count.free + taken

    def due(self, hall):
        members = (member.split(b":") for member in self.redis.zrange(keys.due(self.shard), 0, -1))
        return {int(number) for event_id, number in members if int(event_id) == hall.event.id}

    @invariant()
    def lists_agree(self):
        for hall in self.halls:
            assert self.listed(hall) == set(hall.holds)
            assert self.redis.zcard(keys.carts(self.shard, hall.event.id)) == len(hall.holds)


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
