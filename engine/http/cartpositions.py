"""Cart positions: the holds on quota (spec/cartpositions.txt; spec/facts.md, Carts).

Creating one is decode, check, one call of the ledger, encode; Postgres is asked for nothing.
"""

from __future__ import annotations

from typing import Any, cast

from engine.domain import clock, codes
from engine.domain.catalogue import Event
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
from engine.http.cart_drafts import Drafts, Plain, Wish
from engine.http.field_kinds import Boolean, DateTime, Money, Text
from engine.http.fields import FieldError, Form, ListOf
from engine.http.paging import page_body, page_generated, page_of
from engine.http.people import ATTENDEE, SALES_CHANNELS, Named, name_parts
from engine.http.products import (
    ItemField,
    ProductSchema,
    SubeventField,
    VariationField,
    check_product,
    read,
    seat_asked_for,
    settled,
    without_quota,
)
from engine.http.records import Record
from engine.http.terms import one_of, terms
from engine.http.voucher_use import cart_voucher, know_codes, know_vouchers
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


class _ChildRecord(Record, ProductSchema):
    """A position to be made, that belongs to another; cleaned into a Wish."""

    def checked(self, values: Any, event: Event | None) -> Wish:
        assert event is not None
        return _wish(values, None, None, event)


class _CartRecord(Record, ProductSchema):
    """A cart position to be made, with its add-ons and bundled positions; cleaned into a Wish."""

    def checked(self, values: Any, event: Event | None) -> Wish:
        assert event is not None
        wish = _wish(values, values.seat, values.voucher, event)
        wish.cart_id, wish.expires = values.cart_id, values.expires
        if values.addons or values.bundled:
            wish.addons, wish.bundled = values.addons or [], values.bundled or []
            _check_children(wish)
        return wish


def _wish(values: Any, guid: str | None, code: str | None, event: Event) -> Wish:
    item, variation, subevent = values.item, values.variation, values.subevent
    check_product(item, variation, subevent, event, _GENERAL)
    seat, misfit = seat_asked_for(guid, item, subevent, event)
    if misfit:
        raise FieldError({"seat": [misfit]})
    parts = name_parts(values.attendee_name, values.attendee_name_parts, "attendee_")
    product = (item.id, variation.id if variation else 0, subevent.id if subevent else 0)
    voucher = cart_voucher(code, product, seat, event) if code else None
    if not event.quotas_of(product) and not (voucher and voucher.skips_quota):
        raise FieldError({_GENERAL: [without_quota(item)]})
    # null counts as false here
    taxed = bool(values.includes_tax)
    return Wish(item, product, values.price, parts, values.attendee_email, values.answers, taxed, voucher, seat)


def _check_children(wish: Wish) -> None:
    """Refuse what the catalogue does not let belong to this item; how many there are is not looked at."""
    item = wish.item
    for child in wish.addons:
        if child.item.category not in item.addon_categories:
            text = f'The product "{child.item.name}" can not be used as an add-on product for "{item.name}".'
            raise FieldError({"addons": [text]})
    for child in wish.bundled:
        if child.product[:2] not in item.bundles:
            text = f'The product "{child.item.name}" can not be used as an bundled product for "{item.name}".'
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
_CHILDREN = ListOf(_ChildRecord(**_PRODUCT), null=True, max_length=_CHILDREN_MAX, default=None)

CART_POSITION = _CartRecord(
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
        wish = await _sent(call)
        group, row = cart_drafts.asked(call.event, wish, codes.cart_id())
        done = [group], [row]
        if plain:
            cart_drafts.remember(call.event, plain, *done)
    groups, rows = done
    draft = CartReply(rows, bulk=False)
    return draft.filled(await holds.hold(call.house, call.event, groups, call.kept(draft)))


async def _plain(call: Call, *, bulk: bool) -> list[Plain] | None:
    """Return the positions of a body that is plain, and look up their vouchers."""
    rows = cart_drafts.plain(await call.raw_body(), bulk=bulk) if call.is_json else None
    if rows and (named := [row.voucher for row in rows if row.voucher]):
        await know_codes(call, named)
    return rows


async def _sent(call: Call) -> Wish:
    """Return the cleaned body. Raises Invalid."""
    usual = CART_POSITION.decode(await call.raw_body()) if call.is_json else None
    if usual is not None:
        await know_codes(call, [usual.voucher] if usual.voucher else [])
        try:
            return cast(Wish, CART_POSITION.settle(usual, call.event))
        except FieldError:
            pass  # nothing else that is wrong has been looked for
    sent = await call.body()
    await know_vouchers(call, [sent])
    return cast(Wish, await read(call, CART_POSITION, sent))


@terms(_BULK, shows=BulkBody, example=[_EXAMPLE])
async def bulk_create(call: Call) -> Reply:
    """Hold many positions; each succeeds or fails alone."""
    plain = await _plain(call, bulk=True)
    event = call.event
    assert event is not None
    generated = codes.cart_id()
    done = plain and len(plain) <= _BULK_ROWS_MAX and cart_drafts.offered(event, plain, generated)
    groups, rows = done or await _many_sent(call, generated)
    if sum([len(group.positions) for group in groups]) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} positions"})
    if len(groups) < len(rows):
        if (await call.house.catalogue.current(event)).version != event.version:
            raise StaleCatalogue  # a refusal by an old catalogue is none, and nothing has been held yet
        errors = await settled(call, [row.errors for row in rows])
        rows = [row if error is None else CartRow(error) for row, error in zip(rows, errors, strict=True)]
    elif plain and not done:
        cart_drafts.remember(event, plain, groups, rows)
    draft = CartReply(rows, bulk=True)
    return draft.filled(await holds.hold(call.house, event, groups, call.kept(draft)))


async def _many_sent(call: Call, generated_cart_id: str) -> Drafts:
    """Return what becomes of each row of a body. Raises Invalid if it is no list, or too long."""
    usual = CART_POSITION.decode_many(await call.raw_body()) if call.is_json else None
    if usual is not None and len(usual) <= _BULK_ROWS_MAX:
        await know_codes(call, [row.voucher for row in usual if row.voucher])
        groups, drafts = _cleaned(call, usual, generated_cart_id)
        if len(groups) == len(drafts):
            return groups, drafts
        # of rows that are wrong, nothing else that is wrong has been looked for
    rows = await call.body()
    if not isinstance(rows, list):
        raise Invalid({"error": "Please supply a list"})
    if len(rows) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} rows"})
    await know_vouchers(call, rows)
    return _cleaned(call, rows, generated_cart_id)


def _cleaned(call: Call, rows: list[Any], generated_cart_id: str) -> Drafts:
    event = call.event
    assert event is not None
    groups: list[HoldGroup] = []
    drafts: list[CartRow] = []
    for row in rows:
        try:
            group, draft = cart_drafts.asked(event, CART_POSITION.clean(row, event), generated_cart_id)
            groups.append(group)
        except FieldError as refused:
            draft = CartRow(refused.detail)
        drafts.append(draft)
    return groups, drafts


@terms()
async def delete(call: Call) -> Reply:
    """Give a cart position back."""
    assert call.event is not None
    await holds.release(call.house, call.event, _hold_id(call), call.kept(NO_CONTENT))
    return NO_CONTENT


def _hold_id(call: Call) -> int:
    number = call.number("id")
    if number is None:
        raise NotFound
    return number
