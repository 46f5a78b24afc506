"""Money that comes late: taken, refused with the documented error, or kept as too much; always exactly one of these."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from shop import MakeShop, Shop, must

GONE = 'The ordered product "Ticket" is no longer available.'
NOT_PAYABLE = "The order is not pending or expired."
WRONG_STATE = "Invalid state of payment"
CONFIRMED = {"state": "confirmed", "provider": "manual", "amount": "23.00"}
TAKEN, KEPT = "taken", "kept"


class Sale:
    """An order for the only unit of an event."""

    def __init__(self, shop: Shop, state: str) -> None:
        self.shop = shop
        item = shop.item()
        self.quota = shop.quota(1, item)
        self.code = must(shop.order(item), 201)["code"]
        if state == "paid":
            self.act("mark_paid/")
        elif state != "pending":
            self.act("mark_canceled/" if state == "canceled" else "mark_expired/")
        if state == "sold out":
            must(shop.order(item), 201)

    def act(self, path: str, body: Any = None) -> Any:
        return self.shop.post(f"orders/{self.code}/{path}", body)

    def look(self) -> tuple[str, Decimal]:
        """Return the order's status and how much was received for it."""
        order = must(self.shop.get(f"orders/{self.code}/"), 200)
        return order["status"], sum(
            (Decimal(p["amount"]) for p in order["payments"] if p["state"] == "confirmed"), Decimal(0)
        )

    def pay(self, how: str) -> Any:
        """Let money come in; return the answer."""
        if how == "mark_paid":
            return self.act("mark_paid/")
        if how == "payments":
            return self.act("payments/", CONFIRMED)
        number = 1
        if how.startswith("confirm another"):
            number = must(self.act("payments/", {**CONFIRMED, "state": "created"}), 201)["local_id"]
        return self.act(f"payments/{number}/confirm/", {"force": how.endswith("by force")})


@pytest.mark.parametrize(
    ("state", "how", "outcome", "more"),
    [
        ("expired", "mark_paid", TAKEN, 23),
        ("expired", "payments", TAKEN, 23),
        ("expired", "confirm", TAKEN, 23),
        # the money is there whatever the answer: somebody has to give it back (spec/facts.md)
        ("sold out", "mark_paid", GONE, 23),
        ("sold out", "payments", KEPT, 23),
        ("sold out", "confirm", GONE, 23),
        ("sold out", "confirm by force", TAKEN, 23),
        ("canceled", "mark_paid", NOT_PAYABLE, 0),
        ("canceled", "payments", KEPT, 23),
        ("canceled", "confirm", WRONG_STATE, 0),
        ("canceled", "confirm another", KEPT, 23),
        ("canceled", "confirm another by force", KEPT, 23),
        ("paid", "mark_paid", NOT_PAYABLE, 0),
        ("paid", "payments", KEPT, 23),
        ("paid", "confirm", WRONG_STATE, 0),
        ("paid", "confirm another", KEPT, 23),
    ],
)
def test_late_money_has_one_outcome(shop: MakeShop, state: str, how: str, outcome: str, more: int) -> None:
    sale = Sale(shop(), state)
    status, received = sale.look()
    units = sale.shop.availability(sale.quota)
    answer = sale.pay(how)
    after, received_after = sale.look()
    assert received_after - received == more
    if outcome == TAKEN:
        assert (answer.is_success, after) == (True, "p")
        assert sale.shop.availability(sale.quota)["paid_orders"] == 1
    else:
        assert (
            (answer.status_code, answer.json()) == (400, {"detail": outcome}) if outcome != KEPT else answer.is_success
        )
        assert after == status
        assert sale.shop.availability(sale.quota) == units


def test_a_payment_confirmed_many_times_at_once_is_confirmed_once(shop: MakeShop) -> None:
    sale = Sale(shop(), "pending")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sale.act("payments/1/confirm/"), range(8)))
    assert sorted(answer.status_code for answer in answers)[0] == 200
    assert all(answer.json() == {"detail": WRONG_STATE} for answer in answers if answer.status_code == 400)
    assert {answer.status_code for answer in answers[1:]} <= {200, 400, 409}
    assert sum(answer.status_code == 200 for answer in answers) == 1
    assert sale.look() == ("p", 23)


def test_money_that_comes_many_times_at_once_is_all_kept_and_pays_once(shop: MakeShop) -> None:
    sale = Sale(shop(), "expired")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: sale.pay("payments"), range(6)))
    kept = sum(answer.status_code == 201 for answer in answers)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sale.look() == ("p", 23 * kept)
    counts = sale.shop.availability(sale.quota)
    assert (counts["paid_orders"], counts["pending_orders"], counts["available_number"]) == (1, 0, 0)


def test_money_and_cancelation_at_once_leave_no_order_half_way(shop: MakeShop) -> None:
    for _ in range(10):
        sale = Sale(shop(), "pending")
        with ThreadPoolExecutor(2) as pool:
            paid = pool.submit(sale.pay, "confirm")
            canceled = pool.submit(sale.act, "mark_canceled/")
        assert canceled.result().status_code == 200
        # it was paid and then canceled, or canceled first, which leaves nothing to confirm
        expected = ("c", Decimal(23 if paid.result().status_code == 200 else 0))
        assert sale.look() == expected
        assert sale.shop.left(sale.quota) == 1
