"""The drain: carries the outbox of every shard to Postgres, in groups, and tells how far it came.

One drain works at a time, elected by an advisory lock. Its transaction opens with a conditional update of the
watermarks: from the entry it thinks was written last, under the epoch it knows. If that fails, another drain or the
fence was there, and everything is read anew. So a batch is written once, whoever dies when (docs/guarantees.md).
Each entry names the one before it, so none can go missing unnoticed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from threading import Event
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.commits import entry_id
from engine.ledger.line import Command, Line, packed
from engine.ledger.scripts import load_scripts
from engine.meters import METERS
from engine.settings import Settings
from persistence.follower import Follower, Moved, Step, Unwritable
from persistence.outbox import DRAIN_LOCK, NO_EPOCH, EntryId
from workers.entries import UNREADABLE, Entry, entries_of, name_of, orders_of

log = logging.getLogger("holdfast.drain")

BATCH_MAX = 500
"""Entries in one transaction: beyond this a larger one is no cheaper an order, as measured."""
BATCH_BYTES_MAX = 16 * 1024 * 1024
"""Documents in one transaction, unless one alone is larger: Postgres needs many times that in memory."""
_TIDY_MAX = 100
"""Pages that are tidied up at once; there is more than one only after a drain has failed for long."""
_COMPANY = 3
"""Entries that are read together where many come."""
_COMPANY_S = 0.002
"""How long to wait for more entries after a batch that had company: saves a third of the cost, adds no latency."""
_BLOCK_MS = 100
"""How long one read waits for entries; short, so that a change of epoch is noticed."""
_QUIET_S = 0.01
"""How long shards that had nothing lately may have to wait while others are busy: to ask all costs as much as to write
two orders."""
_LET_GO_S = 0.05
"""How long what is written may stay in Redis as if it were not: to trim and to settle costs as much for many orders."""
_SETTLE_MAX = 1000
"""Orders in one call of order_settle."""
_LOOK_S = 1.0
"""How often to see whether the fence has been at work."""
_ANSWER_TIMEOUT_S = 5.0
_RETRY_S = 0.2

State = tuple[bytes | None, bytes | None]
"""Of a shard: its epoch and the newest entry of its outbox; None where there is none."""


class Drain:
    """Follows all shards of one Redis server, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = Line(settings.redis_url, _ANSWER_TIMEOUT_S)
        self._settle = load_scripts()["order_settle"]
        self._epochs: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._last: dict[int, EntryId] = {}
        self._learn_at = 0.0
        self._written: dict[int, dict[bytes, int]] = {}
        """By shard, versions of orders that are written and not let go, by key."""
        self._count = 0
        self._let_go_at = 0.0
        self._streams = [keys.outbox(shard).encode() for shard in range(settings.shards)]
        self._packed = [packed(name) for name in self._streams]
        self._shard_of = {name: shard for shard, name in enumerate(self._streams)}
        self._busy = list(range(settings.shards))
        """Who had something when they were asked last."""
        self._all_at = 0.0

    def run(self, stop: Event) -> None:
        """Drain until `stop`: wait to be elected, follow, start again after any fault of a store."""
        while not stop.is_set():
            try:
                with Follower(self._settings.database_url) as follower:
                    self._compete(follower, stop)
            except (Fenced, RedisError, OSError) as error:
                log.warning("cannot drain: %s", error)
                # another server may have the address by now
                self.close()
                stop.wait(_RETRY_S)
        self.close()

    def close(self) -> None:
        """Leave Redis."""
        self._redis.close()

    def _compete(self, follower: Follower, stop: Event) -> None:
        while not follower.lock(DRAIN_LOCK):
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
        self._epochs, self._written = {}, {}
        self.learn(follower)
        if self._last:
            self.announce(self._last)
        company = False
        while not stop.is_set():
            if company:
                time.sleep(_COMPANY_S)
            entries = self.read()
            for batch in _batches(entries):
                self.write(follower, batch)
            self.let_go_if_due(idle=not entries)
            # not only when it is quiet: the fence may have left a shard for later while others are busy
            if time.monotonic() > self._learn_at:
                self.learn(follower)
            company = len(entries) >= _COMPANY

    def learn(self, follower: Follower) -> None:
        """Read epochs and watermarks. A shard whose epoch differs between the stores is left alone."""
        marks = follower.marks()
        before = self._epochs
        states = self.states()
        self._epochs = {
            shard: marks[shard].epoch
            for shard, (epoch, _) in states.items()
            if epoch is not None and shard in marks and marks[shard].epoch == int(epoch)
        }
        self._told = {shard: marks[shard].told_epoch for shard in self._epochs}
        self._last = {shard: marks[shard].last for shard in self._epochs}
        for shard, last in list(self._last.items()):
            newest = entry_id(states[shard][1] or b"0-0")
            if newest > last and not self._waits(shard, last):
                self._give_up(follower, shard, newest)
                del self._epochs[shard], self._last[shard]
        complete = len(self._epochs) == self._settings.shards
        self._learn_at = time.monotonic() + (_LOOK_S if complete else _BLOCK_MS / 1000)
        self.tidy({shard: self._last[shard] for shard, epoch in self._epochs.items() if before.get(shard) != epoch})

    def tidy(self, last: dict[int, EntryId]) -> None:
        """Trim and settle up to `last` what was written by a drain that ended before it came to that."""
        for _ in range(_TIDY_MAX):
            entries = self.written(last)
            if not entries:
                return
            self.let_go(_versions(entries), _reached(entries))
            last = {entry.shard: last[entry.shard] for entry in entries}

    def written(self, last: dict[int, EntryId]) -> list[Entry]:
        """Return entries up to `last` that are still there, the oldest of each shard."""
        answers = _checked(self._redis.ask(*(self._up_to(shard, entry, BATCH_MAX) for shard, entry in last.items())))
        return [entry for shard, rows in zip(last, answers, strict=True) for entry in entries_told(shard, rows)]

    def let_go(self, written: dict[int, dict[bytes, int]], reached: dict[int, EntryId]) -> None:
        """Trim what is written, and let written orders go: versions by shard and key."""
        _checked(self._redis.ask(*self._trims(reached), *self._settles(written)))

    def let_go_if_due(self, *, idle: bool = False) -> None:
        """Let go what is written if that is much, or was long ago, or if there is nothing else to do."""
        if self._written and (idle or self._count >= BATCH_MAX or time.monotonic() > self._let_go_at):
            written, self._written = self._written, {}
            self.let_go(written, {shard: self._last[shard] for shard in written if shard in self._last})

    def states(self) -> dict[int, State]:
        """Return what Redis knows, by shard."""
        return dict(enumerate(_checked(self._redis.ask(*map(state_of, range(self._settings.shards))))))

    def server(self, shard: int) -> Line:
        """Return who has a shard."""
        return self._redis

    def _waits(self, shard: int, last: EntryId) -> bool:
        """Tell whether anything that was added after an entry is still there."""
        command = ("XRANGE", self._streams[shard], f"({name_of(last)}", "+", "COUNT", 1)
        [found] = _checked(self.server(shard).ask(command))
        return bool(found)

    def read(self, *, wait: bool = True) -> list[Entry]:
        """Return what has been added since, oldest first in each shard; `wait` a little if there is nothing.

        While some shards are busy the others are only asked each `_QUIET_S`.
        """
        if not self._epochs:
            time.sleep(_BLOCK_MS / 1000)
            return []
        if time.monotonic() < self._all_at:
            busy = [shard for shard in self._busy if shard in self._last]
            if entries := self._read(busy):
                return entries
        entries = self._read(list(self._last), *((b"BLOCK", b"%d" % _BLOCK_MS) if wait else ()))
        self._busy = list({entry.shard: None for entry in entries})
        # a lone entry says nothing about where the next one comes
        self._all_at = time.monotonic() + _QUIET_S if len(entries) >= _COMPANY else 0.0
        return entries

    def _read(self, shards: list[int], *options: bytes) -> list[Entry]:
        if not shards:
            return []
        # after an outage all shards may have very much to tell
        share = max(1, BATCH_MAX // max(1, len(self._busy)))
        words = (b"XREAD", b"COUNT", b"%d" % share, *options, b"STREAMS")
        # of many shards only few have another last entry than before
        names = b"".join([self._packed[shard] for shard in shards])
        since = b"".join([_packed_name(self._last[shard]) for shard in shards])
        command = b"*%d\r\n%b%b%b" % (len(words) + 2 * len(shards), packed(*words), names, since)
        [found] = _checked(self._redis.ask(command))
        return [entry for name, rows in found or () for entry in entries_told(self._shard_of[name], rows)]

    def write(self, follower: Follower, entries: list[Entry]) -> None:
        """Write a batch in one transaction, then trim, settle and announce it. Raises Moved."""
        reached = self._chained(follower, entries)
        began = time.monotonic()
        try:
            self._commit(follower, entries, reached)
            METERS.drain(time.monotonic() - began, len(entries))
        except Unwritable as error:
            if len(entries) == 1:
                self._park(follower, entries[0], reached, error)
                self._told[entries[0].shard] = NO_EPOCH
                entries = []  # Postgres has no such order, so Redis must keep it
            else:
                # the entries of one shard stay in order, so the halves can be written one after the other
                log.warning("a batch of %d was refused (%s); writing it in halves", len(entries), error)
                middle = len(entries) // 2
                self.write(follower, entries[:middle])
                self.write(follower, entries[middle:])
                return
        self._last.update(reached)
        self.finish(entries, reached)

    def _chained(self, follower: Follower, entries: Iterable[Entry]) -> dict[int, EntryId]:
        """Return the last entry of each shard that ends here. Raises Moved unless each follows the one before it."""
        reached: dict[int, EntryId] = {}
        for entry in entries:
            before = reached.get(entry.shard, self._last[entry.shard])
            if entry.after is not None and entry.after != before:
                self._broken(follower, entry.shard, entry.after, before)
            reached[entry.shard] = before if entry.later else entry.id
        return reached

    def _broken(self, follower: Follower, shard: int, after: EntryId, before: EntryId) -> None:
        """See what it means that an entry follows another than the one before it. Raises Moved, unless it is fine."""
        if after > before:
            self._give_up(follower, shard, after)
            raise Moved
        if self.states().get(shard, (None, None))[0] != b"%d" % self._epochs[shard]:
            raise Moved
        # those in between were added by hand, or by a front door of an earlier version

    def _give_up(self, follower: Follower, shard: int, lost: EntryId) -> None:
        """Delete an outbox that lacks an entry, unless another drain is at work. That is the fence's alarm.

        What Postgres lacks is in Redis still, and the fence makes an outbox of it, but only if there is none; and again
        if that one lacks an entry as well.
        """
        server, outbox = self.server(shard), self._streams[shard]
        _checked(server.ask(("WATCH", keys.shard(shard), outbox)))
        mark = follower.marks()[shard]
        ours = (mark.epoch, mark.last) == (self._epochs[shard], self._last[shard])
        [there] = _checked(server.ask(("EXISTS", outbox)))
        if not ours or not there:
            _checked(server.ask(("UNWATCH",)))
            return
        log.error("shard %d: entry %s was taken out of the outbox before it was written", shard, name_of(lost))
        self.delete(server, shard)

    def delete(self, server: Line, shard: int) -> None:
        """Delete an outbox, unless it has changed since it was watched."""
        _checked(server.ask(("MULTI",), ("DEL", self._streams[shard]), ("EXEC",)))

    def _commit(self, follower: Follower, entries: list[Entry], reached: dict[int, EntryId]) -> None:
        # most entries are orders and nothing else
        rare = [entry for entry in entries if entry.kind != b"order" or entry.split or entry.reply]
        for entry in rare:
            if entry.kind == UNREADABLE:
                raise Unwritable(entry.error)
        newest: dict[int, Entry] = {}
        earlier: list[bytes] = []
        for entry in orders_of(entries):
            if (before := newest.get(entry.number)) is not None and before.document:
                earlier.append(before.document)
            newest[entry.number] = entry
        closed = {entry.number: entry.version for entry in rare if entry.kind == b"quota_closed"}
        allowances = {entry.number: entry.version for entry in rare if entry.kind == b"quota_allowance"}
        orders = [(entry.order, entry.document) for entry in newest.values() if entry.order]
        deleted = [entry.number for entry in newest.values() if not entry.document]
        split = [entry.split.number for entry in rare if entry.split is not None]
        replies = [entry.reply for entry in rare if entry.reply is not None]
        steps = self._steps(reached)
        follower.write(steps, orders, closed, allowances, deleted, earlier=earlier, split=split, replies=replies)

    def _park(self, follower: Follower, entry: Entry, reached: dict[int, EntryId], error: Exception) -> None:
        METERS.parked += 1
        log.error("entry %s of shard %d cannot be written and was parked: %s", entry.name, entry.shard, error)
        documents = [order.document for order in orders_of([entry])] or [entry.document]
        body = b"\n".join(documents).decode(errors="replace").replace("\x00", "")
        [step] = self._steps(reached)
        follower.park(step, entry.name, body, str(error))

    def _steps(self, reached: dict[int, EntryId]) -> list[Step]:
        return [Step(shard, self._epochs[shard], self._last[shard], new) for shard, new in reached.items()]

    def finish(self, entries: list[Entry], reached: dict[int, EntryId]) -> None:
        """Announce what is written, and keep in mind what can be let go. The books are right without any of it."""
        self.announce(reached)
        if not self._written:
            self._count, self._let_go_at = 0, time.monotonic() + _LET_GO_S
        self._count += len(entries)
        versions = _versions(entries)
        for shard in reached:
            self._written.setdefault(shard, {}).update(versions.get(shard, {}))

    def announce(self, reached: dict[int, EntryId]) -> None:
        """Tell all who wait how far Postgres has followed."""
        self._redis.tell(("PUBLISH", keys.DRAINED_CHANNEL, self._word(reached)))

    def _trims(self, reached: dict[int, EntryId]) -> list[Command]:
        """Return commands that trim what is written."""
        return [("XTRIM", self._streams[shard], "MINID", f"{ms}-{seq + 1}") for shard, (ms, seq) in reached.items()]

    def _settles(self, written: dict[int, dict[bytes, int]]) -> list[Command]:
        """Return commands that let written orders go."""
        hot_ms = self._settings.order_hot_s * 1000
        found: list[Command] = []
        for versions in written.values():
            them = list(versions)
            for first in range(0, len(them), _SETTLE_MAX):
                some = them[first : first + _SETTLE_MAX]
                found.append(("EVALSHA", self._settle.sha, len(some), *some, hot_ms, *(versions[key] for key in some)))
        return found

    def _up_to(self, shard: int, last: EntryId, count: int) -> Command:
        return ("XRANGE", self._streams[shard], "-", name_of(last), "COUNT", count)

    def _word(self, reached: dict[int, EntryId]) -> str:
        return " ".join(f"{shard}={ms}-{seq}@{self._told[shard]}" for shard, (ms, seq) in reached.items())


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut what was read into transactions that are not too large; the entries of each shard stay in order."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(entry.document) + (len(entry.split.document) if entry.split else 0)
        length += len(entry.reply.reply) if entry.reply else 0
        if batch and (len(batch) == BATCH_MAX or size + length > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += length
    if batch:
        yield batch


def _reached(entries: Iterable[Entry]) -> dict[int, EntryId]:
    """Return the last entry of each shard."""
    reached: dict[int, EntryId] = {}
    for entry in entries:
        reached[entry.shard] = max(entry.id, reached.get(entry.shard, entry.id))
    return reached


@lru_cache(maxsize=1024)
def _packed_name(entry: EntryId) -> bytes:
    return packed(name_of(entry).encode())


def _versions(entries: Iterable[Entry]) -> dict[int, dict[bytes, int]]:
    """Return the newest versions of orders by shard and key."""
    found: dict[int, dict[bytes, int]] = {}
    for entry in orders_of(entries):
        found.setdefault(entry.shard, {})[entry.key] = entry.version
    return found


def state_of(shard: int) -> Command:
    """Return the command that asks for a shard's state."""
    return ("HMGET", keys.shard(shard), "epoch", "last")


def entries_told(shard: int, rows: Iterable[tuple[bytes, list[bytes]]]) -> list[Entry]:
    """Return what Redis has told of an outbox."""
    return entries_of(shard, ((name, dict(zip(words[::2], words[1::2], strict=True))) for name, words in rows))


def _checked(answers: list[Any]) -> list[Any]:
    """Return answers. Raises what went wrong, unless it is that the fence has closed the server: see Drain.finish."""
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, NoScriptError):
            raise answer
    return answers
