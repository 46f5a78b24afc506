"""Bodies that create orders: what may be sent, and what positions and fees are cleaned into (spec/orders.txt)."""

from __future__ import annotations

import datetime as dt
import re
from copy import copy
from typing import Any, Literal

from msgspec import UNSET
from msgspec.structs import replace

from engine.domain import clock
from engine.domain.catalogue import Event
from engine.domain.fees import FEE_TYPES, FeeLine
from engine.domain.names import with_scheme
from engine.domain.new_order import Line, foreseen
from engine.domain.order import OrderStatus
from engine.domain.order_contents import POSITIONS_MAX, TOO_MANY
from engine.http.answers import ANSWERS
from engine.http.field_kinds import Boolean, Choice, Date, DateTime, Email, Integer, Json, Money, Reference, Text
from engine.http.fields import FieldError, Form, ListOf, Schema, Usual
from engine.http.people import (
    ATTENDEE,
    INVOICE_ADDRESS,
    SALES_CHANNELS,
    Country,
    Named,
    Phone,
    check_state,
    name_parts,
)
from engine.http.products import (
    EventReference,
    ItemField,
    ProductSchema,
    SubeventField,
    VariationField,
    check_product,
    seat_asked_for,
)
from engine.http.records import Record
from engine.http.remembered import Remembered
from engine.http.voucher_use import VoucherField

PROVIDERS = frozenset({"manual", "banktransfer", "free", "boxoffice", "offsetting", "giftcard"})

STATUSES = {status.value: status for status in (OrderStatus.PENDING, OrderStatus.PAID)}
_OWN_CODE = re.compile(r"[A-HJ-NP-Z0-9]+")
_ATTENDEE = ("attendee_email", "company", "street", "zipcode", "city", "country", "state")


class _Code(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        code = super().clean(value, event)
        if not _OWN_CODE.fullmatch(code):
            raise FieldError("This order code contains invalid characters.")
        return code

    def form(self) -> Form:
        return {**super().form(), "pattern": f"^{_OWN_CODE.pattern}$"}


class _Deadline(DateTime):
    """An instant that is still to come."""

    def clean(self, value: Any, event: Event | None) -> dt.datetime:
        deadline = super().clean(value, event)
        if deadline < clock.now():
            raise FieldError("Expiration date must be in the future.")
        return deadline


class _Provider(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        provider = super().clean(value, event)
        if provider not in PROVIDERS:
            raise FieldError("The given payment provider is not known.")
        return provider

    def usual(self) -> Usual:
        return Usual(Literal[tuple(sorted(PROVIDERS))], True)

    def form(self) -> Form:
        return {"type": "string", "enum": sorted(PROVIDERS)}


_ROWS_MAX = 200
"""Positions that are remembered of an event; when there are more, all are forgotten. A thousand come to a megabyte."""
_Rows = dict[Any, tuple[Any, Line]]
"""By what is sold: a position as it was sent, and the Line that it is as the first of an order."""


def _no_rows(event: Event) -> _Rows:
    return {}


_known = Remembered(_no_rows)


def _known_lines(rows: list[Any], known: _Rows) -> list[Line] | None:
    """Return the Lines of positions if all of them came before in this version of the catalogue.

    Most positions of a rush are alike. What has become of those that have nothing of their own is remembered, and not
    looked at again.
    """
    lines: list[Line] = []
    for row in rows:
        before = known.get((row.item, row.variation, row.subevent, row.price))
        if before is None or before[0] != row:
            return None
        lines.append(_placed(before[1], len(lines) + 1) if lines else before[1])
    return lines


def _remember(rows: list[Any], lines: list[Line], event: Event, known: _Rows) -> None:
    """Remember the Lines that positions became which have nothing of their own."""
    for row, line in zip(rows, lines, strict=True):
        alike = Line(line.positionid, line.item, line.variation, line.subevent, line.price)
        if not row.positionid and line == alike:
            if len(known) >= _ROWS_MAX:
                known.clear()
            alike.foreseen = foreseen(line, event)
            known[row.item, row.variation, row.subevent, row.price] = row, _placed(alike, 1)


def _placed(line: Line, place: int) -> Line:
    """Return a Line as another one of its order."""
    position = line.foreseen and replace(line.foreseen, positionid=place)
    return replace(line, positionid=place, foreseen=position)


class _PositionRecord(Record, ProductSchema):
    """A position to be made; cleaned into a Line, whose `positionid` is 0 if none was sent."""

    def checked(self, values: Any, event: Event | None) -> Line:
        assert event is not None
        item, variation, subevent = values.item, values.variation, values.subevent
        check_product(item, variation, subevent, event, "variation")
        attendee = _attendee(values, event)
        check_state(values.country, values.state)
        seat, seat_misfit = seat_asked_for(values.seat, item, subevent, event)
        return Line(
            values.positionid or 0,
            item,
            variation,
            subevent,
            values.price,
            values.addon_to,
            values.voucher,
            None,
            values.secret,
            _validity(values),
            values.requested_valid_from,
            attendee,
            tuple(values.answers),
            seat,
            seat_misfit,
        )


_Validity = tuple[dt.datetime | None, dt.datetime | None]


def _validity(values: Any) -> _Validity | None:
    """Return the validity that was sent: both left out asks for the item's, and null is an answer of its own."""
    since, until = values.valid_from, values.valid_until
    if since is UNSET and until is UNSET:
        return None
    return (None if since is UNSET else since, None if until is UNSET else until)


def _attendee(values: Any, event: Event) -> dict[str, Any]:
    """Return what is known about an attendee; nearly always that is nothing."""
    parts = name_parts(values.attendee_name, values.attendee_name_parts, "attendee_")
    known = {name: value for name in _ATTENDEE if (value := getattr(values, name)) is not None}
    return {"attendee_name_parts": with_scheme(parts, event), **known} if parts else known


class _Positions(ListOf):
    """All positions of an order, numbered."""

    def accept(self, value: Any, event: Event | None) -> Any:
        if type(value) is not list or not value or type(value[0]) is not POSITION.kind or len(value) > POSITIONS_MAX:
            return super().accept(value, event)
        assert event is not None
        known = _known.of(event)
        lines = _known_lines(value, known)
        if lines is None:
            # of a body that was decoded in one go: if anything is wrong all of it is looked at again
            rows = [copy(row) for row in value]
            lines = _numbered_lines([POSITION.settle(row, event) for row in value])
            _remember(rows, lines, event, known)
        return lines

    def clean(self, value: Any, event: Event | None) -> list[Any]:
        if isinstance(value, list):
            if not value:
                raise FieldError("An order cannot be empty.")
            if len(value) > POSITIONS_MAX:
                raise FieldError(TOO_MANY)
        return _numbered_lines(super().clean(value, event))

    def usual(self) -> Usual:
        return Usual(super().usual().type)

    def form(self) -> Form:
        return {**super().form(), "minItems": 1, "maxItems": POSITIONS_MAX}


def _numbered_lines(lines: list[Line]) -> list[Line]:
    if errors := _number(lines):
        raise FieldError(errors)
    return lines


def _number(lines: list[Line]) -> list[dict[str, list[str]]]:
    """Number positions from 1 unless they are; return what is wrong with given numbers, row by row."""
    for line in lines:
        if line.positionid or line.addon_to:
            return _misnumbered(lines)
    for number, line in enumerate(lines, 1):
        line.positionid = number
    return []


def _misnumbered(lines: list[Line]) -> list[dict[str, list[str]]]:
    by_hand = [line.positionid for line in lines if line.positionid]
    if not by_hand:
        text = "If you set addon_to on any position, you need to specify position IDs manually."
        return [{"positionid": [text]} for _ in lines]
    if len(by_hand) < len(lines):
        text = "If you set position IDs manually, you need to do so for all positions."
        return [{} if line.positionid else {"positionid": [text]} for line in lines]
    errors: list[dict[str, list[str]]] = []
    before, base = 0, None
    for line in lines:
        error: dict[str, list[str]] = {}
        if line.positionid != before + 1:
            error["positionid"] = ["Position IDs need to be consecutive."]
        if not line.addon_to:
            base = line.positionid
        elif line.addon_to != base:
            error["addon_to"] = [
                "If you set addon_to, you need to make sure that the referenced position ID exists and is transmitted "
                "directly before its add-ons."
            ]
        before = line.positionid
        errors.append(error)
    return errors if any(errors) else []


class _FeeSchema(Schema):
    """A fee; cleaned into a FeeLine."""

    def clean(self, value: Any, event: Event | None) -> Any:
        values = super().clean(value, event)
        return FeeLine(
            fee_type=values["fee_type"],
            value=values["value"],
            description=values["description"],
            internal_type=values["internal_type"],
            tax_rule=values["tax_rule"],
            percentage=values["_treat_value_as_percentage"],
            taxed_like_products=values["_split_taxes_like_products"],
        )


def _attendee_line(max_length: int = 255) -> Text:
    return Text(null=True, blank=True, max_length=max_length, default=None)


POSITION = _PositionRecord(
    positionid=Integer(null=True, minimum=0, default=None),
    item=ItemField(),
    variation=VariationField(),
    price=Money(null=True, default=None),
    seat=Text(null=True, max_length=255, default=None),
    **ATTENDEE,
    voucher=VoucherField(null=True, default=None),
    company=_attendee_line(),
    street=_attendee_line(10_000),
    zipcode=_attendee_line(30),
    city=_attendee_line(),
    country=Country(null=True, default=None),
    state=_attendee_line(),
    secret=Text(null=True, max_length=255, default=None),
    addon_to=Integer(null=True, minimum=0, default=None),
    subevent=SubeventField(),
    valid_from=DateTime(null=True, required=False),
    valid_until=DateTime(null=True, required=False),
    requested_valid_from=DateTime(null=True, default=None),
    use_reusable_medium=Reference(lambda event: {}, null=True, default=None),
    answers=ANSWERS,
)

FEE = _FeeSchema(
    fee_type=Choice(*FEE_TYPES),
    value=Money(),
    description=Text(blank=True, max_length=190, default=""),
    internal_type=Text(blank=True, max_length=255, default=""),
    tax_rule=EventReference(
        "tax_rules",
        lambda event: event.tax_rules,
        "The specified tax rate does not belong to this event.",
        null=True,
        default=None,
    ),
    _treat_value_as_percentage=Boolean(default=False),
    _split_taxes_like_products=Boolean(default=False),
)

ORDER = Record(
    code=_Code(null=True, min_length=5, max_length=16, default=None),
    status=Choice(*STATUSES, default="n"),
    customer=Named("identifier", null=True, default=None),
    testmode=Boolean(default=False),
    consume_carts=ListOf(Text(max_length=255), null=True, max_length=1000, default=list),
    email=Email(null=True, blank=True, default=None),
    phone=Phone(null=True, blank=True, max_length=128, default=None),
    locale=Text(null=True, max_length=32, default=None),
    sales_channel=Named("identifier", SALES_CHANNELS, default="web"),
    payment_provider=_Provider(null=True, default=None),
    payment_info=Json(null=True, default=None),
    payment_date=DateTime(null=True, default=None),
    comment=Text(null=True, blank=True, default=None),
    api_meta=Json(null=True, default=None),
    custom_followup_at=Date(null=True, default=None),
    checkin_attention=Boolean(default=False),
    checkin_text=Text(null=True, blank=True, default=None),
    require_approval=Boolean(default=False),
    valid_if_pending=Boolean(default=False),
    expires=_Deadline(null=True, default=None),
    invoice_address=INVOICE_ADDRESS,
    positions=_Positions(POSITION),
    fees=ListOf(FEE, null=True, max_length=100, default=list),
    force=Boolean(default=False),
    simulate=Boolean(default=False),
    send_email=Boolean(null=True, default=False),
)
