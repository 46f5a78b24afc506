"""Fields of request bodies: what each takes, and the text with which it refuses the rest."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec
import pytest
from sample_events import event

from engine.domain.errors import Invalid
from engine.http.field_kinds import (
    Boolean,
    Choice,
    Date,
    DateTime,
    Email,
    Integer,
    Json,
    Money,
    Reference,
    Text,
    Translated,
)
from engine.http.fields import Field, FieldError, ListOf, Schema

BERLIN = msgspec.structs.replace(event(), timezone="Europe/Berlin")
UTC = dt.UTC
NOT_TEXT = "Not a valid string."
NOT_INTEGER = "A valid integer is required."
NOT_NUMBER = "A valid number is required."
NOT_BOOLEAN = "Must be a valid boolean."
NOT_DATETIME = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
NOT_DATE = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
NOT_NULL = "This field may not be null."
NUL = "Null characters are not allowed."

TAKEN = [
    (Text(), "a", "a"),
    (Text(), "  a b \n", "a b"),
    (Text(trim=False), " a ", " a "),
    (Text(), 7, "7"),
    (Text(), Decimal("7.50"), "7.50"),
    (Text(blank=True), "", ""),
    (Text(blank=True), "   ", ""),
    (Text(null=True), None, None),
    (Text(max_length=3), "abc", "abc"),
    (Text(), "\ud83c\udf9f".encode("utf-16", "surrogatepass").decode("utf-16"), "🎟"),
    (Email(), "peter@example.org", "peter@example.org"),
    (Email(blank=True), "", ""),
    (Translated(), "Ticket", {"en": "Ticket"}),
    (Translated(), {"de": "Karte", "en": None}, {"de": "Karte", "en": None}),
    (Translated(blank=True), {}, {}),
    (Integer(), 7, 7),
    (Integer(), "7", 7),
    (Integer(), " -7 ", -7),
    (Integer(), "7.0", 7),
    (Integer(), Decimal("7.00"), 7),
    (Integer(), 2**31 - 1, 2**31 - 1),
    (Integer(null=True), None, None),
    (Money(), "7", Decimal("7.00")),
    (Money(), 7, Decimal("7.00")),
    (Money(), Decimal("7.5"), Decimal("7.50")),
    (Money(), " 7.55 ", Decimal("7.55")),
    (Money(), "1e3", Decimal("1000.00")),
    (Money(), "99999999999.99", Decimal("99999999999.99")),
    (Money(), "-1", Decimal("-1.00")),
    (Boolean(), True, True),
    (Boolean(), "false", False),
    (Boolean(), 0, False),
    (Boolean(), "on", True),
    (Boolean(null=True), None, None),
    (Boolean(null=True), "", None),
    (Choice("a", "b"), "a", "a"),
    (DateTime(), "2031-03-05T12:00:00Z", dt.datetime(2031, 3, 5, 12, tzinfo=UTC)),
    (DateTime(), "2031-03-05T12:00:00+02:00", dt.datetime(2031, 3, 5, 10, tzinfo=UTC)),
    (DateTime(), "2031-03-05T12:00", dt.datetime(2031, 3, 5, 11, tzinfo=UTC)),
    (DateTime(), "2031-07-05 12:00:00.25", dt.datetime(2031, 7, 5, 10, 0, 0, 250_000, tzinfo=UTC)),
    (Date(), "2031-03-05", dt.date(2031, 3, 5)),
    (Json(), {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    (Json(), {"a": Decimal("1.5")}, {"a": 1.5}),
    (Json(), {}, {}),
    (Reference(lambda of: of.items), 1, BERLIN.items[1]),
    (Reference(lambda of: of.items), "1", BERLIN.items[1]),
    (ListOf(Integer()), [1, "2"], [1, 2]),
    (ListOf(Integer()), [], []),
    (ListOf(Schema(a=Integer())), [{"a": 1, "b": 2}], [{"a": 1}]),
]

REFUSED = [
    (Text(), None, [NOT_NULL]),
    (Text(), True, [NOT_TEXT]),
    (Text(), [], [NOT_TEXT]),
    (Text(), {}, [NOT_TEXT]),
    (Text(), "", ["This field may not be blank."]),
    (Text(), " \t", ["This field may not be blank."]),
    (Text(), "a\x00b", [NUL]),
    (Text(max_length=3), "abcd", ["Ensure this field has no more than 3 characters."]),
    (Text(min_length=3), "ab", ["Ensure this field has at least 3 characters."]),
    (Email(), "peter", ["Enter a valid email address."]),
    (Email(), "a b@example.org", ["Enter a valid email address."]),
    (Email(), "a@b", ["Enter a valid email address."]),
    (Translated(), 7, ["Invalid data type."]),
    (Translated(), {"en": 7}, ["Invalid data type."]),
    (Translated(), {"en": ""}, ["This field may not be blank."]),
    (Translated(), "", ["This field may not be blank."]),
    (Integer(), None, [NOT_NULL]),
    (Integer(), "a", [NOT_INTEGER]),
    (Integer(), "", [NOT_INTEGER]),
    (Integer(), "٧", [NOT_INTEGER]),
    (Integer(), True, [NOT_INTEGER]),
    (Integer(), Decimal("7.5"), [NOT_INTEGER]),
    (Integer(), [7], [NOT_INTEGER]),
    (Integer(), "9" * 1001, ["String value too large."]),
    (Integer(minimum=0), -1, ["Ensure this value is greater than or equal to 0."]),
    (Integer(), 2**31, ["Ensure this value is less than or equal to 2147483647."]),
    (Integer(), 10**400, ["Ensure this value is less than or equal to 2147483647."]),
    (Integer(), -(2**31) - 1, ["Ensure this value is greater than or equal to -2147483648."]),
    (Money(), None, [NOT_NULL]),
    (Money(), "", [NOT_NUMBER]),
    (Money(), "a", [NOT_NUMBER]),
    (Money(), True, [NOT_NUMBER]),
    (Money(), "NaN", [NOT_NUMBER]),
    (Money(), "Infinity", [NOT_NUMBER]),
    (Money(), {}, [NOT_NUMBER]),
    (Money(), "1" * 1001, ["String value too large."]),
    (Money(), "1.234", ["Ensure that there are no more than 2 decimal places."]),
    (Money(), "1e-999999", ["Ensure that there are no more than 2 decimal places."]),
    (Money(), "1e11", ["Ensure that there are no more than 11 digits before the decimal point."]),
    (Money(), "1e999999", ["Ensure that there are no more than 13 digits in total."]),
    (Money(minimum=Decimal(0)), "-0.01", ["Ensure this value is greater than or equal to 0."]),
    (Boolean(), None, [NOT_NULL]),
    (Boolean(), "maybe", [NOT_BOOLEAN]),
    (Boolean(), 2, [NOT_BOOLEAN]),
    (Boolean(), [], [NOT_BOOLEAN]),
    (Boolean(null=True), {}, [NOT_BOOLEAN]),
    (Choice("a"), "b", ['"b" is not a valid choice.']),
    (Choice("a"), 7, ['"7" is not a valid choice.']),
    (Choice("a"), None, [NOT_NULL]),
    (DateTime(), "2031-03-05", [NOT_DATETIME]),
    (DateTime(), "2031-13-05T12:00:00Z", [NOT_DATETIME]),
    (DateTime(), "0001-01-01T00:00:00+14:00", [NOT_DATETIME]),
    (DateTime(), "tomorrow", [NOT_DATETIME]),
    (DateTime(), 7, [NOT_DATETIME]),
    (Date(), "2031-02-30", [NOT_DATE]),
    (Date(), "2031-02-03T00:00:00Z", [NOT_DATE]),
    (Date(), 7, [NOT_DATE]),
    (Json(), [], ['Expected a dictionary of items but got type "list".']),
    (Json(), {"a": "\x00"}, [NUL]),
    (Json(), {"\x00": 1}, [NUL]),
    (Json(), {"a": Decimal("1e999999")}, [NOT_NUMBER]),
    (Json(), {"a": 10**400}, [NOT_NUMBER]),
    (Reference(lambda of: of.items), 77, ['Invalid pk "77" - object does not exist.']),
    (Reference(lambda of: of.items), "77", ['Invalid pk "77" - object does not exist.']),
    (Reference(lambda of: of.items), "a", ["Incorrect type. Expected pk value, received str."]),
    (Reference(lambda of: of.items), True, ["Incorrect type. Expected pk value, received bool."]),
    (Reference(lambda of: of.items), [1], ["Incorrect type. Expected pk value, received list."]),
    (ListOf(Integer()), {}, ['Expected a list of items but got type "dict".']),
    (ListOf(Integer()), [1, "a"], [NOT_INTEGER]),
    (ListOf(Integer(), max_length=1), [1, 2], ["Ensure this field has no more than 1 elements."]),
    (ListOf(Schema(a=Integer())), 7, {"non_field_errors": ['Expected a list of items but got type "int".']}),
    (ListOf(Schema(a=Integer())), [{"a": 1}, {}], [{}, {"a": ["This field is required."]}]),
    (Schema(a=Integer()), [], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    (Schema(a=Integer()), {"a": None}, {"a": [NOT_NULL]}),
]


def named(row):
    field, value, _ = row
    return f"{type(field).__name__} {value!r}"[:60]


@pytest.mark.parametrize("row", TAKEN, ids=named)
def test_a_field_takes_and_converts(row):
    field, value, wanted = row
    found = field.accept(value, BERLIN)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize("row", REFUSED, ids=named)
def test_a_field_refuses_in_these_words(row):
    field, value, detail = row
    with pytest.raises(FieldError) as refused:
        field.accept(value, BERLIN)
    assert refused.value.detail == detail


def test_json_that_is_nested_too_deeply_is_refused():
    value = {}
    for _ in range(60):
        value = {"a": value}
    with pytest.raises(FieldError):
        Json().accept(value, BERLIN)


BODY = Schema(name=Text(), size=Integer(null=True, default=None), tags=ListOf(Text(), default=list))


def test_a_body_is_read_with_its_defaults_and_without_what_nobody_knows():
    assert BODY.read({"name": "a", "more": 1}, BERLIN) == {"name": "a", "size": None, "tags": []}
    assert BODY.read({"name": "a"}, BERLIN)["tags"] is not BODY.read({"name": "a"}, BERLIN)["tags"]


def test_a_partial_body_has_what_was_sent():
    assert BODY.read({"size": "3"}, BERLIN, partial=True) == {"size": 3}
    assert BODY.read({}, BERLIN, partial=True) == {}


def test_all_errors_of_a_body_are_told_at_once():
    with pytest.raises(Invalid) as refused:
        BODY.read({"size": "a", "tags": [None]}, BERLIN)
    assert refused.value.body == {"name": ["This field is required."], "size": [NOT_INTEGER], "tags": [NOT_NULL]}


def test_null_is_no_body():
    with pytest.raises(Invalid) as refused:
        BODY.read(None, BERLIN)
    assert refused.value.body == {"non_field_errors": ["No data provided"]}


@pytest.mark.parametrize(("body", "kind"), [([], "list"), ("a", "str"), (7, "int")])
def test_a_body_that_is_no_object_is_refused(body, kind):
    with pytest.raises(Invalid) as refused:
        BODY.read(body, BERLIN)
    assert refused.value.body == {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}


def test_a_field_that_is_not_required_and_has_no_default_stays_missing():
    assert Schema(a=Integer(required=False)).read({}, None) == {}


def test_a_kind_of_field_says_itself_how_it_is_cleaned():
    with pytest.raises(NotImplementedError):
        Field().accept(7, None)
