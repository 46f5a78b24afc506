"""Ids leased from Postgres in blocks, so that an id needs no round trip and outlives the loss of Redis."""

from __future__ import annotations

import asyncio

from engine.domain import codes
from persistence import sequences
from persistence.database import Database


class _Lease:
    """A block of ids of one sequence; a new block is fetched when the last one is used up."""

    def __init__(self, database: Database, sequence: str) -> None:
        self._database, self._sequence = database, sequence
        self._next = self._end = 0
        self._lock = asyncio.Lock()

    async def take(self, count: int = 1) -> int:
        """Return the first of `count` consecutive ids."""
        while self._next + count > self._end:
            async with self._lock:
                if self._next + count > self._end:
                    first, size = await sequences.lease(self._database, self._sequence, count)
                    self._next, self._end = first, first + size
        first = self._next
        self._next += count
        return first


class Ids:
    """All ids that a process hands out. Gaps are normal, repetition is impossible."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders = _Lease(database, "order_ids")
        self._positions = _Lease(database, "position_ids")
        self._fees = _Lease(database, "fee_ids")
        self._code_key: bytes | None = None

    async def order(self) -> tuple[int, str]:
        """Return a new order id and its code: the id under a keyed permutation, so unique and not guessable."""
        order_id = await self._orders.take()
        while await self._taken(code := codes.order_code(order_id, await self.code_key())):
            order_id = await self._orders.take()
        return order_id, code

    async def positions(self, count: int) -> int:
        """Return the first of `count` consecutive position ids."""
        return await self._positions.take(count)

    async def fees(self, count: int) -> int:
        """Return the first of `count` consecutive fee ids."""
        return await self._fees.take(count)

    async def code_key(self) -> bytes:
        """Return the installation's key for order codes."""
        if self._code_key is None:
            self._code_key = await sequences.code_key(self._database)
        return self._code_key

    async def _taken(self, code: str) -> bool:
        return False
