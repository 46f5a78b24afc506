"""The order: the one value that moves from the rules through Redis to Postgres.

An `Order` is immutable. A rule takes the stored order and a request and returns the next version; `order_commit` makes
it true, the outbox carries it whole, the drain writes it. Its JSON form (msgspec) is what Redis stores, what the stream
carries and what Postgres reads, so field names here are also names in persistence/sql/orders.sql. Fields that have
their default are left out of it, which halves it.

Money is Decimal with the currency's places, times are aware UTC datetimes. (spec/orders.txt, Order resource ff.)
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.catalogue import SeatPlace


class OrderStatus(StrEnum):
    PENDING = "n"
    PAID = "p"
    EXPIRED = "e"
    CANCELED = "c"


class PaymentState(StrEnum):
    CREATED = "created"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUNDED = "refunded"


class RefundState(StrEnum):
    CREATED = "created"
    TRANSIT = "transit"
    EXTERNAL = "external"
    CANCELED = "canceled"
    FAILED = "failed"
    DONE = "done"


class MailKind(StrEnum):
    """What a mail tells the buyer."""

    PLACED = "placed"
    PAID = "paid"
    CANCELED = "canceled"
    APPROVED = "approved"
    DENIED = "denied"
    CHANGED = "changed"
    LINK = "link"


class Answer(Struct, frozen=True, gc=False):
    """One answer to a question; `options` and `option_identifiers` only for choice types.

    Bodies of cart positions show it as it is, so its defaults are written too.
    """

    question: int
    answer: str
    question_identifier: str
    options: tuple[int, ...] = ()
    option_identifiers: tuple[str, ...] = ()


class InvoiceAddress(Struct, frozen=True, omit_defaults=True, gc=False):
    last_modified: dt.datetime
    is_business: bool = False
    company: str = ""
    name_parts: dict[str, Any] = {}
    street: str = ""
    zipcode: str = ""
    city: str = ""
    country: str = ""
    state: str = ""
    internal_reference: str = ""
    custom_field: str | None = None
    vat_id: str = ""
    vat_id_validated: bool = False


class Checkin(Struct, frozen=True, omit_defaults=True, gc=False):
    """A scan of a ticket by a check-in list, of type entry or exit; `reentry` if that lets people in again.

    `nonce` is the name that the scanner gave it, if any.
    """

    id: int
    list: int
    datetime: dt.datetime
    type: str
    reentry: bool = False
    nonce: str = ""


class Position(Struct, frozen=True, omit_defaults=True, gc=False):
    """One ticket. `addon_to` is the id of the base position; `positionid` counts from 1 and is never reused.

    `attendee_name` is the name that the parts make, for filters and orderings. `checkins` has the latest first,
    `has_left` says that its holder has left for good.
    """

    id: int
    positionid: int
    item: int
    price: Decimal
    tax_rate: Decimal
    tax_value: Decimal
    secret: str
    pseudonymization_id: str
    canceled: bool = False
    variation: int | None = None
    tax_rule: int | None = None
    attendee_name_parts: dict[str, Any] = {}
    attendee_name: str | None = None
    attendee_email: str | None = None
    company: str | None = None
    street: str | None = None
    zipcode: str | None = None
    city: str | None = None
    country: str | None = None
    state: str | None = None
    voucher: int | None = None
    voucher_budget_use: Decimal | None = None
    addon_to: int | None = None
    is_bundled: bool = False
    subevent: int | None = None
    discount: int | None = None
    blocked: tuple[str, ...] | None = None
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    answers: tuple[Answer, ...] = ()
    checkins: tuple[Checkin, ...] = ()
    has_left: bool = False
    seat: SeatPlace | None = None


class BlockedSecret(Struct, frozen=True, omit_defaults=True, gc=False):
    """A ticket secret that is or was blocked; it stays on record when the ticket gets another one."""

    secret: str
    blocked: bool
    updated: dt.datetime


class Fee(Struct, frozen=True, omit_defaults=True, gc=False):
    id: int
    fee_type: str
    value: Decimal
    description: str
    internal_type: str
    tax_rate: Decimal
    tax_value: Decimal
    tax_rule: int | None = None
    canceled: bool = False


class Payment(Struct, frozen=True, omit_defaults=True, gc=False):
    """`info` is the provider's own data, as sent; never shown."""

    local_id: int
    state: PaymentState
    amount: Decimal
    created: dt.datetime
    provider: str
    payment_date: dt.datetime | None = None
    info: dict[str, Any] = {}


class Refund(Struct, frozen=True, omit_defaults=True, gc=False):
    """`payment` is the local_id of the payment that is given back, if any."""

    local_id: int
    state: RefundState
    source: str
    amount: Decimal
    created: dt.datetime
    provider: str
    payment: int | None = None
    comment: str | None = None
    execution_date: dt.datetime | None = None
    info: dict[str, Any] = {}


class Mail(Struct, frozen=True, omit_defaults=True, gc=False):
    """What the buyer is told of one version of the order; `comment` is in the seller's own words."""

    version: int
    kind: MailKind
    comment: str = ""


class Order(Struct, frozen=True, omit_defaults=True, gc=False):
    """`version` counts commits: 1 when created. All positions and fees ever, canceled ones included.

    Only a split takes positions away; `positionid_gone` is the highest number among those. `mails` are all that were
    ever asked for, so that none is missed where several versions are written as one. An invoice that was made from a
    version before `invoice_from` is to follow what has changed. `split_from` is the id of the order it was part of.
    Versions up to `imported` came from another server, which has told of them; `elsewhere` is what it said besides, by
    "order" or "positions/1" and the like.
    """

    id: int
    organizer_id: int
    event_id: int
    version: int
    code: str
    status: OrderStatus
    secret: str
    datetime: dt.datetime
    expires: dt.datetime
    last_modified: dt.datetime
    total: Decimal
    testmode: bool = False
    email: str | None = None
    phone: str | None = None
    customer: str | None = None
    locale: str = "en"
    sales_channel: str = "web"
    comment: str = ""
    api_meta: dict[str, Any] = {}
    custom_followup_at: dt.date | None = None
    checkin_attention: bool = False
    checkin_text: str | None = None
    require_approval: bool = False
    valid_if_pending: bool = False
    invoice_address: InvoiceAddress | None = None
    positions: tuple[Position, ...] = ()
    fees: tuple[Fee, ...] = ()
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    blocked_secrets: tuple[BlockedSecret, ...] = ()
    mails: tuple[Mail, ...] = ()
    positionid_gone: int = 0
    invoice_from: int = 0
    split_from: int | None = None
    imported: int = 0
    elsewhere: dict[str, dict[str, Any]] = {}


_decoder = msgspec.json.Decoder(Order)
_encoder = msgspec.json.Encoder()


def encode(order: Order) -> bytes:
    """Return the JSON form: what Redis stores, the outbox carries and Postgres reads."""
    return _encoder.encode(order)


def decode(data: bytes | str) -> Order:
    """Return the order of its JSON form. Raises msgspec.ValidationError if it is none."""
    return _decoder.decode(data)
