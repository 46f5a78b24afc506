"""Payments over HTTP (spec/orders.txt, Order payment endpoints)."""

from __future__ import annotations

from typing import Any

import pytest
from shop import MakeShop, Shop, must

Sale = tuple[Shop, int, int]
BANK = {"payer": "Peter Miller", "iban": "DE02120300000000202051", "bic": "BYLADEM1001"}


@pytest.fixture
def sale(shop: MakeShop) -> Sale:
    """An event, an item of 23.00 and a quota of one."""
    return shop().selling(1)


def made(s: Shop, *positions: Any, **fields: Any) -> str:
    return str(must(s.order(*positions, **fields), 201)["code"])


def pay(s: Shop, code: str, status: int = 201, **fields: Any) -> Any:
    body = {"provider": "manual", "state": "confirmed", "amount": "23.00", **fields}
    return must(s.post(f"orders/{code}/payments/", body), status)


def op(s: Shop, code: str, number: Any, what: str, body: Any = None, *, status: int = 200) -> Any:
    return must(s.post(f"orders/{code}/payments/{number}/{what}/", body), status)


def status_of(s: Shop, code: str) -> str:
    return str(must(s.get(f"orders/{code}/"), 200)["status"])


def test_list_and_detail_show_what_the_order_shows(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    pay(s, code, amount="1.00")
    payments = must(s.get(f"orders/{code}/"), 200)["payments"]
    body = must(s.get(f"orders/{code}/payments/"), 200)
    assert body == {"count": 2, "next": None, "previous": None, "results": payments}
    assert must(s.get(f"orders/{code}/payments/2/"), 200) == payments[1]
    assert must(s.get(f"orders/{code}/payments/", page_size=1, page=2), 200)["results"] == payments[1:]
    for number in (3, 0, "x", "9" * 30):
        assert s.get(f"orders/{code}/payments/{number}/").status_code == 404


def test_the_order_is_paid_once_it_is_covered(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item, payment_provider=None)
    for amount, status in (("10.00", "n"), (12.99, "n"), ("0.01", "p"), ("5.00", "p")):
        payment = pay(s, code, amount=amount)
        assert (payment["state"], payment["payment_url"]) == ("confirmed", None)
        assert status_of(s, code) == status
    assert s.availability(quota)["paid_orders"] == 1


def test_payments_that_are_not_confirmed_change_no_order(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item, payment_provider=None)
    assert pay(s, code, state="created")["payment_url"].startswith("http")
    assert pay(s, code, state="pending")["payment_url"] is None
    assert pay(s, code, state="failed", payment_date=None)["local_id"] == 3
    assert status_of(s, code) == "n"


def test_a_given_date_is_kept(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    assert pay(s, code, payment_date="2017-12-04T12:13:12Z", info={})["payment_date"] == "2017-12-04T12:13:12Z"


def test_a_payment_of_a_sold_out_expired_order_is_accepted_and_waits(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item, payment_provider=None)
    must(s.post(f"orders/{code}/mark_expired/"), 200)
    other = made(s, item)
    assert pay(s, code)["state"] == "confirmed"
    assert status_of(s, code) == "e"
    must(s.post(f"orders/{other}/mark_canceled/"), 200)
    assert must(s.post(f"orders/{code}/mark_paid/"), 200)["status"] == "p"


def test_confirming_an_expired_order_needs_room_or_force(sale: Sale) -> None:
    s, item, quota = sale
    code, forced = [made(s, item, **more) for more in ({}, {"force": True})]
    must(s.post(f"orders/{code}/mark_expired/"), 200)
    must(s.post(f"orders/{forced}/mark_expired/"), 200)
    made(s, item)
    refusal = op(s, code, 1, "confirm", status=400)
    assert refusal == {"detail": 'The ordered product "Ticket" is no longer available.'}
    assert must(s.get(f"orders/{code}/payments/1/"), 200)["state"] == "confirmed"
    assert status_of(s, code) == "e"
    assert op(s, forced, 1, "confirm", {"force": True, "send_email": False})["state"] == "confirmed"
    assert (status_of(s, forced), s.left(quota)) == ("p", 0)


def test_confirming_an_unapproved_order_keeps_the_money(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item, require_approval=True)
    refusal = op(s, code, 1, "confirm", status=400)
    assert refusal == {"detail": "This order is not yet approved by the event organizer."}
    assert must(s.get(f"orders/{code}/payments/1/"), 200)["state"] == "confirmed"


def test_only_open_payments_are_confirmed_or_canceled(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    assert op(s, code, 1, "cancel")["state"] == "canceled"
    for what in ("confirm", "cancel", "refund"):
        assert op(s, code, 1, what, status=400) == {"detail": "Invalid state of payment"}
        assert op(s, code, 9, what, status=404)
    assert status_of(s, code) == "n"


def test_refunds_that_the_provider_cannot_make(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item, status="p")
    for amount, text in (
        ("23.00", "Full refund not available for this payment method."),
        ("20.00", "Partial refund not available for this payment method."),
        ("25.00", "Invalid refund amount, only 23.00 are available to refund."),
        ("0.00", "Invalid refund amount."),
    ):
        assert op(s, code, 1, "refund", {"amount": amount}, status=400) == {"amount": [text]}
    assert op(s, code, 1, "refund", {"amount": "x"}, status=400) == ["A valid number is required."]
    assert op(s, code, 1, "refund", {"mark_canceled": "x"}, status=400) == {
        "mark_canceled": ["Must be a valid boolean."]
    }
    assert status_of(s, code) == "p"


def test_a_partial_refund_makes_the_order_owe_again(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item, status="p", payment_provider="banktransfer", payment_info=BANK)
    refund = op(s, code, 1, "refund", {"amount": "3.00"})
    assert (refund["state"], refund["source"], refund["payment"], refund["amount"]) == ("created", "admin", 1, "3.00")
    assert (status_of(s, code), s.availability(quota)["pending_orders"]) == ("n", 1)
    assert must(s.post(f"orders/{code}/mark_paid/"), 200)["payments"][1]["amount"] == "3.00"
    assert op(s, code, 1, "refund", {"mark_canceled": True, "amount": "20.00"})["local_id"] == 2
    assert (status_of(s, code), s.left(quota)) == ("c", 1)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"state": None}, {"state": ["This field may not be null."]}),
        ({"state": "paid"}, {"state": ['"paid" is not a valid choice.']}),
        ({"amount": "x"}, {"amount": ["A valid number is required."]}),
        ({"amount": "NaN"}, {"amount": ["A valid number is required."]}),
        ({"amount": "1.001"}, {"amount": ["Ensure that there are no more than 2 decimal places."]}),
        ({"amount": "1e30"}, None),
        ({"amount": "-1.00"}, {"amount": ["Ensure this value is greater than or equal to 0."]}),
        ({"provider": ""}, {"provider": ["This field may not be blank."]}),
        ({"payment_date": "never"}, None),
        ({"info": [1]}, None),
    ],
)
def test_payments_of_rubbish_are_refused(sale: Sale, fields: dict[str, Any], refusal: Any) -> None:
    s, item, _ = sale
    code = made(s, item, payment_provider=None)
    answer = pay(s, code, 400, **fields)
    assert refusal is None or answer == refusal
    assert must(s.get(f"orders/{code}/payments/"), 200)["count"] == 0


def test_payments_are_neither_changed_nor_deleted(sale: Sale) -> None:
    s, item, _ = sale
    path = f"orders/{made(s, item)}/payments/1/"
    assert [s.patch(path, {}).status_code, s.put(path, {}).status_code, s.delete(path).status_code] == [405] * 3
