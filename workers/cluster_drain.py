"""The drain of a cluster: the shards of each master are read in turn.

One XREAD cannot wait for streams in several slots, so each shard is asked by itself, all of a master in one pipeline.
A master that is away is left alone, and the others go on; its shards are learned anew once it, or its heir, answers.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from redis.exceptions import RedisError, ResponseError

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.cluster import elsewhere, masters
from engine.ledger.line import Command, Line
from engine.settings import Settings
from persistence.outbox import EntryId
from workers.drain import BATCH_MAX, Drain, State, entries_told, state_of
from workers.entries import Entry, name_of

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
        self._by_url: dict[str, Line] = {}
        self._shards: dict[str, list[int]] = {}
        self._away_until: dict[str, float] = {}
        self._doubtful = True
        self._idle_s = _IDLE_S[0]
        self._turn = 0

    def close(self) -> None:
        for line in self._by_url.values():
            line.close()
        super().close()

    def states(self) -> dict[int, State]:
        """Return what masters know, by shard; nothing of those that are away."""
        if self._doubtful:
            self._find()
        found: dict[int, State] = {}
        for url, shards in self._shards.items():
            answers = self._answers(url, *map(state_of, shards))
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
            since = ((self._streams[shard], name_of(self._last[shard])) for shard in shards)
            answers = self._answers(url, *(("XREAD", "COUNT", _SHARE, "STREAMS", *one) for one in since))
            if not answers:
                self._leave(shards)
            for shard, answer in zip(shards, answers, strict=False):
                if isinstance(answer, Exception):
                    self._leave([shard])
                    continue
                entries += [entry for _, rows in answer or () for entry in entries_told(shard, rows)]
            if len(entries) >= BATCH_MAX:
                # what is cut off is the end of some shards, and read again; they take turns at being first
                return entries[:BATCH_MAX]
        if entries:
            self._idle_s = _IDLE_S[0]
        elif wait:
            time.sleep(self._idle_s)
            self._idle_s = min(2 * self._idle_s, _IDLE_S[1])
        return entries

    def let_go(self, written: dict[int, dict[bytes, int]], reached: dict[int, EntryId]) -> None:
        """Trim what is written, and let written orders go, on each master."""
        for url, shards in self._shards.items():
            if its := {shard: reached[shard] for shard in shards if shard in reached}:
                orders = {shard: written[shard] for shard in its if shard in written}
                self._answers(url, *self._trims(its), *self._settles(orders))

    def written(self, last: dict[int, EntryId]) -> list[Entry]:
        """Return entries up to `last` that are still there, the oldest of each shard that can be read."""
        entries: list[Entry] = []
        for url, shards in self._shards.items():
            its = [shard for shard in shards if shard in last]
            answers = self._answers(url, *(self._up_to(shard, last[shard], _SHARE) for shard in its))
            for shard, answer in zip(its, answers, strict=False):
                if not isinstance(answer, Exception):
                    entries += entries_told(shard, answer)
        return entries

    def server(self, shard: int) -> Line:
        """Return who has a shard."""
        [url] = (url for url, shards in self._shards.items() if shard in shards)
        return self._by_url[url]

    def announce(self, reached: dict[int, EntryId]) -> None:
        """Tell all who wait how far Postgres has followed; any node of a cluster passes it on to the others."""
        for url in sorted(self._by_url, key=lambda url: self._away_until.get(url, 0.0)):
            if self._answers(url, ("PUBLISH", keys.DRAINED_CHANNEL, self._word(reached))):
                return

    def _answers(self, url: str, *commands: Command) -> list[Any]:
        """Return a master's answers, errors among them, and none at all if it is away."""
        if self._away_until.get(url, 0.0) > time.monotonic():
            return []
        try:
            answers = self._by_url[url].ask(*commands)
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
                self._by_url[url] = Line(url, _TIMEOUT_S)
        self._shards = {url: [n for n, its in enumerate(urls) if its == url] for url in self._by_url}
        # a master that is away may have an heir soon
        self._doubtful = any(until > time.monotonic() for until in self._away_until.values())


def _turned(things: list[Any], turn: int) -> list[Any]:
    """Return a list that begins with another of its elements each turn."""
    start = turn % len(things) if things else 0
    return things[start:] + things[:start]
