"""Ids leased from Postgres in blocks, so that an id needs no round trip and outlives the loss of Redis."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from engine.domain import codes
from engine.domain.errors import Fenced
from persistence import sequences
from persistence.database import Database

LOOK_AGAIN_S = 5.0
"""How long a process may not know that the code of an id which it has leased was claimed."""
_AHEAD = 250
"""A block is leased when fewer ids are left of the last one, or a rush would wait for Postgres at the end of each."""
_CODES_AHEAD = 64
"""Codes made at a time: alone one costs three times as much in a rush, when caches have nothing left of its tables."""


class _Lease:
    """Ids of one sequence, leased in blocks: the next one while there are ids left of the last one."""

    def __init__(self, database: Database, sequence: str) -> None:
        self._database, self._sequence = database, sequence
        self._next = self._end = 0
        self._ahead: tuple[int, int] | None = None
        """First and end of the next block, once it is leased."""
        self._leasing: asyncio.Task[None] | None = None
        self.reserved: frozenset[int] = frozenset()

    async def close(self) -> None:
        if self._leasing is not None:
            self._leasing.cancel()
            await asyncio.gather(self._leasing, return_exceptions=True)

    def at_once(self, count: int) -> int:
        """Return the first of `count` consecutive ids if they are at hand, else 0."""
        return self._handed(count)

    async def take(self, count: int = 1) -> int:
        """Return the first of `count` consecutive ids; `count` is at most a block. Raises Fenced."""
        while not (first := self._handed(count)):
            await asyncio.shield(self._leasing or self._lease())
        return first

    def _handed(self, count: int) -> int:
        first = self._next
        if first + count > self._end:
            if self._ahead is None:
                return 0
            (first, self._end), self._ahead = self._ahead, None
        self._next = first + count
        if self._end - self._next < _AHEAD and self._ahead is None and self._leasing is None:
            self._lease()
        return first

    def _lease(self) -> asyncio.Task[None]:
        lease = self._leasing = asyncio.get_running_loop().create_task(self._fetch())
        lease.add_done_callback(self._leased)
        return lease

    def _leased(self, lease: asyncio.Task[None]) -> None:
        self._leasing = None
        if not lease.cancelled():
            # while Postgres is away nothing is leased ahead, and whoever needs ids is told
            lease.exception()

    async def _fetch(self) -> None:
        first = await sequences.lease(self._database, self._sequence)
        end = first + sequences.BLOCK[self._sequence]
        reserved = await self._reserved_in(first, end)
        self.reserved = reserved.union(number for number in self.reserved if number >= self._next)
        self._ahead = first, end

    async def _reserved_in(self, first: int, end: int) -> frozenset[int]:
        """Return the ids of a block that must not be used."""
        return frozenset()


class _OrderLease(_Lease):
    """Order ids, less those whose codes clients or imports have claimed for themselves.

    A client cannot claim the code of an id that is leased; an import does, and then waits until all have looked again.
    """

    _looked_at = 0.0

    def at_once(self, count: int) -> int:
        if time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            return 0
        return self._handed(count)

    async def take(self, count: int = 1) -> int:
        now = time.monotonic()
        if now - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = now
            # while Postgres is away nobody can claim any
            with suppress(Fenced):
                await self._look_again()
        return await super().take(count)

    async def _look_again(self) -> None:
        if self._leasing is not None:
            await asyncio.shield(self._leasing)
        for first, end in ((self._next, self._end), self._ahead or (0, 0)):
            if first < end:
                self.reserved |= await self._reserved_in(first, end)

    async def _reserved_in(self, first: int, end: int) -> frozenset[int]:
        return await sequences.reserved_numbers(self._database, first, end - 1)


class Ids:
    """All ids that a process hands out. Gaps are normal, repetition is impossible."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders = _OrderLease(database, "order_ids")
        self._positions = _Lease(database, "position_ids")
        self._fees = _Lease(database, "fee_ids")
        self._checkins = _Lease(database, "checkin_ids")
        self._code_key: bytes | None = None
        self._codes: dict[int, str] = {}
        """Of the ids that come next."""

    async def close(self) -> None:
        for lease in (self._orders, self._positions, self._fees, self._checkins):
            await lease.close()

    def at_hand(self, positions: int) -> tuple[int, str, int] | None:
        """Return what `order` and `positions` do, if Postgres need not be asked for any of it."""
        order_id = self._orders.at_once(1)
        if not order_id or order_id in self._orders.reserved or self._code_key is None:
            return None
        first_position_id = self._positions.at_once(positions)
        if not first_position_id:
            return None
        return order_id, self._code(order_id, self._code_key), first_position_id

    async def order(self) -> tuple[int, str]:
        """Return a new order id and its code: the id under a keyed permutation, so unique and not guessable."""
        while (order_id := await self._orders.take()) in self._orders.reserved:
            pass
        return order_id, self._code(order_id, self._code_key or await self.code_key())

    def _code(self, order_id: int, key: bytes) -> str:
        code = self._codes.pop(order_id, None)
        if code is None:
            ahead = range(order_id, order_id + _CODES_AHEAD)
            self._codes = {number: codes.order_code(number, key) for number in ahead}
            code = self._codes.pop(order_id)
        return code

    async def positions(self, count: int) -> int:
        """Return the first of `count` consecutive position ids."""
        return self._positions.at_once(count) or await self._positions.take(count)

    async def fees(self, count: int) -> int:
        """Return the first of `count` consecutive fee ids."""
        return await self._fees.take(count)

    async def checkin(self) -> int:
        """Return a new check-in id."""
        return await self._checkins.take()

    async def code_key(self) -> bytes:
        """Return the installation's key for order codes."""
        if self._code_key is None:
            self._code_key = await sequences.code_key(self._database)
        return self._code_key
