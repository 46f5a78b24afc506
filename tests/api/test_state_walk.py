"""Every operation in every state of an order that has a seat and a voucher.

What is refused changes nothing, and what is done leaves units, seat, voucher and money as the state says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from shop import Shop, must
from test_seats import layout

QUIET = {"send_email": False}
BANK = {"payer": "Peter Miller", "iban": "DE02120300000000202051"}
PAID = {"state": "confirmed", "provider": "banktransfer", "amount": "23.00", "info": BANK, **QUIET}
REFUND = {"state": "created", "source": "admin", "provider": "manual", "amount": "3.00", "payment": 2}
STARTS: dict[str, list[tuple[str, Any]]] = {
    "pending": [],
    "unapproved": [],
    "paid": [("payments/", PAID)],
    "expired": [("mark_expired/", {})],
    "canceled": [("mark_canceled/", QUIET)],
    "canceled after payment": [("payments/", PAID), ("mark_canceled/", QUIET)],
    "with refunds": [
        ("payments/", PAID),
        ("refunds/", REFUND),
        ("refunds/", {**REFUND, "state": "external", "source": "external"}),
        ("refunds/", {**REFUND, "state": "done"}),
    ],
}
ACTIONS: dict[str, tuple[str, Any]] = {
    "mark_paid": ("mark_paid/", QUIET),
    "mark_canceled": ("mark_canceled/", QUIET),
    "mark_canceled with a fee": ("mark_canceled/", {**QUIET, "cancellation_fee": "5.00"}),
    "mark_pending": ("mark_pending/", {}),
    "mark_expired": ("mark_expired/", {}),
    "reactivate": ("reactivate/", {}),
    "extend": ("extend/", {"expires": "2039-01-01"}),
    "approve": ("approve/", QUIET),
    "deny": ("deny/", QUIET),
    "pay": ("payments/", PAID),
    "confirm payment": ("payments/1/confirm/", QUIET),
    "cancel payment": ("payments/1/cancel/", {}),
    "refund payment": ("payments/2/refund/", {"amount": "23.00"}),
    "refund payment, cancel": ("payments/2/refund/", {"amount": "23.00", "mark_canceled": True}),
    "refund, owe": ("refunds/", {**REFUND, "payment": None, "mark_pending": True}),
    "refund, cancel": ("refunds/", {**REFUND, "payment": None, "mark_canceled": True}),
    "refund done": ("refunds/1/done/", {}),
    "process": ("refunds/2/process/", {"mark_canceled": False}),
    "process, cancel": ("refunds/2/process/", {"mark_canceled": True}),
    "cancel refund": ("refunds/1/cancel/", {}),
    "cancel external refund": ("refunds/2/cancel/", {}),
    "cancel done refund": ("refunds/3/cancel/", {}),
}
PAIRS = [(start, action) for start in STARTS for action in ACTIONS]


@pytest.fixture(scope="module")
def hall(api: Any) -> tuple[Shop, int, int]:
    """A shop with one item, a seat for each pair of state and operation, and its quota."""
    s, item, quota = Shop(api).selling(1000)
    plan = must(api.post("seatingplans/", json={"name": "Walk", "layout": layout(len(PAIRS))}), 201)["id"]
    must(s.patch("", {"seating_plan": plan, "seat_category_mapping": {"Stalls": item}}), 200)
    return s, item, quota


def units(s: Shop, quota: int) -> tuple[int, int]:
    counts = s.availability(quota)
    taken = counts["pending_orders"] + counts["paid_orders"]
    assert counts["available_number"] == 1000 - taken - counts["cart_positions"] - counts["blocking_vouchers"]
    return counts["pending_orders"], counts["paid_orders"]


def money(order: dict[str, Any]) -> Decimal:
    received = [p["amount"] for p in order["payments"] if p["state"] in ("confirmed", "refunded")]
    returned = [r["amount"] for r in order["refunds"] if r["state"] in ("created", "transit", "done")]
    return sum(map(Decimal, received), Decimal()) - sum(map(Decimal, returned), Decimal())


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=[f"{start}: {action}" for start, action in PAIRS])
def test_every_operation_in_every_state(hall: tuple[Shop, int, int], number: int) -> None:
    s, item, quota = hall
    start, action = PAIRS[number]
    voucher = must(s.post("vouchers/", {"item": item, "max_usages": 1}), 201)
    position = {"item": item, "seat": f"S-1-{number + 1}", "voucher": voucher["code"]}
    before = units(s, quota)
    made = must(s.order(position, payment_provider="manual", require_approval=start == "unapproved"), 201)
    url = f"orders/{made['code']}/"
    for path, body in STARTS[start]:
        assert s.post(url + path, body).status_code in (200, 201), path
    old = must(s.get(url), 200)

    path, body = ACTIONS[action]
    answer = s.post(url + path, body)

    order = must(s.get(url), 200)
    if answer.is_error:
        assert answer.status_code in (400, 404), answer.text
        # money that came in for an order without approval is kept although the order is not paid (spec/facts.md)
        arrived = start == "unapproved" and action in ("mark_paid", "confirm payment")
        changed = {name for name in order if order[name] != old[name]}
        assert changed <= ({"payments", "payment_date", "payment_provider", "last_modified"} if arrived else set())
    live = [p for p in order["positions"] if not p["canceled"]] if order["status"] in ("n", "p") else []
    assert len(live) in (0, 1)
    now = units(s, quota)
    expected = (len(live), 0) if order["status"] == "n" else (0, len(live))
    assert (now[0] - before[0], now[1] - before[1]) == expected
    [seat] = must(s.get("seats/", seat_guid=position["seat"]), 200)["results"]
    assert (seat["orderposition"] is not None) == bool(live)
    # an expired order keeps the use of its voucher, a canceled one gives it back
    kept = bool(live) or (order["status"] == "e" and bool(order["positions"]))
    assert must(s.get(f"vouchers/{voucher['id']}/"), 200)["redeemed"] == int(kept)
    if order["status"] == "p" and not order["refunds"]:
        assert money(order) >= Decimal(order["total"])
    if answer.is_success and order["refunds"] == old["refunds"] and action not in ("pay", "mark_paid"):
        assert money(order) >= money(old)
