"""A catalogue of which only what has changed is published, and one that was live before its commit."""

from __future__ import annotations

import random

import pytest
from sample_events import MINUTE_MS, event, group, move, order, product, quota

from engine.domain.catalogue import Voucher
from engine.domain.errors import InUse, StaleCatalogue
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.values import HoldGroup, HoldPosition, VoucherUse

USAGES = 4


def voucher(number, **fields):
    """Return a voucher that keeps units of an item, or of a quota, free."""
    made = {"item": None, "quota": None, "max_usages": USAGES, "block_quota": True} | fields
    plain = {"valid_until": None, "allow_ignore_quota": False, "price_mode": "none", "value": None, "budget": None}
    return Voucher(id=number, code=f"V{number}", variation=None, subevent=None, seat=None, **plain, **made)


def fields_of(ledger, server_redis, of):
    found = server_redis.hgetall(keys.event(ledger.shard_of(of), of.id))
    return {name.decode(): value.decode() for name, value in found.items() if value != b"0"}


def any_quota(chance, number, version):
    of = chance.sample([1, 2, 3, (9, 91), (9, 92)], chance.randint(0, 3))
    word = chance.choice([1, version])
    closes, closed = chance.random() < 0.3, chance.random() < 0.1
    return quota(number, chance.choice([None, 0, 3, 9]), *of, close_when_sold_out=closes, closed=closed, word=word)


def any_reserving(chance, quotas):
    made = []
    for number in range(1, 4):
        where = {"item": chance.choice([1, 2])} if chance.random() < 0.5 or not quotas else {"quota": min(quotas)}
        if chance.random() < 0.6:
            made.append(voucher(number, block_quota=chance.random() < 0.8, max_usages=chance.choice([3, 4]), **where))
    return tuple(made)


async def sell(chance, ledger, of):
    """Hold and order something of whatever there is."""
    number = chance.choice([1, 2, 3, (9, 91)])
    if not of.quotas_of(product(number)):
        return
    await ledger.hold(of, [group(number, number)])
    if of.reserving and (used := chance.choice(of.reserving)).reserved is not None and of.quotas_of((1, 0, 0)):
        use = VoucherUse(used.id, used.max_usages, skips_quota=True)
        await ledger.hold(of, [HoldGroup("c@api", [HoldPosition((1, 0, 0), b"{}", voucher=use)], MINUTE_MS, None)])
    made = order(of, number)
    await ledger.order_commit(of, made, encode(made), moves=[move(number, "n", 1)], mode="force")


@pytest.mark.parametrize("seed", range(3))
async def test_what_has_changed_leaves_what_all_of_it_would_leave(ledger, server_redis, open_event, seed):
    chance = random.Random(seed)
    of = await open_event(quota(1, 9, 1, 2, 3), quota(2, 3, 1))
    for _ in range(25):
        version = of.version + 1
        there = dict(of.quotas)
        for number in chance.sample(range(1, 7), 2):
            there.pop(number, None)
            if chance.random() < 0.7:
                there[number] = any_quota(chance, number, version)
        changed = {"quotas": there.values(), "reserving": of.reserving, "waiting": of.waiting}
        if chance.random() < 0.4:
            changed["reserving"] = any_reserving(chance, there)
        if chance.random() < 0.4:
            changed["waiting"] = {product(n): chance.randint(1, 3) for n in chance.sample([1, 2, 3], 2)}
        quotas = changed.pop("quotas")
        newer = event(*quotas, like=of, **changed)
        await ledger.publish(newer, of)
        assert await ledger.version(newer) == version
        told = fields_of(ledger, server_redis, newer)
        of = event(*newer.quotas.values(), like=newer, **changed)
        await ledger.publish(of)
        assert fields_of(ledger, server_redis, of) | {"v": str(version)} == told
        await sell(chance, ledger, of)


async def test_who_knows_another_version_than_the_live_one_tells_all(ledger, open_event):
    of = await open_event(quota(1, 5, 1), quota(2, 5, 2))
    other = event(quota(1, 7, 1), quota(2, 5, 2), like=of)
    await ledger.publish(other, of)
    mine = event(quota(1, 5, 1), quota(2, 6, 2), like=of, version=3)
    await ledger.publish(mine, of)
    found = await ledger.availability(mine, [1, 2])
    assert {number: count.size for number, count in found.items()} == {1: 5, 2: 6}


async def test_a_version_that_was_not_committed_gives_way_to_another_of_its_number(ledger, open_event):
    of = await open_event(quota(1, 5, 1), quota(2, 5, 2))
    gone = event(quota(2, 5, 2), like=of)
    await ledger.publish_if(gone, (1, 0, 0), {}, of)
    assert await ledger.live(of) == (2, False)
    committed = event(quota(1, 4, 1), quota(2, 5, 2), like=of)
    assert committed.version == gone.version
    await ledger.publish(committed, of)
    assert await ledger.live(of) == (2, True)
    assert (await ledger.availability(committed, [1]))[1].size == 4
    # which does not give way any more
    await ledger.publish(gone, of)
    await ledger.publish_if(gone, (1, 0, 0), {}, of)
    assert (await ledger.availability(committed, [1]))[1].size == 4


async def test_nothing_is_built_on_a_version_that_was_not_committed(ledger, open_event):
    of = await open_event(quota(1, 5, 1), quota(2, 5, 2))
    await ledger.publish_if(event(quota(2, 5, 2), like=of), (1, 0, 0), {})
    committed = event(*of.quotas.values(), like=of)
    newer = event(quota(1, 5, 1), quota(2, 6, 2), like=committed)
    await ledger.publish(newer, committed)
    found = await ledger.availability(newer, [1, 2])
    assert {number: count.size for number, count in found.items()} == {1: 5, 2: 6}


async def test_a_version_is_confirmed_once_it_is_committed(ledger, open_event):
    of = await open_event(quota(1, 5, 1), quota(2, 5, 2))
    newer = event(quota(2, 5, 2), like=of)
    await ledger.publish_if(newer, (1, 0, 0), {}, of)
    await ledger.confirm(of)
    assert await ledger.live(of) == (2, False)
    await ledger.confirm(newer)
    assert await ledger.live(of) == (2, True)
    later = event(quota(2, 6, 2), like=newer)
    await ledger.confirm(later)  # as if the shard had been rebuilt in between
    assert await ledger.live(of) == (3, True)
    assert (await ledger.availability(later, [2]))[2].size == 6


async def test_what_has_changed_waits_for_what_has_to_be_unused_and_free(ledger, open_event):
    of = await open_event(quota(1, 5, 1, 2))
    await ledger.hold(of, [group(1)])
    with pytest.raises(InUse):
        await ledger.publish_if(event(quota(1, 5, 2), like=of), (1, 0, 0), {}, of)
    with pytest.raises(StaleCatalogue):
        await ledger.publish_if(event(quota(1, 5, 1, 2), like=of), None, {1: 5}, of)
    assert await ledger.live(of) == (1, True)
