"""Two clients, one order: whatever they do at the same time comes out as if one had come after the other."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations_with_replacement
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from shop import MakeShop, Shop, must

from engine.domain import invoicing, mails, order_changes, order_contents, payments, refunds
from engine.domain.catalogue import Event
from engine.domain.errors import Refused
from engine.domain.next import Rule
from engine.domain.order import MailKind, Order, PaymentState, RefundState
from persistence import catalogue, orders
from persistence.database import Database

UNITS = 10_000
AT_ONCE = 12
"""Pairs under way at the same time."""
BANK = {"payer": "Peter Miller", "iban": "DE02120300000000202051"}
IN_A_WEEK = (dt.datetime.now(dt.UTC) + dt.timedelta(days=7)).date()


@dataclass(frozen=True)
class Action:
    """One request about an order, and the rule that it stands for."""

    path: str
    body: dict[str, Any]
    rule: Callable[[Order], Rule]

    def on(self, order: Order, event: Event, now: dt.datetime) -> tuple[Order, bool]:
        """Return the order after the action, and whether that is answered with success."""
        try:
            after = self.rule(order)(order, event, now).order
        except Refused:
            return order, False
        if after != order:
            after = replace(after, version=order.version + 1)
        pays = self.path in ("mark_paid/", "payments/1/confirm/")
        return after, not (pays and payments.awaits_approval(after))


def told(path: str, rule: Rule, kind: MailKind, **body: Any) -> Action:
    return Action(path, body, lambda order: mails.telling(rule, kind))


def plain(path: str, rule: Rule, **body: Any) -> Action:
    return Action(path, body, lambda order: rule)


def give_back(**fields: Any) -> Rule:
    return refunds.add(
        **{"mark_canceled": False, "mark_pending": False, "payment": 2, "state": RefundState.DONE, **fields},
        source="admin",
        provider="manual",
        amount=Decimal("6.00"),
        comment=None,
        execution_date=None,
        info={},
    )


BACK = {"state": "done", "source": "admin", "provider": "manual", "amount": "6.00", "payment": 2}
PAYMENT = {"state": "confirmed", "provider": "manual", "amount": "31.00"}
ACTIONS = {
    "mark_paid": told("mark_paid/", payments.mark_paid, MailKind.PAID),
    "mark_canceled": told(
        "mark_canceled/", invoicing.reissuing(order_changes.mark_canceled(None, 0)), MailKind.CANCELED
    ),
    "mark_canceled with a fee": told(
        "mark_canceled/",
        invoicing.reissuing(order_changes.mark_canceled(Decimal("5.00"), 0)),
        MailKind.CANCELED,
        cancellation_fee="5.00",
    ),
    "mark_pending": plain("mark_pending/", order_changes.mark_pending),
    "mark_expired": plain("mark_expired/", order_changes.mark_expired),
    "extend": plain("extend/", order_changes.extend(IN_A_WEEK, force=False), expires=IN_A_WEEK.isoformat()),
    "reactivate": plain("reactivate/", order_changes.reactivate),
    "approve": told("approve/", order_changes.approve, MailKind.APPROVED),
    "deny": told("deny/", order_changes.deny, MailKind.DENIED),
    "pay": told(
        "payments/",
        payments.add(state=PaymentState.CONFIRMED, provider="manual", amount=Decimal("31.00"), info={}),
        MailKind.PAID,
        **PAYMENT,
    ),
    "confirm": told("payments/1/confirm/", payments.confirm(1, force=False), MailKind.PAID),
    "cancel payment": plain("payments/1/cancel/", payments.cancel(1)),
    "refund payment": plain(
        "payments/2/refund/", refunds.refund_payment(2, Decimal("8.00"), mark_canceled=False), amount=8
    ),
    "refund payment, cancel": plain(
        "payments/2/refund/",
        refunds.refund_payment(2, Decimal("9.00"), mark_canceled=True),
        amount="9.00",
        mark_canceled=True,
    ),
    "refund": plain("refunds/", give_back(mark_pending=True), **BACK, mark_pending=True),
    "refund done": plain("refunds/1/done/", refunds.done(1)),
    "cancel refund": plain("refunds/1/cancel/", refunds.cancel(1)),
    "process": plain("refunds/2/process/", refunds.process(2, mark_canceled=False)),
    "process, cancel": plain("refunds/2/process/", refunds.process(2, mark_canceled=True), mark_canceled=True),
    "drop a position": Action(
        "change/",
        {},
        lambda order: invoicing.reissuing(
            order_contents.changed(order_contents.Changes(cancel=(order.positions[0].id,)))
        ),
    ),
}
STARTS = {
    "pending": [],
    "unapproved": [],
    "paid": [("mark_paid/", {"send_email": False}), ("payments/", {**PAYMENT, "state": "created"})],
    "expired": [("mark_expired/", {})],
    "canceled": [("mark_canceled/", {"send_email": False})],
}
"""What brings a pending order to its first state: it has an open payment, money that came in, and two refunds."""


@dataclass(frozen=True)
class Units:
    """What orders take of a quota."""

    pending: int
    paid: int

    def __add__(self, other: Units) -> Units:
        return Units(self.pending + other.pending, self.paid + other.paid)

    def __sub__(self, other: Units) -> Units:
        return Units(self.pending - other.pending, self.paid - other.paid)


def taken(order: Order) -> Units:
    live = sum(not position.canceled for position in order.positions)
    return Units(live if order.status == "n" else 0, live if order.status == "p" else 0)


def essence(order: Order) -> Any:
    """Return what two clients' doings decide on, without the times and numbers of their doing it."""
    facts = msgspec.to_builtins(order)
    for name in ("version", "last_modified"):
        del facts[name]
    for row in (*facts.get("payments", ()), *facts.get("refunds", ())):
        for name in ("created", "payment_date", "execution_date"):
            row.pop(name, None)
    for row in facts.get("fees", ()):
        del row["id"]
    return facts


def outcomes(start: Order, first: Action, second: Action, event: Event) -> list[tuple[Any, bool, bool]]:
    """Return what may come out: (the order, is the first answered with success, is the second)."""
    now = dt.datetime.now(dt.UTC)
    one, first_done = first.on(start, event, now)
    both, second_done = second.on(one, event, now)
    other, second_before = second.on(start, event, now)
    either, first_after = first.on(other, event, now)
    return [(essence(both), first_done, second_done), (essence(either), first_after, second_before)]


class Desk:
    """One event, and somebody who may do everything in it."""

    def __init__(self, client: httpx.AsyncClient, shop: Shop, item: int, event: Event, database: Database) -> None:
        self.client, self.shop, self.item, self.event, self.database = client, shop, item, event, database
        self.path = f"{shop.api.base_url}events/{shop.slug}/orders/"
        self.ended: list[Order] = []

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(self.path + path, json=body)

    async def start(self, state: str) -> Order:
        body = {"email": "a@example.org", "payment_provider": "manual", "positions": [{"item": self.item}] * 2}
        code = must(await self.post("", {**body, "require_approval": state == "unapproved"}), 201)["code"]
        received = {**PAYMENT, "provider": "banktransfer", "info": BANK, "send_email": False}
        await self.post(f"{code}/payments/", {**received, "amount": "20.00"})
        await self.post(f"{code}/refunds/", {**BACK, "state": "created", "amount": "2.00"})
        await self.post(f"{code}/refunds/", {**BACK, "state": "external", "amount": "4.00"})
        for path, what in STARTS[state]:
            assert (await self.post(f"{code}/{path}", what)).is_success
        return await self.read(code)

    async def do(self, action: Action, order: Order) -> httpx.Response:
        body = action.body
        if action.path == "change/":
            body = {"cancel_positions": [{"position": order.positions[0].id}]}
        return await self.post(f"{order.code}/{action.path}", body)

    def units(self) -> Units:
        """Return what the quota counts. Raises AssertionError if its counts do not add up."""
        [quota] = must(self.shop.get("quotas/"), 200)["results"]
        counts = self.shop.availability(quota["id"])
        units = Units(counts["pending_orders"], counts["paid_orders"])
        assert counts["available_number"] == UNITS - units.pending - units.paid
        return units

    async def read(self, code: str) -> Order:
        order = await orders.by_code(self.database, self.event.organizer_id, self.event.id, code)
        assert order is not None
        return order

    async def collide(self, state: str, names: tuple[str, str]) -> str | None:
        """Do two things at once to a fresh order; return what is wrong with what came of it."""
        start = await self.start(state)
        actions = [ACTIONS[name] for name in names]
        answers = await asyncio.gather(*(self.do(action, start) for action in actions))
        end = await self.read(start.code)
        self.ended.append(end)
        story = f"{state}: {' and '.join(names)}: {[(a.status_code, a.text[:90]) for a in answers]}"
        if not {a.status_code for a in answers} <= {200, 201, 400}:
            return story
        found = (essence(end), answers[0].is_success, answers[1].is_success)
        if found not in outcomes(start, *actions, self.event):
            return f"{story}\n{end}"
        return None


@pytest.fixture
async def desk(server: Any, shop: MakeShop, database: Database) -> AsyncIterator[Desk]:
    s, item, _ = shop().selling(UNITS)
    row = await database.row("SELECT organizer_id FROM events WHERE slug = %(slug)s", {"slug": s.slug})
    assert row is not None
    event = await catalogue.load_event(database, row["organizer_id"], s.slug)
    assert event is not None
    headers, limits = {"Authorization": f"Token {server.token}"}, httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(headers=headers, timeout=30, limits=limits) as client:
        yield Desk(client, s, item, event, database)


@pytest.mark.parametrize("state", STARTS)
async def test_each_action_follows_its_rule_or_is_refused_and_changes_nothing(desk: Desk, state: str) -> None:
    for name, action in ACTIONS.items():
        start = await desk.start(state)
        units = desk.units()
        answer = await desk.do(action, start)
        end = await desk.read(start.code)
        after, success = action.on(start, desk.event, dt.datetime.now(dt.UTC))
        assert (answer.is_success, answer.status_code in (200, 201, 400)) == (success, True), (name, answer.text)
        if after == start:
            assert end == start, name
        else:
            assert (essence(end), end.version) == (essence(after), start.version + 1), name
        assert desk.units() == units - taken(start) + taken(end), name
        live = [position.price for position in end.positions if not position.canceled]
        assert end.total == sum(live) + sum(fee.value for fee in end.fees if not fee.canceled), name
        if end.status == "p":
            assert payments.owed(end) <= 0, name


@pytest.mark.parametrize("state", STARTS)
async def test_all_pairs_of_actions_at_once_come_out_as_one_after_the_other(desk: Desk, state: str) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    now = dt.datetime.now(dt.UTC)
    sample = await desk.start(state)
    possible = {name for name, action in ACTIONS.items() if action.on(sample, desk.event, now)[1]}

    async def collide(names: tuple[str, str]) -> str | None:
        async with gate:
            return await desk.collide(state, names)

    # where neither is possible, neither is
    pairs = [pair for pair in combinations_with_replacement(ACTIONS, 2) if possible & set(pair)]
    problems = [problem for problem in await asyncio.gather(*map(collide, pairs)) if problem]
    assert not problems, "\n".join(problems[:5])
    assert desk.units() == sum((taken(order) for order in [sample, *desk.ended]), Units(0, 0))
