"""The ledger and its model, asked the same and compared: after each step they have to agree on every count."""

from __future__ import annotations

import time
from collections import Counter

from hall import RESERVED, RESERVING, USAGES, Hold
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sample_events import now_ms, quota

from engine.domain.errors import SeatsTaken, SoldOut, VoucherSpent
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.outcomes import seat_name
from engine.ledger.values import Held, SeatTaken, UsedUp, VoucherMove
from engine.sales.seats import seat_moves
from engine.sales.taken import unit_moves, units, uses

SOON_MS = 15


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


class BothSides(RuleBasedStateMachine):
    """Two events in one shard, so that each releases what is due in the other."""

    def __init__(self, loop, ledger, client):
        super().__init__()
        self.loop, self.ledger, self.redis = loop, ledger, client
        self.halls = []
        self.quota_ids = 0

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

    def let_pass(self):
        """Let everything that is due soon fall due, with nobody there to release it before the step at hand."""
        now = now_ms(self.redis)
        soon = [d for hall in self.halls for h in hall.holds.values() if now <= (d := h.deadline_ms) <= now + SOON_MS]
        time.sleep(max(0, max(soon, default=0) + 1 - now) / 1000)

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
