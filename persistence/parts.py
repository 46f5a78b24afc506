"""The part of an order's document that Postgres has columns for (engine.domain.order.Order is the whole)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

_Moment = Annotated[dt.datetime, Meta(tz=True)]


class Payment(Struct, frozen=True, gc=False):
    provider: str


class Seat(Struct, gc=False):
    seat_guid: str | None = None


class Position(Struct, gc=False):
    id: int
    positionid: int
    item: int
    price: str
    tax_value: str
    secret: str
    pseudonymization_id: str
    canceled: bool = False
    variation: int | None = None
    subevent: int | None = None
    attendee_name_parts: dict[str, Any] | None = None
    attendee_name: str | None = None
    attendee_email: str | None = None
    voucher: int | None = None
    voucher_budget_use: str | None = None
    addon_to: int | None = None
    checkins: tuple[msgspec.Raw, ...] = ()
    has_left: bool = False
    seat: Seat | None = None


class Address(Struct, gc=False):
    company: str = ""
    name_parts: dict[str, Any] = {}


class Order(Struct, gc=False):
    """Amounts and `expires` are as they stand in the document.

    Of what few orders have it matters here only that it is there.
    """

    id: int
    organizer_id: int
    event_id: int
    version: Annotated[int, Meta(gt=0)]
    code: str
    status: Literal["n", "p", "e", "c"]
    datetime: _Moment
    expires: str
    last_modified: _Moment
    total: str
    testmode: bool = False
    email: str | None = None
    customer: str | None = None
    locale: str = "en"
    sales_channel: str = "web"
    comment: str = ""
    require_approval: bool = False
    invoice_address: Address | None = None
    positions: list[Position] = []
    payments: tuple[Payment, ...] = ()
    blocked_secrets: tuple[msgspec.Raw, ...] = ()
    mails: tuple[msgspec.Raw, ...] = ()
    split_from: int | None = None


_decoder = msgspec.json.Decoder(Order)


def moment(text: str) -> dt.datetime:
    """Return a moment of a document. Raises ValueError if it is none."""
    try:
        return msgspec.convert(text, _Moment)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def decode(document: bytes) -> Order:
    """Return the part of a document. Raises msgspec.MsgspecError or RecursionError if it is no order."""
    return _decoder.decode(document)
