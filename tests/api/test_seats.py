"""Seating plans, the seats that events get from them, and seats in carts and orders, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import plans
import pytest
from shop import MakeShop, Shop, must


def layout(*rows: int, **row: Any) -> dict[str, Any]:
    """Return one zone with rows of so many seats, S-1-1 and on; category Stalls."""
    return plans.layout(*([f"S-{number}-{n + 1}" for n in range(seats)] for number, seats in enumerate(rows, 1)), **row)


def plan(api: httpx.Client, *rows: int, **row: Any) -> int:
    return int(must(api.post("seatingplans/", json={"name": "Hall", "layout": layout(*rows, **row)}), 201)["id"])


def taken(number: int, row: int = 1) -> str:
    return f'The selected seat "Main, Row {row}, Seat {number}" is not available.'


@pytest.fixture
def hall(shop: MakeShop) -> tuple[Shop, int, int]:
    """A shop that sells one item with the seats S-1-1 to S-1-3 and S-2-1, the item, and its quota of five."""
    s, item, quota = shop().selling(5)
    must(s.patch("", {"seating_plan": plan(s.api, 3, 1), "seat_category_mapping": {"Stalls": item}}), 200)
    return s, item, quota


def seat_ids(s: Shop) -> dict[str, int]:
    return {seat["seat_guid"]: seat["id"] for seat in must(s.get("seats/"), 200)["results"]}


# ----------------------------------------------------------------------------------------------------------- plans


def test_a_plan_lives_from_post_to_delete(api: httpx.Client) -> None:
    body = {"name": "Hall", "layout": layout(2)}
    made = must(api.post("seatingplans/", json=body), 201)
    path = f"seatingplans/{made['id']}/"
    assert made == {"id": made["id"], **body}
    assert must(api.get(path), 200) == made
    assert made in must(api.get("seatingplans/", params={"page_size": 50}), 200)["results"]
    assert must(api.patch(path, json={"name": "Other"}), 200)["name"] == "Other"
    assert must(api.put(path, json={"name": "Third", "layout": layout(1)}), 200)["layout"] == layout(1)
    must(api.delete(path), 204)
    must(api.get(path), 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"zones": 7},
        {"zones": [7]},
        {"zones": [{"name": "A"}]},
        {"zones": [{"name": "A", "rows": [{"row_number": 1, "seats": []}]}]},
        {"zones": [{"name": "A", "rows": [{"row_number": "1", "seats": [{}]}]}]},
        {"zones": [{"name": "A", "rows": [{"row_number": "1", "row_label": 7, "seats": []}]}]},
        layout(1)["zones"][0],
        {"zones": layout(1)["zones"] * 2},
    ],
)
def test_a_layout_that_is_none_is_refused(api: httpx.Client, wrong: Any) -> None:
    error = must(api.post("seatingplans/", json={"name": "Hall", "layout": wrong}), 400)
    assert error["layout"][0].startswith("Your layout file is not a valid seating plan. Error message: ")


def test_a_plan_in_use_stays_as_it_is(hall: Any) -> None:
    s, _, _ = hall
    path = f"seatingplans/{must(s.get(''), 200)['seating_plan']}/"
    used = {"detail": "This plan can not be changed since it is in use for one or more events."}
    assert must(s.api.patch(path, json={"name": "Other"}), 403) == used
    must(s.api.delete(path), 403)


# ----------------------------------------------------------------------------------------------------------- seats


def test_an_event_gets_the_seats_of_its_plan(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    plan_id = plan(s.api, 11, 1)
    body = {"seating_plan": plan_id, "seat_category_mapping": {"Stalls": item}}
    assert must(s.patch("", body), 200) | body == must(s.get(""), 200)
    listed = must(s.get("seats/"), 200)
    assert [seat["seat_guid"] for seat in listed["results"]] == [f"S-1-{n}" for n in range(1, 12)] + ["S-2-1"]
    first = listed["results"][0]
    assert first == {
        "id": first["id"],
        "subevent": None,
        "zone_name": "Main",
        "row_name": "1",
        "row_label": None,
        "seat_number": "1",
        "seat_label": None,
        "seat_guid": "S-1-1",
        "product": item,
        "blocked": False,
        "orderposition": None,
        "cartposition": None,
        "voucher": None,
    }
    assert must(s.get(f"seats/{first['id']}/"), 200) == first
    for query, count in (({"row_name": "2"}, 1), ({"seat_guid": "S-1-7"}, 1), ({"blocked": "true"}, 0)):
        assert must(s.get("seats/", **query), 200)["count"] == count


def test_labels_name_seats(shop: MakeShop) -> None:
    s, item, _ = shop().selling(5)
    plan_id = plan(s.api, 1, row_label="Box %s", seat_label="Chair %s")
    must(s.patch("", {"seating_plan": plan_id, "seat_category_mapping": {"Stalls": item}}), 200)
    seat = must(s.cart(item, seat="S-1-1"), 201)["seat"]
    assert (seat["name"], seat["row_label"], seat["seat_label"]) == ("Main, Box 1, Chair 1", "Box 1", "Chair 1")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"seating_plan": 2**62}, {"seating_plan": [f'Invalid pk "{2**62}" - object does not exist.']}),
        ({"seating_plan": "x"}, {"seating_plan": ["Incorrect type. Expected pk value, received str."]}),
        (
            {"seat_category_mapping": [1]},
            {"seat_category_mapping": ['Expected a dictionary of items but got type "list".']},
        ),
        ({"seat_category_mapping": {"Stalls": 2**62}}, {"seat_category_mapping": [f"Item '{2**62}' does not exist."]}),
        ({"seat_category_mapping": {"Stalls": None}}, {"seat_category_mapping": ["This field may not be null."]}),
    ],
)
def test_wrong_plans_and_mappings_change_nothing(hall: Any, body: Any, error: Any) -> None:
    s, _, _ = hall
    before = must(s.get(""), 200)
    assert must(s.patch("", body), 400) == error
    assert must(s.get(""), 200) == before
    assert len(seat_ids(s)) == 4


def test_another_plan_takes_seats_away_that_nobody_has(hall: Any) -> None:
    s, item, _ = hall
    before = seat_ids(s)
    held = must(s.cart(item, seat="S-1-3"), 201)
    sold = 'seat "Main, Row 1, Seat 3" is not present in the new plan and is already sold.'
    error = {"seating_plan": [f"You can not change the plan since {sold}"]}
    assert must(s.patch("", {"seating_plan": plan(s.api, 2)}), 400) == error
    assert seat_ids(s) == before
    must(s.cart(item, seat="S-1-2"), 201)
    must(s.delete(f"cartpositions/{held['id']}/"), 204)
    must(s.patch("", {"seating_plan": plan(s.api, 2, 1, 1)}), 200)
    after = seat_ids(s)
    assert set(after) == {"S-1-1", "S-1-2", "S-2-1", "S-3-1"}
    assert after["S-1-1"] == before["S-1-1"]
    assert must(s.cart(item, seat="S-1-3"), 400) == {"seat": ["The specified seat does not exist."]}
    assert must(s.cart(item, seat="S-1-2"), 400) == {"seat": [taken(2)]}
    must(s.cart(item, seat="S-3-1"), 201)


def test_without_a_plan_there_are_no_seats(hall: Any) -> None:
    s, item, _ = hall
    assert must(s.patch("", {"seating_plan": None}), 200)["seat_category_mapping"] == {}
    assert must(s.get("seats/"), 200)["count"] == 0
    assert must(s.cart(item), 201)["seat"] is None


def test_an_event_is_made_with_the_seats_of_a_plan(shop: MakeShop) -> None:
    number = plan(shop().api, 2)
    s = shop(seating_plan=number)
    assert must(s.get(""), 200)["seating_plan"] == number
    assert [(seat["seat_guid"], seat["product"]) for seat in must(s.get("seats/"), 200)["results"]] == [
        ("S-1-1", None),
        ("S-1-2", None),
    ]
    item = s.item()
    s.quota(5, item)
    must(s.cart(item), 201)
    must(s.patch("", {"seat_category_mapping": {"Stalls": item}}), 200)
    must(s.cart(item), 400)
    must(s.cart(item, seat="S-1-1"), 201)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"seating_plan": 2**62}, "seating_plan"),
        ({"seating_plan": "x"}, "seating_plan"),
        ({"seat_category_mapping": {"Stalls": 1}}, "seat_category_mapping"),
        ({"seating_plan": True, "has_subevents": True}, "seating_plan"),
    ],
)
def test_an_event_is_not_made_with_seats_that_cannot_be(shop: MakeShop, fields: dict[str, Any], field: str) -> None:
    api = shop().api
    if fields.get("seating_plan") is True:
        fields = {**fields, "seating_plan": plan(api, 1)}
    body = {"name": {"en": "Test"}, "slug": "not-made", "date_from": "2031-12-27T10:00:00Z"}
    assert list(must(api.post("events/", json=body | fields), 400)) == [field]
    must(api.get("events/not-made/"), 403)


def test_a_deleted_item_leaves_its_seats_to_others(shop: MakeShop, hall: Any) -> None:
    s, item, quota = hall
    other = s.item()
    must(s.patch(f"quotas/{quota}/", {"items": [item, other]}), 200)
    must(s.delete(f"items/{item}/"), 204)
    assert must(s.get(""), 200)["seat_category_mapping"] == {}
    assert {seat["product"] for seat in must(s.get("seats/"), 200)["results"]} == {None}
    must(s.patch("", {"seat_category_mapping": {"Stalls": other}}), 200)
    assert must(s.cart(other, seat="S-1-1"), 201)["seat"]["seat_guid"] == "S-1-1"

    series = shop(has_subevents=True)
    item, other = series.item(), series.item()
    seated = {"seating_plan": plan(series.api, 1), "seat_category_mapping": {"Stalls": item, "Box": other}}
    date = series.date(**seated)
    must(series.delete(f"items/{item}/"), 204)
    assert must(series.get(f"subevents/{date}/"), 200)["seat_category_mapping"] == {"Box": other}
    assert [seat["product"] for seat in must(series.get(f"subevents/{date}/seats/"), 200)["results"]] == [None]


def test_each_date_has_its_own_seats(shop: MakeShop) -> None:
    s = shop(has_subevents=True)
    item, first, second, third = s.item(), s.date("First"), s.date("Second"), s.date("Third")
    for date in (first, second, third):
        s.quota(5, item, subevent=date)
    body = {"seating_plan": plan(s.api, 2), "seat_category_mapping": {"Stalls": item}}
    for date in (first, second):
        must(s.patch(f"subevents/{date}/", body), 200)
        must(s.cart(item, subevent=date, seat="S-1-1"), 201)
        assert must(s.cart(item, subevent=date, seat="S-1-1"), 400) == {"seat": [taken(1)]}
    assert must(s.cart(item, subevent=third), 201)["seat"] is None
    seats = must(s.get(f"subevents/{first}/seats/"), 200)["results"]
    assert [seat["subevent"] for seat in seats] == [first, first]
    must(s.get(f"subevents/{second}/seats/{seats[0]['id']}/"), 404)
    must(s.get("seats/"), 404)
    assert "seating_plan" in must(s.patch("", body), 400)


def test_a_blocked_seat_is_not_for_sale(hall: Any) -> None:
    s, item, _ = hall
    path = f"seats/{seat_ids(s)['S-1-1']}/"
    assert must(s.patch(path, {"blocked": True}), 200)["blocked"] is True
    assert must(s.cart(item, seat="S-1-1"), 400) == {"seat": [taken(1)]}
    error = {"positions": [{"seat": [taken(1)]}]}
    assert must(s.order({"item": item, "seat": "S-1-1"}, force=True), 400) == error
    assert must(s.get("seats/", blocked="true"), 200)["count"] == 1
    assert must(s.patch(path, {"blocked": False}), 200)["blocked"] is False
    must(s.cart(item, seat="S-1-1"), 201)
    assert must(s.patch(path, {"blocked": "x"}), 400) == {"blocked": ["Must be a valid boolean."]}


def test_seats_tell_who_has_them(hall: Any) -> None:
    s, item, _ = hall
    cart = must(s.cart(item, seat="S-1-1"), 201)
    order = must(s.order({"item": item, "seat": "S-1-2"}), 201)
    seats = {seat["seat_guid"]: seat for seat in must(s.get("seats/"), 200)["results"]}
    assert seats["S-1-1"]["cartposition"] == cart["id"]
    assert seats["S-1-2"]["orderposition"] == order["positions"][0]["id"]
    assert seats["S-1-3"]["orderposition"] is None


# -------------------------------------------------------------------------------------------------- carts and orders


def test_rows_of_a_bulk_do_not_get_the_same_seat(hall: Any) -> None:
    s, item, quota = hall
    must(s.cart(item, seat="S-1-2"), 201)
    row = {"item": item, "price": "1.00"}
    rows = [{**row, "seat": "S-1-1"}, {**row, "seat": "S-1-1"}, {**row, "seat": "S-1-2"}, {**row, "seat": "S-1-3"}, row]
    results = must(s.post("cartpositions/bulk_create/", rows), 200)["results"]
    assert [result["errors"] for result in results] == [
        None,
        {"non_field_errors": ["You can not select the same seat multiple times."]},
        {"seat": [taken(2)]},
        None,
        {"seat": ["The specified product requires to choose a seat."]},
    ]
    assert s.left(quota) == 2


def test_an_expired_cart_gives_its_seat_back(hall: Any) -> None:
    s, item, _ = hall
    must(s.cart(item, seat="S-1-1", expires="2020-01-01T00:00:00Z"), 201)
    must(s.cart(item, seat="S-1-1"), 201)
    assert [row["seat"]["seat_guid"] for row in must(s.get("cartpositions/"), 200)["results"]] == ["S-1-1"] * 2


def test_a_simulated_order_asks_for_its_seat_and_takes_none(hall: Any) -> None:
    s, item, _ = hall
    wanted = {"item": item, "seat": "S-1-1"}
    shown = must(s.order(wanted, simulate=True), 201)
    assert shown["positions"][0]["seat"]["seat_guid"] == "S-1-1"
    must(s.order(wanted), 201)
    for force in (False, True):
        assert must(s.order(wanted, simulate=True, force=force), 400) == {"positions": [{"seat": [taken(1)]}]}


def test_a_paid_order_that_has_expired_needs_its_seat_again(hall: Any) -> None:
    s, item, _ = hall
    order = must(s.order({"item": item, "seat": "S-1-1"}), 201)
    must(s.post(f"orders/{order['code']}/mark_expired/"), 200)
    other = must(s.cart(item, seat="S-1-1"), 201)
    gone = {"detail": 'The seat "Main, Row 1, Seat 1" is no longer available.'}
    assert must(s.post(f"orders/{order['code']}/mark_paid/"), 400) == gone
    shown = must(s.get(f"orders/{order['code']}/"), 200)
    assert (shown["status"], shown["payments"][-1]["state"]) == ("e", "confirmed")
    must(s.delete(f"cartpositions/{other['id']}/"), 204)
    assert must(s.post(f"orders/{order['code']}/mark_paid/"), 200)["status"] == "p"


def test_a_position_changes_its_seat(hall: Any) -> None:
    s, item, _ = hall
    order = must(s.order({"item": item, "seat": "S-1-1"}, {"item": item, "seat": "S-1-2"}), 201)
    first, second = (f"orderpositions/{position['id']}/" for position in order["positions"])
    assert must(s.patch(first, {"seat": "S-1-2"}), 400) == [taken(2)]
    assert must(s.patch(first, {"seat": "S-1-3"}), 200)["seat"]["seat_guid"] == "S-1-3"
    must(s.cart(item, seat="S-1-1"), 201)
    assert must(s.patch(second, {"seat": "S-1-1"}), 400) == [taken(1)]
    must(s.delete(second), 204)
    must(s.cart(item, seat="S-1-2"), 201)


# ---------------------------------------------------------------------------------------------------------- vouchers


def voucher(s: Shop, **fields: Any) -> Any:
    return s.post("vouchers/", {"code": f"SEAT{fields.get('seat', '')}", "max_usages": 1, **fields})


def test_a_voucher_keeps_its_seat_for_its_bearer(hall: Any) -> None:
    s, item, _ = hall
    made = must(voucher(s, item=item, seat="S-1-1"), 201)
    assert must(s.get(f"seats/{seat_ids(s)['S-1-1']}/"), 200)["voucher"] == made["id"]
    wanted = {"item": item, "seat": "S-1-1"}
    error = {"positions": [{"seat": [taken(1)]}]}
    assert must(s.cart(item, seat="S-1-1"), 400) == {"seat": [taken(1)]}
    assert must(s.order(wanted), 400) == error
    other = {"positions": [{"voucher": ["This voucher is not valid for this seat."]}]}
    assert must(s.order({**wanted, "seat": "S-1-2", "voucher": made["code"]}), 400) == other
    cart = must(s.cart(item, seat="S-1-1", voucher=made["code"]), 201)
    must(s.delete(f"cartpositions/{cart['id']}/"), 204)
    order = must(s.order({**wanted, "voucher": made["code"]}), 201)
    must(s.post(f"orders/{order['code']}/mark_canceled/"), 200)
    assert must(s.order(wanted), 400) == error
    must(s.delete(f"vouchers/{made['id']}/"), 403)


def test_a_seat_is_for_all_once_its_voucher_is_gone_or_expired(hall: Any) -> None:
    s, item, _ = hall
    made = must(voucher(s, item=item, seat="S-1-1"), 201)
    must(voucher(s, item=item, seat="S-1-2", valid_until="2020-01-01T00:00:00Z"), 201)
    must(s.cart(item, seat="S-1-2"), 201)
    must(s.patch(f"vouchers/{made['id']}/", {"seat": "S-1-3"}), 200)
    must(s.cart(item, seat="S-1-1"), 201)
    assert must(s.cart(item, seat="S-1-3"), 400) == {"seat": [taken(3)]}
    must(s.delete(f"vouchers/{made['id']}/"), 204)
    must(s.cart(item, seat="S-1-3"), 201)


def test_only_a_free_seat_gets_a_voucher_of_one_use(hall: Any) -> None:
    s, item, quota = hall
    other = s.item("Other")
    must(s.cart(item, seat="S-1-1"), 201)
    must(voucher(s, item=item, seat="S-1-2"), 201)
    gone = "is currently unavailable (blocked, already sold or a different voucher)."
    for fields, error in (
        ({"seat": "S-1-1", "item": item}, f'The seat "S-1-1" {gone}'),
        ({"seat": "S-1-2", "item": item, "code": "OTHER"}, f'The seat "S-1-2" {gone}'),
        ({"seat": "S-9", "item": item}, 'The specified seat ID "S-9" does not exist for this event.'),
        ({"seat": "S-1-3", "item": other}, 'You need to choose the product "Ticket" for this seat.'),
        ({"seat": "S-1-3", "item": item, "max_usages": 2}, "Seat-specific vouchers can only be used once."),
        ({"seat": "S-1-3", "quota": quota}, "You need to choose a specific product if you select a seat."),
    ):
        assert must(voucher(s, **fields), 400) == {"non_field_errors": [error]}


def test_a_seat_with_a_voucher_stays_in_the_plan(hall: Any) -> None:
    s, item, _ = hall
    must(voucher(s, item=item, seat="S-1-3"), 201)
    kept = 'seat "Main, Row 1, Seat 3" is not present in the new plan and is already used in a voucher.'
    error = {"seating_plan": [f"You can not change the plan since {kept}"]}
    assert must(s.patch("", {"seating_plan": plan(s.api, 2)}), 400) == error


def test_seat_and_time_are_among_what_is_printed(hall: Any) -> None:
    s, item, _ = hall
    order = must(s.order({"item": item, "seat": "S-1-2"}), 201)
    [position] = must(s.get(f"orders/{order['code']}/", pdf_data="true"), 200)["positions"]
    data = position["pdf_data"]
    assert (data["seat"], data["seat_zone"]) == ("Main, Row 1, Seat 2", "Main")
    assert (data["seat_row"], data["seat_number"]) == ("1", "2")
    assert (data["event_begin"], data["event_end"]) == ("2031-12-27 10:00", "")
