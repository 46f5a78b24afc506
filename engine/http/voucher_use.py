"""Vouchers as carts and orders name them: by code, and only for what they are meant for.

Whether a voucher can be used once more is for the ledger to decide. (spec/facts.md, Carts, Creating orders)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from engine.domain import clock
from engine.domain.catalogue import Event, Product, Seat, Voucher, code_key
from engine.domain.new_order import Line, within_budgets
from engine.domain.vouchers import applies, expired
from engine.http.call import Call
from engine.http.fields import Field, FieldError, Form

_CODE_LENGTH_MAX = 255


async def know_vouchers(call: Call, rows: Iterable[Any]) -> None:
    """Look up the vouchers that rows of a body name, so that the event of the call has them."""
    await know_codes(call, [row["voucher"] for row in rows if isinstance(row, dict) and row.get("voucher")])


async def know_codes(call: Call, named: Collection[Any]) -> None:
    """Look up the vouchers with these codes; what is none is passed over."""
    assert call.event is not None
    if named:
        texts = {str(code).strip() for code in named if isinstance(code, str | int | Decimal)}
        codes = {text for text in texts if len(text) <= _CODE_LENGTH_MAX and text.isprintable()}
        call.event = await call.house.catalogue.with_vouchers(call.event, codes)


class VoucherField(Field):
    """A voucher of the event by its exact code, as orders name it."""

    def clean(self, value: Any, event: Event | None) -> Voucher:
        assert event is not None
        if not isinstance(value, str):
            raise FieldError("Invalid value.")
        found = event.vouchers.get(code_key(value))
        if found is None or found.code != value:
            raise FieldError(f"Object with code={value} does not exist.")
        return found

    def form(self) -> Form:
        return {"type": "string", "maxLength": _CODE_LENGTH_MAX}


def cart_voucher(code: str, product: Product, seat: Seat | None, event: Event) -> Voucher:
    """Return the voucher of a cart position, whose code may be in any case. Raises FieldError if it does not fit."""
    voucher = event.vouchers.get(code_key(code))
    if voucher is None:
        complaint = "The specified voucher does not exist."
    elif not applies(voucher, event, product):
        complaint = "The specified voucher is not valid for the given item and variation."
    elif voucher.seat and (seat is None or voucher.seat != seat.place.seat_guid):
        complaint = "The specified voucher is not valid for this seat."
    elif voucher.subevent and voucher.subevent != product[2]:
        complaint = "The specified voucher is not valid for this subevent."
    elif expired(voucher, clock.now()):
        complaint = "The specified voucher is expired."
    else:
        return voucher
    raise FieldError({"voucher": [complaint]})


def misuse(line: Line, voucher: Voucher, event: Event) -> str | None:
    """Say why a position of an order cannot have its voucher, if so."""
    if line.addon_to:
        return "Vouchers are currently not supported for add-on products."
    if not applies(voucher, event, line.product):
        return "This voucher is not valid for this product."
    if voucher.subevent and (line.subevent is None or voucher.subevent != line.subevent.id):
        return "This voucher is not valid for this event date."
    if voucher.seat and (line.seat is None or line.seat.place.seat_guid != voucher.seat):
        return "This voucher is not valid for this seat."
    if expired(voucher, clock.now()):
        return "This voucher is expired."
    return None


async def bounded(call: Call, lines: list[Line], event: Event) -> list[Line]:
    """Return the lines with no more taken off than the budgets of their vouchers have left. Raises Invalid."""
    limited = {
        line.voucher.id: line.voucher.budget for line in lines if line.voucher and line.voucher.budget is not None
    }
    if not limited:
        return lines
    uses = await call.house.ledger.voucher_uses(event, list(limited))
    left = {number: budget - Decimal(uses[number].spent) / 100 for number, budget in limited.items()}
    return within_budgets(lines, left, event)
