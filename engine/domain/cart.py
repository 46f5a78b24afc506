"""A cart position as its hold carries it: what the ledger keeps packed and never looks into."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.catalogue import Event
from engine.domain.order import Answer

_RESERVATION_MINUTES = 30


class CartPosition(Struct, frozen=True, omit_defaults=True):
    """Everything about a cart position that is not the ledger's own: cart, product and times."""

    price: Decimal
    attendee_name_parts: dict[str, Any] = {}
    attendee_email: str | None = None
    answers: tuple[Answer, ...] = ()
    is_bundled: bool = False
    includes_tax: bool = True


_decoder = msgspec.json.Decoder(CartPosition)
_encoder = msgspec.json.Encoder()


def encode(position: CartPosition) -> bytes:
    return _encoder.encode(position)


def decode(payload: bytes) -> CartPosition:
    return _decoder.decode(payload)


def lifetime_ms(event: Event) -> int:
    """Return how long a cart position lives unless told: the event's reservation time (minutes)."""
    minutes = event.settings.get("reservation_time", _RESERVATION_MINUTES)
    return (minutes if isinstance(minutes, int) and 0 < minutes <= 525_600 else _RESERVATION_MINUTES) * 60_000
