"""Cart positions: the holds on quota (spec/cartpositions.txt; spec/facts.md, Carts).

Creating one is decode, check, one call of the ledger, encode; Postgres is asked for nothing.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.domain import cart, codes, names
from engine.domain.catalogue import Event
from engine.domain.errors import Invalid, NotFound
from engine.domain.order import Answer
from engine.http.answers import ANSWERS
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.fields import DateTime, FieldError, Json, ListOf, Money, Schema, Text
from engine.http.paging import page_body, page_of
from engine.http.people import ATTENDEE, SALES_CHANNELS, Named, merged_name
from engine.http.products import (
    ItemField,
    SubeventField,
    VariationField,
    check_product,
    product_of,
    read,
    settled,
    short_of,
    without_quota,
)
from engine.sales import holds
from engine.sales.holds import Held, HoldGroup, HoldPosition, Short, StoredHold

_BULK_ROWS_MAX = 1000
"""So that one request cannot keep Redis to itself: a thousand holds are one script of a few milliseconds."""

_ORDERINGS = ("datetime", "-datetime", "cart_id", "-cart_id")
_GENERAL = "non_field_errors"


class CartPositionBody(Struct):
    """The cart position resource."""

    id: int
    cart_id: str
    item: int
    variation: int | None
    price: Decimal
    attendee_name: str | None
    attendee_name_parts: dict[str, Any]
    attendee_email: str | None
    subevent: int | None
    datetime: dt.datetime
    expires: dt.datetime
    answers: tuple[Answer, ...]
    voucher: int | None = None
    addon_to: int | None = None
    is_bundled: bool = False
    includes_tax: bool = True
    seat: None = None


class NewCartPositionBody(CartPositionBody):
    """What creating one answers: its add-ons and bundled positions too."""

    addons: tuple[CartPositionBody, ...] = ()
    bundled: tuple[CartPositionBody, ...] = ()


class _CartId(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        if text and not text.endswith("@api"):
            raise FieldError("Cart ID should end in @api or be empty.")
        return text


class _CartSchema(Schema):
    """A cart position to be made; its product and its name in parts are added to the cleaned fields."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        assert event is not None
        values = super().clean(value, event)
        check_product(values, event, _GENERAL)
        values["parts"] = merged_name(values, "attendee_")
        if values["voucher"]:
            raise FieldError({"voucher": ["The specified voucher does not exist."]})
        for kind in ("addons", "bundled"):
            if values[kind]:
                raise FieldError({kind: ["Positions that belong to another cannot be made yet."]})
        values["product"] = product_of(values)
        if not event.quotas_of(values["product"]):
            raise FieldError({_GENERAL: [without_quota(values["item"])]})
        return values


CART_POSITION = _CartSchema(
    cart_id=_CartId(null=True, blank=True, max_length=255, default=None),
    item=ItemField(),
    variation=VariationField(errors_under=_GENERAL),
    price=Money(),
    seat=Text(null=True, max_length=255, default=None),
    **ATTENDEE,
    subevent=SubeventField(),
    expires=DateTime(null=True, default=None),
    sales_channel=Named("identifier", SALES_CHANNELS, default=None),
    voucher=Text(null=True, blank=True, max_length=255, default=None),
    addons=ListOf(Json(), null=True, default=list),
    bundled=ListOf(Json(), null=True, default=list),
    answers=ANSWERS,
)


async def index(call: Call) -> Reply:
    """GET cartpositions/"""
    assert call.event is not None
    page = page_of(call)
    asked = call.query.get("ordering", "")
    ordering = asked if asked in _ORDERINGS else "datetime"
    count, found = await holds.page(call.house, call.event, page.offset, page.size, ordering)
    generated = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    results = [_body(CartPositionBody, call.event, hold) for hold in found]
    return reply(page_body(call, page, count, results), headers={"X-Page-Generated": generated})


async def detail(call: Call) -> Reply:
    """GET cartpositions/{id}/"""
    assert call.event is not None
    return reply(_body(CartPositionBody, call.event, await holds.get(call.house, call.event, _hold_id(call))))


async def create(call: Call) -> Reply:
    """POST cartpositions/"""
    assert call.event is not None
    group = _group(call.event, await read(call, CART_POSITION, await call.body()), codes.cart_id())
    [outcome] = await holds.hold(call.house, call.event, [group])
    if isinstance(outcome, Short):
        raise Invalid([short_of(call.event, outcome.quota)])
    return reply(_new_body(call.event, group, outcome), 201)


async def bulk_create(call: Call) -> Reply:
    """POST cartpositions/bulk_create/: each row succeeds or fails alone."""
    event = call.event
    assert event is not None
    rows = await call.body()
    if not isinstance(rows, list):
        raise Invalid({"error": "Please supply a list"})
    if len(rows) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} rows"})
    generated = codes.cart_id()
    groups: list[HoldGroup] = []
    errors: list[Any] = []
    for row in rows:
        try:
            groups.append(_group(event, CART_POSITION.clean(row, event), generated))
            errors.append(None)
        except FieldError as refused:
            errors.append(refused.detail)
    outcomes = iter(await holds.hold(call.house, event, groups) if groups else [])
    made = iter(groups)
    results = []
    for error in await settled(call, errors):
        if error is None:
            results.append(_bulk_result(event, next(made), next(outcomes)))
        else:
            results.append({"success": False, "errors": error, "data": None})
    return reply({"results": results})


async def delete(call: Call) -> Reply:
    """DELETE cartpositions/{id}/"""
    assert call.event is not None
    await holds.release(call.house, call.event, _hold_id(call))
    return NO_CONTENT


def _group(event: Event, values: dict[str, Any], generated_cart_id: str) -> HoldGroup:
    expires: dt.datetime | None = values["expires"]
    payload = cart.CartPosition(values["price"], values["parts"], values["attendee_email"], tuple(values["answers"]))
    return HoldGroup(
        cart_id=values["cart_id"] or generated_cart_id,
        positions=[HoldPosition(values["product"], cart.encode(payload))],
        deadline_ms=_milliseconds(expires) if expires else None,
        ttl_ms=cart.lifetime_ms(event),
    )


def _bulk_result(event: Event, group: HoldGroup, outcome: Held | Short) -> dict[str, Any]:
    if isinstance(outcome, Short):
        return {"success": False, "errors": {_GENERAL: [short_of(event, outcome.quota)]}, "data": None}
    return {"success": True, "errors": None, "data": _new_body(event, group, outcome)}


def _hold_id(call: Call) -> int:
    number = call.number("id")
    if number is None:
        raise NotFound
    return number


def _new_body(event: Event, group: HoldGroup, held: Held) -> CartPositionBody:
    position = group.positions[0]
    stored = StoredHold(
        held.ids[0], group.cart_id, position.product, held.created_ms, held.deadline_ms, position.payload
    )
    return _body(NewCartPositionBody, event, stored)


def _body(kind: type[CartPositionBody], event: Event, hold: StoredHold) -> CartPositionBody:
    position = cart.decode(hold.payload)
    item, variation, subevent = hold.product
    return kind(
        id=hold.id,
        cart_id=hold.cart_id,
        item=item,
        variation=variation or None,
        price=position.price,
        attendee_name=names.attendee_name(position.attendee_name_parts, event),
        attendee_name_parts=position.attendee_name_parts,
        attendee_email=position.attendee_email,
        subevent=subevent or None,
        datetime=_instant(hold.created_ms),
        expires=_instant(hold.deadline_ms),
        answers=position.answers,
    )


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)


def _milliseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MS


def _instant(ms: int) -> dt.datetime:
    return _EPOCH + ms * _MS
