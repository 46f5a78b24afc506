"""Creating orders over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from shop import MakeShop, Shop, must

SHORT = 'There is not enough quota available on quota "Tickets" to perform the operation.'


@pytest.fixture
def sale(shop: MakeShop) -> tuple[Shop, int, int]:
    """An event, an item of 23.00, a quota of ten."""
    return shop().selling(10)


def test_a_pending_order_waits_for_its_payment(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    order = must(s.order(item, {"item": item, "price": "5.00"}), 201)
    assert (order["status"], order["total"]) == ("n", "28.00")
    assert [(p["state"], p["amount"], p["provider"]) for p in order["payments"]] == [("created", "28.00", "manual")]
    assert [p["positionid"] for p in order["positions"]] == [1, 2]
    assert order["payments"][0]["payment_url"].startswith(order["url"])
    assert f"/{s.slug}/order/{order['code']}/{order['secret']}/" in order["url"]
    assert must(s.get(f"orders/{order['code']}/"), 200) == order
    assert s.availability(quota)["pending_orders"] == 2


def test_a_paid_order_is_paid_when_it_was_paid(sale: tuple[Shop, int, int]) -> None:
    s, item, _ = sale
    order = must(s.order(item, status="p", payment_date="2019-04-01T08:20:00Z", payment_info={"a": [1.5]}), 201)
    assert (order["status"], order["payment_date"], order["payment_provider"]) == ("p", "2019-04-01", "manual")
    assert order["payments"][0]["details"] == {}


def test_tickets_can_be_fetched_once_they_are_paid_for_or_valid_before(shop: MakeShop) -> None:
    s = shop(plugins=["pretix.plugins.ticketoutputpdf"])
    ticket, shirt = s.item(admission=True), s.item("Shirt", admission=False)
    s.quota(10, ticket, shirt)
    positions = [{"item": ticket, "positionid": 1}, {"item": ticket, "positionid": 2, "addon_to": 1}]
    positions.append({"item": shirt, "positionid": 3})
    paid = must(s.order(*positions, status="p"), 201)
    assert [bool(p["downloads"]) for p in paid["positions"]] == [True, False, True]
    assert [bool(must(s.order(ticket, **more), 201)["downloads"]) for more in ({}, {"valid_if_pending": True})] == [
        False,
        True,
    ]


def test_a_free_order_is_paid_at_once(sale: tuple[Shop, int, int]) -> None:
    s, item, _ = sale
    order = must(s.order({"item": item, "price": "0.00"}), 201)
    assert (order["status"], order["payments"][0]["provider"]) == ("p", "free")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": "p", "payment_provider": None}, ["You cannot create a paid order without a payment provider."]),
        ({"payment_provider": "free"}, ['You cannot use the "free" payment provider for non-free orders.']),
        ({"payment_provider": "cash"}, {"payment_provider": ["The given payment provider is not known."]}),
        ({"status": "e"}, {"status": ['"e" is not a valid choice.']}),
        ({"code": "ABCDO"}, {"code": ["This order code contains invalid characters."]}),
        ({"consume_carts": "x"}, {"consume_carts": ['Expected a list of items but got type "str".']}),
        ({"invoice_address": {"country": "XX"}}, {"invoice_address": {"country": ['"XX" is not a valid choice.']}}),
        ({"fees": [{"fee_type": "tip", "value": "x"}]}, None),
    ],
)
def test_wrong_orders_are_refused_and_nothing_is_kept(
    sale: tuple[Shop, int, int], fields: dict[str, Any], error: Any
) -> None:
    s, item, quota = sale
    told = must(s.order(item, **fields), 400)
    wrong_fee = {"fee_type": ['"tip" is not a valid choice.'], "value": ["A valid number is required."]}
    assert told == (error or {"fees": [wrong_fee]})
    assert must(s.get("orders/"), 200)["count"] == 0
    assert s.left(quota) == 10


@pytest.mark.parametrize(
    ("positions", "errors"),
    [
        (
            [{"positionid": 1}, {}],
            [{}, {"positionid": ["If you set position IDs manually, you need to do so for all positions."]}],
        ),
        ([{"positionid": 2}], [{"positionid": ["Position IDs need to be consecutive."]}]),
        (
            [{"addon_to": 1}],
            [{"positionid": ["If you set addon_to on any position, you need to specify position IDs manually."]}],
        ),
        ([{}, {"voucher": "NOSUCH"}], [{}, {"voucher": ["Object with code=NOSUCH does not exist."]}]),
        ([{"subevent": 1}], None),
    ],
)
def test_wrong_positions_are_told_row_by_row(
    sale: tuple[Shop, int, int], positions: list[dict[str, Any]], errors: Any
) -> None:
    s, item, _ = sale
    rows = must(s.order(*({"item": item, **row} for row in positions)), 400)["positions"]
    assert rows == errors or (errors is None and "subevent" in rows[0])


def test_a_lack_of_units_is_told_before_a_lack_of_a_provider(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    must(s.patch(f"quotas/{quota}/", {"size": 0}), 200)
    error = must(s.order(item, status="p", payment_provider=None), 400)
    assert error == {"positions": [{"item": [SHORT]}]}


def test_own_codes_and_secrets_are_unique(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    order = must(s.order({"item": item, "secret": f"mine{s.slug}"}), 201)
    assert order["positions"][0]["secret"] == f"mine{s.slug}"
    assert must(s.order(item, code=order["code"]), 400) == {"code": ["This order code is already in use."]}
    twice = [{"item": item, "secret": f"other{s.slug}"}] * 2
    taken = {"secret": ["You cannot assign a position secret that already exists."]}
    assert must(s.order(*twice), 400) == {"positions": [{}, taken]}
    assert s.left(quota) == 9
    must(s.order(twice[0]), 201)


def test_the_longest_own_codes_are_taken_and_others_get_theirs_afterwards(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    for own in ("WHATALENGTH777", "WHATALENGTH77777"):
        assert must(s.order(item, code=own), 201)["code"] == own
        assert must(s.order(item, code=own), 400) == {"code": ["This order code is already in use."]}
    must(s.order(item), 201)
    assert s.left(quota) == 7


def test_a_consumed_cart_gives_its_units_to_the_order(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    must(s.patch(f"quotas/{quota}/", {"size": 1}), 200)
    held = must(s.cart(item), 201)
    assert must(s.order(item), 400) == {"positions": [{"item": [SHORT]}]}
    must(s.order(item, simulate=True, consume_carts=[held["cart_id"]]), 201)
    assert must(s.get("cartpositions/"), 200)["count"] == 1
    must(s.order(item, consume_carts=["unknown@api", held["cart_id"]]), 201)
    assert must(s.get("cartpositions/"), 200)["count"] == 0
    assert (s.left(quota), s.availability(quota)["pending_orders"]) == (0, 1)


def test_a_simulation_shows_the_order_and_makes_none(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    base = {"item": item, "positionid": 1, "secret": "mine"}
    order = must(s.order(base, {"item": item, "positionid": 2, "addon_to": 1}, simulate=True), 201)
    assert (order["code"], order["datetime"], order["total"], order["payments"]) == ("PREVIEW", None, "46.00", [])
    assert [(p["id"], p["order"], p["secret"], p["addon_to"]) for p in order["positions"]] == [
        (0, "", "", None),
        (0, "", "", 1),
    ]
    assert s.left(quota) == 10
    must(s.patch(f"quotas/{quota}/", {"size": 0}), 200)
    assert must(s.order(item, simulate=True), 400) == {"positions": [{"item": [SHORT]}]}
    must(s.order(item, simulate=True, force=True), 201)


def test_an_add_on_is_free_where_the_price_of_its_base_includes_it(shop: MakeShop) -> None:
    s = shop()
    category = s.add("categories/", name={"en": "Workshops"}, is_addon=True)["id"]
    ticket, plain, workshop = s.item(), s.item(), s.item(price="5.00", category=category)
    s.quota(50, ticket, plain, workshop)
    link = s.add(f"items/{ticket}/addons/", addon_category=category, price_included=True)["id"]
    s.add(f"items/{plain}/addons/", addon_category=category)

    def prices(base: int, **asked: Any) -> list[str]:
        addon = {"item": workshop, "positionid": 2, "addon_to": 1, **asked}
        order = must(s.order({"item": base, "positionid": 1}, addon), 201)
        return [order["positions"][1]["price"], order["total"]]

    assert prices(ticket) == ["0.00", "23.00"]
    assert prices(ticket, price="4.00") == ["4.00", "27.00"]
    assert prices(plain) == ["5.00", "28.00"]
    must(s.patch(f"items/{ticket}/addons/{link}/", {"price_included": False}), 200)
    assert prices(ticket) == ["5.00", "28.00"]


def test_force_lifts_quotas_and_disabled_dates_only(shop: MakeShop) -> None:
    s = shop(has_subevents=True)
    item = s.item()
    date = s.date(item_price_overrides=[{"item": item, "price": "9.00", "disabled": True}])
    quota = s.quota(0, item, subevent=date)
    row = {"item": item, "subevent": date}
    text = 'The product "Ticket" is not available on this date.'
    assert must(s.order(row), 400) == {"positions": [{"item": [text]}]}
    assert must(s.order(row, force=True), 201)["total"] == "9.00"
    assert s.availability(quota)["pending_orders"] == 1
    assert must(s.order({"item": item}, force=True), 400) == {
        "positions": [{"subevent": ["You need to set a subevent."]}]
    }


def test_taxes_fees_and_reverse_charge_add_up(shop: MakeShop) -> None:
    s = shop()
    rule = s.add("taxrules/", name={"en": "VAT"}, rate="19.00", eu_reverse_charge=True, home_country="DE")["id"]
    item = s.item(tax_rule=rule)
    s.quota(10, item)
    fee = {"fee_type": "payment", "value": "10.00", "_treat_value_as_percentage": True}
    order = must(s.order(item, fees=[{**fee, "_split_taxes_like_products": True}]), 201)
    assert order["total"] == "25.30"
    assert [(f["value"], f["tax_rate"], f["tax_value"], f["tax_rule"]) for f in order["fees"]] == [
        ("2.30", "19.00", "0.37", rule)
    ]
    address = {"is_business": True, "country": "AT", "vat_id": "ATU1", "vat_id_validated": True}
    [position] = must(s.order(item, invoice_address=address), 201)["positions"]
    assert (position["price"], position["tax_rate"], position["tax_rule"]) == ("19.33", "0.00", rule)


def test_free_json_comes_back_as_it_was(sale: tuple[Shop, int, int]) -> None:
    s, item, _ = sale
    meta = {"ref": 7, "rate": 1.5, "deep": [{"a": None, "b": [True, "ü"]}]}
    order = must(s.order(item, api_meta=meta), 201)
    assert must(s.get(f"orders/{order['code']}/"), 200)["api_meta"] == meta
    assert must(s.order(item, api_meta={"a": "\x00"}), 400) == {"api_meta": ["Null characters are not allowed."]}


WEIRD = [
    None, True, -1, 2**64, 10**30, 1.5, 1e300, "", "\x00", "NaN", "1e999", "9" * 400, [], [None], {}, {"a": {"b": 1.5}},
    {"\x00": 1}, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2031-13-45", "ä" * 300,
]  # fmt: skip
ORDER_FIELDS = (
    "code status customer testmode consume_carts email phone locale sales_channel payment_provider payment_info "
    "payment_date comment api_meta custom_followup_at checkin_attention checkin_text require_approval valid_if_pending "
    "expires invoice_address positions fees force simulate send_email"
)
POSITION_FIELDS = (
    "positionid item variation price seat attendee_name attendee_name_parts attendee_email voucher company street "
    "zipcode city country state secret addon_to subevent valid_from valid_until requested_valid_from "
    "use_reusable_medium answers"
)


def test_no_value_of_any_field_is_too_weird_to_be_answered(sale: tuple[Shop, int, int]) -> None:
    s, item, quota = sale
    must(s.patch(f"quotas/{quota}/", {"size": None}), 200)
    strange = []
    for value in WEIRD:
        bodies = [{"positions": [{"item": item}], field: value} for field in ORDER_FIELDS.split()]
        bodies += [{"positions": [{"item": item, field: value}]} for field in POSITION_FIELDS.split()]
        answers = [(body, s.post("orders/", body)) for body in bodies]
        strange += [(body, answer.text) for body, answer in answers if answer.status_code not in (201, 400)]
    assert not strange


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"a": NaN}', b'{"email": "\\ud800"}', b"[" * 100_000, b'{"a":' * 5000]
)
def test_what_is_no_json_is_refused(sale: tuple[Shop, int, int], body: bytes) -> None:
    s, _, _ = sale
    answer = s.api.post(f"events/{s.slug}/orders/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert json.loads(answer.content)["detail"].startswith("JSON parse error - ")
