"""A cart position asked for like one before is answered like that one, as long as the catalogue is the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import plans
import pytest
from shop import MakeShop, must

SHORT = 'There is not enough quota available on quota "{}" to perform the operation.'
OWN = {"id", "cart_id", "datetime", "expires"}

ALIKE: dict[str, dict[str, Any]] = {
    "nothing more": {},
    "all that is nothing": {
        "variation": None, "subevent": None, "cart_id": None, "answers": [], "attendee_name": None,
        "attendee_name_parts": None, "attendee_email": None, "seat": None, "expires": None, "voucher": None,
        "addons": None, "bundled": [],
    },
    "another channel by name": {"sales_channel": "web"},
    "net": {"includes_tax": False},
    "net by null": {"includes_tax": None},
    "for nothing": {"price": "0.00"},
    "with fewer places": {"price": "23"},
    "as a number": {"price": 23.5},
    "a name": {"attendee_name": "Peter"},
    "an empty name": {"attendee_name": "", "attendee_name_parts": {}},
    "an address": {"attendee_email": "peter@example.org"},
    "an unknown field": {"colour": "red"},
    "an id as text": {"item": "own"},
}  # fmt: skip
"""What is sent beside the item and the price of 23.00."""

WRONG: dict[str, dict[str, Any]] = {
    "no such channel": {"sales_channel": "fax"},
    "no channel": {"sales_channel": None},
    "no answers": {"answers": None},
    "no such item": {"item": 2**62},
    "no item at all": {"item": 10**40},
    "an item with a fraction": {"item": 1.5},
    "a cart of another kind": {"cart_id": "mine"},
    "no amount": {"price": "much"},
    "a date where there are none": {"subevent": 2**61},
    "a seat where there are none": {"seat": "A1"},
    "no such voucher": {"voucher": "FREE"},
}


def common(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in OWN}


@pytest.mark.parametrize("fields", ALIKE.values(), ids=ALIKE)
def test_the_same_body_is_answered_the_same_the_second_time_alone_and_in_bulk(
    shop: MakeShop, fields: dict[str, Any]
) -> None:
    s, item, quota = shop().selling(20)
    body = {"item": item, "price": "23.00", **fields}
    if "item" in fields:
        body["item"] = str(item)
    told = [must(s.post("cartpositions/", body), 201) for _ in range(3)]
    for _ in range(2):
        told += [row["data"] for row in must(s.post("cartpositions/bulk_create/", [body, body]), 200)["results"]]
    assert [common(one) for one in told] == [common(told[0])] * 7
    assert len({one["id"] for one in told}) == 7
    assert [must(s.get(f"cartpositions/{one['id']}/"), 200)["price"] for one in told] == [told[0]["price"]] * 7
    assert s.left(quota) == 13


def test_bodies_that_are_nearly_the_same_are_not_taken_for_one_another(shop: MakeShop) -> None:
    s, item, _ = shop().selling(None)
    bodies = [{"item": item, "price": "23.00", **fields} for name, fields in ALIKE.items() if "item" not in fields]
    first = [common(must(s.post("cartpositions/", body), 201)) for body in bodies]
    again = [common(must(s.post("cartpositions/", body), 201)) for body in bodies]
    bulk = must(s.post("cartpositions/bulk_create/", bodies), 200)["results"]
    assert first == again == [common(row["data"]) for row in bulk]


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_however_many_were_right_before(shop: MakeShop, fields: dict[str, Any]) -> None:
    s, item, _ = shop().selling(20)
    good = {"item": item, "price": "23.00"}
    bad = {**good, **fields}
    first = s.post("cartpositions/", bad)
    must(s.post("cartpositions/", good), 201)
    must(s.post("cartpositions/", good), 201)
    again = s.post("cartpositions/", bad)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 400
    rows = must(s.post("cartpositions/bulk_create/", [good, bad, good]), 200)["results"]
    assert [row["success"] for row in rows] == [True, False, True]


def test_each_gets_the_seat_and_the_voucher_of_its_own(shop: MakeShop) -> None:
    s, item, quota = shop().selling(20)
    layout = plans.layout([f"S{number}" for number in range(12)])
    plan = must(s.api.post("seatingplans/", json={"name": "Hall", "layout": layout}), 201)["id"]
    must(s.patch("", {"seating_plan": plan, "seat_category_mapping": {"Stalls": item}}), 200)
    vouchers: list[dict[str, Any]] = [{"code": f"CODE{number}"} for number in range(6)]
    vouchers += [{"code": "ForSeat8", "seat": "S8", "item": item}, {"code": "Others", "item": s.item()}]
    vouchers += [
        {"code": "Outdated", "valid_until": "2020-01-01T00:00:00Z"},
        {"code": "Guest", "allow_ignore_quota": True},
    ]
    ids = {one["code"]: one["id"] for one in must(s.post("vouchers/batch_create/", vouchers), 201)}
    good = {"item": item, "price": "23.00"}

    def refused(**fields: Any) -> Any:
        """Return why, alone and in bulk."""
        errors = must(s.post("cartpositions/", {**good, **fields}), 400)
        [row] = must(s.post("cartpositions/bulk_create/", [{**good, **fields}]), 200)["results"]
        assert row["errors"] == (errors if isinstance(errors, dict) else {"non_field_errors": errors})
        return errors

    def wrong() -> list[Any]:
        fields: list[dict[str, Any]] = [
            {}, {"seat": ""}, {"seat": "S99"}, {"seat": "S8"}, {"seat": "S7", "voucher": "ForSeat8"},
            {"voucher": "CODE5"}, {"seat": "S7", "voucher": "NOSUCH"}, {"seat": "S7", "voucher": "Others"},
            {"seat": "S7", "voucher": "Outdated"}, {"seat": "S7", "voucher": "x" * 256},
        ]  # fmt: skip
        return [refused(**one) for one in fields]

    before = wrong()
    told = [
        must(s.post("cartpositions/", {**good, "seat": f"S{number}", "voucher": f"code{number}"}), 201)
        for number in range(3)
    ]
    rows = [{**good, "seat": f"S{number}", "voucher": f"CODE{number}"} for number in (3, 4)]
    told += [row["data"] for row in must(s.post("cartpositions/bulk_create/", rows), 200)["results"]]
    assert [one["seat"]["seat_guid"] for one in told] == [f"S{number}" for number in range(5)]
    assert [one["voucher"] for one in told] == [ids[f"CODE{number}"] for number in range(5)]
    for one in told:
        assert must(s.get(f"cartpositions/{one['id']}/"), 200) == {
            k: one[k] for k in one.keys() - {"addons", "bundled"}
        }
    assert wrong() == before
    assert refused(seat="S0") == {"seat": ['The selected seat "Main, Row 1, Seat 1" is not available.']}
    used_up = ["The specified voucher has already been used the maximum number of times."]
    assert refused(seat="S7", voucher="CODE0") == {"voucher": used_up}
    last = [
        must(s.post("cartpositions/", {**good, **own}), 201)
        for own in ({"seat": " S5 ", "voucher": " code5 "}, {"seat": "S6"}, {"seat": "S8", "voucher": "forseat8"})
    ]
    assert [(one["seat"]["seat_guid"], one["voucher"]) for one in last] == [
        ("S5", ids["CODE5"]), ("S6", None), ("S8", ids["ForSeat8"]),
    ]  # fmt: skip
    must(s.patch(f"quotas/{quota}/", {"size": 8}), 200)
    for _ in range(2):
        assert refused(seat="S9") == [SHORT.format("Tickets")]
    must(s.post("cartpositions/", {**good, "seat": "S9", "voucher": "Guest"}), 201)


def test_a_product_without_a_quota_is_only_for_those_whose_voucher_needs_none(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    vouchers = [{"code": f"Guest{n}", "allow_ignore_quota": True} for n in range(3)] + [{"code": "Plain"}]
    must(s.post("vouchers/batch_create/", vouchers), 201)
    for number in range(3):
        must(s.cart(item, voucher=f"Guest{number}"), 201)
        for fields in ({}, {"voucher": "Plain"}):
            text = 'The product "Ticket" is not assigned to a quota.'
            assert must(s.cart(item, **fields), 400) == {"non_field_errors": [text]}


def test_carts_of_any_name_are_kept_apart(shop: MakeShop) -> None:
    s, item, _ = shop().selling(None)
    names = ["a@api", "b@api", " b@api ", "ü |%@api", "x" * 251 + "@api", ""]
    for _ in range(2):
        for name in names:
            told = must(s.cart(item, cart_id=name), 201)["cart_id"]
            assert told == name.strip() if name else told.endswith("@api")
        rows = [{"item": item, "price": "23.00", "cart_id": name} for name in names]
        told = [row["data"]["cart_id"] for row in must(s.post("cartpositions/bulk_create/", rows), 200)["results"]]
        assert told[:-1] == [name.strip() for name in names[:-1]]
        assert told[-1] not in names
    assert s.cart(item, cart_id="x" * 252 + "@api").status_code == 400


def test_rows_without_a_cart_share_one_and_requests_do_not(shop: MakeShop) -> None:
    s, item, _ = shop().selling(None)
    rows = [{"item": item, "price": "23.00"}] * 3
    carts = [
        {row["data"]["cart_id"] for row in must(s.post("cartpositions/bulk_create/", rows), 200)["results"]}
        for _ in range(3)
    ]
    assert [len(one) for one in carts] == [1, 1, 1]
    assert len(set.union(*carts)) == 3


def test_a_change_of_the_catalogue_counts_at_once(shop: MakeShop) -> None:
    s, item, quota = shop().selling(3)
    for _ in range(2):
        must(s.cart(item), 201)
    must(s.patch("settings/", {"reservation_time": 5}), 200)
    told = must(s.cart(item), 201)
    times = [dt.datetime.fromisoformat(told[name]) for name in ("datetime", "expires")]
    assert times[1] - times[0] == dt.timedelta(minutes=5)
    assert must(s.cart(item), 400) == [SHORT.format("Tickets")]
    must(s.patch(f"quotas/{quota}/", {"name": "Others", "size": 3}), 200)
    assert must(s.cart(item), 400) == [SHORT.format("Others")]
    must(s.patch(f"items/{item}/", {"active": False}), 200)
    assert must(s.cart(item), 400) == {"item": ["The specified item is not active."]}


def test_a_bulk_is_all_forms_but_a_list_refused_as_before(shop: MakeShop) -> None:
    s, item, _ = shop().selling(None)
    good = {"item": item, "price": "23.00"}
    for _ in range(2):
        must(s.post("cartpositions/", good), 201)
        assert must(s.post("cartpositions/bulk_create/", good), 400) == {"error": "Please supply a list"}
        assert must(s.post("cartpositions/bulk_create/", []), 200) == {"results": []}
        rows = must(s.post("cartpositions/bulk_create/", [good] * 1001), 400)
        assert rows == {"error": "Please supply at most 1000 rows"}
        assert must(s.post("cartpositions/", [good]), 400) == {
            "non_field_errors": ["Invalid data. Expected a dictionary, but got list."]
        }


def test_a_bulk_that_is_sold_out_in_the_middle_says_which_rows_are(shop: MakeShop) -> None:
    s, item, _ = shop().selling(4)
    other = s.item()
    s.quota(None, other, name="Others")
    rows = [{"item": item, "price": "23.00"}, {"item": other, "price": "5.00"}] * 3
    for _ in range(2):
        told = must(s.post("cartpositions/bulk_create/", rows), 200)["results"]
        assert [row["success"] for row in told][1::2] == [True] * 3
        short = {
            "non_field_errors": ['There is not enough quota available on quota "Tickets" to perform the operation.']
        }
        assert all(row["errors"] == (None if row["success"] else short) for row in told)
    assert s.left(s.get("quotas/").json()["results"][0]["id"]) == 0
