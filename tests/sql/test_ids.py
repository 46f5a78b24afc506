"""Ids of orders and positions: none is given twice, nobody waits at the end of a block, claimed ones are left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.sales import ids as module
from engine.sales.ids import Ids
from persistence import orders, sequences
from persistence.database import Database

BLOCK = sequences.BLOCK["order_ids"]


@pytest.fixture
async def ids(database: Database) -> AsyncIterator[Ids]:
    opened = Ids(database)
    yield opened
    await opened.close()


async def leased_ahead(ids: Ids) -> tuple[int, int]:
    async with asyncio.timeout(30):
        while ids._orders._ahead is None:
            await asyncio.sleep(0.01)
    return ids._orders._ahead


async def test_all_who_find_none_are_given_ids_of_their_own(ids: Ids, database: Database) -> None:
    other = Ids(database)
    given = await asyncio.gather(*(one.positions(2) for one in (ids, other) for _ in range(BLOCK)))
    await other.close()
    assert len(set(given)) == len(given) == 2 * BLOCK
    assert not set(given) & {first + 1 for first in given}


async def test_orders_find_ids_at_hand_when_a_block_ends(ids: Ids) -> None:
    first, _ = await ids.order()
    given = [first]
    while ids._orders._end - ids._orders._next >= 3:
        order_id, _ = await ids.order()
        given.append(order_id)
    ahead, end = await leased_ahead(ids)
    assert end - ahead == BLOCK
    await ids.positions(1)
    for _ in range(5):
        at_hand = ids.at_hand(1)
        assert at_hand is not None
        given.append(at_hand[0])
    assert given[-1] == ahead + 2
    assert len(set(given)) == len(given)


async def test_ids_of_the_block_ahead_that_are_claimed_meanwhile_are_left_out(
    ids: Ids, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ids.order()
    while ids._orders._end - ids._orders._next >= 2:
        await ids.order()
    ahead, _ = await leased_ahead(ids)
    for number in (ahead, ahead + 2):
        assert await orders.claim(database, "order_id", 0, str(number), 1)
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.0)
    given = [(await ids.order())[0] for _ in range(4)]
    assert given[1:] == [ahead + 1, ahead + 3, ahead + 4]
