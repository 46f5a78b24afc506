"""Ids of holds: leased from Postgres in blocks, handed out by Redis, one event's after the other.

A script that finds its event's block used up has done its work in vain, and so have all calls behind it. So a block is
leased ahead while there are ids left, and one lease serves all that have found none.
"""

from __future__ import annotations

import asyncio

from persistence import sequences
from persistence.database import Database

_AHEAD = sequences.BLOCK["hold_ids"] // 2
"""A block is leased when fewer are left of the last one: some dozens of bulk requests may be under way meanwhile."""

Block = tuple[int, int]
"""First and last id."""
NONE: Block = (0, 0)


class HoldIds:
    """The blocks that one process leases."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ahead: dict[int, Block] = {}
        self._leases: dict[int, asyncio.Task[Block]] = {}

    async def close(self) -> None:
        for lease in self._leases.values():
            lease.cancel()
        await asyncio.gather(*self._leases.values(), return_exceptions=True)

    def ahead(self, event_id: int) -> Block:
        """Return a block that was leased ahead for an event, once, or NONE."""
        return self._ahead.pop(event_id, NONE)

    def told(self, event_id: int, left: int) -> None:
        """See to it that there is a block when the ids that are left of an event's block are used up."""
        if left < _AHEAD and event_id not in self._leases and event_id not in self._ahead:
            self._lease(event_id).add_done_callback(lambda lease: self._keep(event_id, lease))

    async def block(self, event_id: int) -> Block:
        """Return a fresh block, the same to all who ask at once. Raises Fenced."""
        return await asyncio.shield(self._leases.get(event_id) or self._lease(event_id))

    def _lease(self, event_id: int) -> asyncio.Task[Block]:
        lease = self._leases[event_id] = asyncio.get_running_loop().create_task(self._fetch())
        lease.add_done_callback(lambda _: self._leases.pop(event_id))
        return lease

    async def _fetch(self) -> Block:
        first = await sequences.lease(self._database, "hold_ids")
        return first, first + sequences.BLOCK["hold_ids"] - 1

    def _keep(self, event_id: int, lease: asyncio.Task[Block]) -> None:
        # while Postgres is away nothing is leased ahead, and whoever needs ids is told
        if not lease.cancelled() and lease.exception() is None:
            self._ahead[event_id] = lease.result()
