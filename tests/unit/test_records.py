"""Records: what is decoded in one go comes to the same as what is looked at field by field."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace
from sample_events import event
from sample_orders import NOW

from engine.domain.new_order import position_of
from engine.http.call import decode
from engine.http.fields import FieldError
from engine.http.order_bodies import ORDER

EVENT = event(items=2)
PLAIN = {"item": 1, "price": "23.00", "answers": []}
ORDERS = [
    {},
    {"email": "buyer@example.org", "locale": "en", "sales_channel": "web", "payment_provider": "manual"},
    {"status": "p", "consume_carts": ["a@api", "b@api"], "testmode": True, "send_email": None, "force": True},
    {
        "consume_carts": None,
        "fees": None,
        "invoice_address": None,
        "comment": "",
        "customer": None,
        "phone": "+4930123456",
    },
    {"fees": [{"fee_type": "payment", "value": "2.50"}], "api_meta": {"a": 1.5}, "payment_info": {"b": [1, None]}},
    {"invoice_address": {"name": "Peter", "country": "DE"}, "expires": "2199-01-01T00:00:00Z"},
    {"custom_followup_at": "2031-01-01", "payment_date": "2031-01-01T00:00:00+01:00", "code": "HAPPY"},
    {"email": " buyer@example.org ", "locale": " en", "comment": "\u2003Hi "},
    {"email": "", "consume_carts": ["a@api", " b@api "]},
]
POSITIONS = [
    {"item": 9, "variation": 91, "price": None},
    {"item": 2, "price": 7, "attendee_name": "Peter", "attendee_email": "peter@example.org", "country": "DE"},
    {"item": 1, "attendee_name_parts": {"given_name": "Peter"}, "company": "", "secret": "mine"},
    {"item": 1, "valid_from": None},
    {"item": 1, "valid_until": "2031-01-01T00:00:00Z", "seat": None, "voucher": None},
]
OTHERWISE = [
    {"testmode": "true"},
    {"locale": 7},
    {"locale": ""},
    {"consume_carts": [""]},
    {"sales_channel": "shop"},
    {"whatever": 1},
]
MISSPELT = [
    {"email": "buyer"},
    {"email": "a b@example.org"},
    {"locale": " "},
    {"comment": "a\x00"},
    {"consume_carts": ["a@api", "\n"]},
]
WRONG = [{"item": 3}, {"item": "x"}, {"price": "x", "item": 1}, {"item": 9}, {"item": 1, "attendee_email": "a b@c.de"}]


def both(body):
    """Return what a body is cleaned into in one go, and field by field."""
    raw = json.dumps(body).encode()
    at_once, by_field = ORDER.settle(ORDER.decode(raw), EVENT), ORDER.clean(decode(raw), EVENT)
    for line in at_once.positions:
        assert line.foreseen in (None, position_of(line, EVENT, None, NOW))
    at_once.positions = [replace(line, foreseen=None) for line in at_once.positions]
    return at_once, by_field


@pytest.mark.parametrize("fields", ORDERS)
def test_an_order_decoded_in_one_go_is_as_if_looked_at_field_by_field(fields) -> None:
    at_once, by_field = both({**fields, "positions": [PLAIN, PLAIN]})
    assert at_once == by_field
    assert [line.positionid for line in at_once.positions] == [1, 2]


@pytest.mark.parametrize("position", POSITIONS)
def test_a_position_decoded_in_one_go_is_as_if_looked_at_field_by_field(position) -> None:
    at_once, by_field = both({"positions": [position]})
    assert at_once == by_field


def test_what_is_left_out_is_told_from_null() -> None:
    left_out, null, half = both({"positions": [PLAIN, {**PLAIN, "valid_from": None}, {**PLAIN, "valid_until": None}]})[
        0
    ].positions
    assert left_out.validity is None
    assert null.validity == half.validity == (None, None)


@pytest.mark.parametrize("fields", OTHERWISE)
def test_what_is_to_be_corrected_or_refused_is_not_decoded_in_one_go(fields) -> None:
    assert ORDER.decode(json.dumps({**fields, "positions": [PLAIN]}).encode()) is None


@pytest.mark.parametrize("fields", MISSPELT)
def test_texts_that_are_wrong_are_refused_either_way(fields) -> None:
    raw = json.dumps({**fields, "positions": [PLAIN]}).encode()
    with pytest.raises(FieldError):
        ORDER.settle(ORDER.decode(raw), EVENT)
    with pytest.raises(FieldError):
        ORDER.clean(decode(raw), EVENT)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b'{"positions": "\xff"}', b'{"positions":[' * 2000])
def test_what_is_no_order_is_not_decoded_in_one_go(raw) -> None:
    assert ORDER.decode(raw) is None


@pytest.mark.parametrize("position", WRONG)
def test_what_is_looked_up_is_refused_either_way(position) -> None:
    raw = json.dumps({"positions": [PLAIN, position]}).encode()
    decoded = ORDER.decode(raw)
    if decoded is not None:
        with pytest.raises(FieldError):
            ORDER.settle(decoded, EVENT)
    with pytest.raises(FieldError):
        ORDER.clean(decode(raw), EVENT)


def test_a_position_that_comes_again_is_as_the_first_one_was() -> None:
    [first] = both({"positions": [PLAIN]})[0].positions
    [again] = both({"positions": [PLAIN]})[0].positions
    assert again == first


def test_numbers_given_by_hand_are_looked_at_although_the_positions_came_before() -> None:
    by_hand, another = {**PLAIN, "positionid": 1}, {**PLAIN, "item": 2}
    both({"positions": [PLAIN, another]})
    both({"positions": [by_hand]})
    with pytest.raises(FieldError):
        ORDER.settle(ORDER.decode(json.dumps({"positions": [by_hand, another]}).encode()), EVENT)


def test_positions_that_came_before_are_numbered_where_they_come_now() -> None:
    for _ in range(2):
        lines = both({"positions": [PLAIN, {**PLAIN, "item": 2}, PLAIN]})[0].positions
        assert [(line.positionid, line.item.id) for line in lines] == [(1, 1), (2, 2), (3, 1)]


def test_what_was_found_right_is_looked_at_again_in_another_version_of_the_catalogue() -> None:
    raw = json.dumps({"positions": [PLAIN]}).encode()
    before = event(items=2)
    assert ORDER.settle(ORDER.decode(raw), before)
    now = replace(before, version=before.version + 1, items={2: before.items[2]})
    with pytest.raises(FieldError):
        ORDER.settle(ORDER.decode(raw), now)


@pytest.mark.parametrize("item", [True, "1", 1.0])
def test_a_position_that_only_equals_one_that_came_before_is_looked_at(item) -> None:
    both({"positions": [PLAIN]})
    assert ORDER.decode(json.dumps({"positions": [{**PLAIN, "item": item}]}).encode()) is None
