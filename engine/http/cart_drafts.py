"""Cart positions that are asked for: what the ledger is to hold, and what will be told of them.

Most positions of a rush differ in nothing but their cart, seat and voucher: these are `Plain`. What is the same in all
of them is checked and put together once for each version of the catalogue, and remembered as an `_Offer`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.domain import cart
from engine.domain.catalogue import Event, Item, Product, Seat, Voucher
from engine.domain.order import Answer
from engine.http.cart_bodies import EPOCH, Body, CartPositionBody, CartRow, NewCartPositionBody, cart_body, milliseconds
from engine.http.fields import FieldError
from engine.http.products import short_of
from engine.http.remembered import Remembered
from engine.http.voucher_use import cart_voucher
from engine.sales.holds import HoldGroup, HoldPosition, VoucherUse

_OFFERS_MAX = 200
"""Offers that are remembered of an event; when there are more, all are forgotten. A thousand come to a megabyte."""

_CART_ID = re.compile(r"[A-Za-z0-9_.~+=-]{1,251}@api").fullmatch
"""What nearly all carts are called; about others there is more to be said."""

Drafts = tuple[list[HoldGroup], list[CartRow]]
"""What the ledger is to hold, and what will be told of each row, also of those for which there is nothing to hold."""


class Wish(Struct, gc=False):
    """A position that is asked for and was found right."""

    item: Item
    product: Product
    price: Decimal
    parts: dict[str, Any]
    attendee_email: str | None
    answers: list[Answer]
    includes_tax: bool
    voucher: Voucher | None
    seat: Seat | None
    cart_id: str | None = None
    expires: dt.datetime | None = None
    addons: list[Wish] = []
    bundled: list[Wish] = []


_Nothing = Annotated[list[Any], Meta(max_length=0)]
_Name = Annotated[str, Meta(min_length=1, max_length=255)]


class Plain(Struct, forbid_unknown_fields=True, gc=False):
    """A position with nothing of its own but a seat and a voucher, as it is sent.

    Whatever else JSON has is looked at field by field.
    """

    item: int
    price: str
    variation: int | None = None
    subevent: int | None = None
    includes_tax: bool | None = True
    sales_channel: str | UnsetType = UNSET
    cart_id: str | None = None
    answers: _Nothing = []
    attendee_name: None = None
    attendee_name_parts: None = None
    attendee_email: None = None
    seat: _Name | None = None
    expires: None = None
    voucher: _Name | None = None
    addons: _Nothing | None = None
    bundled: _Nothing | None = None


_decode_one, _decode_many = msgspec.json.Decoder(Plain).decode, msgspec.json.Decoder(list[Plain]).decode


def plain(raw: bytes, *, bulk: bool) -> list[Plain] | None:
    """Return the positions that a JSON body asks for, None if any has something of its own, or may be wrong."""
    try:
        return _decode_many(raw) if bulk else [_decode_one(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_copy: Callable[[NewCartPositionBody], NewCartPositionBody] = NewCartPositionBody.__copy__  # type: ignore[attr-defined]
"""As copy.copy does in the end."""

_Key = tuple[int, int | None, int | None, str, bool | None, str | UnsetType, bool]


def _key(sent: Plain) -> _Key:
    """Return all that an offer depends on: of the seat only whether one is asked for."""
    seated = sent.seat is not None
    return (sent.item, sent.variation, sent.subevent, sent.price, sent.includes_tax, sent.sales_channel, seated)


class _Offer(Struct, gc=False):
    """What becomes of plain positions that differ in their cart, seat and voucher, once one of them was found right.

    Without the seat and the voucher of that one.
    """

    positions: list[HoldPosition]
    body: NewCartPositionBody
    short: dict[int, str]


class _Known(Struct):
    """What was worked out for one version of an event's catalogue."""

    ttl_ms: int
    offers: dict[_Key, _Offer] = {}
    shorts: dict[Product, dict[int, str]] = {}

    def short(self, event: Event, product: Product) -> dict[int, str]:
        """Return for each quota of a product that there is no room in it."""
        found = self.shorts.get(product)
        if found is None:
            found = self.shorts[product] = {quota: short_of(event, quota) for quota in event.quotas_of(product)}
        return found


def _nothing_yet(event: Event) -> _Known:
    return _Known(cart.lifetime_ms(event))


_known = Remembered(_nothing_yet)


def offered(event: Event, rows: Iterable[Plain], generated_cart_id: str) -> Drafts | None:
    """Return what the ledger is to hold and what will be told of it; None if any row has not come before."""
    known = _known.of(event)
    groups: list[HoldGroup] = []
    drafts: list[CartRow] = []
    checked = cart_id = generated_cart_id
    for sent in rows:
        offer = known.offers.get(_key(sent))
        if offer is None:
            return None
        cart_id = sent.cart_id or generated_cart_id
        if cart_id != checked:
            if not _CART_ID(cart_id):
                return None
            checked = cart_id
        body = _copy(offer.body)
        body.cart_id = cart_id
        positions = offer.positions
        if sent.seat or sent.voucher:
            own = _with_own(positions[0], body, sent, event)
            if own is None:
                return None
            positions = [own]
        groups.append(HoldGroup(cart_id, positions, known.ttl_ms))
        drafts.append(CartRow(None, body, offer.short))
    return groups, drafts


def _with_own(offered: HoldPosition, body: NewCartPositionBody, sent: Plain, event: Event) -> HoldPosition | None:
    """Return a position with its seat and voucher, and have its body tell of them; None if it cannot have them."""
    product, guid, seat, use = offered.product, sent.seat or "", None, None
    if guid:
        seat = event.seats.by_name.get((product[2], guid))
        if seat is None or guid.strip() != guid:
            return None
        body.seat = seat.place
    if sent.voucher:
        try:
            voucher = cart_voucher(sent.voucher, product, seat, event)
        except FieldError:
            return None
        use = VoucherUse(voucher.id, voucher.max_usages, voucher.skips_quota)
        body.voucher = voucher.id
    return HoldPosition(product, offered.payload, guid, use)


def remember(event: Event, sent: Sequence[Plain], groups: Sequence[HoldGroup], drafts: Sequence[CartRow]) -> None:
    """Remember what has become of plain positions, each of which was found right and nothing was told of yet."""
    known = _known.of(event)
    for one, group, draft in zip(sent, groups, drafts, strict=True):
        if len(known.offers) >= _OFFERS_MAX:
            known.offers.clear()
        assert draft.position is not None
        if not draft.short:
            continue  # without a quota: it is only for the bearers of some vouchers
        [first], body = group.positions, _copy(draft.position)
        body.seat = body.voucher = None
        known.offers[_key(one)] = _Offer([HoldPosition(first.product, first.payload)], body, draft.short)


def asked(event: Event, wish: Wish, generated_cart_id: str) -> tuple[HoldGroup, CartRow]:
    """Return what the ledger is to hold, and what will be told of it."""
    known = _known.of(event)
    cart_id = wish.cart_id or generated_cart_id
    position, body = _drafted(NewCartPositionBody, event, cart_id, wish)
    positions = [position]
    short = known.short(event, wish.product)
    if wish.addons or wish.bundled:
        addons = [_drafted(CartPositionBody, event, cart_id, child, 0) for child in wish.addons]
        bundled = [_drafted(CartPositionBody, event, cart_id, child, 0, is_bundled=True) for child in wish.bundled]
        for child, _ in (*addons, *bundled):
            positions.append(child)
            short = {**short, **known.short(event, child.product)}
        body.addons, body.bundled = tuple(told for _, told in addons), tuple(told for _, told in bundled)
    deadline_ms = milliseconds(wish.expires) if wish.expires else None
    return HoldGroup(cart_id, positions, known.ttl_ms, deadline_ms), CartRow(None, body, short)


def _drafted(
    kind: type[Body], event: Event, cart_id: str, wish: Wish, parent: int = -1, *, is_bundled: bool = False
) -> tuple[HoldPosition, Body]:
    """Return one position for the ledger, and its resource without what the ledger decides."""
    product, voucher, seat = wish.product, wish.voucher, wish.seat
    position = cart.CartPosition(
        wish.price, wish.parts, wish.attendee_email, tuple(wish.answers), is_bundled, wish.includes_tax
    )
    body = cart_body(
        kind,
        event,
        position,
        hold_id=0,
        cart_id=cart_id,
        product=product,
        created=EPOCH,
        expires=EPOCH,
        voucher=voucher.id if voucher else None,
        seat=seat.place if seat else None,
    )
    use = VoucherUse(voucher.id, voucher.max_usages, voucher.skips_quota) if voucher else None
    guid = seat.place.seat_guid if seat else ""
    return HoldPosition(product, cart.encode(position), guid, use, parent), body
