"""Cart positions over HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from shop import Shop, must

MakeShop = Callable[..., Shop]
SHORT = 'There is not enough quota available on quota "Tickets" to perform the operation.'

FIELDS = {
    "id", "cart_id", "item", "variation", "price", "attendee_name", "attendee_name_parts", "attendee_email", "voucher",
    "addon_to", "is_bundled", "subevent", "datetime", "expires", "includes_tax", "answers", "seat",
}  # fmt: skip


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_a_position_has_all_documented_fields_and_is_read_back(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    quota = s.quota(10, item)
    made = must(s.cart(item, attendee_name="Peter"), 201)
    assert set(made) == FIELDS | {"addons", "bundled"}
    assert (made["attendee_name"], made["attendee_name_parts"]) == ("Peter", {"_legacy": "Peter"})
    left = instant(made["expires"]) - instant(made["datetime"])
    assert left == dt.timedelta(minutes=30)
    read = must(s.get(f"cartpositions/{made['id']}/"), 200)
    assert read == {name: value for name, value in made.items() if name in FIELDS}
    assert s.left(quota) == 9


def test_the_reservation_time_of_the_event_is_the_lifetime(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    s.quota(10, item)
    must(s.patch("settings/", {"reservation_time": 5}), 200)
    made = must(s.cart(item), 201)
    assert instant(made["expires"]) - instant(made["datetime"]) == dt.timedelta(minutes=5)


def test_a_position_that_has_expired_is_listed_and_blocks_nothing(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    quota = s.quota(1, item)
    made = must(s.cart(item, expires="2020-01-01T00:00:00Z"), 201)
    assert made["expires"] == "2020-01-01T00:00:00Z"
    assert s.left(quota) == 1
    assert must(s.get("cartpositions/"), 200)["count"] == 1


def test_a_short_quota_answers_a_bare_list(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    s.quota(1, item)
    must(s.cart(item), 201)
    assert must(s.cart(item), 400) == [SHORT]


def test_a_product_without_quota_cannot_be_held(shop: MakeShop) -> None:
    s = shop()
    error = {"non_field_errors": ['The product "Ticket" is not assigned to a quota.']}
    assert must(s.cart(s.item()), 400) == error


def test_ids_of_other_events_are_told_from_unknown_ones(shop: MakeShop) -> None:
    s, other = shop(), shop()
    item, [red] = s.item_with("Red")
    foreign, [foreign_red] = other.item_with("Red")
    s.quota(1, item, variations=[red])
    wrong = "The specified variation does not belong to the specified item."
    for body, error in (
        ({"item": foreign}, {"item": ["The specified item does not belong to this event."]}),
        ({"item": 2**62}, {"item": [f'Invalid pk "{2**62}" - object does not exist.']}),
        ({"item": item, "variation": foreign_red}, {"non_field_errors": [wrong]}),
        ({"item": item, "variation": 2**62}, {"variation": [f'Invalid pk "{2**62}" - object does not exist.']}),
    ):
        assert must(s.post("cartpositions/", {"price": "1.00", **body}), 400) == error


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"seat": "A-1"}, {"seat": ["The specified product does not allow to choose a seat."]}),
        ({"voucher": "NOSUCH"}, {"voucher": ["The specified voucher does not exist."]}),
        ({"addons": [{}]}, {"addons": ["Positions that belong to another cannot be made yet."]}),
        ({"sales_channel": "foo"}, {"sales_channel": ["Object with identifier=foo does not exist."]}),
        ({"cart_id": "abc"}, {"cart_id": ["Cart ID should end in @api or be empty."]}),
        ({"price": None}, {"price": ["This field may not be null."]}),
        ({"subevent": 2**62}, {"subevent": [f'Invalid pk "{2**62}" - object does not exist.']}),
        ({"attendee_name_parts": {"given_name": ["x"]}}, {"attendee_name_parts": ["Invalid data type"]}),
    ],
)
def test_wrong_fields_are_told(shop: MakeShop, fields: dict[str, Any], error: Any) -> None:
    s = shop()
    item = s.item()
    quota = s.quota(1, item)
    assert must(s.cart(item, **fields), 400) == error
    assert s.left(quota) == 1


def test_each_date_of_a_series_has_its_own_quota(shop: MakeShop) -> None:
    s = shop(has_subevents=True)
    item, first, second = s.item(), s.date("First"), s.date("Second")
    s.quota(1, item, subevent=first)
    assert must(s.cart(item, subevent=first), 201)["subevent"] == first
    assert must(s.cart(item, subevent=first), 400) == [SHORT]
    assert "non_field_errors" in must(s.cart(item, subevent=second), 400)
    assert must(s.cart(item), 400) == {"subevent": ["You need to set a subevent."]}


def test_bulk_rows_succeed_and_fail_alone(shop: MakeShop) -> None:
    s = shop()
    item, foreign = s.item(), shop().item()
    quota = s.quota(2, item)
    row = {"item": item, "price": "1.00"}
    rows = [row, 7, {**row, "item": foreign}, {**row, "cart_id": "mine@api"}, row]
    results = must(s.post("cartpositions/bulk_create/", rows), 200)["results"]
    assert [result["success"] for result in results] == [True, False, False, True, False]
    assert [result["errors"] for result in results[1:]] == [
        {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]},
        {"item": ["The specified item does not belong to this event."]},
        None,
        {"non_field_errors": [SHORT]},
    ]
    assert results[3]["data"]["cart_id"] == "mine@api"
    assert s.left(quota) == 0


def test_a_bulk_is_bounded(shop: MakeShop) -> None:
    s = shop()
    assert must(s.post("cartpositions/bulk_create/", [{}] * 1001), 400) == {"error": "Please supply at most 1000 rows"}


def test_lists_have_pages_orderings_and_the_time_they_were_made(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    s.quota(None, item)
    ids = {name: must(s.cart(item, cart_id=f"{name}@api"), 201)["id"] for name in "bac"}

    def listed(**query: Any) -> list[int]:
        return [row["id"] for row in must(s.get("cartpositions/", **query), 200)["results"]]

    assert listed(ordering="cart_id") == [ids["a"], ids["b"], ids["c"]]
    assert listed(ordering="-datetime") == [ids["c"], ids["a"], ids["b"]]
    assert listed(ordering="nonsense", page_size=2, page=2) == [ids["c"]]
    generated = s.get("cartpositions/").headers["X-Page-Generated"]
    assert abs(instant(generated) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_deleting_gives_the_unit_back_once(shop: MakeShop) -> None:
    s = shop()
    item = s.item()
    quota = s.quota(1, item)
    made = must(s.cart(item), 201)
    assert s.delete(f"cartpositions/{made['id']}/").status_code == 204
    assert s.delete(f"cartpositions/{made['id']}/").status_code == 404
    assert s.get(f"cartpositions/{made['id']}/").status_code == 404
    assert s.left(quota) == 1


def test_carts_of_another_event_are_not_found(shop: MakeShop) -> None:
    s, other = shop(), shop()
    item = s.item()
    s.quota(1, item)
    made = must(s.cart(item), 201)
    assert other.get(f"cartpositions/{made['id']}/").status_code == 404
    assert other.delete(f"cartpositions/{made['id']}/").status_code == 404


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("N", "3.45", "3.45"),
        ("B", "1", "True"),
        ("B", "FALSE", "False"),
        ("D", "2018-05-14", "2018-05-14"),
        ("H", "13:00", "13:00:00"),
        ("W", "2018-05-14T15:00:00+02:00", "2018-05-14 13:00:00+00:00"),
        ("S", " text ", "text"),
    ],
)
def test_answers_are_kept_in_the_form_of_their_kind(shop: MakeShop, kind: str, given: str, kept: str) -> None:
    s = shop()
    item = s.item()
    s.quota(1, item)
    question = s.add("questions/", question={"en": "?"}, type=kind, items=[item])
    made = must(s.cart(item, answers=[{"question": question["id"], "answer": given}]), 201)
    assert made["answers"] == [
        {
            "question": question["id"],
            "answer": kept,
            "question_identifier": question["identifier"],
            "options": [],
            "option_identifiers": [],
        }
    ]
