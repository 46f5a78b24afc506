"""Ids of holds: none is given twice, one block serves all who have found none, and the next one is there in time."""

from __future__ import annotations

import asyncio

import pytest_asyncio
from sample_events import group, quota

from engine.ledger import keys
from engine.ledger.hold_ids import NONE, HoldIds
from engine.ledger.scripts import load_scripts
from engine.ledger.values import Held
from persistence import sequences
from persistence.database import Database

EVENT = 4711


@pytest_asyncio.fixture
async def hold_ids(database_url):
    database = Database(database_url)
    await database.open()
    opened = HoldIds(database)
    yield opened
    await opened.close()
    await database.close()


async def test_all_who_ask_at_once_are_given_the_same_block(hold_ids):
    first, second = await asyncio.gather(hold_ids.block(EVENT), hold_ids.block(EVENT))
    assert first == second
    assert first[1] - first[0] + 1 == sequences.BLOCK["hold_ids"]
    assert (await hold_ids.block(EVENT))[0] > first[1]


async def test_a_block_is_leased_ahead_when_few_ids_are_left_and_handed_out_once(hold_ids):
    hold_ids.told(EVENT, sequences.BLOCK["hold_ids"] - 1)
    other = await hold_ids.block(EVENT)
    assert hold_ids.ahead(EVENT) == NONE
    hold_ids.told(EVENT, 1)
    under_way = await hold_ids.block(EVENT)
    ahead = hold_ids.ahead(EVENT)
    assert ahead == under_way
    assert ahead[0] > other[1]
    assert hold_ids.ahead(EVENT) == NONE


async def test_many_who_find_no_ids_hold_all_the_same_with_ids_of_their_own(ledger, server_redis, open_event):
    of = await open_event(quota(1, None, 1))
    await ledger.hold(of, [group(1)])
    event_key = keys.event(ledger.shard_of(of), of.id)
    last = int(server_redis.hget(event_key, "id_last"))
    server_redis.hset(event_key, "id", last - 2)
    # more than one call takes, and each call more than is left
    rounds = await asyncio.gather(*(ledger.hold(of, [group(1)] * 40) for _ in range(6)))
    ids = [number for told in rounds for held in told for number in held.ids if isinstance(held, Held)]
    assert len(set(ids)) == 240
    assert min(ids) > last
    assert server_redis.zcard(keys.holds(ledger.shard_of(of), of.id)) == 241


async def test_ids_that_are_used_up_in_the_middle_of_a_rush_are_followed_by_those_leased_ahead(
    ledger, server_redis, open_event
):
    of = await open_event(quota(1, None, 1))
    await ledger.hold(of, [group(1)])
    event_key = keys.event(ledger.shard_of(of), of.id)
    last = int(server_redis.hget(event_key, "id_last"))
    server_redis.hset(event_key, "id", last - 90)
    [told] = await ledger.hold(of, [group(1)])
    assert told.ids[0] <= last
    async with asyncio.timeout(30):
        while of.id not in ledger._hold_ids._ahead:
            await asyncio.sleep(0.01)
    first, _ = ledger._hold_ids._ahead[of.id]
    [told] = await ledger.hold(of, [group(1)])
    assert told.ids == [first]


async def test_a_block_that_was_leased_before_a_verification_is_not_gone_on_with(
    ledger, server_redis, open_event, hold_ids
):
    of = await open_event(quota(1, None, 1))
    event_key = keys.event(ledger.shard_of(of), of.id)
    before = await hold_ids.block(of.id)
    ledger._hold_ids._ahead[of.id] = before
    [told] = await ledger.hold(of, [group(1)])
    assert told.ids == [before[0]]
    renewed, _ = await hold_ids.block(of.id)
    script = load_scripts()["hold_ids_renew"].text
    elsewhere = keys.event(ledger.shard_of(of), of.id + 1_000_000)
    assert server_redis.eval(script, 2, event_key, elsewhere, renewed) == [b"ok"]
    assert not server_redis.exists(elsewhere)
    ledger._hold_ids._ahead[of.id] = before
    [told] = await ledger.hold(of, [group(1)])
    assert told.ids[0] > renewed
