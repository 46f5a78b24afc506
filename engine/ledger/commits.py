"""One order on its way through engine/lua/order_commit.lua: its arguments, and what the answer means."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec import Raw, Struct
from msgspec.msgpack import Encoder

from engine.domain.catalogue import Event, Product
from engine.domain.errors import Busy, Duplicate, SeatsTaken, SoldOut, VoucherOverspent, VoucherSpent
from engine.domain.order import Order, encode
from engine.ledger import keys
from engine.ledger.outcomes import quoted, seat_field, seat_name
from engine.ledger.replies import KEEP_MS, Kept
from engine.ledger.values import DELETED, Committed, Move, SeatMove, VoucherMove

_encode = Encoder().encode
_text_head = struct.Struct(">BI").pack
_KIND_MAX = 30
"""Moves and needs of an order that are remembered as words."""


class Commit(Struct, frozen=True):
    """What the script is told of one order: its key, those of its split and its reply, its kind, words and document."""

    key: str
    more_keys: list[str]
    kind: tuple[Any, ...]
    words: tuple[Any, ...]
    document: bytes


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
    """Return what the script is told of one order, in the order of its contract."""
    version = str(order.version) if document else str(DELETED)
    more_keys: list[str] = []
    more: dict[str, Any] = {}
    if split_off is not None:
        more_keys.append(keys.order(shard, event.id, split_off.code))
        more["split"] = [str(split_off.id), _text(encode(split_off))]
    if kept is not None:
        more_keys.append(kept.claim.key)
        more["reply"] = [kept.claim.owner, _text(kept.reply), KEEP_MS]
    if more_keys or not document:
        more["id"] = str(order.id)
    if vouchers:
        more["vouchers"] = uses = []
        for use in vouchers:
            uses += [str(use.voucher), use.delta, use.max_usages, use.amount, use.budget is not None and use.budget]
    if seats:
        more["seats"] = passed = []
        for one in seats:
            passed += [seat_field(one.seat), str(one.before), str(one.after), str(one.voucher)]
    cart: str | bool = quoted(carts[0]) if carts else False
    if len(carts) > 1:
        more["carts"] = [quoted(name) for name in carts[1:]]
    kind = _kind if len(moves) + len(needs) <= _KIND_MAX else _kind.__wrapped__
    words = (str(order.version - 1), version, cart, more or False)
    key = keys.order(shard, event.id, order.code)
    return Commit(key, more_keys, kind(mode, tuple(moves), tuple(needs)), words, document)


@lru_cache(maxsize=1000)
def _kind(mode: str, moves: tuple[Move, ...], needs: tuple[Product, ...]) -> tuple[Any, ...]:
    words: list[Any] = [mode, len(moves)]
    for move in moves:
        words += [product_text(move.product), move.state, move.delta]
    words += map(product_text, needs)
    return tuple(words)


def together(version: int | None, listed_ms: int, commits: Sequence[Commit]) -> tuple[list[str], list[bytes]]:
    """Return the keys of orders that share a call, and the arguments that say what they are."""
    script_keys = [one.key for one in commits]
    kinds: dict[tuple[Any, ...], int] = {}
    words: list[Any] = []
    for one in commits:
        script_keys += one.more_keys
        words.append(kinds.setdefault(one.kind, len(kinds) + 1))
        words += one.words
    told = _encode([False if version is None else version, listed_ms, list(kinds), *words])
    return script_keys, [told, *[one.document for one in commits]]


def _text(data: bytes) -> Raw:
    """Return bytes as a MessagePack string of 32 bits of length: scripts read no other bytes."""
    return Raw(_text_head(0xDB, len(data)) + data)


def committed(shard: int, epoch: int, answer: bytes | list[Any]) -> Committed:
    """Return what was committed. Raises Duplicate, Busy, VoucherSpent, VoucherOverspent, SeatsTaken, SoldOut."""
    if isinstance(answer, bytes):
        return Committed(shard, entry_id(answer) if answer else (0, 0), epoch)
    match answer[0]:
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


@lru_cache(maxsize=256)
def entry_id(text: bytes) -> tuple[int, int]:
    """Return a stream id as numbers that compare in order; all orders of a call are in one entry."""
    ms, _, sequence = text.partition(b"-")
    return int(ms), int(sequence)


def product_text(product: Product) -> str:
    """Return a product as scripts name it."""
    return f"{product[0]}.{product[1]}.{product[2]}"
