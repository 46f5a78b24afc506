"""Sets the clock of this process by that of Redis, once a second."""

from __future__ import annotations

import asyncio
import contextlib
import time

from redis.exceptions import RedisError

from engine.domain import clock
from engine.domain.errors import Fenced
from engine.ledger.nodes import Nodes

_EVERY_S = 1.0
_SLOW_S = 0.5
"""An answer that took longer does not tell what time it is, or not well enough."""


class Timekeeper:
    """Asks the server of the first shard for the time; the masters of a cluster are taken to agree."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._ask()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._ask()

    async def _ask(self) -> None:
        asked = time.monotonic()
        with contextlib.suppress(Fenced, RedisError):
            seconds, micros = await self._nodes.pipe(0).call("TIME")
            answered = time.monotonic()
            if answered - asked < _SLOW_S:
                clock.set_by(int(seconds) + int(micros) / 1e6, (asked + answered) / 2)
