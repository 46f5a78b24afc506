"""Refunds over HTTP (spec/orders.txt, Order refund endpoints)."""

from __future__ import annotations

from typing import Any

import pytest
from shop import MakeShop, Shop, must

Sale = tuple[Shop, str, int]


@pytest.fixture
def sale(shop: MakeShop) -> Sale:
    """An event, the code of a paid order of 23.00, and its quota of one."""
    s, item, quota = shop().selling(1)
    return s, must(s.order(item, status="p"), 201)["code"], quota


def refund(s: Shop, code: str, status: int = 201, **fields: Any) -> Any:
    body = {"state": "created", "source": "admin", "amount": "23.00", "payment": 1, "provider": "manual", **fields}
    return must(s.post(f"orders/{code}/refunds/", {k: v for k, v in body.items() if v is not ...}), status)


def op(s: Shop, code: str, number: Any, what: str, body: Any = None, *, status: int = 200) -> Any:
    return must(s.post(f"orders/{code}/refunds/{number}/{what}/", body), status)


def order(s: Shop, code: str) -> Any:
    return must(s.get(f"orders/{code}/"), 200)


def test_a_refund_is_booked_and_shown(sale: Sale) -> None:
    s, code, _ = sale
    made = refund(s, code, comment="Cancellation", execution_date=None)
    assert {name: made[name] for name in made if name != "created"} == {
        "local_id": 1,
        "state": "created",
        "source": "admin",
        "amount": "23.00",
        "payment": 1,
        "execution_date": None,
        "comment": "Cancellation",
        "provider": "manual",
        "details": {},
    }
    assert (order(s, code)["status"], order(s, code)["refunds"]) == ("p", [made])
    assert must(s.get(f"orders/{code}/refunds/"), 200)["results"] == [made]
    assert must(s.get(f"orders/{code}/refunds/1/"), 200) == made
    assert s.get(f"orders/{code}/refunds/2/").status_code == 404
    bare = refund(s, code, payment=..., amount=1)
    assert (bare["local_id"], bare["payment"], bare["comment"], bare["amount"]) == (2, None, None, "1.00")


def test_what_a_refund_does_to_the_order_is_said_with_it(sale: Sale) -> None:
    s, code, quota = sale
    refund(s, code, amount="3.00", mark_pending=True)
    assert order(s, code)["status"] == "n"
    paid = must(s.post(f"orders/{code}/mark_paid/"), 200)
    assert [p["amount"] for p in paid["payments"]] == ["23.00", "3.00"]
    refund(s, code, amount="20.00", mark_canceled=True)
    assert (order(s, code)["status"], s.left(quota)) == ("c", 1)
    refund(s, code, amount="3.00", payment=2, mark_canceled=True)
    assert order(s, code)["status"] == "c"


def test_done_makes_the_payment_refunded_and_leaves_the_order_alone(sale: Sale) -> None:
    s, code, _ = sale
    refund(s, code, state="transit")
    done = op(s, code, 1, "done")
    assert (done["state"], done["execution_date"] is not None) == ("done", True)
    shown = order(s, code)
    assert (shown["status"], shown["payments"][0]["state"]) == ("p", "refunded")
    for what in ("done", "cancel", "process"):
        assert op(s, code, 1, what, status=400) == {"detail": "Invalid state of refund"}
        op(s, code, 9, what, status=404)


@pytest.mark.parametrize(("cancel", "status", "left"), [(False, "n", 0), (True, "c", 1)])
def test_an_external_refund_is_processed(sale: Sale, cancel: bool, status: str, left: int) -> None:
    s, code, quota = sale
    refund(s, code, state="external", source="external")
    assert order(s, code)["status"] == "p"
    assert op(s, code, 1, "process", {"mark_canceled": cancel})["state"] == "done"
    assert (order(s, code)["status"], s.left(quota)) == (status, left)


def test_refunds_that_were_not_made_are_canceled(sale: Sale) -> None:
    s, code, _ = sale
    for number, state in enumerate(("created", "transit", "external"), 1):
        refund(s, code, amount="1.00", state=state)
        assert op(s, code, number, "cancel")["state"] == "canceled"
    assert order(s, code)["status"] == "p"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"state": ...}, {"state": ["This field is required."]}),
        ({"source": "me"}, {"source": ['"me" is not a valid choice.']}),
        ({"amount": "x", "provider": ...}, {"amount": ["A valid number is required."], "provider": None}),
        ({"amount": "-1"}, {"amount": ["Ensure this value is greater than or equal to 0."]}),
        ({"payment": 7}, ["Unknown payment ID."]),
        ({"payment": "x"}, {"payment": ["A valid integer is required."]}),
        ({"payment": 10**30}, None),
        ({"mark_canceled": "x"}, {"mark_canceled": ["Must be a valid boolean."]}),
    ],
)
def test_refunds_of_rubbish_are_refused(sale: Sale, fields: dict[str, Any], refusal: Any) -> None:
    s, code, _ = sale
    answer = refund(s, code, 400, **fields)
    if isinstance(refusal, dict) and None in refusal.values():
        assert set(answer) == set(refusal)
    else:
        assert refusal is None or answer == refusal
    assert order(s, code)["refunds"] == []
