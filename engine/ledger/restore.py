"""Restoring an outbox: somebody has deleted that of a running server, and what waited in it for Postgres is lost.

Nothing else is. An order that Postgres lacks stays in Redis without an end of life, replies that tell of it stay for a
day; quotas say of themselves what was allowed beyond their size and which are closed. So the outbox can be made
anew, and no script has written anything since (engine/lua/order_commit.lua). Or it is Postgres that has lost something,
a standby that lagged: what it had, and Redis still knows, it is told again. For the fence alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from engine.domain.order import decode
from engine.ledger import keys
from engine.ledger.pipe import Pipe
from persistence import orders, outbox, sequences
from persistence.database import Session
from persistence.outbox import Mark

log = logging.getLogger("holdfast.fence")

_PAGE = 500
_VERSION = 5
"""Where an entry of an order says which version it is."""
_COMMITTED = re.compile(rb"\d+-\d+ \d+ (\d+) \d+")
"""What a reply has as decided that tells of an order; its id."""


async def restore_outboxes(session: Session, pipe: Pipe, marks: Sequence[Mark]) -> None:
    """Make the outboxes of shards anew, with all that Postgres lacks; `last` of a shard is the last entry then.

    Ids go on from the watermark one by one, so that none is later than that of the entry that was lost: nobody who
    waits for one is told that Postgres has it while others are still to be written.
    """
    found: dict[bytes, list[bytes]] = {f"{keys.prefix(mark.shard)}".encode(): [] for mark in marks}
    cursor: Any = 0
    while True:
        cursor, page = await pipe.call("SCAN", cursor, "MATCH", f"{keys.LAYOUT}:{{s*", "COUNT", 2 * _PAGE)
        for key in page:
            whose = key[: key.find(b"}") + 2]
            if whose in found and key.startswith((whose + b"order:", whose + b"event:", whose + b"reply:")):
                found[whose].append(key)
        if int(cursor) == 0:
            break
    for mark in marks:
        # SCAN may tell of a key twice; and orders come before events
        known = sorted(set(found[f"{keys.prefix(mark.shard)}".encode()]), reverse=True)
        await _restore(session, pipe, mark, known)


async def _restore(session: Session, pipe: Pipe, mark: Mark, known: Sequence[bytes]) -> None:
    # under a name of its own: who has stood still may go on with one that he had begun
    shard, made = mark.shard, keys.restored(mark.shard, secrets.token_hex(8))
    ms, sequence = mark.last
    count = older = 0
    replies = await _replies(pipe, [key for key in known if b":reply:" in key])
    known = [key for key in known if b":reply:" not in key]
    for first in range(0, len(known), _PAGE):
        entries, again = await _lost(session, pipe, known[first : first + _PAGE], replies)
        older += again
        # as any other entry says: whoever takes some of these out, too, is noticed
        await asyncio.gather(
            *(
                pipe.call("XADD", made, f"{ms}-{n + 1}", "after", f"{ms}-{n}", *entry)
                for n, entry in enumerate(entries, sequence + count)
            )
        )
        count += len(entries)
    # once Postgres has let go of us somebody else may be elected, and have made it anew himself
    await outbox.require(session)
    # that there is an outbox, even an empty one, does not make the shard whole; and its newest entry is not that which
    # was lost: a drain that has all of this one written already would miss it
    await pipe.call("HSET", keys.shard(shard), "restored", 1, "last", f"{ms}-{sequence + count}")
    if older:
        log.error("shard %d: Postgres is older than Redis, and lacks %d orders that it had", shard, older)
        # or somebody is given ids that others have
        await sequences.skip(session)
    if count:
        await pipe.call("RENAMENX", made, keys.outbox(shard))
    log.warning("shard %d had lost its outbox: %d entries made anew", shard, count)


async def _replies(pipe: Pipe, known: Sequence[bytes]) -> dict[int, list[bytes]]:
    """Return the keys of replies that tell of orders, by the order's id."""
    found: dict[int, list[bytes]] = {}
    for first in range(0, len(known), _PAGE):
        page = known[first : first + _PAGE]
        decided = await asyncio.gather(*(pipe.call("HGET", key, "decided") for key in page))
        for key, words in zip(page, decided, strict=True):
            if told := _COMMITTED.fullmatch(words or b""):
                found.setdefault(int(told[1]), []).append(key)
    return found


async def _lost(
    session: Session, pipe: Pipe, known: Sequence[bytes], replies: Mapping[int, Sequence[bytes]]
) -> tuple[list[list[Any]], int]:
    """Return the entries that Postgres may lack, as XADD takes them, and how many orders of them it has had."""
    found = await asyncio.gather(*(asyncio.gather(pipe.call("HGETALL", key), pipe.call("PTTL", key)) for key in known))
    entries: list[list[Any]] = []
    waiting: dict[int, list[Any]] = {}
    written: dict[int, list[Any]] = {}
    for key, (flat, ttl) in zip(known, found, strict=True):
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if b":event:" in key:
            entries += _quotas(fields)
        elif fields and not fields[b"d"]:
            if ttl == -1:
                entries.append(await _deletion(session, key, fields[b"v"]))
        elif fields:  # one with an end of life has been written
            number = decode(fields[b"d"]).id
            entry = ["kind", "order", "id", number, "v", fields[b"v"], "d", fields[b"d"], "key", key]
            (waiting if ttl == -1 else written)[number] = entry
    gone = await orders.deleted(session, [*waiting, *written])
    kept = await orders.versions(session, list(written))
    lost = [number for number in waiting if number not in gone]
    again = [n for n, entry in written.items() if n not in gone and kept.get(n, 0) < int(entry[_VERSION])]
    told = waiting | written
    for number in (*lost, *again):
        entries += await _with_replies(pipe, told[number], replies.get(number, ()))
    return entries, len(again)


async def _with_replies(pipe: Pipe, entry: list[Any], replies: Sequence[bytes]) -> list[list[Any]]:
    """Return the entry of an order with each of the replies that tell of it, so that Postgres gets both or neither."""
    found = await asyncio.gather(*(pipe.call("HMGET", key, "request", "reply") for key in replies))
    told = []
    for key, (request, reply) in zip(replies, found, strict=True):
        if reply is not None:  # it may have come to its end meanwhile
            told.append([*entry, "reply", reply, "reply_key", key, "reply_request", request])
    return told or [entry]


async def _deletion(session: Session, key: bytes, version: bytes) -> list[Any]:
    *_, event, code = key.split(b":")
    # nothing to delete if it never came to Postgres
    number = await orders.id_of(session, int(event), code.decode()) or 0
    return ["kind", "order_deleted", "id", number, "v", version, "d", b"", "key", key]


def _quotas(fields: dict[bytes, bytes]) -> list[list[Any]]:
    """Return what Postgres has to know of an event's quotas; that it knows it already does no harm."""
    entries: list[list[Any]] = []
    for field, value in fields.items():
        quota = field[1:]
        if field[:1] == b"a" and int(value) > 0:
            entries.append(["kind", "quota_allowance", "id", quota, "v", value])
        elif field[:1] == b"l" and value == b"-2":
            entries.append(["kind", "quota_closed", "id", quota, "v", fields.get(b"k" + quota, b"0")])
    return entries
