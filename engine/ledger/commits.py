"""One order on its way through engine/lua/order_commit.lua: its arguments, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from engine.domain.catalogue import Event, Product
from engine.domain.errors import Busy, Duplicate, SeatsTaken, SoldOut, VoucherOverspent, VoucherSpent
from engine.domain.order import Order, encode
from engine.ledger import keys
from engine.ledger.outcomes import quoted, seat_field, seat_name
from engine.ledger.replies import KEEP_MS, Kept
from engine.ledger.values import Committed, Move, SeatMove, VoucherMove


class Commit(Struct, frozen=True):
    """What the script is told of one order."""

    keys: tuple[str, str, str]
    args: list[Any]


def commit(
    shard: int,
    event: Event,
    order: Order,
    document: bytes,
    *,
    moves: Sequence[Move],
    needs: Sequence[Product],
    carts: Sequence[str],
    mode: str,
    split_off: Order | None,
    vouchers: Sequence[VoucherMove],
    seats: Sequence[SeatMove],
    kept: Kept | None,
) -> Commit:
    """Return the arguments of one order, in the order of the script's contract."""
    key = keys.order(shard, event.id, order.code)
    split_key = keys.order(shard, event.id, split_off.code) if split_off else key
    args: list[Any] = [order.version - 1, order.id, document, mode]
    args += [split_off.id, encode(split_off)] if split_off else ["", b""]
    args += [kept.claim.owner, kept.reply, KEEP_MS] if kept else ["", b"", 0]
    args += [len(carts), len(moves), len(needs), len(vouchers), len(seats)]
    args += [quoted(cart) for cart in carts]
    for move in moves:
        args += [product_text(move.product), move.state, move.delta]
    args += [product_text(product) for product in needs]
    for use in vouchers:
        args += [use.voucher, use.delta, use.max_usages, use.amount, "" if use.budget is None else use.budget]
    for one in seats:
        args += [seat_field(one.seat), one.before, one.after, one.voucher]
    return Commit((key, split_key, kept.claim.key if kept else key), args)


def committed(shard: int, epoch: int, answer: list[Any]) -> Committed:
    """Return what was committed. Raises Duplicate, Busy, VoucherSpent, VoucherOverspent, SeatsTaken, SoldOut."""
    match answer[0]:
        case b"ok":
            return Committed(shard, entry_id(answer[1]) if answer[1] else (0, 0), epoch)
        case b"sold_out":
            raise SoldOut(list(zip(answer[1::2], answer[2::2], strict=True)))
        case b"seats_taken":
            raise SeatsTaken([seat_name(field) for field in answer[1:]])
        case b"used_up":
            raise VoucherSpent(dict(zip(answer[1::2], answer[2::2], strict=True)))
        case b"overspent":
            raise VoucherOverspent(answer[1:])
        case b"not_owner":
            raise Duplicate
        case _:
            raise Busy(reason="the order was changed by somebody else")


def entry_id(text: bytes) -> tuple[int, int]:
    """Return a stream id as numbers that compare in order."""
    ms, _, sequence = text.partition(b"-")
    return int(ms), int(sequence)


def product_text(product: Product) -> str:
    """Return a product as scripts name it."""
    return f"{product[0]}.{product[1]}.{product[2]}"
