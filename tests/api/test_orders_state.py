"""What happens to orders over HTTP: state operations and own fields (spec/facts.md, States, payments, refunds)."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from shop import MakeShop, Shop, must

Sale = tuple[Shop, int, int]
GONE = {"detail": 'The ordered product "Ticket" is no longer available.'}


@pytest.fixture
def sale(shop: MakeShop) -> Sale:
    """An event, an item of 23.00 and a quota of one."""
    return shop().selling(1)


def made(s: Shop, *positions: Any, **fields: Any) -> str:
    """Make an order; return its code."""
    return str(must(s.order(*positions, **fields), 201)["code"])


def act(s: Shop, code: str, what: str, body: Any = None, status: int = 200) -> Any:
    return must(s.post(f"orders/{code}/{what}/", body), status)


def fetch(s: Shop, code: str, **query: Any) -> Any:
    return must(s.get(f"orders/{code}/", **query), 200)


def in_days(days: int) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(days=days)).date().isoformat()


def states(order: Any) -> list[tuple[str, str, str]]:
    return [(p["provider"], p["state"], p["amount"]) for p in order["payments"]]


def test_mark_paid_moves_the_units(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item)
    order = act(s, code, "mark_paid", {"send_email": False})
    assert (order["status"], states(order)) == ("p", [("manual", "confirmed", "23.00")])
    counts = s.availability(quota)
    assert (counts["pending_orders"], counts["paid_orders"], counts["available_number"]) == (0, 1, 0)
    assert order == fetch(s, code)


def test_the_body_is_optional_and_need_be_no_more_than_an_object(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    assert s.post(f"orders/{code}/mark_paid/", [1]).status_code == 400
    assert s.api.post(f"events/{s.slug}/orders/{code}/mark_paid/", content=b"{").status_code in (400, 415)
    assert s.api.post(f"events/{s.slug}/orders/{code}/mark_paid/").json()["status"] == "p"


def test_one_of_many_mark_paid_at_once_pays(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: s.post(f"orders/{code}/mark_paid/"), range(8)))
    assert sorted(a.status_code for a in answers if a.status_code != 409)[0] == 200
    assert sum(a.status_code == 200 for a in answers) == 1
    assert {a.json()["detail"] for a in answers if a.status_code == 400} <= {"The order is not pending or expired."}
    assert states(fetch(s, code)) == [("manual", "confirmed", "23.00")]


def test_one_of_many_mark_canceled_at_once_cancels(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: s.post(f"orders/{code}/mark_canceled/"), range(8)))
    assert sum(a.status_code == 200 for a in answers) == 1
    assert (s.left(quota), s.availability(quota)["pending_orders"]) == (1, 0)


def test_an_expired_order_is_paid_only_while_there_is_room_but_its_money_stays(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item)
    act(s, code, "mark_expired")
    other = made(s, item)
    assert act(s, code, "mark_paid", status=400) == GONE
    order = fetch(s, code)
    assert (order["status"], states(order)) == ("e", [("manual", "confirmed", "23.00")])
    assert act(s, code, "mark_paid", status=400) == GONE
    assert states(fetch(s, code)) == states(order)
    act(s, other, "mark_canceled")
    order = act(s, code, "mark_paid")
    assert (order["status"], states(order)[1:]) == ("p", [("manual", "confirmed", "0.00")])
    assert s.availability(quota)["paid_orders"] == 1


def test_an_unapproved_order_is_not_paid_but_its_money_stays(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item, require_approval=True)
    refusal = {"detail": "This order is not yet approved by the event organizer."}
    assert act(s, code, "mark_paid", status=400) == refusal
    order = fetch(s, code)
    assert (order["status"], states(order)) == ("n", [("manual", "confirmed", "23.00")])
    assert act(s, code, "approve")["status"] == "p"


def test_approve_and_deny(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item, require_approval=True, expires="2030-01-01T00:00:00Z")
    order = act(s, code, "approve")
    assert (order["status"], order["require_approval"]) == ("n", False)
    assert order["expires"] < "2030"
    assert act(s, code, "deny", status=400) == {"detail": "This order is not pending approval."}
    act(s, code, "mark_canceled")
    code = made(s, item, require_approval=True)
    order = act(s, code, "deny", {"comment": "No.", "send_email": False})
    assert (order["status"], order["require_approval"], s.left(quota)) == ("c", True, 1)
    free = made(s, {"item": item, "price": "0.00"}, require_approval=True)
    order = act(s, free, "approve")
    assert (order["status"], states(order)[-1]) == ("p", ("free", "confirmed", "0.00"))


def test_canceling_gives_the_units_back_and_reactivating_takes_them_again(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item, status="p")
    assert act(s, code, "mark_canceled")["status"] == "c"
    assert s.left(quota) == 1
    other = made(s, item)
    assert act(s, code, "reactivate", status=400) == GONE
    act(s, other, "mark_canceled")
    assert act(s, code, "reactivate")["status"] == "p"
    assert s.left(quota) == 0
    assert act(s, code, "reactivate", status=400) == {"detail": "The order is not allowed to be reactivated."}


@pytest.mark.parametrize(
    ("fee", "status", "total"),
    [
        ("6.00", "p", "6.00"),
        (6, "p", "6.00"),
        ("23.00", "p", "23.00"),
        ("0.00", "c", "23.00"),
        (None, "c", "23.00"),
        ("rubbish", "c", "23.00"),
        ("NaN", "c", "23.00"),
        (["6"], "c", "23.00"),
        (True, "c", "23.00"),
        ("-4", "c", "23.00"),
        ("9" * 100, "c", "23.00"),
    ],
)
def test_cancellation_fees(sale: Sale, fee: Any, status: str, total: str) -> None:
    s, item, quota = sale
    order = act(s, made(s, item, status="p"), "mark_canceled", {"cancellation_fee": fee})
    assert (order["status"], order["total"]) == (status, total)
    assert s.left(quota) == 1
    if status == "p":
        assert (order["positions"], [f["fee_type"] for f in order["fees"]]) == ([], ["cancellation"])
        whole = fetch(s, order["code"], include_canceled_positions="true", include_canceled_fees="true")
        assert [p["canceled"] for p in whole["positions"]] == [True]
        assert act(s, order["code"], "mark_canceled", status=400) == {
            "detail": "The order is not allowed to be canceled."
        }


def test_a_cancellation_fee_above_the_total_changes_nothing(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    before = fetch(s, code)
    refusal = {"detail": "The cancellation fee cannot be higher than the total amount of this order."}
    assert act(s, code, "mark_canceled", {"cancellation_fee": "23.01"}, 400) == refusal
    assert fetch(s, code) == before


def test_operations_that_the_state_does_not_allow(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    assert act(s, code, "mark_pending", status=400) == {"detail": "The order is not paid."}
    assert act(s, code, "reactivate", status=400)["detail"]
    assert act(s, code, "approve", status=400) == {"detail": "This order is not pending approval."}
    act(s, code, "mark_paid")
    assert act(s, code, "mark_expired", status=400) == {"detail": "The order is not pending."}
    assert act(s, code, "extend", {"expires": in_days(20)}, 400)["detail"]
    assert act(s, code, "mark_pending")["status"] == "n"
    act(s, code, "mark_canceled")
    assert act(s, code, "mark_canceled", status=400) == {"detail": "The order is not allowed to be canceled."}
    assert act(s, code, "extend", {"expires": in_days(20)}, 400)["detail"]


def test_extending(sale: Sale) -> None:
    s, item, quota = sale
    code = made(s, item)
    day = in_days(20)
    order = act(s, code, "extend", {"expires": day})
    assert (order["status"], order["expires"]) == ("n", f"{day}T23:59:59Z")
    act(s, code, "mark_expired")
    made(s, item)
    assert act(s, code, "extend", {"expires": day}, 400) == GONE
    assert act(s, code, "extend", {"expires": day, "force": True})["status"] == "n"
    counts = s.availability(quota)
    assert (counts["pending_orders"], counts["available_number"]) == (2, 0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "New date is missing."),
        ({"expires": None}, "New date is missing."),
        ({"expires": "tomorrow"}, "New date is invalid."),
        ({"expires": "2031-02-30"}, "New date is invalid."),
        ({"expires": 5}, "New date is invalid."),
        ({"expires": {"a": 1}}, "New date is invalid."),
        ({"expires": "2017-10-28"}, "The new expiry date needs to be in the future."),
    ],
)
def test_extending_to_no_good_day(sale: Sale, body: Any, text: str) -> None:
    s, item, _ = sale
    assert act(s, made(s, item), "extend", body, 400) == {"detail": text}


def test_patching_own_fields(sale: Sale) -> None:
    s, item, _ = sale
    must(s.patch("settings/", {"locales": ["en", "de"]}), 200)
    code = made(s, item)
    fields = {
        "email": "other@example.org",
        "phone": "+4962219999",
        "locale": "de",
        "comment": "Foo",
        "api_meta": {"ref": [1, {"a": None}]},
        "custom_followup_at": "2031-06-12",
        "checkin_attention": True,
        "checkin_text": "Hello",
        "valid_if_pending": True,
        "expires": "2031-06-12T10:00:00Z",
    }
    before = fetch(s, code)
    order = must(s.patch(f"orders/{code}/", fields), 200)
    assert {name: order[name] for name in fields} == fields
    assert order["last_modified"] > before["last_modified"]
    assert fetch(s, code) == order
    emptied = {"email": None, "phone": None, "checkin_text": None, "custom_followup_at": None, "comment": ""}
    order = must(s.patch(f"orders/{code}/", emptied), 200)
    assert {name: order[name] for name in emptied} == emptied
    assert order["locale"] == "de"


def test_patching_the_invoice_address(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    address = {"company": "Acme", "name_parts": {"_scheme": "full", "full_name": "Jo Doe"}, "country": "GB"}
    order = must(s.patch(f"orders/{code}/", {"invoice_address": address}), 200)
    assert (order["invoice_address"]["company"], order["invoice_address"]["name"]) == ("Acme", "Jo Doe")
    assert must(s.patch(f"orders/{code}/", {"invoice_address": None}), 200)["invoice_address"] is None
    assert s.patch(f"orders/{code}/", {"invoice_address": {"country": "XX"}}).status_code == 400


def test_patching_what_is_not_ones_own_changes_nothing(sale: Sale) -> None:
    s, item, _ = sale
    code = made(s, item)
    before = fetch(s, code)
    others = {"status": "p", "total": "1.00", "code": "ABCDE", "testmode": True, "secret": "x", "positions": []}
    assert must(s.patch(f"orders/{code}/", others), 200) == before


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"locale": "tlh"}, {"locale": ['"tlh" is not a supported locale for this event.']}),
        ({"email": "nobody"}, {"email": ["Enter a valid email address."]}),
        ({"checkin_attention": "perhaps"}, {"checkin_attention": ["Must be a valid boolean."]}),
        ({"comment": None}, {"comment": ["This field may not be null."]}),
        ({"comment": "a\x00b"}, {"comment": ["Null characters are not allowed."]}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)
def test_patching_with_rubbish(sale: Sale, body: Any, refusal: Any) -> None:
    s, item, _ = sale
    assert must(s.patch(f"orders/{made(s, item)}/", body), 400) == refusal
