"""Losses: keys of a shard that ought to be there and are not, or that somebody has written something else over."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from msgspec import Struct

from engine.ledger import keys
from engine.ledger.pipe import Pipe
from persistence import outbox
from persistence.database import Session

log = logging.getLogger("holdfast.fence")

_PAGE = 1000
_TYPES = {
    b"shard": b"hash",
    b"event": b"hash",
    b"holds": b"zset",
    b"carts": b"zset",
    b"due": b"zset",
    b"purge": b"zset",
    b"seats": b"hash",
    b"order": b"hash",
    b"reply": b"hash",
    b"outbox": b"stream",
    b"restored": b"stream",
    b"reports": b"hash",
}
"""What type each kind of key has (docs/keys.md)."""


class Loss(Struct, frozen=True):
    """A field of a key of a shard that ought to be there and is not; without a field, the key."""

    shard: int
    key: str
    field: str


def overwritten(error: Exception) -> bool:
    """Tell whether a key is not what it ought to be. A script that meets one may have done half its work."""
    return "WRONGTYPE Operation" in str(error)


async def drop_overwritten(session: Session, pipe: Pipe) -> list[Loss]:
    """Delete every key on a server that has not the type it ought to have; return them, as what they are: lost.

    For the fence alone, while no script is known. Reads the names of all keys.
    """
    losses: list[Loss] = []
    cursor: Any = 0
    while True:
        cursor, names = await pipe.call("SCAN", cursor, "MATCH", f"{keys.LAYOUT}:{{s*", "COUNT", _PAGE)
        types = await asyncio.gather(*(pipe.call("TYPE", name) for name in names))
        for name, found in zip(names, types, strict=True):
            place, _, kind = name.partition(b"}:")
            wanted = _TYPES.get(kind.partition(b":")[0], found)
            if found not in (wanted, b"none"):
                # once Postgres has let go of us somebody else may be elected, and may have made this key anew
                await outbox.require(session)
                await pipe.call("UNLINK", name)
                log.error("%s was a %s, not a %s", name.decode(errors="replace"), found.decode(), wanted.decode())
                losses.append(Loss(int(place.rpartition(b"{s")[2]), name.decode(errors="replace"), ""))
        if int(cursor) == 0:
            return losses
