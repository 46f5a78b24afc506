"""Changing an order's contents in one step (spec/orders.txt, Changing order contents)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from engine.domain import invoicing, mails
from engine.domain.catalogue import Event, Item
from engine.domain.errors import Invalid
from engine.domain.names import with_scheme
from engine.domain.new_order import Line
from engine.domain.next import Next
from engine.domain.order import MailKind, Order, Position
from engine.domain.order_contents import POSITIONS_MAX, Changes, PositionPatch, changed
from engine.domain.splitting import SplitOff
from engine.http import orders as orders_http
from engine.http import shapes
from engine.http.answers import NEW_ANSWERS
from engine.http.call import Call, Reply
from engine.http.field_kinds import Boolean, Choice, DateTime, Email, Money, Reference, Text
from engine.http.fields import FieldError, Form, ListOf, Schema
from engine.http.kept import no_such
from engine.http.order_bodies import POSITION
from engine.http.people import Country, NameParts, check_state, merged_name
from engine.http.products import (
    NEEDS_SUBEVENT,
    SEAT_FORBIDDEN,
    SEAT_NEEDED,
    SubeventField,
    VariationField,
    check_product,
    fitting_seat,
    read,
)
from engine.http.resources import order_body
from engine.http.terms import terms
from engine.sales import orders

TWICE = "You have specified the same object twice."
UNKNOWN_BASE = "addon_to refers to an unknown position ID for this order."

_NOT_ADDABLE = frozenset({"positionid", "secret", "voucher", "use_reusable_medium", "requested_valid_from"})
"""What only the creation of an order takes."""

_PRODUCT = frozenset({"item", "variation", "subevent", "seat"})
_NAMES = frozenset({"attendee_name", "attendee_name_parts"})
_ABOUT_SEATS = {
    SEAT_NEEDED: "The selected product requires you to select a seat.",
    SEAT_FORBIDDEN: "The selected product does not allow to select a seat.",
}
"""What is said instead of positions that are added."""


class Patch(Schema):
    """Some fields of a position; what is not sent is not touched."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        cleaned, errors = self.collect(value, event, partial=True)
        if errors:
            raise FieldError(errors)
        return cleaned

    def form(self, *, partial: bool = True) -> Form:
        return super().form(partial=True)


class _Addition(Schema):
    """A position to be added; cleaned into a Line whose `addon_to` is the positionid of its base.

    A missing date or seat is found after all fields here, so it is told in a bare list: raises Invalid.
    """

    def clean(self, value: Any, event: Event | None) -> Any:
        if isinstance(value, dict):
            value = {name: inner for name, inner in value.items() if name not in _NOT_ADDABLE}
        try:
            line: Line = POSITION.clean(value, event)
        except FieldError as error:
            if error.detail == {"subevent": [NEEDS_SUBEVENT]}:
                raise Invalid(["You need to choose a subevent for the new position."]) from None
            raise FieldError(_here(error.detail)) from None
        if line.seat_misfit in _ABOUT_SEATS:
            raise Invalid([_ABOUT_SEATS[line.seat_misfit]])
        if line.seat_misfit:
            raise FieldError({"seat": [line.seat_misfit]})
        return line

    def form(self, *, partial: bool = False) -> Form:
        fields = {name: field for name, field in POSITION.fields.items() if name not in _NOT_ADDABLE}
        return Schema(**fields, **self.fields).form(partial=partial)


class _Key(Reference):
    """The id of a position or fee; whose it is, the order will tell."""

    def __init__(self) -> None:
        super().__init__(lambda event: _Anything())


class _Anything(dict[int, int]):
    def get(self, key: int, default: Any = None) -> Any:
        return key


class _Date(SubeventField):
    """A date of the event; of dates of other events nothing is known here."""

    def missing(self, value: int) -> FieldError:
        return FieldError(no_such(value))


def _here(errors: Any) -> Any:
    """Return errors in which products of other events are simply unknown."""
    if not isinstance(errors, dict):
        return errors
    return {name: [str(text) for text in told] if name in _PRODUCT else told for name, told in errors.items()}


def _rows(**fields: Any) -> ListOf:
    return ListOf(Schema(**fields), max_length=POSITIONS_MAX, default=list)


_CONTENTS = {
    "item": Reference(lambda event: event.items),
    "variation": VariationField(),
    "subevent": _Date(),
    "seat": Text(null=True, max_length=255),
    "price": Money(null=True),
    "tax_rule": Reference(lambda event: event.tax_rules, null=True),
    "valid_from": DateTime(null=True),
    "valid_until": DateTime(null=True),
}


def _line(max_length: int = 255) -> Text:
    return Text(null=True, blank=True, max_length=max_length)


POSITION_PATCH = Patch(
    attendee_name=_line(),
    attendee_name_parts=NameParts(null=True),
    attendee_email=Email(null=True, blank=True),
    company=_line(),
    street=_line(10_000),
    zipcode=_line(30),
    city=_line(),
    country=Country(null=True),
    state=_line(),
    answers=NEW_ANSWERS,
    **_CONTENTS,
)
ADDITION = _Addition()
CHANGE = Schema(
    patch_positions=_rows(position=_Key(), body=Patch(**_CONTENTS)),
    cancel_positions=_rows(position=_Key()),
    split_positions=_rows(position=_Key()),
    create_positions=ListOf(ADDITION, max_length=POSITIONS_MAX, default=list),
    patch_fees=_rows(fee=_Key(), body=Patch(value=Money())),
    cancel_fees=_rows(fee=_Key()),
    recalculate_taxes=Choice("keep_net", "keep_gross", null=True, default=None),
    send_email=Boolean(default=False),
    reissue_invoice=Boolean(default=True),
)


@terms(CHANGE, shows=shapes.Order, waits=True, query=orders_http.PDF_DATA)
async def change(call: Call) -> Reply:
    """Change the contents of an order in one step: all of it or nothing."""
    event, ids = orders_http.event_of(call), call.house.ids
    # an order that is not there is told before what is wrong with the body
    await orders.get(call.house, event, orders_http.code_of(call))
    values = await read(call, CHANGE, await call.body())
    create, split = values["create_positions"], values["split_positions"]
    changes = Changes(
        cancel=_keys(values["cancel_positions"], "position"),
        leaving=_keys(split, "position"),
        split_off=SplitOff(*await ids.order()) if split else None,
        create=tuple(create),
        first_id=await ids.positions(len(create)) if create else 0,
        cancel_fees=_keys(values["cancel_fees"], "fee"),
        fee_values={row["fee"]: row["body"]["value"] for row in values["patch_fees"] if "value" in row["body"]},
        recalculate=values["recalculate_taxes"],
    )

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        # against the very order that is changed: what was there a moment ago may be gone
        return changed(replace(changes, patch=_checked(values, order, event)))(order, event, now)

    with_invoice = invoicing.reissuing(rule, wanted=values["reissue_invoice"])
    with_mail = mails.telling(with_invoice, MailKind.CHANGED, wanted=values["send_email"])
    return await orders_http.change(call, with_mail, lambda after: order_body(call, event, after))


def _keys(rows: Iterable[Mapping[str, Any]], name: str) -> tuple[int, ...]:
    return tuple(row[name] for row in rows)


def _checked(values: dict[str, Any], order: Order, event: Event) -> tuple[PositionPatch, ...]:
    """Hold what was sent against the order, and return the patches that it asks for. Raises Invalid, all at once."""
    positions = {position.id: position for position in order.positions if not position.canceled}
    fees = {fee.id for fee in order.fees if not fee.canceled}
    errors: dict[str, Any] = {}
    for field, name, known in (
        ("patch_positions", "position", positions),
        ("cancel_positions", "position", positions),
        ("split_positions", "position", positions),
        ("patch_fees", "fee", fees),
        ("cancel_fees", "fee", fees),
    ):
        rows = [
            {} if row[name] in known else {name: [f'Invalid pk "{row[name]}" - object does not exist.']}
            for row in values[field]
        ]
        if any(rows):
            errors[field] = rows
        elif len({row[name] for row in values[field]}) < len(rows):
            errors[field] = [TWICE]
    bases = [{} if has_base(line, order) else {"addon_to": [UNKNOWN_BASE]} for line in values["create_positions"]]
    if any(bases):
        errors["create_positions"] = bases
    patches = []
    if "patch_positions" not in errors:
        bodies: list[dict[str, Any]] = []
        for row in values["patch_positions"]:
            try:
                patches.append(PositionPatch(row["position"], patched(row["body"], positions[row["position"]], event)))
                bodies.append({})
            except FieldError as error:
                bodies.append({"body": error.detail})
        if any(bodies):
            errors["patch_positions"] = bodies
    if errors:
        raise Invalid(errors)
    return tuple(patches)


def has_base(line: Line, order: Order) -> bool:
    """Tell whether the order has the position that an addition is an add-on to, if it is one."""
    numbers = {position.positionid for position in order.positions if not position.canceled}
    return line.addon_to is None or line.addon_to in numbers


def patched(sent: Mapping[str, Any], position: Position, event: Event) -> dict[str, Any]:
    """Return new values by the names of Position, checked against the position as it is. Raises FieldError."""
    values = dict(sent)
    if values.get("price", 0) is None:
        del values["price"]
    if _NAMES & values.keys():
        values["attendee_name_parts"] = with_scheme(merged_name(values, "attendee_"), event)
    if {"country", "state"} & values.keys():
        check_state(values.get("country", position.country), values.get("state", position.state))
    if _PRODUCT & values.keys():
        values |= _product(values, position, event)
    if "tax_rule" in values:
        values["tax_rule"] = values["tax_rule"].id if values["tax_rule"] else None
    if "answers" in values:
        values["answers"] = tuple(values["answers"])
    return values


def _product(values: dict[str, Any], position: Position, event: Event) -> dict[str, Any]:
    """Return the ids of the product that a position becomes; what is not sent stays, if it fits the item."""
    item = values.get("item") or event.items.get(position.item)
    if item is None:
        raise FieldError({"item": ["This field is required."]})
    whole: dict[str, Any] = {
        "item": item,
        "variation": values.get("variation", item.variations.get(position.variation or 0)),
        "subevent": values.get("subevent", event.subevents.get(position.subevent or 0)),
        "seat": values["seat"] if "seat" in values else _kept_seat(position, item, values, event),
    }
    check_product(item, whole["variation"], whole["subevent"], event, "variation")
    # whoever says that there is to be no seat has the last word
    seat = None if values.get("seat", "") is None else fitting_seat(whole, event)
    return {
        "seat": seat.place if seat else None,
        "item": item.id,
        "variation": whole["variation"].id if whole["variation"] else None,
        "subevent": whole["subevent"].id if whole["subevent"] else None,
    }


def _kept_seat(position: Position, item: Item, values: dict[str, Any], event: Event) -> str | None:
    """Return the guid of the seat that a position has, unless what it becomes is sold without one.

    On another date it needs the seat of that name; only who says so (null) gives it up.
    """
    date = values["subevent"].id if values.get("subevent") else position.subevent or 0
    moves = date != (position.subevent or 0)
    return position.seat.seat_guid if position.seat and (moves or (item.id, date) in event.seated) else None
