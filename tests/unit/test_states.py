"""The page, the tables and the rules tell of the same state machines."""

import re
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from sample_orders import EARLIER, EVENT, NOW, changed, order

from engine.domain import order_changes, payments, refunds, states
from engine.domain.errors import Invalid, Refused
from engine.domain.order import OrderStatus, PaymentState, RefundState
from engine.domain.order_contents import Changes, PositionPatch
from engine.domain.order_contents import changed as changed_contents

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
TABLES = {
    "Orders": (states.ORDER_STARTS, states.ORDER),
    "Payments": (states.PAYMENT_STARTS, states.PAYMENT),
    "Refunds": (states.REFUND_STARTS, states.REFUND),
}


def arrows(starts, machine):
    """Return (from, operation, to) of a table; from is [*] for what is new."""
    found = {("[*]", operation, str(end)) for operation, ends in starts.items() for end in ends}
    return found | {
        (str(start), operation, str(end))
        for operation, moves in machine.items()
        for start, ends in moves.items()
        for end in ends
    }


@pytest.mark.parametrize("section", TABLES)
def test_the_page_draws_exactly_the_arrows_of_the_table(section):
    drawing = PAGE.split(f"## {section}")[1].split("```")[1]
    drawn = {
        (start, operation.strip(), end)
        for start, end, label in re.findall(r"^ *(\S+) --> (\S+): (.+)$", drawing, re.MULTILINE)
        for operation in label.split(",")
    }
    assert drawn == arrows(*TABLES[section])


FEE = Decimal("5.00")
BACK = {"provider": "manual", "source": "admin", "state": RefundState.CREATED, "payment": 1}


def back(amount, **fields):
    return refunds.add(**{"mark_canceled": False, "mark_pending": False, **BACK, "amount": Decimal(amount), **fields})


def money(state, amount="23.00"):
    return payments.add(state=PaymentState(state), provider="manual", amount=Decimal(amount), info={})


def priced(price):
    return changed_contents(Changes(patch=(PositionPatch(101, {"price": Decimal(price)}),)))


DAY = (NOW.date()).replace(day=20)
RULES = [
    ("mark_paid", payments.mark_paid, {"payments", "status"}),
    ("mark_pending", order_changes.mark_pending, {"status"}),
    ("mark_expired", order_changes.mark_expired, {"status"}),
    ("mark_canceled", order_changes.mark_canceled(None, 9), {"payments", "status"}),
    (
        "mark_canceled",
        order_changes.mark_canceled(FEE, 9),
        {"payments", "status", "positions", "fees", "total", "expires"},
    ),
    ("extend", order_changes.extend(DAY, force=False), {"status", "expires"}),
    ("reactivate", order_changes.reactivate, {"status", "expires"}),
    ("approve", order_changes.approve, {"status", "expires", "payments", "require_approval"}),
    ("deny", order_changes.deny, {"status"}),
    ("change", priced("0.00"), {"positions", "total", "status", "payments"}),
    ("change", priced("46.00"), {"positions", "total", "status", "payments", "expires"}),
    ("payments", money("created"), {"payments"}),
    ("payments", money("confirmed"), {"payments", "status"}),
    ("payments/confirm", payments.confirm(1, force=False), {"payments", "status"}),
    ("payments/refund", refunds.refund_payment(1, None, mark_canceled=False), {"refunds", "status", "expires"}),
    ("payments/refund", refunds.refund_payment(1, FEE, mark_canceled=True), {"refunds", "status", "payments"}),
    ("refunds", back("23.00"), {"refunds"}),
    ("refunds", back("23.00", mark_pending=True), {"refunds", "status", "expires"}),
    ("refunds", back("1.00", mark_canceled=True), {"refunds", "status", "payments"}),
    ("refunds/process", refunds.process(1, mark_canceled=False), {"refunds", "status", "payments", "expires"}),
    ("refunds/process", refunds.process(1, mark_canceled=True), {"refunds", "status", "payments", "expires"}),
]
ORDERS = [
    {"paid": paid, "given_back": given_back, "require_approval": approval, "expires": expires}
    for paid in (
        [],
        [("created", "23.00")],
        [("confirmed", "23.00", "banktransfer")],
        [("confirmed", "46.00", "banktransfer")],
    )
    for given_back in ([], [("external", "23.00", 1)])
    for approval in (False, True)
    for expires in (EARLIER, NOW.replace(day=9))
]


def test_each_operation_on_each_order_follows_an_arrow_or_is_refused_and_each_arrow_is_followed():
    followed = {("[*]", "create", "n"), ("[*]", "create", "p")}
    for (operation, rule, may_change), status, fields in product(RULES, OrderStatus, ORDERS):
        before = order(status, **fields)
        try:
            done = rule(before, EVENT, NOW)
        except Refused:
            continue
        assert status in states.ORDER[operation], f"{operation} should be refused in {status}"
        for after in filter(None, (done.order, done.if_sold_out)):
            assert changed(before, after) <= may_change, operation
            followed.add((str(status), operation, str(after.status)))
        assert done.if_sold_out is None or done.if_sold_out.status == status
    for status, fields in product(OrderStatus, ORDERS):
        before = order(status, **fields)
        after = order_changes.expire(before, EVENT, NOW).order
        if after != before:
            followed.add((str(status), "expire", str(after.status)))
    assert followed == arrows(states.ORDER_STARTS, states.ORDER)


PAYMENT_RULES = {
    "payments/confirm": payments.confirm(1, force=False),
    "payments/cancel": payments.cancel(1),
    "payments/refund": refunds.refund_payment(1, FEE, mark_canceled=False),
}


@pytest.mark.parametrize("operation", PAYMENT_RULES)
@pytest.mark.parametrize("state", PaymentState)
def test_each_operation_on_a_payment_follows_an_arrow_or_is_refused(operation, state):
    before = order("p", paid=[(state, "23.00", "banktransfer")])
    ends = states.PAYMENT[operation].get(state)
    if ends is None:
        with pytest.raises(Invalid) as refusal:
            PAYMENT_RULES[operation](before, EVENT, NOW)
        assert refusal.value.body == {"detail": "Invalid state of payment"}
    else:
        after = PAYMENT_RULES[operation](before, EVENT, NOW).order
        assert {after.payments[0].state} == ends
        assert after.payments[0].amount == Decimal("23.00")


REFUND_RULES = {
    "refunds/done": refunds.done(1),
    "refunds/process": refunds.process(1, mark_canceled=False),
    "refunds/cancel": refunds.cancel(1),
}


@pytest.mark.parametrize("operation", REFUND_RULES)
@pytest.mark.parametrize("state", RefundState)
def test_each_operation_on_a_refund_follows_an_arrow_or_is_refused(operation, state):
    before = order("p", paid=[("confirmed", "23.00")], given_back=[(state, "5.00", 1)])
    ends = states.REFUND[operation].get(state)
    if ends is None:
        with pytest.raises(Invalid) as refusal:
            REFUND_RULES[operation](before, EVENT, NOW)
        assert refusal.value.body == {"detail": "Invalid state of refund"}
    else:
        after = REFUND_RULES[operation](before, EVENT, NOW).order
        assert {after.refunds[0].state} == ends
        assert (after.refunds[0].execution_date == NOW) is (operation != "refunds/cancel")
