"""The servers that hold the shards, with one batching connection to each: one server, or the masters of a cluster.

In a cluster shards move: to a replica when their master dies, to another master when somebody rebalances. Whoever gets
a shard is not believed before the fence has looked at it (`taken_over`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from engine.domain.errors import Fenced
from engine.ledger.cluster import masters
from engine.ledger.pipe import Pipe

log = logging.getLogger("holdfast.nodes")

_LOOK_S = 0.5
"""How often to ask for the map while a master is away."""


_PAUSE_S = 0.05
"""How long to leave the cluster alone after asking for its map."""


class Nodes:
    """The pipes of one process, by shard."""

    def __init__(self, url: str, shards: int) -> None:
        first = self._pipe(url)
        self._url = url
        self._by_url = {url: first}
        self._by_shard = [first] * shards
        self._following: asyncio.Task[None] | None = None
        self._doubted = asyncio.Event()
        self.clustered = False
        self.taken_over: Callable[[Pipe], object] = lambda pipe: None
        """Called for each server that has new shards, or another history than when it was last connected to, before
        anything is sent there."""

    async def open(self) -> None:
        """Connect, to each master if this is a cluster. Raises Fenced if the server, or every node, is away."""
        [first] = self._by_url.values()
        await first.open()
        self.clustered = b"cluster_enabled:1" in await first.call("INFO", "cluster")
        if self.clustered:
            self._by_url = {}
            await first.close()
            await self._learn()
            self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await asyncio.gather(*(pipe.close() for pipe in self._by_url.values()))

    def pipe(self, shard: int) -> Pipe:
        """Return the pipe to the server that has a shard."""
        return self._by_shard[shard]

    def all(self) -> list[Pipe]:
        """Return every pipe, once."""
        return list(self._by_url.values())

    def shards(self, pipe: Pipe) -> list[int]:
        """Return the shards of one server."""
        return [shard for shard, its in enumerate(self._by_shard) if its is pipe]

    def url(self) -> str:
        """Return the URL of a server that answers, if any does: what it publishes is heard on all of them."""
        return next((url for url, pipe in self._by_url.items() if not pipe.away), self._url)

    def doubt(self) -> None:
        """Ask for the map of the cluster anew: a node has said that it is wrong."""
        self._doubted.set()

    async def _follow(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._doubted.wait(), _LOOK_S)
            except TimeoutError:
                if not any(pipe.away for pipe in self._by_url.values()):
                    continue
            self._doubted.clear()
            try:
                await self._learn()
            except Fenced as error:
                log.warning("%s", error)
            except Exception:
                log.exception("cannot follow the cluster")
            await asyncio.sleep(_PAUSE_S)

    async def _learn(self) -> None:
        """Read the map, connect to new masters, leave those that have no shards any more."""
        # whoever answers us is the likeliest to know
        known = sorted(self._by_url, key=lambda url: self._by_url[url].away)
        urls = await asyncio.to_thread(masters, [*known, self._url], len(self._by_shard))
        new = {url: self._pipe(url) for url in urls if url not in self._by_url}
        await asyncio.gather(*(pipe.open(wait=False) for pipe in new.values()))
        by_url = {**self._by_url, **new}
        old, self._by_shard = self._by_shard, [by_url[url] for url in urls]
        gone = [pipe for url, pipe in self._by_url.items() if url not in urls]
        self._by_url = {url: by_url[url] for url in urls}
        for pipe in {now: None for before, now in zip(old, self._by_shard, strict=True) if before is not now}:
            self.taken_over(pipe)
        if new or gone:
            log.info("%d masters: %d new, %d gone", len(self._by_url), len(new), len(gone))
        await asyncio.gather(*(pipe.close() for pipe in gone))

    def _pipe(self, url: str) -> Pipe:
        return Pipe(url, self._replaced)

    def _replaced(self, pipe: Pipe) -> None:
        self.taken_over(pipe)
