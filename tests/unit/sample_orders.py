"""Orders and an event to try the rules on."""

import datetime as dt
from decimal import Decimal

from engine.domain.catalogue import Event
from engine.domain.order import Fee, Order, OrderStatus, Payment, PaymentState, Position, Refund, RefundState

NOW = dt.datetime(2031, 3, 5, 12, 0, tzinfo=dt.UTC)
EARLIER = NOW - dt.timedelta(days=2)
LATER = NOW + dt.timedelta(days=7)

EVENT = Event(
    id=1,
    organizer_id=1,
    organizer="bigevents",
    slug="conf",
    version=1,
    currency="EUR",
    timezone="Europe/Berlin",
    testmode=False,
    has_subevents=False,
    plugins=(),
    settings={},
    items={},
    tax_rules={},
    questions={},
    subevents={},
    quotas={},
    products={},
    quotas_by_product={},
)

BANK = {"payer": "Peter Miller", "iban": "DE02120300000000202051", "bic": "BYLADEM1001"}


def position(number, price="23.00", **fields):
    return Position(
        id=100 + number,
        positionid=number,
        item=7,
        price=Decimal(price),
        tax_rate=Decimal("0.00"),
        tax_value=Decimal("0.00"),
        secret=f"s{number}",
        pseudonymization_id=f"P{number}",
        **fields,
    )


def fee(number, value):
    return Fee(
        id=number,
        fee_type="payment",
        value=Decimal(value),
        description="",
        internal_type="",
        tax_rate=Decimal("0.00"),
        tax_value=Decimal("0.00"),
    )


def payments(*rows):
    """Return payments of (state, amount) by hand, or of (state, amount, provider)."""
    return tuple(
        Payment(
            local_id=number,
            state=PaymentState(row[0]),
            amount=Decimal(row[1]),
            created=EARLIER,
            provider=row[2] if len(row) > 2 else "manual",
            info=BANK if row[2:] == ("banktransfer",) else {},
        )
        for number, row in enumerate(rows, 1)
    )


def refunds(*rows):
    """Return refunds of (state, amount, local_id of the payment or None)."""
    return tuple(
        Refund(
            local_id=number,
            state=RefundState(state),
            source="admin",
            amount=Decimal(amount),
            created=EARLIER,
            provider="manual",
            payment=payment,
        )
        for number, (state, amount, payment) in enumerate(rows, 1)
    )


def order(status="n", *, total="23.00", paid=(), given_back=(), **fields):
    """Return an order of one ticket over `total` unless `positions` says otherwise."""
    fields.setdefault("positions", (position(1, total),))
    return Order(
        id=1,
        organizer_id=1,
        event_id=1,
        version=3,
        code="ABCDE",
        status=OrderStatus(status),
        secret="k24fiuwvu8kxz3y1",
        datetime=EARLIER,
        expires=fields.pop("expires", LATER),
        last_modified=EARLIER,
        total=Decimal(total),
        payments=payments(*paid),
        refunds=refunds(*given_back),
        **fields,
    )


def changed(before, after):
    """Return the names of the fields in which two orders differ."""
    return {name for name in Order.__struct_fields__ if getattr(before, name) != getattr(after, name)}
