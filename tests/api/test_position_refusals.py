"""What is said of products and seats that positions of an order cannot have, as they are added or changed."""

from __future__ import annotations

from typing import Any

import pytest
from plans import layout
from shop import MakeShop, Shop, must


@pytest.fixture
def sale(shop: MakeShop) -> tuple[Shop, int, Any]:
    """A shop, an item with room for nine, an order of one."""
    s, item, _ = shop().selling(9)
    return s, item, must(s.order(item), 201)


def added(s: Shop, order: Any, **fields: Any) -> Any:
    """Return what is said when a position is added alone; in a change of the whole order it must be the same."""
    alone = must(s.post("orderpositions/", {"order": order["code"], **fields}), 400)
    together = must(s.post(f"orders/{order['code']}/change/", {"create_positions": [fields]}), 400)
    assert together == (alone if isinstance(alone, list) else {"create_positions": [alone]})
    return alone


def patched(s: Shop, order: Any, **fields: Any) -> Any:
    """Return what is said when a position is changed alone; in a change of the whole order it must be the same."""
    number = order["positions"][0]["id"]
    alone = must(s.patch(f"orderpositions/{number}/", fields), 400)
    rows = [{"position": number, "body": fields}]
    together = must(s.post(f"orders/{order['code']}/change/", {"patch_positions": rows}), 400)
    assert together == (alone if isinstance(alone, list) else {"patch_positions": [{"body": alone}]})
    return alone


def test_products_of_other_events_are_unknown_here(sale: tuple[Shop, int, Any], shop: MakeShop) -> None:
    s, item, order = sale
    other, series = shop(), shop(has_subevents=True)
    foreign, (_, [variation]), date = other.item(), other.item_with("Red"), series.date()
    for name, number in (("item", foreign), ("subevent", date)):
        error = {name: [f'Invalid pk "{number}" - object does not exist.']}
        assert added(s, order, **{"item": item, name: number}) == error
        assert patched(s, order, **{name: number}) == error
    error = {"variation": [f'Invalid pk "{variation}" - object does not exist.']}
    assert added(s, order, item=item, variation=variation) == error


def test_a_position_can_become_a_product_that_is_no_longer_sold_but_none_can_be_added(
    sale: tuple[Shop, int, Any],
) -> None:
    s, _, order = sale
    off = s.item("Off", active=False)
    s.quota(3, off, name="Off")
    assert added(s, order, item=off) == {"item": ["The specified item is not active."]}
    number = order["positions"][0]["id"]
    assert must(s.patch(f"orderpositions/{number}/", {"item": off}), 200)["item"] == off


def test_a_position_answers_a_question_once(sale: tuple[Shop, int, Any]) -> None:
    s, item, order = sale
    question = s.add("questions/", question={"en": "Size"}, identifier="SIZE", type="S", items=[item])
    answers = [{"question": question["id"], "answer": text} for text in ("L", "XL")]
    path = f"orderpositions/{order['positions'][0]['id']}/"
    assert must(s.patch(path, {"answers": answers}), 400) == ["Question SIZE was sent twice."]
    assert must(s.patch(path, {"answers": answers[:1]}), 200)["answers"][0]["answer"] == "L"


def test_a_seat_is_not_lost_with_the_date(shop: MakeShop) -> None:
    s = shop(has_subevents=True)
    item, (seated, bare) = s.item(), (s.date("Seated"), s.date("Bare"))
    for date in (seated, bare):
        s.quota(3, item, subevent=date)
    plan = must(s.api.post("seatingplans/", json={"name": "Hall", "layout": layout(["S-1", "S-2"])}), 201)["id"]
    must(s.patch(f"subevents/{seated}/", {"seating_plan": plan, "seat_category_mapping": {"Stalls": item}}), 200)
    order = must(s.order({"item": item, "subevent": seated, "seat": "S-1"}), 201)
    assert patched(s, order, subevent=bare) == {"seat": ["The specified product does not allow to choose a seat."]}
    path = f"orderpositions/{order['positions'][0]['id']}/"
    assert must(s.patch(path, {"subevent": bare, "seat": None}), 200)["seat"] is None
    assert must(s.patch(path, {"subevent": seated, "seat": "S-2"}), 200)["seat"]["seat_guid"] == "S-2"


def test_positions_are_added_with_the_seat_that_they_need_and_may_lose_it(
    sale: tuple[Shop, int, Any],
) -> None:
    s, item, order = sale
    plan = must(s.api.post("seatingplans/", json={"name": "Hall", "layout": layout(["S-1", "S-2"])}), 201)["id"]
    seated = s.item("Seated")
    s.quota(3, seated, name="Seated")
    must(s.patch("", {"seating_plan": plan, "seat_category_mapping": {"Stalls": seated}}), 200)
    assert added(s, order, item=seated) == ["The selected product requires you to select a seat."]
    assert added(s, order, item=item, seat="S-1") == ["The selected product does not allow to select a seat."]
    made = must(s.post("orderpositions/", {"order": order["code"], "item": seated, "seat": "S-1"}), 201)
    assert made["seat"]["seat_guid"] == "S-1"
    assert must(s.patch(f"orderpositions/{made['id']}/", {"price": "1.00"}), 200)["seat"]["seat_guid"] == "S-1"
    assert must(s.patch(f"orderpositions/{made['id']}/", {"seat": None}), 200)["seat"] is None
    must(s.cart(seated, seat="S-1"), 201)
