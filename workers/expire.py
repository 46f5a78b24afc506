"""Unpaid orders expire by themselves when their time has passed, and give back their units."""

from __future__ import annotations

import asyncio
import logging

from engine.domain.errors import Fenced, HoldfastError, Refused
from engine.domain.order_changes import expire
from engine.meters import METERS
from engine.sales import orders
from engine.sales.house import House
from persistence import orders as stored

log = logging.getLogger("holdfast.expire")

BATCH_MAX = 200
"""Orders expired in one run, a few at a time; the next run goes on."""
_AT_ONCE = 20


async def expire_orders(house: House) -> int:
    """Expire pending orders whose deadline has passed, at most BATCH_MAX; return how many were looked at.

    Safe to run twice and beside anything else: the rule looks at the newest version of each order.
    """
    rows = await stored.expired(house.database, BATCH_MAX)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(organizer_id: int, slug: str, code: str) -> None:
        async with gate:
            try:
                event = await house.catalogue.event(organizer_id, slug)
                await orders.change(house, event, code, expire)
                METERS.orders_expired += 1
            except Refused as error:
                log.error("order %s cannot expire: %s", code, error)
            except HoldfastError as error:
                log.warning("order %s could not expire yet: %s", code, error)

    await asyncio.gather(*(one(row["organizer_id"], row["event"], row["code"]) for row in rows))
    return len(rows)


async def sweep(house: House) -> None:
    """Release due holds of quiet shards, and forget expired ones that were listed long enough; have the fence look.

    A shard whose node is away or being verified is left for the next time; those of other nodes have their turn.
    """
    fenced = 0
    for shard in range(house.settings.shards):
        more = True
        while more:
            try:
                more = await house.ledger.sweep(shard)
            except Fenced:
                fenced += 1
                more = False
    await house.ledger.fence.look()
    if fenced:
        log.info("%d shards could not be swept yet", fenced)
