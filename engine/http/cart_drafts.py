"""Cart positions that are asked for: what the ledger is to hold, and what will be told of them.

Most positions of a rush differ in nothing but their cart. What is the same in all of them, an `_Offer`, is made once
for each version of the catalogue; the rest is for those that name people, answer questions, take a seat or a voucher.
"""

from __future__ import annotations

import datetime as dt
from copy import copy
from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.domain import cart
from engine.domain.catalogue import Event, Product, Seat, Voucher
from engine.http.cart_bodies import EPOCH, Body, CartPositionBody, CartRow, NewCartPositionBody, cart_body, milliseconds
from engine.http.products import short_of
from engine.sales.holds import HoldGroup, HoldPosition, VoucherUse

_EVENTS_MAX = 1000
_OFFERS_MAX = 1000
"""Products at one price that are remembered of an event; when there are more, all are forgotten."""


class _Offer(Struct, gc=False):
    """A position without anything of its own, whatever its cart."""

    positions: list[HoldPosition]
    body: NewCartPositionBody


class _Known(Struct):
    """What was worked out for one version of an event's catalogue, which has these very quotas."""

    version: int
    quotas: dict[Product, tuple[int, ...]]
    ttl_ms: int
    offers: dict[tuple[Product, str, bool], _Offer] = {}
    shorts: dict[Product, dict[int, str]] = {}

    def short(self, event: Event, product: Product) -> dict[int, str]:
        """Return for each quota of a product that there is no room in it."""
        found = self.shorts.get(product)
        if found is None:
            found = self.shorts[product] = {quota: short_of(event, quota) for quota in event.quotas_of(product)}
        return found


_known: dict[int, _Known] = {}


def _of(event: Event) -> _Known:
    found = _known.get(event.id)
    if found is None or found.version != event.version or found.quotas is not event.quotas_by_product:
        if len(_known) >= _EVENTS_MAX:
            _known.clear()
        found = _known[event.id] = _Known(event.version, event.quotas_by_product, cart.lifetime_ms(event))
    return found


def asked(event: Event, values: dict[str, Any], generated_cart_id: str) -> tuple[HoldGroup, CartRow]:
    """Return what the ledger is to hold for a cleaned body, and what will be told of it."""
    known = _of(event)
    expires: dt.datetime | None = values["expires"]
    deadline_ms = milliseconds(expires) if expires else None
    cart_id = values["cart_id"] or generated_cart_id
    short = known.short(event, values["product"])
    if not _has_own(values):
        offer = _offer(known, event, values)
        body = copy(offer.body)
        body.cart_id = cart_id
        return HoldGroup(cart_id, offer.positions, known.ttl_ms, deadline_ms), CartRow(None, body, short)
    position, body = _drafted(NewCartPositionBody, event, cart_id, values)
    positions = [position]
    for kind in ("addons", "bundled"):
        if values[kind]:
            children = [
                _drafted(CartPositionBody, event, cart_id, child, parent=0, is_bundled=kind == "bundled")
                for child in values[kind]
            ]
            positions += [child for child, _ in children]
            short = short | {
                quota: text for child, _ in children for quota, text in known.short(event, child.product).items()
            }
            setattr(body, kind, tuple(child for _, child in children))
    return HoldGroup(cart_id, positions, known.ttl_ms, deadline_ms), CartRow(None, body, short)


def _has_own(values: dict[str, Any]) -> Any:
    """Tell whether a position has anything of its own beside its cart."""
    return (
        values["parts"]
        or values["attendee_email"] is not None
        or values["answers"]
        or values["seat"]
        or values["voucher"]
        or values["addons"]
        or values["bundled"]
    )


def _offer(known: _Known, event: Event, values: dict[str, Any]) -> _Offer:
    price: Decimal = values["price"]
    key = (values["product"], str(price), bool(values["includes_tax"]))
    found = known.offers.get(key)
    if found is None:
        if len(known.offers) >= _OFFERS_MAX:
            known.offers.clear()
        position, body = _drafted(NewCartPositionBody, event, "", values)
        found = known.offers[key] = _Offer([position], body)
    return found


def _drafted(
    kind: type[Body],
    event: Event,
    cart_id: str,
    values: dict[str, Any],
    *,
    parent: int = -1,
    is_bundled: bool = False,
) -> tuple[HoldPosition, Body]:
    """Return one position for the ledger, and its resource without what the ledger decides."""
    product: Product = values["product"]
    position = cart.CartPosition(
        values["price"],
        values["parts"],
        values["attendee_email"],
        tuple(values["answers"]),
        is_bundled,
        # null counts as false here
        bool(values["includes_tax"]),
    )
    voucher: Voucher | None = values["voucher"]
    seat: Seat | None = values["seat"]
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
