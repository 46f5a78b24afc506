"""Cart positions over HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from shop import MakeShop, Shop, must

SHORT = 'There is not enough quota available on quota "Tickets" to perform the operation.'

FIELDS = {
    "id", "cart_id", "item", "variation", "price", "attendee_name", "attendee_name_parts", "attendee_email", "voucher",
    "addon_to", "is_bundled", "subevent", "datetime", "expires", "includes_tax", "answers", "seat",
}  # fmt: skip


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_a_position_has_all_documented_fields_and_is_read_back(shop: MakeShop) -> None:
    s, item, quota = shop().selling(10)
    made = must(s.cart(item, attendee_name="Peter"), 201)
    assert set(made) == FIELDS | {"addons", "bundled"}
    assert (made["attendee_name"], made["attendee_name_parts"]) == ("Peter", {"_legacy": "Peter"})
    left = instant(made["expires"]) - instant(made["datetime"])
    assert left == dt.timedelta(minutes=30)
    read = must(s.get(f"cartpositions/{made['id']}/"), 200)
    assert read == {name: value for name, value in made.items() if name in FIELDS}
    assert s.left(quota) == 9


def test_the_reservation_time_of_the_event_is_the_lifetime(shop: MakeShop) -> None:
    s, item, _ = shop().selling(10)
    must(s.patch("settings/", {"reservation_time": 5}), 200)
    made = must(s.cart(item), 201)
    assert instant(made["expires"]) - instant(made["datetime"]) == dt.timedelta(minutes=5)


def test_a_position_that_has_expired_is_listed_and_blocks_nothing(shop: MakeShop) -> None:
    s, item, quota = shop().selling(1)
    made = must(s.cart(item, expires="2020-01-01T00:00:00Z"), 201)
    assert made["expires"] == "2020-01-01T00:00:00Z"
    assert s.left(quota) == 1
    assert must(s.get("cartpositions/"), 200)["count"] == 1


def test_a_short_quota_answers_a_bare_list(shop: MakeShop) -> None:
    s, item, _ = shop().selling(1)
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
        ({"addons": [{}]}, {"addons": [{"item": ["This field is required."], "price": ["This field is required."]}]}),
        ({"bundled": [7]}, {"bundled": [{"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]}]}),
        ({"addons": "x"}, {"addons": {"non_field_errors": ['Expected a list of items but got type "str".']}}),
        ({"variation": 1.5}, {"variation": ["Incorrect type. Expected pk value, received float."]}),
        ({"addons": 1.5}, {"addons": {"non_field_errors": ['Expected a list of items but got type "float".']}}),
        (
            {"bundled": [0.5]},
            {"bundled": [{"non_field_errors": ["Invalid data. Expected a dictionary, but got float."]}]},
        ),
        ({"sales_channel": "foo"}, {"sales_channel": ["Object with identifier=foo does not exist."]}),
        ({"cart_id": "abc"}, {"cart_id": ["Cart ID should end in @api or be empty."]}),
        ({"price": None}, {"price": ["This field may not be null."]}),
        ({"subevent": 2**62}, {"subevent": [f'Invalid pk "{2**62}" - object does not exist.']}),
        ({"attendee_name_parts": {"given_name": ["x"]}}, {"attendee_name_parts": ["Invalid data type"]}),
    ],
)
def test_wrong_fields_are_told(shop: MakeShop, fields: dict[str, Any], error: Any) -> None:
    s, item, quota = shop().selling(1)
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


def test_no_row_is_refused_by_an_old_catalogue(shop: MakeShop) -> None:
    """A new item is at first known to one front door; each connection goes to whichever the kernel likes."""
    s = shop()
    for _ in range(8):
        item = s.item()
        s.quota(100, item)
        for _ in range(4):
            body = [{"item": item, "price": "1.00"}]
            answer = s.post("cartpositions/bulk_create/", body, headers={"Connection": "close"})
            assert must(answer, 200)["results"][0]["success"]


def test_a_bulk_is_bounded(shop: MakeShop) -> None:
    s = shop()
    assert must(s.post("cartpositions/bulk_create/", [{}] * 1001), 400) == {"error": "Please supply at most 1000 rows"}


@pytest.fixture
def family(shop: MakeShop) -> tuple[Shop, Callable[..., dict[str, Any]], list[int]]:
    """A shop whose main product takes a workshop as add-on and a T-shirt as bundle, a body for it, and the quotas."""
    s = shop()
    category = s.add("categories/", name={"en": "Workshops"}, is_addon=True)["id"]
    main, workshop, [shirt, [red, blue]] = s.item("Main"), s.item("Workshop", category=category), s.item_with("R", "B")
    s.add(f"items/{main}/addons/", addon_category=category, max_count=9)
    s.add(f"items/{main}/bundles/", bundled_item=shirt, bundled_variation=red)
    quotas = [
        s.quota(3, main, name="Main quota"),
        s.quota(3, workshop, name="Extra quota"),
        s.quota(9, shirt, variations=[red, blue], name="Shirt quota"),
    ]

    def body(addons: int, *colors: str, **fields: Any) -> dict[str, Any]:
        child = {"price": "5.00", "attendee_name": "Friend"}
        return {
            "item": main,
            "price": "23.00",
            "addons": [{**child, "item": workshop}] * addons,
            "bundled": [{**child, "item": shirt, "variation": {"red": red, "blue": blue}[c]} for c in colors],
            **fields,
        }

    return s, body, quotas


def test_a_position_comes_with_those_that_belong_to_it(family: Any) -> None:
    s, body, quotas = family
    made = must(s.post("cartpositions/", body(2, "red", cart_id="c@api", expires="2031-01-01T00:00:00Z")), 201)
    children = [*made["addons"], *made["bundled"]]
    assert [set(child) for child in children] == [FIELDS] * 3
    assert [child["id"] for child in children] == [made["id"] + n for n in (1, 2, 3)]
    assert [child["is_bundled"] for child in children] == [False, False, True]
    assert (made["addon_to"], made["is_bundled"]) == (None, False)
    for child in children:
        told = {name: child[name] for name in ("addon_to", "cart_id", "expires", "datetime", "attendee_name")}
        same = {name: made[name] for name in ("cart_id", "expires", "datetime")}
        assert told == {"addon_to": made["id"], "attendee_name": "Friend", **same}
        assert must(s.get(f"cartpositions/{child['id']}/"), 200) == child
    listed = must(s.get("cartpositions/"), 200)["results"]
    assert listed == [{name: made[name] for name in made if name in FIELDS}, *children]
    assert [s.left(quota) for quota in quotas] == [2, 1, 8]


def test_a_position_and_those_that_belong_to_it_are_held_together_or_not_at_all(family: Any) -> None:
    s, body, quotas = family
    short = 'There is not enough quota available on quota "Extra quota" to perform the operation.'
    assert must(s.post("cartpositions/", body(4, "red")), 400) == [short]
    assert must(s.get("cartpositions/"), 200)["count"] == 0
    results = must(s.post("cartpositions/bulk_create/", [body(2), body(2, "red"), body(1), body(0)]), 200)["results"]
    assert [result["success"] for result in results] == [True, False, True, True]
    assert results[1]["errors"] == {"non_field_errors": [short]}
    assert [result["data"] and len(result["data"]["addons"]) for result in results] == [2, None, 1, 0]
    assert [s.left(quota) for quota in quotas] == [0, 0, 9]


def test_only_what_the_catalogue_says_can_belong_to_a_position(family: Any) -> None:
    s, body, quotas = family
    wrong = body(1, "red")
    main, workshop = wrong["item"], wrong["addons"][0]["item"]
    text = 'The product "{}" can not be used as an {} product for "{}".'
    for fields, error in (
        ({"addons": [{"item": main, "price": "1.00"}]}, {"addons": [text.format("Main", "add-on", "Main")]}),
        ({"bundled": body(0, "blue")["bundled"]}, {"bundled": [text.format("Ticket", "bundled", "Main")]}),
        ({"item": workshop, "bundled": []}, {"addons": [text.format("Workshop", "add-on", "Workshop")]}),
        (
            {"addons": [wrong["addons"][0], {"item": 2**62, "price": "1.00"}]},
            {"addons": [{}, {"item": [f'Invalid pk "{2**62}" - object does not exist.']}]},
        ),
        ({"bundled": [{"item": main}]}, {"bundled": [{"price": ["This field is required."]}]}),
    ):
        assert must(s.post("cartpositions/", {**wrong, **fields}), 400) == error
    assert [s.left(quota) for quota in quotas] == [3, 3, 9]


def test_deleting_a_position_deletes_what_belongs_to_it(family: Any) -> None:
    s, body, quotas = family
    before = must(s.post("cartpositions/", body(0)), 201)
    made = must(s.post("cartpositions/", body(2, *["red"] * 9)), 201)
    after = must(s.post("cartpositions/", body(1)), 201)
    must(s.delete(f"cartpositions/{made['addons'][0]['id']}/"), 204)
    must(s.delete(f"cartpositions/{made['bundled'][3]['id']}/"), 204)
    assert [s.left(quota) for quota in quotas] == [0, 1, 1]
    must(s.delete(f"cartpositions/{made['id']}/"), 204)
    listed = [row["id"] for row in must(s.get("cartpositions/"), 200)["results"]]
    assert listed == [before["id"], after["id"], after["addons"][0]["id"]]
    assert [s.left(quota) for quota in quotas] == [1, 2, 9]


def test_a_bulk_is_bounded_in_positions_too(family: Any) -> None:
    s, body, _ = family
    rows = [body(100)] * 10
    error = {"error": "Please supply at most 1000 positions"}
    assert must(s.post("cartpositions/bulk_create/", rows), 400) == error
    wrong = must(s.post("cartpositions/", body(101)), 400)
    assert wrong == {"addons": {"non_field_errors": ["Ensure this field has no more than 100 elements."]}}


def test_a_net_price_is_remembered(shop: MakeShop) -> None:
    s, item, _ = shop().selling(2)
    made = must(s.cart(item, includes_tax=False), 201)
    assert made["includes_tax"] is False
    assert must(s.get(f"cartpositions/{made['id']}/"), 200)["includes_tax"] is False


def test_lists_have_pages_orderings_and_the_time_they_were_made(shop: MakeShop) -> None:
    s, item, _ = shop().selling(None)
    ids = {name: must(s.cart(item, cart_id=f"{name}@api"), 201)["id"] for name in "bac"}

    def listed(**query: Any) -> list[int]:
        return [row["id"] for row in must(s.get("cartpositions/", **query), 200)["results"]]

    assert listed(ordering="cart_id") == [ids["a"], ids["b"], ids["c"]]
    assert listed(ordering="-datetime") == [ids["c"], ids["a"], ids["b"]]
    assert listed(ordering="nonsense", page_size=2, page=2) == [ids["c"]]
    generated = s.get("cartpositions/").headers["X-Page-Generated"]
    assert abs(instant(generated) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_deleting_gives_the_unit_back_once(shop: MakeShop) -> None:
    s, item, quota = shop().selling(1)
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
    s, item, _ = shop().selling(1)
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


def test_options_that_are_none_are_told(shop: MakeShop) -> None:
    s, item, _ = shop().selling(1)
    question = s.add("questions/", question={"en": "?"}, type="M", items=[item], options=[{"answer": {"en": "A"}}])
    for option, text in (
        ("x", "Incorrect type. Expected pk value, received str."),
        (-1, 'Invalid pk "-1" - object does not exist.'),
        (2**62, f'Invalid pk "{2**62}" - object does not exist.'),
    ):
        answer = {"question": question["id"], "answer": "A", "options": [option]}
        assert must(s.cart(item, answers=[answer]), 400) == {"answers": [{"options": [text]}]}
    [option] = question["options"]
    answer = {"question": question["id"], "answer": "x", "options": [str(option["id"])]}
    assert must(s.cart(item, answers=[answer]), 201)["answers"][0]["options"] == [option["id"]]
