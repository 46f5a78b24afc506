"""The drain: carries the outbox of every shard to Postgres, in groups, and tells how far it came.

One drain works at a time, elected by an advisory lock. Its transaction opens with a conditional update of the
watermarks: from the entry it thinks was written last, under the epoch it knows. If that fails, another drain or the
fence was there, and everything is read anew. So a batch is written once, whoever dies when (DESIGN.md, The outbox).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Any

from msgspec import Struct
from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.commits import entry_id
from engine.ledger.scripts import load_scripts
from engine.settings import Settings
from persistence.follower import Follower, Moved, Step, Unwritable
from persistence.outbox import EntryId

log = logging.getLogger("holdfast.drain")

BATCH_MAX = 500
"""Entries in one transaction: beyond this a larger one is no cheaper an order (research/limits.md, section 10)."""
_COMPANY_S = 0.002
"""How long to wait for more entries after a batch that had company: saves a third of the cost, adds no latency."""
_BLOCK_MS = 100
"""How long one read waits for entries; short, so that a change of epoch is noticed."""
_LOOK_S = 1.0
"""How often to see whether the fence has been at work."""
_ANSWER_TIMEOUT_S = 5.0
_RETRY_S = 0.2
_LOCK = "holdfast drain"
NO_EPOCH = 0
"""Announced with a parked entry: who waits for it sees an epoch that is not his own, and looks for himself."""


class Entry(Struct, frozen=True):
    """One entry of an outbox; an unknown `kind` changes nothing.

    order: `number` is its id, `version` and `document` its newest; `split` is the new order that took over positions
    of it. order_deleted: `number` is the order's id. quota_closed and quota_allowance: `number` is the
    quota's id, `version` the client's last word on `closed`, or the units allowed beyond the size.
    """

    shard: int
    id: EntryId
    kind: bytes
    number: int
    version: int
    document: bytes
    key: bytes
    split: Entry | None = None


class Drain:
    """Follows all shards of one Redis server, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis: Redis = Redis.from_url(settings.redis_url, socket_timeout=_ANSWER_TIMEOUT_S)
        self._settle = load_scripts()["order_settle"]
        self._epochs: dict[int, int] = {}
        self._last: dict[int, EntryId] = {}
        self._learn_at = 0.0
        self._streams = {keys.outbox(shard).encode(): shard for shard in range(settings.shards)}

    def run(self, stop: Event) -> None:
        """Drain until `stop`: wait to be elected, follow, start again after any fault of a store."""
        while not stop.is_set():
            try:
                with Follower(self._settings.database_url) as follower:
                    self._compete(follower, stop)
            except (Fenced, RedisError, OSError) as error:
                log.warning("cannot drain: %s", error)
                stop.wait(_RETRY_S)
        self.close()

    def close(self) -> None:
        """Leave Redis."""
        self._redis.close()

    def _compete(self, follower: Follower, stop: Event) -> None:
        while not follower.lock(_LOCK):
            if stop.wait(_RETRY_S):
                return
        log.info("draining")
        while not stop.is_set():
            try:
                self._follow(follower, stop)
            except Moved:
                log.info("a watermark has moved; reading them again")

    def _follow(self, follower: Follower, stop: Event) -> None:
        """Drain until `stop`. Raises Moved, and the errors of the stores."""
        self.learn(follower)
        if self._last:
            self.announce(self._last)
        company = False
        while not stop.is_set():
            if company:
                time.sleep(_COMPANY_S)
            entries = self.read()
            if entries:
                self.write(follower, entries)
            # not only when it is quiet: the fence may have left a shard for later while others are busy
            if time.monotonic() > self._learn_at:
                self.learn(follower)
            company = len(entries) > 2

    def learn(self, follower: Follower) -> None:
        """Read epochs and watermarks. A shard whose epoch differs between the stores is left alone."""
        marks = follower.marks()
        self._epochs = {
            shard: marks[shard].epoch
            for shard, epoch in self.epochs()
            if epoch is not None and shard in marks and marks[shard].epoch == int(epoch)
        }
        complete = len(self._epochs) == self._settings.shards
        self._learn_at = time.monotonic() + (_LOOK_S if complete else _BLOCK_MS / 1000)
        self._last = {shard: marks[shard].last for shard in self._epochs}

    def epochs(self) -> Iterable[tuple[int, bytes | None]]:
        """Return the epochs that Redis knows, by shard."""
        pipe = self._redis.pipeline(transaction=False)
        for shard in range(self._settings.shards):
            pipe.hget(keys.shard(shard), "epoch")
        return enumerate(pipe.execute())

    def read(self, *, wait: bool = True) -> list[Entry]:
        """Return what has been added since, oldest first in each shard; `wait` a little if there is nothing."""
        if not self._epochs:
            time.sleep(_BLOCK_MS / 1000)
            return []
        streams: dict[Any, Any] = {
            name: f"{ms}-{sequence}"
            for name, shard in self._streams.items()
            if shard in self._last
            for ms, sequence in [self._last[shard]]
        }
        found: Any = self._redis.xread(streams, count=BATCH_MAX, block=_BLOCK_MS if wait else None)
        return [entry_of(self._streams[name], identity, fields) for name, rows in found for identity, fields in rows]

    def write(self, follower: Follower, entries: list[Entry]) -> None:
        """Write a batch in one transaction, then trim, settle and announce it. Raises Moved."""
        reached: dict[int, EntryId] = {}
        for entry in entries:
            reached[entry.shard] = max(entry.id, reached.get(entry.shard, entry.id))
        parked = False
        try:
            self._commit(follower, entries, reached)
        except Unwritable as error:
            if len(entries) == 1:
                self._park(follower, entries[0], error)
                entries, parked = [], True  # Postgres has no such order, so Redis must keep it
            else:
                # the entries of one shard stay in order, so the halves can be written one after the other
                log.warning("a batch of %d was refused (%s); writing it in halves", len(entries), error)
                middle = len(entries) // 2
                self.write(follower, entries[:middle])
                self.write(follower, entries[middle:])
                return
        self._last.update(reached)
        self.finish(entries, reached, parked)

    def _commit(self, follower: Follower, entries: list[Entry], reached: dict[int, EntryId]) -> None:
        newest: dict[int, Entry] = {}
        for entry in _orders(entries):
            newest[entry.number] = entry
        closed = {entry.number: entry.version for entry in entries if entry.kind == b"quota_closed"}
        allowances = {entry.number: entry.version for entry in entries if entry.kind == b"quota_allowance"}
        documents = [entry.document for entry in newest.values() if entry.document]
        deleted = [entry.number for entry in newest.values() if not entry.document]
        follower.write(self._steps(reached), documents, closed, allowances, deleted)

    def _park(self, follower: Follower, entry: Entry, error: Exception) -> None:
        log.error("entry %s of shard %d cannot be written and was parked: %s", entry.id, entry.shard, error)
        identity = f"{entry.id[0]}-{entry.id[1]}"
        documents = [order.document for order in _orders([entry])]
        body = b"\n".join(documents).decode(errors="replace").replace("\x00", "")
        [step] = self._steps({entry.shard: entry.id})
        follower.park(step, identity, body, str(error))

    def _steps(self, reached: dict[int, EntryId]) -> list[Step]:
        return [Step(shard, self._epochs[shard], self._last[shard], new) for shard, new in reached.items()]

    def finish(self, entries: list[Entry], reached: dict[int, EntryId], parked: bool) -> None:
        """Announce what is written, trim it, and let written orders go. The books are right without any of it."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.publish(keys.DRAINED_CHANNEL, self._word(reached, parked))
        self._let_go(pipe, entries, reached)
        for answer in pipe.execute(raise_on_error=False):
            if isinstance(answer, Exception) and not isinstance(answer, NoScriptError):
                raise answer

    def announce(self, reached: dict[int, EntryId], parked: bool = False) -> None:
        """Tell all who wait how far Postgres has followed."""
        self._redis.publish(keys.DRAINED_CHANNEL, self._word(reached, parked))

    def _let_go(self, pipe: Any, entries: Iterable[Entry], reached: dict[int, EntryId]) -> None:
        """Trim what is written, and let written orders go."""
        for shard, (ms, sequence) in reached.items():
            pipe.xtrim(keys.outbox(shard), minid=f"{ms}-{sequence + 1}", approximate=False)
        by_shard: dict[int, dict[bytes, int]] = {}
        for entry in _orders(entries):
            by_shard.setdefault(entry.shard, {})[entry.key] = entry.version
        hot_ms = self._settings.order_hot_s * 1000
        for versions in by_shard.values():
            arguments = [len(versions), *versions, hot_ms, *versions.values()]
            pipe.execute_command("EVALSHA", self._settle.sha, *arguments)

    def _word(self, reached: dict[int, EntryId], parked: bool) -> str:
        epochs = dict.fromkeys(reached, NO_EPOCH) if parked else self._epochs
        return " ".join(f"{shard}={ms}-{seq}@{epochs[shard]}" for shard, (ms, seq) in reached.items())


def _orders(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Return what the entries say of orders, those that were split off included; a deleted one has no document."""
    for entry in entries:
        if entry.kind in (b"order", b"order_deleted"):
            yield entry
            if entry.split is not None:
                yield entry.split


def entry_of(shard: int, identity: bytes, fields: dict[bytes, bytes]) -> Entry:
    number, kind = entry_id(identity), fields[b"kind"]
    split = None
    if b"split_id" in fields:
        split = Entry(shard, number, kind, int(fields[b"split_id"]), 1, fields[b"split_d"], fields[b"split_key"])
    return Entry(
        shard,
        number,
        kind,
        int(fields.get(b"id", 0)),
        int(fields.get(b"v", 0)),
        fields.get(b"d", b""),
        fields.get(b"key", b""),
        split,
    )
