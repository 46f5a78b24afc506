"""What scripts answer about groups and seats, as values."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import quote, unquote

from msgspec import Struct

from engine.domain.catalogue import Seat, SeatName
from engine.ledger.values import SeatTaken, Short, UsedUp

_SAFE = "@+="
_PLAIN = re.compile(r"[A-Za-z0-9_.~@+=-]*").fullmatch
"""What is as it is when quoted: nearly all names of carts and seats."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SeatOwner(Struct, frozen=True):
    """Who has a seat: a hold or an order, by id; both 0 if it is free."""

    hold: int = 0
    order: int = 0


def refused(what: bytes) -> Short | UsedUp | SeatTaken:
    """Return what a group cannot have, as engine/lua/hold_create.lua tells it."""
    kind, _, name = what.partition(b":") if b":" in what else (b"", b"", what)
    match kind:
        case b"seat":
            return SeatTaken(seat_name(name))
        case b"voucher":
            return UsedUp(int(name))
    return Short(int(name))


def quoted(name: str) -> str:
    """Return a name in a form that has neither bars nor spaces."""
    return name if _PLAIN(name) else quote(name, safe=_SAFE)


def seat_field(seat: SeatName) -> str:
    """Return the field of a seat in its event's hash."""
    return f"{seat[0]}.{quoted(seat[1])}"


def seat_name(field: bytes) -> SeatName:
    """Return the seat that a field is about."""
    subevent, _, guid = field.partition(b".")
    return int(subevent), unquote(guid.decode())


def seat_mark(seat: Seat) -> str:
    """Return what stands behind the owner of a seat."""
    if seat.blocked:
        return "|b"
    if not seat.voucher:
        return ""
    if seat.voucher_until is None:
        return f"|v{seat.voucher}"
    return f"|v{seat.voucher},{(seat.voucher_until - _EPOCH) // dt.timedelta(milliseconds=1)}"


def seat_owner(value: bytes) -> SeatOwner:
    """Return who has a seat, from its value."""
    owner = value.partition(b"|")[0]
    match owner[:1]:
        case b"h":
            return SeatOwner(hold=int(owner[1:]))
        case b"o":
            return SeatOwner(order=int(owner[1:]))
    return SeatOwner()
