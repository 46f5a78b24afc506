"""Replies that are kept for idempotency keys: claimed, stored, found again (docs/decisions/0002-idempotency.md)."""

from __future__ import annotations

import secrets

from redis.exceptions import ResponseError

from engine.domain.catalogue import Event
from engine.domain.errors import Fenced, KeyReused
from engine.ledger import keys
from engine.ledger.calls import Calls
from engine.ledger.replies import CLAIM_MS, KEEP_MS, Claim, Replay
from persistence import replies


class KeptReplies(Calls):
    """Who works on which idempotency key, and what was replied."""

    async def reply_claim(
        self, event: Event | None, name: str, fingerprint: str, *, claim_ms: int = CLAIM_MS
    ) -> Claim | Replay:
        """Claim an idempotency key for one request, or return what was answered to the first with that key.

        Raises Duplicate while that is being worked on, and KeyReused if it had another fingerprint.
        """
        shard = 0 if event is None else self.shard_of(event)
        claim = Claim(shard, keys.reply(shard, name), secrets.token_hex(8))
        args = [claim.owner, fingerprint, claim_ms, KEEP_MS]
        answer = await self._run("reply_claim", shard, [claim.key, keys.shard(shard)], args)
        if answer[0] == b"replay":
            return Replay(claim.key, shard, answer[1], answer[2])
        if answer[1]:
            return await self._reply_found(claim, name, fingerprint)
        return claim

    async def _reply_found(self, claim: Claim, name: str, fingerprint: str) -> Claim | Replay:
        """Return what Postgres remembers of a key that Redis does not know; it may have lost it."""
        try:
            found = await replies.find(self._database, name)
        except Fenced:
            await self.reply_store(claim, b"")
            raise
        if found is None:
            return claim
        if found.request != fingerprint:
            await self.reply_store(claim, b"")
            raise KeyReused
        await self.reply_store(claim, found.reply)
        return Replay(claim.key, claim.shard, found.reply, b"")

    async def reply_written(self, replay: Replay) -> bool:
        """Tell whether Postgres has a reply, and so had what it tells of."""
        return await replies.find(self._database, replay.key.rpartition("reply:")[2]) is not None

    async def reply_forget(self, replay: Replay) -> None:
        """Forget the reply of work that was lost, so that the same request does it again."""
        try:
            await self.nodes.pipe(replay.shard).call("DEL", replay.key)
        except ResponseError as error:
            raise Fenced(reason=f"Redis: {error}") from error

    async def reply_store(self, claim: Claim, reply: bytes) -> None:
        """Keep the reply for a claim; an empty one gives the claim up. Does nothing once the claim has ended."""
        await self._call("reply_store", claim.shard, [claim.key], [claim.owner, reply, KEEP_MS])
