"""Cart positions: the holds on quota (spec/cartpositions.txt; spec/facts.md, Carts).

Creating one is decode, check, one call of the ledger, encode; Postgres is asked for nothing.
"""

from __future__ import annotations

from typing import Any

from engine.domain import clock, codes
from engine.domain.catalogue import Event, Item
from engine.domain.errors import Invalid, NotFound, StaleCatalogue
from engine.http import cart_drafts
from engine.http.answers import ANSWERS
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.cart_bodies import (
    BulkBody,
    CartPositionBody,
    CartReply,
    CartRow,
    NewCartPositionBody,
    stored_body,
)
from engine.http.field_kinds import Boolean, DateTime, Money, Text
from engine.http.fields import FieldError, Form, ListOf
from engine.http.paging import page_body, page_generated, page_of
from engine.http.people import ATTENDEE, SALES_CHANNELS, Named, merged_name
from engine.http.products import (
    ItemField,
    ProductSchema,
    SubeventField,
    VariationField,
    check_product,
    fitting_seat,
    product_of,
    read,
    settled,
    without_quota,
)
from engine.http.terms import one_of, terms
from engine.http.voucher_use import cart_voucher, know_vouchers
from engine.sales import holds
from engine.sales.holds import HoldGroup

_BULK_ROWS_MAX = 1000
"""So that one request cannot keep Redis to itself: a thousand holds are one script of a few milliseconds."""

_CHILDREN_MAX = 100
"""Add-ons, or bundled positions, of one position."""

_ORDERINGS = ("datetime", "-datetime", "cart_id", "-cart_id")
_GENERAL = "non_field_errors"


class _CartId(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        if text and not text.endswith("@api"):
            raise FieldError("Cart ID should end in @api or be empty.")
        return text

    def form(self) -> Form:
        return {**super().form(), "pattern": "^$|@api$"}


class _ChildSchema(ProductSchema):
    """A position to be made; its product and its name in parts are added to the cleaned fields."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        assert event is not None
        values = super().clean(value, event)
        check_product(values["item"], values["variation"], values["subevent"], event, _GENERAL)
        values["seat"] = fitting_seat(values, event)
        values["parts"] = merged_name(values, "attendee_")
        voucher = values["voucher"] = cart_voucher(event, values)
        values["product"] = product_of(values)
        if not event.quotas_of(values["product"]) and not (voucher and voucher.skips_quota):
            raise FieldError({_GENERAL: [without_quota(values["item"])]})
        return values


class _CartSchema(_ChildSchema):
    """A cart position to be made, with its add-ons and bundled positions."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        values = super().clean(value, event)
        if values["addons"] or values["bundled"]:
            _check_children(values)
        return values


def _check_children(values: dict[str, Any]) -> None:
    """Refuse what the catalogue does not let belong to this item; how many there are is not looked at."""
    item: Item = values["item"]
    for child in values["addons"] or ():
        if child["item"].category not in item.addon_categories:
            text = f'The product "{child["item"].name}" can not be used as an add-on product for "{item.name}".'
            raise FieldError({"addons": [text]})
    for child in values["bundled"] or ():
        if child["product"][:2] not in item.bundles:
            text = f'The product "{child["item"].name}" can not be used as an bundled product for "{item.name}".'
            raise FieldError({"bundled": [text]})


_PRODUCT = {
    "item": ItemField(),
    "variation": VariationField(errors_under=_GENERAL),
    "price": Money(),
    **ATTENDEE,
    "subevent": SubeventField(),
    "includes_tax": Boolean(null=True, default=True),
    "answers": ANSWERS,
}
_CHILDREN = ListOf(_ChildSchema(**_PRODUCT), null=True, max_length=_CHILDREN_MAX, default=None)

CART_POSITION = _CartSchema(
    **_PRODUCT,
    cart_id=_CartId(null=True, blank=True, max_length=255, default=None),
    seat=Text(null=True, max_length=255, default=None),
    expires=DateTime(null=True, default=None),
    sales_channel=Named("identifier", SALES_CHANNELS, default=None),
    voucher=Text(null=True, blank=True, max_length=255, default=None),
    addons=_CHILDREN,
    bundled=_CHILDREN,
)
_BULK = ListOf(CART_POSITION, max_length=_BULK_ROWS_MAX)
_EXAMPLE = {"cart_id": "me@api", "item": 1, "price": "49.00"}


@terms(lists=CartPositionBody, query=one_of("ordering", _ORDERINGS))
async def index(call: Call) -> Reply:
    """List the cart positions of an event."""
    assert call.event is not None
    page = page_of(call)
    asked = call.query.get("ordering", "")
    ordering = asked if asked in _ORDERINGS else "datetime"
    headers = page_generated(clock.now())
    count, found = await holds.page(call.house, call.event, page.offset, page.size, ordering)
    results = [stored_body(call.event, hold) for hold in found]
    return reply(page_body(call, page, count, results), headers=headers)


@terms(shows=CartPositionBody)
async def detail(call: Call) -> Reply:
    """Show a cart position."""
    assert call.event is not None
    return reply(stored_body(call.event, await holds.get(call.house, call.event, _hold_id(call))))


@terms(CART_POSITION, makes=NewCartPositionBody, example=_EXAMPLE)
async def create(call: Call) -> Reply:
    """Hold a unit of every quota of a product, or nothing at all."""
    plain = await _plain(call, bulk=False)
    assert call.event is not None
    done = plain and cart_drafts.offered(call.event, plain, codes.cart_id())
    if not done:
        sent = await call.body()
        await know_vouchers(call, [sent])
        values = await read(call, CART_POSITION, sent)
        group, row = cart_drafts.asked(call.event, values, codes.cart_id())
        done = [group], [row]
        if plain:
            cart_drafts.remember(call.event, plain, *done)
    groups, rows = done
    return await _hold(call, groups, CartReply(rows, bulk=False))


@terms(_BULK, shows=BulkBody, example=[_EXAMPLE])
async def bulk_create(call: Call) -> Reply:
    """Hold many positions; each succeeds or fails alone."""
    plain = await _plain(call, bulk=True)
    event = call.event
    assert event is not None
    if plain and len(plain) <= _BULK_ROWS_MAX and (done := cart_drafts.offered(event, plain, codes.cart_id())):
        groups, results = done
        return await _hold(call, groups, CartReply(results, bulk=True))
    rows = await call.body()
    if not isinstance(rows, list):
        raise Invalid({"error": "Please supply a list"})
    if len(rows) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} rows"})
    await know_vouchers(call, rows)
    event = call.event
    assert event is not None
    generated = codes.cart_id()
    groups, results = [], []
    for row in rows:
        try:
            group, result = cart_drafts.asked(event, CART_POSITION.clean(row, event), generated)
            groups.append(group)
        except FieldError as refused:
            result = CartRow(refused.detail)
        results.append(result)
    if sum([len(group.positions) for group in groups]) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} positions"})
    if plain and len(groups) == len(rows):
        cart_drafts.remember(event, plain, groups, results)
    elif len(groups) < len(rows):
        if (await call.house.catalogue.current(event)).version != event.version:
            raise StaleCatalogue  # a refusal by an old catalogue is none, and nothing has been held yet
        errors = await settled(call, [row.errors for row in results])
        results = [row if error is None else CartRow(error) for row, error in zip(results, errors, strict=True)]
    return await _hold(call, groups, CartReply(results, bulk=True))


@terms()
async def delete(call: Call) -> Reply:
    """Give a cart position back."""
    assert call.event is not None
    await holds.release(call.house, call.event, _hold_id(call), call.kept(NO_CONTENT))
    return NO_CONTENT


async def _plain(call: Call, *, bulk: bool) -> list[cart_drafts.Plain] | None:
    """Return the positions of a body if they have nothing of their own, None if it has to be looked at whole."""
    raw = await call.raw_body()
    return cart_drafts.plain(raw, bulk=bulk) if call.request.fields.content_type == "application/json" else None


async def _hold(call: Call, groups: list[HoldGroup], draft: CartReply) -> Reply:
    assert call.event is not None
    return draft.filled(await holds.hold(call.house, call.event, groups, call.kept(draft)))


def _hold_id(call: Call) -> int:
    number = call.number("id")
    if number is None:
        raise NotFound
    return number
