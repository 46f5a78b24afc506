"""Groups of holds on their way through engine/lua/hold_create.lua: its arguments, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.ledger.commits import product_text
from engine.ledger.outcomes import quoted, refused
from engine.ledger.values import Held, HoldGroup, HoldPosition, Outcome, SeatTaken, Short, UsedUp
from engine.meters import METERS

_encode = msgspec.msgpack.Encoder().encode
_REASONS: dict[type, str] = {Short: "sold_out", SeatTaken: "seat", UsedUp: "voucher"}


def packed(groups: Sequence[HoldGroup]) -> tuple[bytes, bytes]:
    """Return what positions have in common, each once, and the positions, as the script's contract has them.

    Most of what is held at once differs in nothing but its cart.
    """
    kinds: dict[tuple[Any, ...], int] = {}
    positions: list[Any] = []
    cart_id = cart = ""
    before: tuple[HoldPosition | None, int, int | None] = (None, 0, None)
    place = 0
    for group in groups:
        if group.cart_id != cart_id:
            cart_id = group.cart_id
            cart = quoted(cart_id)
        name, ttl_ms, deadline_ms = cart, group.ttl_ms, group.deadline_ms
        for one in group.positions:
            if one is not before[0] or ttl_ms != before[1] or deadline_ms != before[2]:
                before = (one, ttl_ms, deadline_ms)
                place = kinds.setdefault(_kind(one, ttl_ms, deadline_ms), len(kinds) + 1)
            positions += (place, name, one.payload.decode())
            name = ""  # the others of the group are in its cart
    return _encode(list(kinds)), _encode(positions)


def _kind(one: HoldPosition, ttl_ms: int, deadline_ms: int | None) -> tuple[Any, ...]:
    product, voucher = product_text(one.product), one.voucher
    if not one.seat and voucher is None and one.parent < 0:
        return product, ttl_ms, deadline_ms
    use = ("0", 0, 0) if voucher is None else (str(voucher.voucher), voucher.max_usages, int(voucher.skips_quota))
    return product, ttl_ms, deadline_ms, quoted(one.seat), *use, one.parent + 1


def outcomes(answer: list[Any], groups: Sequence[HoldGroup]) -> list[Outcome]:
    """Return what became of each group, and count it."""
    now_ms, first = answer[1], answer[3]
    lacking = dict(zip(answer[4::2], answer[5::2], strict=True))
    told: list[Outcome] = []
    for place, group in enumerate(groups, 1):
        if place in lacking:
            lacks = refused(lacking[place])
            METERS.refuse(_REASONS[type(lacks)])
            told.append(lacks)
            continue
        after = first + len(group.positions)
        deadline_ms = now_ms + group.ttl_ms if group.deadline_ms is None else group.deadline_ms
        told.append(Held(list(range(first, after)), now_ms, deadline_ms))
        first = after
    METERS.holds += first - answer[3]
    return told
