"""X-Idempotency-Key: a write that is sent again gets the reply it got before (docs/decisions/0002-idempotency.md)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable

from msgspec import msgpack

from engine.domain.errors import Fenced, Invalid, Lost
from engine.http.call import Call, Reply, unconfirmed
from engine.http.cart_bodies import CartReply
from engine.ledger.replies import Claim, Replay
from engine.sales import orders

METHODS = frozenset({"POST", "PATCH", "PUT", "DELETE"})

_KEY_LENGTH_MAX = 255
_NOT_KEPT = frozenset({202, 409, 429, 500, 503})
"""What the same request need not get again: replies that say to try again, and the one that is not certain yet."""

_decoder = msgpack.Decoder(Reply | CartReply)


def asked(call: Call) -> bool:
    """Tell whether a request has a key that means anything."""
    return call.request.idempotency_key is not None and call.request.method in METHODS


async def once(call: Call, work: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return what `work` replies, or what it replied to the request that came first with this key.

    Scripts that do the work keep the reply themselves (`Call.kept`); all other replies are kept here, after the work.
    Raises Invalid for a key that is too long, Duplicate, KeyReused.
    """
    key = call.request.idempotency_key
    if not key:
        return await work()
    if len(key) > _KEY_LENGTH_MAX:
        raise Invalid.detail(f"An idempotency key cannot have more than {_KEY_LENGTH_MAX} characters.")
    claim = await call.house.ledger.reply_claim(
        call.event,
        name(call.principal.token_hash, call.params.get("event", ""), key),
        fingerprint(call.request.method, call.request.line.raw_path, await call.raw_body()),
    )
    if isinstance(claim, Replay):
        return await _replayed(call, claim)
    call.claim = claim
    done = await work()
    await _keep(call, claim, done)
    return done


def name(token_hash: bytes, event: str, key: str) -> str:
    """Return what a key is known by: the same text with another token, or in another event, is another key."""
    return _digest(token_hash, _bytes(event), _bytes(key))


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Return what tells one request from another; the path comes with its query, and as it was sent."""
    return _digest(_bytes(method), _bytes(path), body)


async def _replayed(call: Call, replay: Replay) -> Reply:
    done: Reply | CartReply = _decoder.decode(replay.reply)
    if isinstance(done, CartReply):
        return done.filled(replay.outcomes())
    told = replay.order()
    try:
        if told is None or await orders.confirmed(call.house, told) or done.status >= 400:
            return done
    except Lost:
        if await call.house.ledger.reply_written(replay):
            return done  # what it tells of was there, and has been deleted since
        await call.house.ledger.reply_forget(replay)
        raise
    return unconfirmed(done)


async def _keep(call: Call, claim: Claim, done: Reply) -> None:
    kept = b"" if done.secret or done.status in _NOT_KEPT else msgpack.encode(done)
    # the work is done, and saying so is worth more than keeping it; without an owner the claim ends by itself
    with contextlib.suppress(Fenced):
        await call.house.ledger.reply_store(claim, kept)


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(b"%d:" % len(part))
        whole.update(part)
    return whole.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
