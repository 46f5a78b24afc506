"""Why orders and carts are refused: all that is wrong at once, and things of other events in words of their own."""

from __future__ import annotations

from typing import Any

import pytest
from plans import layout
from shop import MakeShop, Shop, must

EXPIRED = "This voucher is expired."
USED_UP = "The voucher has already been used the maximum number of times."


def short_of(quota: str) -> str:
    return f'There is not enough quota available on quota "{quota}" to perform the operation.'


def seat_taken(number: int) -> str:
    return f'The selected seat "Main, Row 1, Seat {number}" is not available.'


def wrong(**told: str) -> dict[str, list[str]]:
    return {field: [text] for field, text in told.items()}


class Hall:
    """A shop with room for five of `free`, none of `full`, none without quota of `lonely`, one of `seated`."""

    def __init__(self, s: Shop) -> None:
        self.s = s
        self.free, self.full, self.seated = s.item("Free"), s.item("Full"), s.item("Seated")
        self.lonely = s.item("Lonely")
        self.quota = s.quota(5, self.free, name="QA")
        s.quota(0, self.full, name="QB")
        s.quota(1, self.seated, name="QS")
        plan = must(s.api.post("seatingplans/", json={"name": "Hall", "layout": layout(["S-1", "S-2", "S-3"])}), 201)[
            "id"
        ]
        must(s.patch("", {"seating_plan": plan, "seat_category_mapping": {"Stalls": self.seated}}), 200)

    def voucher(self, item: int, **fields: Any) -> str:
        return str(self.s.add("vouchers/", item=item, **fields)["code"])

    def refusal(self, *positions: dict[str, Any], **fields: Any) -> list[dict[str, list[str]]]:
        rows: list[dict[str, list[str]]] = must(self.s.order(*positions, **fields), 400)["positions"]
        return rows


@pytest.fixture
def hall(shop: MakeShop) -> Hall:
    return Hall(shop())


def test_a_wrong_voucher_and_missing_units_are_told_together(hall: Hall) -> None:
    old = hall.voucher(hall.free, valid_until="2020-01-01T00:00:00Z")
    old_of_full = hall.voucher(hall.full, valid_until="2020-01-01T00:00:00Z")
    rows = hall.refusal({"item": hall.free, "voucher": old}, {"item": hall.full})
    assert rows == [wrong(voucher=EXPIRED), wrong(item=short_of("QB"))]
    rows = hall.refusal({"item": hall.full, "voucher": old_of_full})
    assert rows == [wrong(voucher=EXPIRED, item=short_of("QB"))]
    assert hall.s.left(hall.quota) == 5


def test_a_voucher_that_is_used_up_hides_nothing_else(hall: Hall) -> None:
    row = {"item": hall.free, "voucher": hall.voucher(hall.free, max_usages=1)}
    must(hall.s.order({"item": hall.seated, "seat": "S-1"}), 201)
    rows = hall.refusal(row, row, {"item": hall.full}, {"item": hall.seated, "seat": "S-1"})
    taken = wrong(seat=seat_taken(1), item=short_of("QS"))
    assert rows == [{}, wrong(voucher=USED_UP), wrong(item=short_of("QB")), taken]
    assert must(hall.s.order(row), 201)["status"] == "n"


def test_seats_and_units_are_told_together(hall: Hall) -> None:
    missing, unknown = "The specified product requires to choose a seat.", "The specified seat does not exist."
    assert hall.refusal({"item": hall.seated}, {"item": hall.full}) == [wrong(seat=missing), wrong(item=short_of("QB"))]
    rows = hall.refusal({"item": hall.seated, "seat": "S-9"}, {"item": hall.seated, "seat": "S-2"})
    assert rows == [wrong(seat=unknown), wrong(item=short_of("QS"))]
    must(hall.s.order({"item": hall.seated, "seat": "S-1"}), 201)
    rows = hall.refusal({"item": hall.seated, "seat": "S-1"}, {"item": hall.seated, "seat": "S-2"}, force=True)
    assert rows == [wrong(seat=seat_taken(1)), {}]
    rows = hall.refusal(*[{"item": hall.seated, "seat": "S-2"}] * 2, force=True)
    assert rows == [{}, wrong(seat=seat_taken(2))]


def test_add_ons_have_no_seats(hall: Hall) -> None:
    addon = {"item": hall.seated, "seat": "S-1", "positionid": 2, "addon_to": 1}
    rows = hall.refusal({"item": hall.free, "positionid": 1}, addon)
    assert rows == [{}, wrong(seat="Seats are currently not supported for add-on products.")]


def test_products_without_quota_do_not_hide_those_without_room(hall: Hall) -> None:
    rows = hall.refusal({"item": hall.lonely}, {"item": hall.full})
    assert rows == [wrong(item='The product "Lonely" is not assigned to a quota.'), wrong(item=short_of("QB"))]


def test_a_simulation_refuses_what_an_order_would(hall: Hall) -> None:
    order = must(hall.s.order({"item": hall.free}), 201)
    ticket = {"item": hall.free, "secret": order["positions"][0]["secret"]}
    for simulate in (True, False):
        told = must(hall.s.order({"item": hall.free}, code=order["code"], simulate=simulate), 400)
        assert told == {"code": ["This order code is already in use."]}
        rows = hall.refusal({"item": hall.free}, ticket, simulate=simulate)
        assert rows == [{}, wrong(secret="You cannot assign a position secret that already exists.")]


def test_a_deadline_has_to_be_still_to_come(hall: Hall) -> None:
    told = must(hall.s.order({"item": hall.free}, expires="2020-01-01T00:00:00Z"), 400)
    assert told == {"expires": ["Expiration date must be in the future."]}
    assert (
        must(hall.s.order({"item": hall.free}, expires="2031-01-01T00:00:00Z"), 201)["expires"]
        == "2031-01-01T00:00:00Z"
    )


def test_things_of_another_event_are_named_as_such(shop: MakeShop) -> None:
    s, other, series = shop(), shop(), shop(has_subevents=True)
    plain, (beta, [red]) = s.item("Plain"), s.item_with("Red", name="Beta")
    s.quota(9, plain, beta, variations=[red])
    _, [foreign] = other.item_with("Green")
    elsewhere = other.add("questions/", question={"en": "Q"}, type="C", items=[], options=[{"answer": {"en": "A"}}])
    mine = s.add("questions/", question={"en": "Q"}, type="C", items=[plain], options=[{"answer": {"en": "A"}}])
    date, tax = series.date(), other.add("taxrules/", name={"en": "VAT"}, rate="19.00")["id"]

    def told(row: dict[str, Any]) -> tuple[Any, Any]:
        """Return what a cart and an order say."""
        in_cart = must(s.post("cartpositions/", {"price": "1.00", **row}), 400)
        return in_cart, must(s.order(row), 400)["positions"][0]

    text = "You cannot specify a variation for this item."
    assert told({"item": plain, "variation": foreign}) == (wrong(non_field_errors=text), wrong(variation=text))
    text = "The specified variation does not belong to the specified item."
    assert told({"item": beta, "variation": foreign}) == (wrong(non_field_errors=text), wrong(variation=text))
    text = "You cannot set a subevent for this event."
    assert told({"item": plain, "subevent": date}) == (wrong(subevent=text), wrong(subevent=text))
    error = {"answers": [wrong(question="The specified question does not belong to this event.")]}
    answer = {"question": elsewhere["id"], "answer": "A", "options": []}
    assert told({"item": plain, "answers": [answer]}) == (error, error)
    error = {"answers": [wrong(non_field_errors="The specified option does not belong to this question.")]}
    answer = {"question": mine["id"], "answer": "A", "options": [elsewhere["options"][0]["id"]]}
    assert told({"item": plain, "answers": [answer]}) == (error, error)
    fee = {"fee_type": "other", "value": "1.00", "tax_rule": tax}
    error = {"fees": [wrong(tax_rule="The specified tax rate does not belong to this event.")]}
    assert must(s.order(plain, fees=[fee]), 400) == error


@pytest.mark.parametrize(("price", "use"), [("19.00", "1.50"), ("22.00", "1.00"), ("23.00", "0.00"), ("30.00", "0.00")])
def test_who_pays_more_than_a_voucher_asks_has_had_less_of_it(hall: Hall, price: str, use: str) -> None:
    code = hall.voucher(hall.free, price_mode="set", value="21.50")
    [position] = must(hall.s.order({"item": hall.free, "voucher": code, "price": price}), 201)["positions"]
    assert (position["price"], position["voucher_budget_use"]) == (price, use)


def test_a_price_that_takes_more_off_than_a_budget_has_is_refused(hall: Hall) -> None:
    code = hall.voucher(hall.free, price_mode="set", value="21.50", budget="3.00")
    text = "The voucher has a remaining budget of 3.00, therefore a discount of 4.00 can not be given."
    assert hall.refusal({"item": hall.free, "voucher": code, "price": "19.00"}) == [wrong(voucher=text)]


def test_of_two_answers_to_a_question_the_first_counts_and_options_come_in_their_order(hall: Hall) -> None:
    options = [{"answer": {"en": text}} for text in ("A", "B", "C")]
    question = hall.s.add("questions/", question={"en": "Q"}, type="M", items=[hall.free], options=options)
    first, _, last = (option["id"] for option in question["options"])
    answers = [{"question": question["id"], "answer": "x", "options": [last, first]}]
    answers.append({**answers[0], "options": [first]})
    [position] = must(hall.s.order({"item": hall.free, "answers": answers}), 201)["positions"]
    [answer] = position["answers"]
    assert (answer["answer"], answer["options"]) == ("C, A", [first, last])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "orders/NOSUCH/", {"email": "x"}),
        ("POST", "orders/NOSUCH/extend/", {"expires": "x"}),
        ("POST", "orders/NOSUCH/payments/", {}),
        ("POST", "orders/NOSUCH/refunds/", {}),
        ("POST", "orders/{code}/payments/9/confirm/", {"force": "x"}),
        ("POST", "orders/{code}/payments/9/refund/", {"amount": "x"}),
        ("POST", "orders/{code}/refunds/9/process/", {"mark_canceled": "x"}),
    ],
)
def test_what_is_not_there_is_told_before_what_is_wrong_with_a_body(
    hall: Hall, method: str, path: str, body: dict[str, Any]
) -> None:
    code = must(hall.s.order({"item": hall.free}), 201)["code"]
    asked = f"events/{hall.s.slug}/{path.format(code=code)}"
    assert must(hall.s.api.request(method, asked, json=body), 404).keys() == {"detail"}
    there = asked.replace("NOSUCH", code)
    if there != asked:
        must(hall.s.api.request(method, there, json=body), 400)
