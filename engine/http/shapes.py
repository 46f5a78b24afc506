"""What answers look like: orders and all that belongs to them are answered as these very Structs (resources.py).

The others are put together by hand, and these are for the API's document alone. A test holds each against what a
running server answers (tests/openapi/), so they cannot drift.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from engine.domain.catalogue import SeatPlace
from engine.domain.order import Answer, OrderStatus, PaymentState, RefundState


class Organizer(Struct):
    name: str
    slug: str


class Token(Struct):
    id: int
    name: str
    active: bool


class NewToken(Token):
    """The only answer that has the token's text."""

    token: str


class Availability(Struct):
    """The units of a quota as they are at this instant; null is unlimited."""

    available: bool
    available_number: int | None
    total_size: int | None
    pending_orders: int
    paid_orders: int
    exited_orders: int
    cart_positions: int
    blocking_vouchers: int
    waiting_list: int


class Seat(Struct):
    id: int
    subevent: int | None
    zone_name: str
    row_name: str
    row_label: str | None
    seat_number: str
    seat_label: str | None
    seat_guid: str
    product: int | None
    blocked: bool
    orderposition: int | None
    cartposition: int | None
    voucher: int | None


class Download(Struct, gc=False):
    output: str
    url: str


class Checkin(Struct, gc=False):
    id: int
    list: int
    datetime: dt.datetime
    type: str
    gate: None
    device: None
    device_id: None
    auto_checked_in: bool


class OrderPosition(Struct, gc=False):
    """One ticket of an order."""

    id: int
    order: str
    positionid: int
    canceled: bool
    item: int
    variation: int | None
    price: Decimal
    attendee_name: str | None
    attendee_name_parts: dict[str, Any]
    attendee_email: str | None
    company: str | None
    street: str | None
    zipcode: str | None
    city: str | None
    country: str | None
    state: str | None
    voucher: int | None
    voucher_budget_use: Decimal | None
    tax_rate: Decimal
    tax_value: Decimal
    tax_rule: int | None
    secret: str
    addon_to: int | None
    subevent: int | None
    discount: int | None
    blocked: tuple[str, ...] | None
    valid_from: dt.datetime | None
    valid_until: dt.datetime | None
    pseudonymization_id: str
    checkins: list[Checkin] = []
    downloads: list[Download] = []
    answers: tuple[Answer, ...] = ()
    seat: SeatPlace | None = None
    pdf_data: dict[str, str] | UnsetType = UNSET


class Fee(Struct, gc=False):
    id: int
    fee_type: str
    value: Decimal
    description: str
    internal_type: str
    tax_rate: Decimal
    tax_value: Decimal
    tax_rule: int | None
    canceled: bool


class Payment(Struct, gc=False):
    local_id: int
    state: PaymentState
    amount: Decimal
    created: dt.datetime
    payment_date: dt.datetime | None
    provider: str
    payment_url: str | None
    details: dict[str, Any]


class Refund(Struct, gc=False):
    """`payment` is the local_id of what is given back."""

    local_id: int
    state: RefundState
    source: str
    amount: Decimal
    payment: int | None
    created: dt.datetime
    execution_date: dt.datetime | None
    comment: str | None
    provider: str
    details: dict[str, Any]


class InvoiceAddress(Struct, gc=False):
    last_modified: dt.datetime
    is_business: bool
    company: str
    name: str
    name_parts: dict[str, Any]
    street: str
    zipcode: str
    city: str
    country: str
    state: str
    internal_reference: str
    custom_field: str | None
    vat_id: str
    vat_id_validated: bool


class Order(Struct, gc=False):
    """`datetime` is null in a simulation alone; `durable` is there, and false, with status 202 alone."""

    code: str
    event: str
    status: OrderStatus
    testmode: bool
    secret: str
    email: str | None
    phone: str | None
    customer: str | None
    locale: str
    sales_channel: str
    datetime: dt.datetime | None
    expires: dt.datetime
    payment_date: dt.date | None
    payment_provider: str | None
    total: Decimal
    comment: str
    api_meta: dict[str, Any]
    custom_followup_at: dt.date | None
    checkin_attention: bool
    checkin_text: str | None
    invoice_address: InvoiceAddress | None
    positions: list[OrderPosition]
    fees: list[Fee]
    downloads: list[Download]
    require_approval: bool
    valid_if_pending: bool
    url: str
    payments: list[Payment]
    refunds: list[Refund]
    last_modified: dt.datetime


class ScannedPosition(OrderPosition, kw_only=True):
    order__status: OrderStatus
    order__valid_if_pending: bool
    order__require_approval: bool


class ScanList(Struct):
    id: int
    name: str
    event: str
    subevent: int | None
    include_pending: bool


class Scan(Struct):
    """What whoever stands at the door is told."""

    status: str
    require_attention: bool
    checkin_texts: tuple[str, ...]
    list: ScanList
    position: ScannedPosition


class TurnedScan(Scan):
    reason: str
    reason_explanation: str | None


class UnknownScan(Struct):
    """No such ticket."""

    detail: str
    status: str
    reason: str
    reason_explanation: str | None
    require_attention: bool
    checkin_texts: tuple[str, ...]
    list: ScanList


class BlockedSecret(Struct):
    id: int
    secret: str
    blocked: bool
    updated: dt.datetime


class RevokedSecret(Struct):
    id: int
    secret: str
    created: dt.datetime
