"""What simulated clients do, by the real use cases of a simulated front door, and what they remember of the answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate

from engine.domain import order_changes, payments, vouchers
from engine.domain.catalogue import code_key
from engine.domain.deadlines import payment_deadline
from engine.domain.errors import HoldfastError, Invalid, Lost, StaleCatalogue
from engine.domain.new_order import Line, drafted, first_payment, numbered, priced, within_budgets
from engine.domain.order import OrderStatus, PaymentState
from engine.domain.order_contents import Changes, changed
from engine.domain.splitting import SplitOff
from engine.ledger.replies import Kept, Replay
from engine.ledger.values import Held, HoldGroup, HoldPosition, VoucherUse
from engine.sales import holds, orders
from persistence import assembly, catalogue, quotas, seating
from persistence.resources import VOUCHERS, WAITING

_JUDGED_MAX = 5
CARTS = tuple(f"{name}@api" for name in ("a", "a1", "a-b", "ü|:", *"cdefgh"))
CHANGES = {
    "pay": 3,
    "cancel": 2,
    "expire": 1,
    "late": 2,
    "pending": 1,
    "reactivate": 2,
    "extend": 1,
    "force": 1,
    "split": 1,
}
CHANGES |= {"drop": 2, "comment": 1, "fee": 1, "delete": 1, "money": 1}
"""What may happen to an order, and how often."""
_CHANGES, _CHANGE_WEIGHTS = list(CHANGES), list(accumulate(CHANGES.values()))


@dataclass
class Told:
    """What clients know from answers."""

    orders: list[tuple[object, str, int]] = field(default_factory=list)
    """(shop, code, id) of orders that somebody has heard of."""
    holds: list[tuple[object, int]] = field(default_factory=list)
    keys: dict[str, list] = field(default_factory=dict)
    """By idempotency key: the request's parts, what came of it, and how often Redis had lost something by then."""
    durable: dict[int, int] = field(default_factory=dict)
    """By order's id: the newest version that was answered 200 or 201; -1 for a deleted one."""
    hold_ids: set[int] = field(default_factory=set)


class Client:
    """One request after the other at one front door. Each method is one request; what it returns is for the trace."""

    def __init__(self, world, house):
        self.world, self.house = world, house
        self.random, self.told = world.random, world.told

    def shop(self):
        return self.random.choice(self.world.shops)

    async def judged(self, shop, work):
        """Judge by the catalogue that is known, and anew if Redis says that there is a newer one."""
        event = await self.house.catalogue.event(shop.organizer_id, shop.slug)
        for _ in range(_JUDGED_MAX):
            try:
                return await work(event)
            except StaleCatalogue:
                event = await self.house.catalogue.refresh(event)
        return "stale"

    async def voucher(self, shop, event):
        """Return the event with a voucher, and that one; or None, as most people have none."""
        if not shop.codes or self.random.random() < 0.7:
            return event, None
        code = self.random.choice(shop.codes)
        event = await self.house.catalogue.with_vouchers(event, codes=[code])
        found = event.vouchers.get(code.casefold())
        if found is None or vouchers.expired(found, self.world.loop.now()):
            return event, None
        return event, found

    def product(self, shop, event, voucher):
        """Choose a product that a voucher, if there is one, may be used for."""
        fitting = shop.products
        if voucher:
            fitting = [p for p in fitting if _fits(voucher, event, p)]
        return self.random.choice(fitting)

    # --------------------------------------------------------------------------------------------------------- carts

    async def hold(self):
        shop = self.shop()
        return await self.judged(shop, lambda event: self._hold(shop, event, self.random.choice((1, 1, 1, 1, 2, 6))))

    async def _hold(self, shop, event, count, kept=None):
        event, voucher = await self.voucher(shop, event)
        groups = [self._group(shop, event, voucher if not n else None) for n in range(count)]
        outcomes = await holds.hold(self.house, event, groups, kept)
        self.note_held(shop, outcomes, groups)
        return " ".join(str(one.ids[0]) if isinstance(one, Held) else type(one).__name__ for one in outcomes)

    def note_held(self, shop, outcomes, groups):
        for outcome, group in zip(outcomes, groups, strict=True):
            if isinstance(outcome, Held):
                for number in range(outcome.ids[0], outcome.ids[0] + len(group.positions)):
                    self.world.require(number not in self.told.hold_ids, f"hold id {number} was answered before")
                    self.told.hold_ids.add(number)
                    self.told.holds.append((shop, number))

    def _group(self, shop, event, voucher):
        positions = []
        for place in range(self.random.choice((1, 1, 1, 2, 3))):
            product = self.product(shop, event, voucher if not place else None)
            use = VoucherUse(voucher.id, voucher.max_usages, voucher.skips_quota) if voucher and not place else None
            parent = 0 if place and self.random.random() < 0.5 else -1
            seat = self.seat(shop, event, product, voucher if not place else None)
            if event.quotas_of(product) or use:
                positions.append(HoldPosition(product, b"{}", seat.place.seat_guid if seat else "", use, parent))
        if not positions:
            positions.append(HoldPosition(shop.products[0], b"{}"))
        ttl_ms = self.random.choice((20, 60, 200, 200, 1000))
        past = self.random.random() < 0.03
        return HoldGroup(self.random.choice(CARTS), positions, ttl_ms, 1000 if past else None)

    def seat(self, shop, event, product, voucher=None):
        if not shop.seats or self.random.random() < 0.8:
            return None
        guid = voucher.seat if voucher and voucher.seat else self.random.choice(shop.seats)
        return event.seats.by_name.get((product[2], guid))

    async def release(self):
        if not self.told.holds:
            return "nothing"
        shop, number = self.told.holds.pop(self.random.randrange(len(self.told.holds)))
        return await self.judged(shop, lambda event: holds.release(self.house, event, number))

    async def look(self):
        """Read a page of carts and one of them."""
        shop = self.shop()

        async def work(event):
            ordering = self.random.choice(("datetime", "-datetime", "cart_id", "-cart_id"))
            total, rows = await holds.page(self.house, event, self.random.choice((0, 0, 3)), 5, ordering)
            if rows:
                await holds.get(self.house, event, rows[0].id)
            return total

        return await self.judged(shop, work)

    async def count(self):
        shop = self.shop()
        event = await self.house.catalogue.event(shop.organizer_id, shop.slug)
        found = await self.house.catalogue.counts(event, list(event.quotas))
        return [(count.held, count.pending, count.paid, count.free) for count in found.values()]

    async def count_vouchers(self):
        shop = self.shop()
        return await self.judged(shop, lambda event: self.house.ledger.voucher_uses(event, [1, 2, 3, 4, 5, 6]))

    # -------------------------------------------------------------------------------------------------------- orders

    async def order(self):
        shop = self.shop()
        return await self.judged(shop, lambda event: self._order(shop, event))

    async def _order(self, shop, event, kept=None):
        event, lines = await self._lines(shop, event)
        status = OrderStatus(self.random.choice("nnp"))
        now = self.world.loop.now()
        expires = payment_deadline(event, now)
        if self.random.random() < 0.3:
            expires = now + dt.timedelta(milliseconds=self.random.choice((10, 100, 500)))
        testmode = self.random.random() < 0.2
        draft = drafted(event, now, *priced(lines, [], event, None, now), None, status, expires, testmode)
        force = self.random.random() < 0.03
        carts = self.random.choice(([], [self.random.choice(CARTS)], [self.random.choice(CARTS)], list(CARTS[:2])))
        if self.random.random() < 0.05:
            await orders.simulate(self.house, event, draft, consume_carts=carts, force=force)
            return "would do"
        payment = first_payment(draft, "manual" if draft.total else None, None, {})
        order_id, code = await self.house.ids.order()
        positions = await self.house.ids.positions(len(lines))
        order = numbered(
            draft, lines, payment, order_id=order_id, code=code, first_position_id=positions, first_fee_id=0
        )
        if kept is not None:
            kept = Kept(kept, str(order_id).encode())
        outcome = await orders.create(self.house, event, order, consume_carts=carts, force=force, kept=kept)
        self.told.orders.append((shop, code, order_id))
        return self.note(outcome)

    async def _lines(self, shop, event):
        event, voucher = await self.voucher(shop, event)
        lines, seats = [], set()
        for place in range(1, self.random.choice((1, 1, 2, 2, 3)) + 1):
            product = self.product(shop, event, voucher if place == 1 else None)
            item = event.items[product[0]]
            seat = self.seat(shop, event, product, voucher if place == 1 else None)
            if seat is not None and seat.place.id in seats:
                seat = None
            if seat is not None:
                seats.add(seat.place.id)
            lines.append(
                Line(
                    positionid=place,
                    item=item,
                    variation=item.variations.get(product[1]),
                    subevent=event.subevents.get(product[2]),
                    voucher=voucher if place == 1 else None,
                    seat=seat,
                )
            )
        if voucher and voucher.budget is not None:
            spent = (await self.house.ledger.voucher_uses(event, [voucher.id]))[voucher.id].spent
            lines = within_budgets(lines, {voucher.id: voucher.budget - Decimal(spent) / 100}, event)
        return event, lines

    def note(self, outcome):
        """Remember an answer; what was answered 200 or 201 has to be in Postgres now, and for ever."""
        order = outcome.order
        if not outcome.durable:
            return f"{order.id} v{order.version} {order.status} 202"
        self.world.promised(order.id, order.version)
        return f"{order.id} v{order.version} {order.status}"

    async def change(self):
        if not self.told.orders:
            return "nothing"
        recent = self.told.orders[-60:]
        shop, code, number = self.random.choice(recent)
        return await self.judged(shop, lambda event: self._change(event, code, number))

    async def _change(self, event, code, number):
        [name] = self.random.choices(_CHANGES, cum_weights=_CHANGE_WEIGHTS)
        if name == "delete":
            durable = await orders.delete(self.house, event, code)
            if durable:
                self.world.promised(number, -1)
            return f"delete {number} {durable}"
        rule = await self._rule(name, event, code)
        outcome = await orders.change(self.house, event, code, rule)
        return f"{name} {self.note(outcome)}"

    async def _rule(self, name, event, code):
        day = self.world.loop.now().date() + dt.timedelta(days=2)
        simple = {
            "pay": payments.mark_paid,
            "expire": order_changes.mark_expired,
            "late": order_changes.expire,
            "pending": order_changes.mark_pending,
            "reactivate": order_changes.reactivate,
            "cancel": order_changes.mark_canceled(None, 0),
            "extend": order_changes.extend(day, force=False),
            "force": order_changes.extend(day, force=True),
            "comment": order_changes.set_fields({"comment": str(self.random.random())}),
            "money": payments.add(
                state=PaymentState.CONFIRMED, provider="manual", amount=Decimal("5.00"), payment_date=None, info={}
            ),
        }
        if name in simple:
            return simple[name]
        if name == "fee":
            return order_changes.mark_canceled(Decimal("1.00"), await self.house.ids.fees(1))
        order = await orders.get(self.house, event, code)
        live = [position.id for position in order.positions if not position.canceled]
        if not live:
            raise Invalid(["nothing is left"])
        one = self.random.choice(live)
        if name == "drop":
            return changed(Changes(cancel=(one,)))
        number, new_code = await self.house.ids.order()
        return changed(Changes(leaving=(one,), split_off=SplitOff(number, new_code)))

    # --------------------------------------------------------------------------------------------- sent more than once

    async def once(self):
        """Send a request with an idempotency key: a new one, or one that was sent before."""
        if self.told.keys and self.random.random() < 0.5:
            key = self.random.choice(list(self.told.keys)[-20:])
        else:
            key = f"key{len(self.told.keys)}"
            self.told.keys[key] = [self.shop(), self.random.choice(("hold", "order")), None, 0]
        shop, kind, done, losses = self.told.keys[key]
        event = await self.house.catalogue.event(shop.organizer_id, shop.slug)
        claim = await self.house.ledger.reply_claim(event, key, kind)
        # an order that was confirmed is in Postgres with its reply; holds are lost with Redis
        sure = done is not None and (kind == "order" or losses == self.world.losses)
        if isinstance(claim, Replay):
            result = await self._replayed(claim, kind)
            same = result == done or done in self.world.watch.deleted if kind == "order" else result == done
            self.world.require(same or not sure, f"{key} was answered {done}, and is answered {result} now")
            return f"{key} again: {result}"
        forgotten = not sure or (kind == "order" and done in self.world.watch.deleted)
        self.world.require(forgotten, f"{key} was done ({done}), and is to be done again")
        lost = self.world.losses
        try:
            result, durable = await self._work(shop, event, kind, claim)
        except HoldfastError as error:
            await self.house.ledger.reply_store(claim, b"")
            return f"{key}: {type(error).__name__}"
        if durable and self.world.losses == lost:
            self.told.keys[key][2:] = [result, lost]
        return f"{key}: {result}"

    async def _work(self, shop, event, kind, claim):
        if kind == "order":
            text = await self._order(shop, event, claim)
            if text == "would do":
                await self.house.ledger.reply_store(claim, b"would do")
                return None, False
            return int(text.split()[0]), not text.endswith("202")
        groups = [self._group(shop, event, None) for _ in range(2)]
        outcomes = await holds.hold(self.house, event, groups, Kept(claim, b"held"))
        self.note_held(shop, outcomes, groups)
        if not any(isinstance(one, Held) for one in outcomes):
            await self.house.ledger.reply_store(claim, b"")
            return None, False
        return [one.ids[0] if isinstance(one, Held) else 0 for one in outcomes], True

    async def _replayed(self, replay, kind):
        if replay.reply == b"would do":
            return None
        if kind == "hold":
            return [one.ids[0] if isinstance(one, Held) else 0 for one in replay.outcomes()]
        committed = replay.order()
        if committed is None:
            return int(replay.reply)
        try:
            if await orders.confirmed(self.house, committed):
                self.world.promised(committed.order_id, committed.version)
        except Lost:
            await self.house.ledger.reply_forget(replay)
            raise
        return committed.order_id

    # ----------------------------------------------------------------------------------------------------- organizers

    async def organize(self):
        """Change a quota, a seat, what a voucher keeps free or who waits, in the middle of everything."""
        shop = self.shop()
        quota = self.random.choice(list(shop.quotas))
        size = shop.quotas[quota]
        what = self.random.choice(("size", "size", "close", "open", "seat", "touch", "cover", "keep", "wait"))
        kept = {}
        async with self.house.catalogue.changing(shop.id, reserving=kept) as session:
            if what == "size" and size is not None:
                new = max(0, size + self.random.randint(-3, 3))
                row = await quotas.one(session, shop.id, quota)
                await quotas.replace(session, shop.id, quota, {**row, "size": new})
                return f"quota {quota} has {new} of {size}"
            if what in ("close", "open"):
                await quotas.set_closed(session, shop.id, quota, what == "close")
            if what == "cover":
                row = await quotas.one(session, shop.id, quota)
                items = {item for item, _, _ in shop.products}
                row["items"] = sorted(set(row["items"]) ^ {self.random.choice(sorted(items))})
                await quotas.replace(session, shop.id, quota, row)
            if what == "keep":
                rows = await VOUCHERS.all(session, shop.id)
                rows = [row for row in rows if row["body"]["item"] or row["body"]["quota"]]
                if rows:
                    row = self.random.choice(rows)
                    body = row["body"] | {"block_quota": not row["body"]["block_quota"]}
                    await VOUCHERS.replace(session, shop.id, row["id"], body, code_key=code_key(body["code"]))
                    if body["block_quota"]:
                        event = await catalogue.load_event_by_id(session, shop.id)
                        reserved = assembly.voucher(row["id"], body).reserved
                        kept |= dict.fromkeys(event.quotas_of(reserved), body["max_usages"])
            if what == "wait":
                rows = await WAITING.all(session, shop.id)
                item, variation, date = self.random.choice(shop.products)
                columns = {"item": item, "variation": variation or None, "subevent": date or None}
                if rows:
                    await WAITING.remove(session, shop.id, rows[0]["id"])
                else:
                    await WAITING.add(session, shop.id, {"voucher": None}, **columns)
            if what == "seat" and shop.seats:
                [row] = await session.rows(
                    "SELECT id FROM seats WHERE event_id = %s ORDER BY id OFFSET %s LIMIT 1",
                    [shop.id, self.random.randrange(len(shop.seats))],
                )
                await seating.block(session, shop.id, row["id"], blocked=self.random.random() < 0.4)
        return f"{what} {quota}"


def _fits(voucher, event, product):
    return voucher.subevent in (None, product[2]) and vouchers.applies(voucher, event, product)


ACTIONS = {
    Client.hold: 34,
    Client.release: 8,
    Client.look: 3,
    Client.count: 8,
    Client.count_vouchers: 1,
    Client.order: 14,
    Client.change: 22,
    Client.once: 7,
    Client.organize: 2,
}
"""What clients do, and how often."""
