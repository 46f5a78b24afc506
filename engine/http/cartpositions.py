"""Cart positions: the holds on quota (spec/cartpositions.txt; spec/facts.md, Carts).

Creating one is decode, check, one call of the ledger, encode; Postgres is asked for nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from engine.domain import cart, clock, codes, names
from engine.domain.catalogue import Event, Item, Product, Seat, SeatPlace, Voucher
from engine.domain.errors import Invalid, NotFound, StaleCatalogue
from engine.domain.order import Answer
from engine.http.answers import ANSWERS
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.field_kinds import Boolean, DateTime, Money, Text
from engine.http.fields import FieldError, Form, ListOf, Schema
from engine.http.paging import page_body, page_generated, page_of
from engine.http.people import ATTENDEE, SALES_CHANNELS, Named, merged_name
from engine.http.products import (
    ItemField,
    SubeventField,
    VariationField,
    check_product,
    product_of,
    read,
    seat_taken,
    settled,
    short_of,
    without_quota,
)
from engine.http.terms import one_of, terms
from engine.http.voucher_use import cart_voucher, know_vouchers
from engine.sales import holds
from engine.sales.holds import (
    Held,
    HoldGroup,
    HoldPosition,
    Outcome,
    SeatTaken,
    Short,
    StoredHold,
    UsedUp,
    VoucherUse,
)

_BULK_ROWS_MAX = 1000
"""So that one request cannot keep Redis to itself: a thousand holds are one script of a few milliseconds."""

_CHILDREN_MAX = 100
"""Add-ons, or bundled positions, of one position."""

_ORDERINGS = ("datetime", "-datetime", "cart_id", "-cart_id")
_GENERAL = "non_field_errors"
_USED_UP: dict[str, Any] = {"voucher": ["The specified voucher has already been used the maximum number of times."]}


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
    seat: SeatPlace | None = None


class NewCartPositionBody(CartPositionBody):
    """What creating one answers: its add-ons and bundled positions too."""

    addons: tuple[CartPositionBody, ...] = ()
    bundled: tuple[CartPositionBody, ...] = ()


class BulkRow(Struct):
    """One row of what bulk_create answers, in the order of the request."""

    success: bool
    errors: Any
    data: NewCartPositionBody | None


class BulkBody(Struct):
    """What bulk_create answers."""

    results: tuple[BulkRow, ...]


_Body = TypeVar("_Body", bound=CartPositionBody)


class CartRow(Struct, frozen=True):
    """One position that a request asks for, with those that belong to it: what is wrong, or what will be told of it.

    `position` still lacks what the ledger decides; `short` says for each of its quotas that there is no room.
    """

    errors: Any = None
    position: NewCartPositionBody | None = None
    short: dict[int, str] = {}

    def held(self, outcome: Held) -> NewCartPositionBody:
        """Return the position as it is now that it is held; ids count on from its own, in the group's order."""
        assert self.position is not None
        first = outcome.ids[0]
        times = {"datetime": _instant(outcome.created_ms), "expires": _instant(outcome.deadline_ms)}
        children = [
            msgspec.structs.replace(child, id=number, addon_to=first, **times)
            for number, child in enumerate((*self.position.addons, *self.position.bundled), first + 1)
        ]
        addons = len(self.position.addons)
        return msgspec.structs.replace(
            self.position, id=first, addons=tuple(children[:addons]), bundled=tuple(children[addons:]), **times
        )

    def refusal(self, outcome: Short | SeatTaken | UsedUp) -> dict[str, Any] | list[str]:
        """Return why the position is not held: of its quotas in a bare list."""
        if isinstance(outcome, Short):
            return [self.short[outcome.quota]]
        if isinstance(outcome, UsedUp):
            return _USED_UP
        assert self.position is not None
        assert self.position.seat is not None
        return {"seat": [seat_taken(self.position.seat.name)]}

    def result(self, outcomes: Iterator[Outcome], seats: set[int]) -> dict[str, Any]:
        """Return the row of a bulk reply; only rows that were tried have an outcome.

        `seats` are the ids of those that went to rows before; this row's is added.
        """
        if self.position is None:
            return {"success": False, "errors": self.errors, "data": None}
        outcome = next(outcomes)
        seat = self.position.seat.id if self.position.seat else 0
        if isinstance(outcome, Held):
            seats.add(seat)
            return {"success": True, "errors": None, "data": self.held(outcome)}
        errors = self.refusal(outcome)
        if isinstance(outcome, SeatTaken) and seat in seats:
            errors = ["You can not select the same seat multiple times."]
        return {"success": False, "errors": {_GENERAL: errors} if isinstance(errors, list) else errors, "data": None}


class CartReply(Struct, frozen=True, tag="cart"):
    """The reply to a request for positions but for what the ledger decides. Plain data, so that it can be kept."""

    rows: list[CartRow]
    bulk: bool

    def filled(self, outcomes: Iterable[Outcome]) -> Reply:
        """Return the whole reply. Raises Invalid if the only position is not held."""
        decided = iter(outcomes)
        if self.bulk:
            seats: set[int] = set()
            return reply({"results": [row.result(decided, seats) for row in self.rows]})
        [row], [outcome] = self.rows, decided
        if not isinstance(outcome, Held):
            raise Invalid(row.refusal(outcome))
        return reply(row.held(outcome), 201)


class _CartId(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        if text and not text.endswith("@api"):
            raise FieldError("Cart ID should end in @api or be empty.")
        return text

    def form(self) -> Form:
        return {**super().form(), "pattern": "^$|@api$"}


class _ChildSchema(Schema):
    """A position to be made; its product and its name in parts are added to the cleaned fields."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        assert event is not None
        values = super().clean(value, event)
        check_product(values, event, _GENERAL)
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
    results = [_stored_body(call.event, hold) for hold in found]
    return reply(page_body(call, page, count, results), headers=headers)


@terms(shows=CartPositionBody)
async def detail(call: Call) -> Reply:
    """Show a cart position."""
    assert call.event is not None
    return reply(_stored_body(call.event, await holds.get(call.house, call.event, _hold_id(call))))


@terms(CART_POSITION, makes=NewCartPositionBody, example=_EXAMPLE)
async def create(call: Call) -> Reply:
    """Hold a unit of every quota of a product, or nothing at all."""
    assert call.event is not None
    sent = await call.body()
    await know_vouchers(call, [sent])
    values = await read(call, CART_POSITION, sent)
    group, row = _asked(call.event, values, codes.cart_id())
    return await _hold(call, [group], CartReply([row], bulk=False))


@terms(_BULK, shows=BulkBody, example=[_EXAMPLE])
async def bulk_create(call: Call) -> Reply:
    """Hold many positions; each succeeds or fails alone."""
    rows = await call.body()
    if not isinstance(rows, list):
        raise Invalid({"error": "Please supply a list"})
    if len(rows) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} rows"})
    await know_vouchers(call, rows)
    event = call.event
    assert event is not None
    generated = codes.cart_id()
    asked: list[tuple[HoldGroup, CartRow]] = []
    errors: list[Any] = []
    for row in rows:
        try:
            asked.append(_asked(event, CART_POSITION.clean(row, event), generated))
            errors.append(None)
        except FieldError as refused:
            errors.append(refused.detail)
    if sum(len(group.positions) for group, _ in asked) > _BULK_ROWS_MAX:
        raise Invalid({"error": f"Please supply at most {_BULK_ROWS_MAX} positions"})
    if any(errors) and (await call.house.catalogue.current(event)).version != event.version:
        raise StaleCatalogue  # a refusal by an old catalogue is none, and nothing has been held yet
    fine = iter(asked)
    results = [next(fine)[1] if error is None else CartRow(errors=error) for error in await settled(call, errors)]
    return await _hold(call, [group for group, _ in asked], CartReply(results, bulk=True))


@terms()
async def delete(call: Call) -> Reply:
    """Give a cart position back."""
    assert call.event is not None
    await holds.release(call.house, call.event, _hold_id(call), call.kept(NO_CONTENT))
    return NO_CONTENT


async def _hold(call: Call, groups: list[HoldGroup], draft: CartReply) -> Reply:
    assert call.event is not None
    return draft.filled(await holds.hold(call.house, call.event, groups, call.kept(draft)))


def _asked(event: Event, values: dict[str, Any], generated_cart_id: str) -> tuple[HoldGroup, CartRow]:
    """Return what the ledger is to hold, and what will be told of it."""
    expires: dt.datetime | None = values["expires"]
    cart_id = values["cart_id"] or generated_cart_id
    position, body = _drafted(NewCartPositionBody, event, cart_id, values)
    positions = [position]
    for kind in ("addons", "bundled"):
        if values[kind]:
            children = [
                _drafted(CartPositionBody, event, cart_id, child, parent=0, is_bundled=kind == "bundled")
                for child in values[kind]
            ]
            positions += [child for child, _ in children]
            setattr(body, kind, tuple(child for _, child in children))
    group = HoldGroup(
        cart_id=cart_id,
        positions=positions,
        deadline_ms=_milliseconds(expires) if expires else None,
        ttl_ms=cart.lifetime_ms(event),
    )
    quotas = {quota for position in positions for quota in event.quotas_of(position.product)}
    return group, CartRow(position=body, short={quota: short_of(event, quota) for quota in quotas})


def _drafted(
    kind: type[_Body],
    event: Event,
    cart_id: str,
    values: dict[str, Any],
    *,
    parent: int = -1,
    is_bundled: bool = False,
) -> tuple[HoldPosition, _Body]:
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
    body = _body(
        kind,
        event,
        position,
        hold_id=0,
        cart_id=cart_id,
        product=product,
        created=_EPOCH,
        expires=_EPOCH,
        voucher=voucher.id if voucher else None,
        seat=seat.place if seat else None,
    )
    use = VoucherUse(voucher.id, voucher.max_usages, voucher.skips_quota) if voucher else None
    guid = seat.place.seat_guid if seat else ""
    return HoldPosition(product, cart.encode(position), guid, use, parent), body


def _hold_id(call: Call) -> int:
    number = call.number("id")
    if number is None:
        raise NotFound
    return number


def _stored_body(event: Event, hold: StoredHold) -> CartPositionBody:
    seat = event.seats.by_name.get((hold.product[2], hold.seat)) if hold.seat else None
    return _body(
        CartPositionBody,
        event,
        cart.decode(hold.payload),
        hold_id=hold.id,
        cart_id=hold.cart_id,
        product=hold.product,
        created=_instant(hold.created_ms),
        expires=_instant(hold.deadline_ms),
        addon_to=hold.parent or None,
        voucher=hold.voucher or None,
        seat=seat.place if seat else None,
    )


def _body(
    kind: type[_Body],
    event: Event,
    position: cart.CartPosition,
    *,
    hold_id: int,
    cart_id: str,
    product: Product,
    created: dt.datetime,
    expires: dt.datetime,
    addon_to: int | None = None,
    voucher: int | None = None,
    seat: SeatPlace | None = None,
) -> _Body:
    item, variation, subevent = product
    return kind(
        id=hold_id,
        cart_id=cart_id,
        item=item,
        variation=variation or None,
        price=position.price,
        attendee_name=names.attendee_name(position.attendee_name_parts, event),
        attendee_name_parts=position.attendee_name_parts,
        attendee_email=position.attendee_email,
        subevent=subevent or None,
        datetime=created,
        expires=expires,
        answers=position.answers,
        addon_to=addon_to,
        voucher=voucher,
        is_bundled=position.is_bundled,
        includes_tax=position.includes_tax,
        seat=seat,
    )


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)


def _milliseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MS


def _instant(ms: int) -> dt.datetime:
    return _EPOCH + ms * _MS
