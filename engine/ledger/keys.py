"""Every key in Redis, built in one place; docs/keys.md lists what they hold.

All keys of a shard carry its hash tag, so they share one slot of a cluster and one script can use them all. The prefix
is the version of the layout: changing the layout means a new prefix, a migration and a decision record.
"""

from __future__ import annotations

from functools import cache, lru_cache
from zlib import crc32

LAYOUT = "hf1"

DRAINED_CHANNEL = f"{LAYOUT}:drained"
"""Pub/sub channel on which a drain announces what Postgres has committed."""


@lru_cache(maxsize=10_000)
def shard_of(organizer: str, slug: str, shards: int) -> int:
    """Return the shard of an event: a stable hash of the two names that never change."""
    return crc32(f"{organizer}/{slug}".encode()) % shards


@cache
def prefix(shard: int) -> str:
    """Return the beginning of every key of `shard`."""
    return f"{LAYOUT}:{{s{shard:02d}}}:"


def shard(number: int) -> str:
    """Hash: `epoch`, raised by each verification; `next`, `restored` while one is under way; `node`, whom it was on."""
    return f"{prefix(number)}shard"


def due(number: int) -> str:
    """Sorted set: `event:hold` by deadline in ms; exactly the holds whose units are taken."""
    return f"{prefix(number)}due"


def purge(number: int) -> str:
    """Sorted set: `event:hold` by the ms from which an expired hold is no longer listed."""
    return f"{prefix(number)}purge"


def outbox(number: int) -> str:
    """Stream: one entry a change that Postgres has to learn."""
    return f"{prefix(number)}outbox"


def restored(number: int, name: str) -> str:
    """Stream: an outbox while it is made anew, before it takes its place."""
    return f"{prefix(number)}restored:{name}"


def event(number: int, event_id: int) -> str:
    """Hash: version, quotas and all unit counters of an event."""
    return f"{prefix(number)}event:{event_id}"


def holds(number: int, event_id: int) -> str:
    """Sorted set: every listed hold of an event, packed, by id (which ascends with creation)."""
    return f"{prefix(number)}holds:{event_id}"


def carts(number: int, event_id: int) -> str:
    """Sorted set, all scores 0: `cart id`, so a cart's holds are one range, and carts are in order."""
    return f"{prefix(number)}carts:{event_id}"


def seats(number: int, event_id: int) -> str:
    """Hash: who has each seat of an event (engine/lua/include/seats.lua)."""
    return f"{prefix(number)}seats:{event_id}"


def order(number: int, event_id: int, code: str) -> str:
    """Hash: `v` version and `d` document of an order that was changed lately."""
    return _orders(number, event_id) + code


@lru_cache(maxsize=10_000)
def _orders(number: int, event_id: int) -> str:
    """Return the beginning of every key of an event's orders."""
    return f"{prefix(number)}order:{event_id}:"


def reports() -> str:
    """Hash: what each process has counted, by its name (engine/ledger/reports.py)."""
    return f"{prefix(0)}reports"


def reply(number: int, name: str) -> str:
    """Hash: who works on a request with an idempotency key, then its reply (engine/lua/include/reply.lua)."""
    return f"{prefix(number)}reply:{name}"
