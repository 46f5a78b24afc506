"""The drain: carries the outbox of every shard to Postgres, in groups, and tells how far it came.

One drain works at a time, elected by an advisory lock. Its transaction opens with a conditional update of the
watermarks: from the entry it thinks was written last, under the epoch it knows. If that fails, another drain or the
fence was there, and everything is read anew. So a batch is written once, whoever dies when (DESIGN.md, The outbox).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.ledger import entry_id
from engine.ledger.scripts import load_scripts
from engine.settings import Settings
from persistence import outbox
from persistence.database import Database
from persistence.outbox import EntryId, Moved, Step, Unwritable

log = logging.getLogger("holdfast.drain")

BATCH_MAX = 500
"""Entries in one transaction: beyond this a larger one is no cheaper an order (research/limits.md, section 10)."""
_COMPANY_S = 0.002
"""How long to wait for more entries after a batch that had company: saves a third of the cost, adds no latency."""
_BLOCK_MS = 100
"""How long one read waits for entries; short, so that a change of epoch is noticed."""
_RETRY_S = 0.2
_LOCK = "holdfast drain"


class Entry(Struct, frozen=True):
    """One entry of an outbox; an unknown `kind` changes nothing.

    order: `number` is its id, `version` and `document` its newest. quota_closed and quota_allowance: `number` is the
    quota's id, `version` the client's last word on `closed`, or the units allowed beyond the size.
    """

    shard: int
    id: EntryId
    kind: bytes
    number: int
    version: int
    document: bytes
    key: bytes


class Drain:
    """Follows all shards of one Redis server."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._redis: Redis = Redis.from_url(settings.redis_url)
        self._settle = load_scripts()["order_settle"]
        self._epochs: dict[int, int] = {}
        self._last: dict[int, EntryId] = {}

    async def run(self) -> None:
        """Drain for ever: wait to be elected, follow, start again after any fault of a store."""
        while True:
            try:
                async with outbox.try_lock(self._database, _LOCK) as session:
                    if session is not None:
                        await self._follow()
            except Moved:
                log.info("a watermark has moved; reading them again")
                continue
            except (Fenced, RedisError, OSError) as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # a store's error on the way out must not outlive the order to stop
                log.warning("cannot drain: %s", error)
            await asyncio.sleep(_RETRY_S)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _follow(self) -> None:
        """Drain while this process holds the lock. Raises Moved, and the errors of the stores."""
        await self._learn()
        await self._announce(self._last)
        company = False
        idle = 0
        while True:
            if company:
                await asyncio.sleep(_COMPANY_S)
            entries = await self._read()
            if entries:
                idle = 0
                await self.write(entries)
            else:
                idle += 1
                # a quiet moment is the time to see whether the fence has been at work
                if idle % 10 == 0 or len(self._epochs) < self._settings.shards:
                    await self._learn()
            company = len(entries) > 2

    async def _learn(self) -> None:
        """Read epochs and watermarks. A shard whose epoch differs between the stores is left alone."""
        marks = await outbox.marks(self._database)
        pipe = self._redis.pipeline(transaction=False)
        for shard in range(self._settings.shards):
            pipe.hget(keys.shard(shard), "epoch")
        found = await pipe.execute()
        self._epochs = {
            shard: marks[shard].epoch
            for shard, epoch in enumerate(found)
            if epoch is not None and shard in marks and marks[shard].epoch == int(epoch)
        }
        self._last = {shard: marks[shard].last for shard in self._epochs}

    async def _read(self) -> list[Entry]:
        """Return what has been added since, oldest first in each shard; wait a little if there is nothing."""
        if not self._epochs:
            await asyncio.sleep(_BLOCK_MS / 1000)
            return []
        streams: dict[Any, Any] = {
            keys.outbox(shard): f"{ms}-{sequence}" for shard, (ms, sequence) in self._last.items()
        }
        found = await self._redis.xread(streams, count=BATCH_MAX, block=_BLOCK_MS)
        shards = {keys.outbox(shard).encode(): shard for shard in self._last}
        return [_entry(shards[name], identity, fields) for name, rows in found for identity, fields in rows]

    async def write(self, entries: list[Entry]) -> None:
        """Write a batch in one transaction, then trim, settle and announce it. Raises Moved."""
        reached: dict[int, EntryId] = {}
        for entry in entries:
            reached[entry.shard] = max(entry.id, reached.get(entry.shard, entry.id))
        try:
            await self._commit(entries, reached)
        except Unwritable as error:
            if len(entries) == 1:
                await self._park(entries[0], error)
            else:
                # the entries of one shard stay in order, so the halves can be written one after the other
                log.warning("a batch of %d was refused (%s); writing it in halves", len(entries), error)
                middle = len(entries) // 2
                await self.write(entries[:middle])
                await self.write(entries[middle:])
                return
        self._last.update(reached)
        await self._finish(entries, reached)

    async def _commit(self, entries: list[Entry], reached: dict[int, EntryId]) -> None:
        newest: dict[int, Entry] = {}
        for entry in entries:
            if entry.kind == b"order":
                newest[entry.number] = entry
        closed = {entry.number: entry.version for entry in entries if entry.kind == b"quota_closed"}
        allowances = {entry.number: entry.version for entry in entries if entry.kind == b"quota_allowance"}
        documents = [entry.document for entry in newest.values()]
        await outbox.write(self._database, self._steps(reached), documents, closed, allowances)

    async def _park(self, entry: Entry, error: Exception) -> None:
        log.error("entry %s of shard %d cannot be written and was parked: %s", entry.id, entry.shard, error)
        identity = f"{entry.id[0]}-{entry.id[1]}"
        body = entry.document.decode(errors="replace").replace("\x00", "")
        [step] = self._steps({entry.shard: entry.id})
        await outbox.park(self._database, step, identity, body, str(error))

    def _steps(self, reached: dict[int, EntryId]) -> list[Step]:
        return [Step(shard, self._epochs[shard], self._last[shard], new) for shard, new in reached.items()]

    async def _finish(self, entries: list[Entry], reached: dict[int, EntryId]) -> None:
        """Trim what is written, let written orders go, and announce. None of it is needed for the books to be right."""
        pipe = self._redis.pipeline(transaction=False)
        self._publish(pipe, reached)
        for shard, (ms, sequence) in reached.items():
            pipe.xtrim(keys.outbox(shard), minid=f"{ms}-{sequence + 1}", approximate=False)
        by_shard: dict[int, dict[bytes, int]] = {}
        for entry in entries:
            if entry.kind == b"order":
                by_shard.setdefault(entry.shard, {})[entry.key] = entry.version
        hot_ms = self._settings.order_hot_s * 1000
        for versions in by_shard.values():
            pipe.execute_command("EVALSHA", self._settle.sha, len(versions), *versions, hot_ms, *versions.values())
        for answer in await pipe.execute(raise_on_error=False):
            if isinstance(answer, Exception) and not isinstance(answer, NoScriptError):
                raise answer

    async def _announce(self, reached: dict[int, EntryId]) -> None:
        if reached:
            pipe = self._redis.pipeline(transaction=False)
            self._publish(pipe, reached)
            await pipe.execute()

    def _publish(self, pipe: Any, reached: dict[int, EntryId]) -> None:
        words = (f"{shard}={ms}-{seq}@{self._epochs[shard]}" for shard, (ms, seq) in reached.items())
        pipe.publish(keys.DRAINED_CHANNEL, " ".join(words))


def _entry(shard: int, identity: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(
        shard,
        entry_id(identity),
        fields[b"kind"],
        int(fields.get(b"id", 0)),
        int(fields.get(b"v", 0)),
        fields.get(b"d", b""),
        fields.get(b"key", b""),
    )
