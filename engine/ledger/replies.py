"""Replies kept for requests with an idempotency key (docs/decisions/0002-idempotency.md): plain values."""

from __future__ import annotations

from msgspec import Struct

from engine.ledger.outcomes import refused
from engine.ledger.values import Committed, Held, Outcome

CLAIM_MS = 60_000
"""A claim whose owner died ends after this; a request that takes longer finds that its key is no longer its own."""

KEEP_MS = 24 * 3600 * 1000
"""How long a reply is kept: as long as pretix does."""


class Claim(Struct, frozen=True):
    """An idempotency key in the hands of one request: nobody else works on it before it ends."""

    shard: int
    key: str
    owner: str


class Kept(Struct, frozen=True):
    """A reply, opaque here, that a script keeps with the work it does for a claim."""

    claim: Claim
    reply: bytes


class CommittedOrder(Struct, frozen=True):
    """The version of an order that a kept reply tells of."""

    order_id: int
    version: int
    committed: Committed


class Replay(Struct, frozen=True):
    """A reply that was kept, and in words what the script decided that kept it (engine/lua/include/reply.lua)."""

    key: str
    shard: int
    reply: bytes
    decided: bytes

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes of `hold`; of ids only the first of each group, from which the others count on."""
        _, now_ms, *words = self.decided.split()
        return [
            Held([int(what)], int(now_ms), int(deadline_ms)) if status == b"held" else refused(what)
            for status, what, deadline_ms in zip(words[::3], words[1::3], words[2::3], strict=True)
        ]

    def order(self) -> CommittedOrder | None:
        """Return what `order_commit` wrote, None if the reply came about otherwise."""
        if not self.decided:
            return None
        entry, epoch, order_id, version = self.decided.split()
        ms, _, sequence = entry.partition(b"-")
        return CommittedOrder(int(order_id), int(version), Committed(self.shard, (int(ms), int(sequence)), int(epoch)))
