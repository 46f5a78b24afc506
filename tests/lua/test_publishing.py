"""A catalogue that changes in the middle of a sale: every counter is derived anew, nothing is lost."""

from __future__ import annotations

import pytest
from sample_events import after, event, following, group, move, now_ms, order, product, quota

from engine.domain.errors import InUse, SoldOut, StaleCatalogue
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.values import Held, Short


async def used(ledger, of):
    found = await ledger.availability(of, list(of.quotas))
    return {number: (count.held, count.pending, count.used) for number, count in found.items()}


async def buy(ledger, of, number):
    made = order(of, number)
    moves, needs = [move(number, "n", 1)], [product(number)]
    await ledger.order_commit(of, made, encode(made), moves=moves, needs=needs)
    return made


async def test_an_event_is_live_as_it_was_published_last(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    assert await ledger.version(of) == 1
    assert await ledger.version(event(quota(1, 2, 1))) is None
    newer = event(quota(1, 3, 1), like=of, version=5)
    await ledger.publish(newer)
    assert await ledger.version(of) == 5


async def test_an_older_version_and_the_same_one_again_are_ignored(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    newer = event(quota(1, 9, 1), like=of, version=5)
    await ledger.publish(newer)
    for size, version in ((1, 4), (1, 1), (1, 5)):
        await ledger.publish(event(quota(1, size, 1), like=of, version=version) if version > 1 else of)
        assert (await ledger.availability(newer, [1]))[1].size == 9
    assert await ledger.version(newer) == 5


async def test_a_smaller_size_takes_nothing_away_and_sells_nothing_more(ledger, open_event):
    of = await open_event(quota(1, 5, 1))
    [answer] = await ledger.hold(of, [group(1, 1, 1)])
    smaller = event(quota(1, 2, 1), like=of)
    await ledger.publish(smaller)
    count = (await ledger.availability(smaller, [1]))[1]
    assert (count.size, count.held, count.used, count.free) == (2, 3, 3, 0)
    assert await ledger.hold(smaller, [group(1)]) == [Short(1)]
    for number in answer.ids[:2]:
        await ledger.hold_release(smaller, number)
    assert isinstance((await ledger.hold(smaller, [group(1)]))[0], Held)


async def test_a_larger_size_sells_at_once(ledger, open_event):
    of = await open_event(quota(1, 1, 1))
    await ledger.hold(of, [group(1)])
    larger = event(quota(1, 2, 1), like=of)
    await ledger.publish(larger)
    assert isinstance((await ledger.hold(larger, [group(1)]))[0], Held)
    unlimited = event(quota(1, None, 1), like=larger)
    await ledger.publish(unlimited)
    assert (await ledger.availability(unlimited, [1]))[1].free is None


async def test_an_item_that_moves_takes_its_units_along(ledger, open_event):
    of = await open_event(quota(1, 5, 1, 2), quota(2, 5, 3))
    await buy(ledger, of, 2)
    [first, second] = await ledger.hold(of, [group(1), group(2)])
    assert await used(ledger, of) == {1: (2, 1, 3), 2: (0, 0, 0)}

    moved = event(quota(1, 5, 1), quota(2, 5, 3, 2), like=of)
    await ledger.publish(moved)
    assert await used(ledger, moved) == {1: (1, 0, 1), 2: (1, 1, 2)}
    await ledger.hold_release(moved, second.ids[0])
    assert await used(ledger, moved) == {1: (1, 0, 1), 2: (0, 1, 1)}
    await ledger.hold_release(moved, first.ids[0])
    assert await used(ledger, moved) == {1: (0, 0, 0), 2: (0, 1, 1)}


async def test_a_quota_added_over_what_is_sold_counts_it(ledger, open_event):
    of = await open_event(quota(1, 5, 1))
    await buy(ledger, of, 1)
    await ledger.hold(of, [group(1)])
    more = event(quota(1, 5, 1), quota(7, 2, 1), like=of)
    await ledger.publish(more)
    assert await used(ledger, more) == {1: (1, 1, 2), 7: (1, 1, 2)}
    assert await ledger.hold(more, [group(1)]) == [Short(7)]


async def test_a_quota_goes_while_holds_stand(ledger, server_redis, open_event):
    of = await open_event(quota(1, 5, 1), quota(2, 1, 1, 2))
    [answer] = await ledger.hold(of, [group(1)])
    without = event(quota(1, 5, 1), like=of)
    await ledger.publish(without)
    assert isinstance((await ledger.hold(without, [group(1)]))[0], Held)
    await ledger.hold_release(without, answer.ids[0])
    assert await used(ledger, without) == {1: (1, 0, 1)}

    fields = server_redis.hgetall(keys.event(ledger.shard_of(of), of.id))
    assert not {b"u2", b"l2", b"s2", b"c2", b"q2.0.0"} & set(fields)
    with pytest.raises(SoldOut) as short:
        await buy(ledger, without, 2)
    assert short.value.failures == [(0, 0)]


async def test_the_last_quota_goes_and_comes_back(ledger, open_event):
    of = await open_event(quota(1, 3, 1))
    made = await buy(ledger, of, 1)
    [answer] = await ledger.hold(of, [group(1, 1)])
    none = event(like=of)
    await ledger.publish(none)
    await ledger.hold_release(none, answer.ids[0])
    canceled = following(made, "c")
    await ledger.order_commit(none, canceled, encode(canceled), moves=[move(1, "n", -1)])
    again = event(quota(4, 1, 1), like=none)
    await ledger.publish(again)
    assert await used(ledger, again) == {4: (1, 0, 1)}


async def test_a_smaller_size_closes_what_that_sells_out(ledger, open_event):
    of = await open_event(quota(1, 5, 1, close_when_sold_out=True))
    await buy(ledger, of, 1)
    smaller = event(quota(1, 1, 1, close_when_sold_out=True), like=of)
    await ledger.publish(smaller)
    assert (await ledger.availability(smaller, [1]))[1].closed


@pytest.mark.parametrize("gone", [(1, 0, 0), (0, 0, 0)])
async def test_what_is_held_or_sold_cannot_go(ledger, open_event, gone):
    of = await open_event(quota(1, 5, 1, 2))
    without = event(quota(1, 5, 2), like=of)

    async def refused():
        with pytest.raises(InUse):
            await ledger.publish_if(without, gone, {})
        assert await ledger.version(of) == of.version

    [answer] = await ledger.hold(of, [group(1)])
    await refused()
    await ledger.hold_release(of, answer.ids[0])
    made = await buy(ledger, of, 1)
    await refused()
    canceled = following(made, "c")
    await ledger.order_commit(of, canceled, encode(canceled), moves=[move(1, "n", -1)])
    await ledger.publish_if(without, gone, {})
    assert await ledger.version(of) == without.version
    with pytest.raises(StaleCatalogue):
        await ledger.hold(of, [group(1)])


async def test_what_was_only_held_can_go_once_that_has_expired(ledger, open_event, server_redis):
    of = await open_event(quota(1, 5, 1, 2))
    deadline = now_ms(server_redis) + 50
    await ledger.hold(of, [group(1, deadline_ms=deadline), group(2)])
    await after(server_redis, deadline)
    await ledger.publish_if(event(quota(1, 5, 2), like=of), (1, 0, 0), {})


async def test_others_may_be_held_and_sold_while_something_goes(ledger, open_event):
    of = await open_event(quota(1, 50, 1, 10, 11, (9, 91), (9, 92)), items=11)
    await ledger.hold(of, [group(10, 11)])
    await buy(ledger, of, 11)
    await ledger.publish_if(event(quota(1, 50, 10, 11), like=of, items=11), (1, 0, 0), {})
    newer = event(quota(1, 50, 10, 11), like=of, items=11, version=7)
    await ledger.publish_if(newer, (0, 1, 0), {})
    with pytest.raises(InUse):
        await ledger.publish_if(event(quota(1, 50, 10), like=newer, items=11), (11, 0, 0), {})


async def test_what_is_to_be_kept_free_must_be_free(ledger, open_event, server_redis):
    of = await open_event(quota(1, 3, 1), quota(2, None, 1), quota(3, 9, 2, closed=True))
    await ledger.hold(of, [group(1)])
    deadline = now_ms(server_redis) + 1000
    await ledger.hold(of, [group(1, deadline_ms=deadline)])
    newer = event(*of.quotas.values(), like=of)
    for room in ({1: 2}, {3: 1}, {2: 100, 1: 2}):
        with pytest.raises(StaleCatalogue):
            await ledger.publish_if(newer, None, room)
    assert await ledger.version(of) == of.version
    await after(server_redis, deadline)
    await ledger.publish_if(newer, None, {1: 2, 2: 100})
    assert await ledger.version(of) == newer.version


async def test_an_event_of_thousands_of_products_is_counted(ledger, open_event):
    """More products than Lua may unpack at once."""
    many = 3000
    of = await open_event(quota(1, 10, *range(10, many)), items=many)
    await buy(ledger, of, many - 1)
    await ledger.hold(of, [group(10, 11)])
    assert await used(ledger, of) == {1: (2, 1, 3)}


async def test_a_product_of_many_quotas_is_counted_in_all(ledger, open_event):
    of = await open_event(*(quota(number, 2, 1) for number in range(1, 301)))
    await ledger.hold(of, [group(1, 1)])
    assert set((await used(ledger, of)).values()) == {(2, 0, 2)}
    assert await ledger.hold(of, [group(1)]) == [Short(1)]
