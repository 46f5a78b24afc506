"""Vouchers over HTTP: the resource, and what carts and orders make of one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from plans import layout
from shop import MakeShop, Shop, must

USED_CART = {"voucher": ["The specified voucher has already been used the maximum number of times."]}
USED_ORDER = "The voucher has already been used the maximum number of times."
PAST = "2020-01-01T00:00:00Z"


@pytest.fixture
def sale(shop: MakeShop) -> tuple[Shop, int, int]:
    """A shop that sells one item out of a quota of ten."""
    return shop().selling(10)


def redeemed(s: Shop, voucher: Any) -> int:
    return int(must(s.get(f"vouchers/{voucher['id']}/"), 200)["redeemed"])


def test_a_voucher_comes_with_defaults_and_keeps_what_it_is_given(sale: Any) -> None:
    s, item, quota = sale
    made = s.add("vouchers/")
    assert len(made.pop("code")) == 16
    assert made == {
        "id": made["id"],
        "max_usages": 1,
        "redeemed": 0,
        "min_usages": 1,
        "valid_until": None,
        "block_quota": False,
        "allow_ignore_quota": False,
        "price_mode": "none",
        "value": None,
        "item": None,
        "variation": None,
        "quota": None,
        "seat": None,
        "tag": "",
        "comment": "",
        "subevent": None,
        "show_hidden_items": True,
        "all_addons_included": False,
        "all_bundles_included": False,
        "budget": None,
    }
    body = {"code": "ABCDE", "max_usages": 3, "price_mode": "set", "value": "5.00", "item": item, "tag": "press"}
    other = s.add("vouchers/", **body, redeemed=7)
    assert other == {**other, **body, "redeemed": 0}
    changed = must(s.patch(f"vouchers/{other['id']}/", {"quota": quota, "item": None, "comment": "x"}), 200)
    assert (changed["code"], changed["quota"], changed["comment"]) == ("ABCDE", quota, "x")
    assert must(s.get(f"vouchers/{other['id']}/"), 200) == changed
    must(s.delete(f"vouchers/{other['id']}/"), 204)
    must(s.get(f"vouchers/{other['id']}/"), 404)


def test_what_contradicts_itself_is_refused(sale: Any) -> None:
    s, item, quota = sale
    shirt, [red, _] = s.item_with("Red", "Blue")
    s.add("vouchers/", code="TAKEN")
    for body, error in (
        ({"code": "abc"}, {"code": ["Ensure this field has at least 5 characters."]}),
        ({"code": "taken"}, "A voucher with this code already exists."),
        ({"price_mode": "free"}, {"price_mode": ['"free" is not a valid choice.']}),
        ({"item": 2**62}, {"item": [f'Invalid pk "{2**62}" - object does not exist.']}),
        ({"quota": 2**62}, {"quota": [f'Invalid pk "{2**62}" - object does not exist.']}),
        ({"max_usages": 1, "min_usages": 2}, None),
        ({"item": item, "quota": quota}, "You cannot select a quota and a specific product at the same time."),
        ({"item": shirt, "block_quota": True}, None),
        ({"item": item, "variation": red}, None),
        (
            {"block_quota": True},
            "You need to select a specific product or quota if this voucher should reserve tickets.",
        ),
        ({"item": item, "block_quota": True, "max_usages": 11}, None),
    ):
        told = must(s.post("vouchers/", body), 400)
        assert told == (error if isinstance(error, dict) else {"non_field_errors": [error]}) or error is None


def test_a_batch_makes_all_vouchers_or_none(sale: Any) -> None:
    s, item, _ = sale
    made = must(s.post("vouchers/batch_create/", [{"code": "FIRST"}, {"code": "SECOND", "item": item}]), 201)
    assert [voucher["code"] for voucher in made] == ["FIRST", "SECOND"]
    errors = must(s.post("vouchers/batch_create/", [{"code": "THIRD"}, {"code": "third"}, {"code": "first"}]), 400)
    assert errors == [
        {},
        {"code": ["Duplicate voucher code in request."]},
        {"non_field_errors": ["A voucher with this code already exists."]},
    ]
    blocking = {"item": item, "block_quota": True, "max_usages": 6}
    assert [bool(error) for error in must(s.post("vouchers/batch_create/", [blocking, blocking]), 400)] == [False, True]
    must(s.post("vouchers/batch_create/", {}), 400)
    assert must(s.get("vouchers/"), 200)["count"] == 2


def test_one_batch_keeps_a_seat_for_one_voucher(sale: Any) -> None:
    s, item, _ = sale
    plan = must(s.api.post("seatingplans/", json={"name": "Hall", "layout": layout(["A1", "A2"])}), 201)["id"]
    must(s.patch("", {"seating_plan": plan, "seat_category_mapping": {"Stalls": item}}), 200)
    rows = [{"item": item, "seat": "A1"}, {"item": item, "seat": "A2"}, {"item": item, "seat": "A1"}, {"item": item}]
    errors = must(s.post("vouchers/batch_create/", rows), 400)
    assert errors == [{}, {}, {"seat": ["Duplicate seat in request."]}, {}]
    must(s.post("vouchers/batch_create/", rows[:2]), 201)


def test_lists_can_be_filtered_and_ordered(sale: Any) -> None:
    s, item, _ = sale
    one = s.add("vouchers/", code="AAAAA", item=item, max_usages=2, tag="x")
    s.add("vouchers/", code="BBBBB", valid_until=PAST, block_quota=False)
    must(s.order({"item": item, "voucher": "AAAAA"}), 201)

    def found(**query: Any) -> list[str]:
        return [row["code"] for row in must(s.get("vouchers/", **query), 200)["results"]]

    assert found(code="AAAAA") == found(item=item) == found(tag="x") == found(active="true") == ["AAAAA"]
    assert found(active="false") == ["BBBBB"]
    assert found(ordering="-code") == ["BBBBB", "AAAAA"]
    must(s.get("vouchers/", item="abc"), 400)
    must(s.order({"item": item, "voucher": "AAAAA"}), 201)
    assert found(active="true") == []
    assert redeemed(s, one) == 2


def test_the_least_usages_of_a_voucher_are_told_and_left_to_the_shop(sale: Any) -> None:
    s, item, _ = sale
    voucher = s.add("vouchers/", min_usages=2, max_usages=4)
    assert must(s.get(f"vouchers/{voucher['id']}/"), 200)["min_usages"] == 2
    cart = must(s.cart(item, voucher=voucher["code"]), 201)
    must(s.order({"item": item, "voucher": voucher["code"]}, consume_carts=[cart["cart_id"]]), 201)
    must(s.patch(f"vouchers/{voucher['id']}/", {"min_usages": 5}), 400)


def test_a_used_voucher_stays_and_its_usages_too(sale: Any) -> None:
    s, item, _ = sale
    voucher = s.add("vouchers/", max_usages=3)
    for _ in range(2):
        must(s.order({"item": item, "voucher": voucher["code"]}), 201)
    must(s.delete(f"vouchers/{voucher['id']}/"), 403)
    must(s.patch(f"vouchers/{voucher['id']}/", {"max_usages": 1}), 400)
    must(s.patch(f"vouchers/{voucher['id']}/", {"max_usages": 2}), 200)
    must(s.order({"item": item, "voucher": voucher["code"]}), 400)


def test_carts_take_a_code_in_any_case_and_orders_do_not(sale: Any) -> None:
    s, item, _ = sale
    s.add("vouchers/", code="Summer", max_usages=9)
    made = must(s.cart(item, voucher="sUMMER"), 201)
    assert made["voucher"] == must(s.get(f"cartpositions/{made['id']}/"), 200)["voucher"] is not None
    error = must(s.order({"item": item, "voucher": "sUMMER"}), 400)
    assert error == {"positions": [{"voucher": ["Object with code=sUMMER does not exist."]}]}
    for odd in ("\x00", "x" * 300, 7, ["a"], {"a": 1}, True):
        assert s.cart(item, voucher=odd).status_code == 400
        assert s.order({"item": item, "voucher": odd}).status_code == 400


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"valid_until": PAST}, "The specified voucher is expired."),
        ({"item": 0}, "The specified voucher is not valid for the given item and variation."),
        ({"quota": 0}, "The specified voucher is not valid for the given item and variation."),
    ],
)
def test_a_cart_refuses_a_voucher_that_is_not_for_it(sale: Any, fields: dict[str, Any], text: str) -> None:
    s, item, _ = sale
    other = s.item("Other")
    places = {"item": other, "quota": s.quota(5, other)}
    voucher = s.add("vouchers/", **{name: places.get(name, value) for name, value in fields.items()})
    assert must(s.cart(item, voucher=voucher["code"]), 400) == {"voucher": [text]}
    rows = [{"item": item, "price": "1.00", "voucher": voucher["code"]}, {"item": item, "price": "1.00"}]
    results = must(s.post("cartpositions/bulk_create/", rows), 200)["results"]
    assert [result["errors"] for result in results] == [{"voucher": [text]}, None]


def test_a_bulk_shares_out_the_uses_row_by_row(sale: Any) -> None:
    s, item, _ = sale
    voucher = s.add("vouchers/", max_usages=2)
    rows = [{"item": item, "price": "1.00", "voucher": voucher["code"]}] * 3
    results = must(s.post("cartpositions/bulk_create/", rows), 200)["results"]
    assert [result["errors"] for result in results] == [None, None, USED_CART]
    must(s.delete(f"cartpositions/{results[0]['data']['id']}/"), 204)
    must(s.cart(item, voucher=voucher["code"]), 201)
    assert must(s.cart(item, voucher=voucher["code"]), 400) == USED_CART


@pytest.mark.parametrize(
    ("mode", "value", "price", "use"),
    [
        ("none", None, "23.00", "0.00"),
        ("set", "21.50", "21.50", "1.50"),
        ("set", "30.00", "30.00", "0.00"),
        ("subtract", "3.00", "20.00", "3.00"),
        ("subtract", "30.00", "0.00", "23.00"),
        ("percent", "12.50", "20.13", "2.87"),
    ],
)
def test_a_voucher_makes_a_price(sale: Any, mode: str, value: str | None, price: str, use: str) -> None:
    s, item, _ = sale
    code = s.add("vouchers/", price_mode=mode, value=value, max_usages=9)["code"]
    [position] = must(s.order({"item": item, "voucher": code}), 201)["positions"]
    assert (position["price"], position["voucher_budget_use"]) == (price, use)
    [given] = must(s.order({"item": item, "voucher": code, "price": "7.00"}), 201)["positions"]
    assert given["price"] == "7.00"
    preview = must(s.order({"item": item, "voucher": code}, simulate=True), 201)
    assert preview["positions"][0]["price"] == price


def test_uses_come_back_once_and_are_needed_again(sale: Any) -> None:
    s, item, _ = sale
    voucher = s.add("vouchers/", max_usages=1)
    buy = {"item": item, "voucher": voucher["code"]}
    order = must(s.order(buy), 201)["code"]
    must(s.post(f"orders/{order}/mark_expired/"), 200)
    assert redeemed(s, voucher) == 1  # an expired order keeps it
    must(s.post(f"orders/{order}/extend/", {"expires": "2031-01-01"}), 200)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: s.post(f"orders/{order}/mark_canceled/").status_code, range(5)))
    assert 200 in answers
    assert redeemed(s, voucher) == 0
    other = must(s.order(buy), 201)["code"]
    error = must(s.post(f"orders/{order}/reactivate/"), 400)
    assert error == {"detail": f'The voucher "{voucher["code"]}" has been used in the meantime.'}
    must(s.post(f"orders/{other}/mark_canceled/"), 200)
    must(s.post(f"orders/{order}/reactivate/"), 200)
    assert redeemed(s, voucher) == 1


def test_a_canceled_position_gives_its_use_back(sale: Any) -> None:
    s, item, _ = sale
    voucher = s.add("vouchers/", max_usages=2)
    order = must(s.order({"item": item, "voucher": voucher["code"]}, {"item": item, "voucher": voucher["code"]}), 201)
    must(s.delete(f"orderpositions/{order['positions'][0]['id']}/"), 204)
    assert redeemed(s, voucher) == 1


def test_orders_at_once_use_a_voucher_as_often_as_it_may_be(sale: Any) -> None:
    s, item, quota = sale
    voucher = s.add("vouchers/", max_usages=3)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: s.order({"item": item, "voucher": voucher["code"]}).status_code, range(8)))
    assert (answers.count(201), answers.count(400)) == (3, 5)
    assert (redeemed(s, voucher), s.left(quota)) == (3, 7)
    error = must(s.order({"item": item, "voucher": voucher["code"]}, force=True), 400)
    assert error == {"positions": [{"voucher": [USED_ORDER]}]}


def test_a_reservation_is_for_those_who_have_the_voucher(shop: MakeShop) -> None:
    s, item, quota = shop().selling(2)
    voucher = s.add("vouchers/", item=item, block_quota=True, max_usages=2)
    must(s.cart(item), 400)
    cart = must(s.cart(item, voucher=voucher["code"]), 201)
    seen = s.availability(quota)
    assert (seen["blocking_vouchers"], seen["cart_positions"], seen["available_number"]) == (2, 0, 0)
    must(s.order({"item": item, "voucher": voucher["code"]}, consume_carts=[cart["cart_id"]]), 201)
    seen = s.availability(quota)
    assert (seen["blocking_vouchers"], seen["pending_orders"], seen["available_number"]) == (1, 1, 0)
    must(s.patch(f"vouchers/{voucher['id']}/", {"valid_until": PAST}), 200)
    assert (s.availability(quota)["blocking_vouchers"], s.left(quota)) == (0, 1)
    must(s.post("vouchers/", {"quota": quota, "block_quota": True, "max_usages": 2}), 400)
    must(s.post("vouchers/", {"quota": quota, "block_quota": True, "max_usages": 1}), 201)
    assert s.left(quota) == 0


def test_a_voucher_may_ignore_the_quota(shop: MakeShop) -> None:
    s, item, quota = shop().selling(0)
    code = s.add("vouchers/", allow_ignore_quota=True, max_usages=9)["code"]
    must(s.cart(item, voucher=code), 201)
    must(s.order({"item": item, "voucher": code}, {"item": item, "voucher": code}), 201)
    error = must(s.order({"item": item, "voucher": code}, item), 400)
    assert [list(row) for row in error["positions"]] == [[], ["item"]]
    assert s.availability(quota)["pending_orders"] == 2


def test_a_budget_is_given_out_once(sale: Any) -> None:
    s, item, _ = sale
    voucher = s.add("vouchers/", price_mode="subtract", value="10.00", budget="25.00", max_usages=99)
    buy = {"item": item, "voucher": voucher["code"]}
    order = must(s.order(buy, buy), 201)
    assert [position["price"] for position in order["positions"]] == ["13.00", "13.00"]
    error = must(s.order({**buy, "price": "13.00"}), 400)
    text = "The voucher has a remaining budget of {}, therefore a discount of 10.00 can not be given."
    assert error == {"positions": [{"voucher": [text.format("5.00")]}]}
    [last] = must(s.order(buy), 201)["positions"]
    assert (last["price"], last["voucher_budget_use"]) == ("18.00", "5.00")
    assert must(s.order(buy), 400) == {"positions": [{"voucher": [text.format("0.00")]}]}
    must(s.post(f"orders/{order['code']}/mark_canceled/"), 200)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: s.order(buy, buy), range(6)))
    given = [
        p["voucher_budget_use"] for answer in answers if answer.status_code == 201 for p in answer.json()["positions"]
    ]
    assert given == ["10.00", "10.00"]
    assert {answer.status_code for answer in answers} <= {201, 400, 409}
    refused = must(s.post(f"orders/{order['code']}/reactivate/"), 400)
    assert refused == {"detail": f'The voucher "{voucher["code"]}" no longer has sufficient budget.'}
