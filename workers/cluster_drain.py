"""The drain of a cluster: the shards of each master are read in turn.

One XREAD cannot wait for streams in several slots, so each shard is asked by itself, all of a master in one pipeline.
A master that is away is left alone, and the others go on; its shards are learned anew once it, or its heir, answers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.cluster import elsewhere, masters
from engine.settings import Settings
from persistence.outbox import EntryId
from workers.drain import BATCH_MAX, Drain, State
from workers.entries import Entry, entries_of, name_of

log = logging.getLogger("holdfast.drain")

_SHARE = 200
"""Entries of one shard in one read, so that a busy one leaves room for others."""
_IDLE_S = (0.002, 0.02)
"""How long to sleep when there was nothing to read: at first, and at most. It is what the first order waits longer."""
_TIMEOUT_S = 1.0
"""A master that hangs keeps the others waiting for this long, once in `_AWAY_S`."""
_AWAY_S = 1.0


class ClusterDrain(Drain):
    """Follows all shards of a cluster, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._by_url: dict[str, Redis] = {}
        self._shards: dict[str, list[int]] = {}
        self._away_until: dict[str, float] = {}
        self._doubtful = True
        self._idle_s = _IDLE_S[0]
        self._turn = 0

    def close(self) -> None:
        for redis in self._by_url.values():
            redis.close()
        super().close()

    def states(self) -> dict[int, State]:
        """Return what masters know, by shard; nothing of those that are away."""
        if self._doubtful:
            self._find()
        found: dict[int, State] = {}
        for url, shards in self._shards.items():
            pipe = self._pipe(url)
            for shard in shards:
                pipe.hmget(keys.shard(shard), ["epoch", "last"])
            answers = self._answers(url, pipe)
            found |= {n: state for n, state in zip(shards, answers, strict=False) if not isinstance(state, Exception)}
        return found

    def read(self, *, wait: bool = True) -> list[Entry]:
        """Return what has been added since, oldest first in each shard; `wait` a little if there is nothing."""
        entries: list[Entry] = []
        self._turn += 1
        for url in _turned(list(self._shards), self._turn):
            shards = [shard for shard in _turned(self._shards[url], self._turn) if shard in self._last]
            if not shards:
                continue
            pipe = self._pipe(url)
            for shard in shards:
                ms, sequence = self._last[shard]
                pipe.xread({keys.outbox(shard): f"{ms}-{sequence}"}, count=_SHARE)
            answers = self._answers(url, pipe)
            if not answers:
                self._leave(shards)
            for shard, answer in zip(shards, answers, strict=False):
                if isinstance(answer, Exception):
                    self._leave([shard])
                    continue
                entries += [entry for _, rows in answer for entry in entries_of(shard, rows)]
            if len(entries) >= BATCH_MAX:
                # what is cut off is the end of some shards, and read again; they take turns at being first
                return entries[:BATCH_MAX]
        if entries:
            self._idle_s = _IDLE_S[0]
        elif wait:
            time.sleep(self._idle_s)
            self._idle_s = min(2 * self._idle_s, _IDLE_S[1])
        return entries

    def finish(self, entries: list[Entry], reached: dict[int, EntryId]) -> None:
        """Announce what is written, trim it, and let written orders go, on each master."""
        self.announce(reached)
        self.let_go(entries, reached)

    def let_go(self, entries: Iterable[Entry], reached: dict[int, EntryId]) -> None:
        """Trim what is written, and let written orders go, on each master."""
        for url, shards in self._shards.items():
            if its := {shard: reached[shard] for shard in shards if shard in reached}:
                pipe = self._pipe(url)
                self._let_go(pipe, [entry for entry in entries if entry.shard in its], its)
                self._answers(url, pipe)

    def written(self, last: dict[int, EntryId]) -> list[Entry]:
        """Return entries up to `last` that are still there, the oldest of each shard that can be read."""
        entries: list[Entry] = []
        for url, shards in self._shards.items():
            its = [shard for shard in shards if shard in last]
            pipe = self._pipe(url)
            for shard in its:
                pipe.xrange(keys.outbox(shard), max=name_of(last[shard]), count=_SHARE)
            for shard, answer in zip(its, self._answers(url, pipe), strict=False):
                if not isinstance(answer, Exception):
                    entries += entries_of(shard, answer)
        return entries

    def server(self, shard: int) -> Redis:
        """Return who has a shard."""
        [url] = (url for url, shards in self._shards.items() if shard in shards)
        return self._by_url[url]

    def announce(self, reached: dict[int, EntryId]) -> None:
        """Tell all who wait how far Postgres has followed; any node of a cluster passes it on to the others."""
        for url in sorted(self._by_url, key=lambda url: self._away_until.get(url, 0.0)):
            pipe = self._pipe(url)
            pipe.publish(keys.DRAINED_CHANNEL, self._word(reached))
            if self._answers(url, pipe):
                return

    def _pipe(self, url: str) -> Any:
        return self._by_url[url].pipeline(transaction=False)

    def _answers(self, url: str, pipe: Any) -> list[Any]:
        """Send what a pipe has; return the master's answers, errors among them, and none at all if it is away."""
        if self._away_until.get(url, 0.0) > time.monotonic():
            return []
        try:
            answers: list[Any] = pipe.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            log.warning("a master is away: %s", error)
            self._away_until[url] = time.monotonic() + _AWAY_S
            self._doubtful = True
            return []
        if any(isinstance(answer, ResponseError) and elsewhere(answer) for answer in answers):
            self._doubtful = True
        return answers

    def _leave(self, shards: list[int]) -> None:
        """Read no more from shards until they are learned anew, which is soon."""
        for shard in shards:
            self._last.pop(shard, None)
        self._learn_at = 0.0

    def _find(self) -> None:
        """Read the map of the cluster."""
        known = sorted(self._by_url, key=lambda url: self._away_until.get(url, 0.0))
        try:
            urls = masters([*known, self._settings.redis_url], self._settings.shards)
        except Fenced as error:
            log.warning("%s", error)
            return
        for url in [url for url in self._by_url if url not in urls]:
            self._by_url.pop(url).close()
            self._away_until.pop(url, None)
        for url in urls:
            if url not in self._by_url:
                self._by_url[url] = Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._shards = {url: [n for n, its in enumerate(urls) if its == url] for url in self._by_url}
        # a master that is away may have an heir soon
        self._doubtful = any(until > time.monotonic() for until in self._away_until.values())


def _turned(things: list[Any], turn: int) -> list[Any]:
    """Return a list that begins with another of its elements each turn."""
    start = turn % len(things) if things else 0
    return things[start:] + things[:start]
