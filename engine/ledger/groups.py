"""Groups of holds on their way through engine/lua/hold_create.lua: its arguments, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.ledger.commits import product_text
from engine.ledger.outcomes import quoted, refused
from engine.ledger.values import Held, HoldGroup, HoldPosition, Outcome, SeatTaken, Short, UsedUp
from engine.meters import METERS

_REASONS: dict[type, str] = {Short: "sold_out", SeatTaken: "seat", UsedUp: "voucher"}


def packed(groups: Sequence[HoldGroup]) -> list[Any]:
    """Return what positions have in common, each once, and the groups, as the script's contract has them.

    Most of what is held at once differs in nothing but its cart, or not at all.
    """
    kinds: dict[tuple[str, int, int | None], int] = {}
    told: list[Any] = []
    run = 0  # where the length of a run stands that may go on
    any_other = False
    cart_id = cart = payload = ""
    before, ttl_ms, deadline_ms, number, is_plain = None, 0, None, 0, False
    for group in groups:
        positions = group.positions
        one = positions[0]
        if one is not before or group.ttl_ms != ttl_ms or group.deadline_ms != deadline_ms:
            before, ttl_ms, deadline_ms = one, group.ttl_ms, group.deadline_ms
            number = kinds.setdefault((product_text(one.product), ttl_ms, deadline_ms), len(kinds) + 1)
            is_plain = not one.seat and one.voucher is None
            payload = one.payload.decode()
        if group.cart_id != cart_id:
            cart_id = group.cart_id
            cart = quoted(cart_id)
        if not is_plain or len(positions) > 1:
            told += (0, len(positions))
            for each in positions:
                kind = (product_text(each.product), ttl_ms, deadline_ms)
                told += (kinds.setdefault(kind, len(kinds) + 1), cart, each.payload.decode(), *_own(each))
            run, any_other = 0, True
            continue
        if run and told[run - 1] == number:
            count = told[run]
            if count < 2 and cart == told[-2] and payload == told[-1]:
                told[run] = -1 - abs(count)
                continue
            if count > 0:
                told[run] = count + 1
                told += (cart, payload)
                continue
        run = len(told) + 1
        told += (number, 1, cart, payload)
    return [list(kinds), told, any_other]


def _own(one: HoldPosition) -> tuple[str, str, int, int, int]:
    voucher = one.voucher
    if voucher is None:
        return quoted(one.seat), "0", 0, 0, one.parent + 1
    return quoted(one.seat), str(voucher.voucher), voucher.max_usages, int(voucher.skips_quota), one.parent + 1


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
