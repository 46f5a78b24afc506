"""Orders: given counts, commit this, get that answer and these counts after."""

from __future__ import annotations

from collections import Counter

import pytest
from sample_events import (
    LONG_AGO_MS,
    after,
    event,
    following,
    group,
    move,
    neighbour,
    now_ms,
    order,
    product,
    quota,
)

from engine.domain.errors import Busy, SoldOut, StaleCatalogue
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.values import Held
from workers.entries import entries_of


async def create(ledger, of, *numbers, status="n", **options):
    """Commit a new order over `numbers` and return it."""
    made = order(of, *numbers, status=status)
    moves = [move(number, status, units) for number, units in Counter(numbers).items()]
    needs = [product(number) for number in numbers]
    await ledger.order_commit(of, made, encode(made), moves=moves, needs=needs, **options)
    return made


async def turn(ledger, of, old, status, *, moves=(), needs=(), **options):
    """Commit the next version of an order and return it."""
    new = following(old, status)
    await ledger.order_commit(of, new, encode(new), moves=moves, needs=needs, **options)
    return new


async def figures(ledger, of):
    """Return (held, pending, paid, used) of each quota."""
    found = await ledger.availability(of, list(of.quotas))
    return [(c.held, c.pending, c.paid, c.used) for c in found.values()]


def outbox(server_redis, ledger, of):
    shard = ledger.shard_of(of)
    return [
        (entry.kind, entry.number, entry.version)
        for entry in entries_of(shard, server_redis.xrange(keys.outbox(shard)))
        if entry.kind != b"order" or f"order:{of.id}:".encode() in entry.key
    ]


async def failures(action):
    with pytest.raises(SoldOut) as caught:
        await action
    return caught.value.failures


# (quotas, units held by somebody else, positions of the order, failures, figures afterwards)
CREATED = {
    "one of two": ([quota(1, 2, 1)], [], [1], [], [(0, 1, 0, 1)]),
    "all of it": ([quota(1, 2, 1)], [], [1, 1], [], [(0, 2, 0, 2)]),
    "one too many": ([quota(1, 1, 1)], [], [1, 1], [(1, 1)], [(0, 0, 0, 0)]),
    "held by others": ([quota(1, 2, 1)], [1], [1, 1], [(1, 1)], [(1, 0, 0, 1)]),
    "none for sale": ([quota(1, 0, 1)], [], [1, 1], [(0, 1), (1, 1)], [(0, 0, 0, 0)]),
    "closed": ([quota(1, 9, 1, closed=True)], [], [1], [(0, 1)], [(0, 0, 0, 0)]),
    "without limit": ([quota(1, None, 1)], [1], [1] * 5, [], [(1, 5, 0, 6)]),
    "in every quota": ([quota(1, 2, 1), quota(2, 3, 1, 2)], [], [1, 2, 1], [], [(0, 2, 0, 2), (0, 3, 0, 3)]),
    "each failure by its position and first quota": (
        [quota(1, 1, 1), quota(2, 2, 1, 2)],
        [],
        [1, 1, 2, 2],
        [(1, 1), (3, 2)],
        [(0, 0, 0, 0), (0, 0, 0, 0)],
    ),
    "what fails leaves its room to later positions": (
        [quota(1, 0, 1), quota(2, 1, 1, 2)],
        [],
        [1, 2],
        [(0, 1)],
        [(0, 0, 0, 0), (0, 0, 0, 0)],
    ),
    "what no quota covers": ([quota(1, 5, 1)], [], [1, 2], [(1, 0)], [(0, 0, 0, 0)]),
    "nothing at all": ([quota(1, 5, 1)], [], [], [], [(0, 0, 0, 0)]),
}


@pytest.mark.parametrize("case", CREATED)
async def test_an_order_takes_all_of_its_units_or_none(ledger, server_redis, open_event, case):
    quotas, others, numbers, short, expected = CREATED[case]
    of = await open_event(*quotas)
    if others:
        await ledger.hold(of, [group(*others)])
    if short:
        assert await failures(create(ledger, of, *numbers)) == short
        assert outbox(server_redis, ledger, of) == []
    else:
        made = await create(ledger, of, *numbers)
        assert outbox(server_redis, ledger, of) == [(b"order", made.id, 1)]
        assert await ledger.order_read(of, made.code) == made
    assert await figures(ledger, of) == expected


async def test_a_paid_order_counts_as_paid(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    await create(ledger, of, 1, status="p")
    assert await figures(ledger, of) == [(0, 0, 1, 1)]


async def test_an_order_lives_through_its_states(ledger, server_redis, open_event):
    of = await open_event(quota(1, 1, 1), quota(2, 5, 1))
    made = await create(ledger, of, 1)
    paid = await turn(ledger, of, made, "p", moves=[move(1, "n", -1), move(1, "p", 1)])
    assert await figures(ledger, of) == [(0, 0, 1, 1)] * 2
    canceled = await turn(ledger, of, paid, "c", moves=[move(1, "p", -1)])
    assert await figures(ledger, of) == [(0, 0, 0, 0)] * 2
    again = await turn(ledger, of, canceled, "n", moves=[move(1, "n", 1)], needs=[product(1)])
    expired = await turn(ledger, of, again, "e", moves=[move(1, "n", -1)])
    other = await create(ledger, of, 1)
    assert await failures(turn(ledger, of, expired, "n", moves=[move(1, "n", 1)], needs=[product(1)])) == [(0, 1)]
    assert await figures(ledger, of) == [(0, 1, 0, 1)] * 2
    assert await ledger.order_read(of, made.code) == expired
    versions = [(b"order", made.id, version) for version in range(1, 6)]
    assert outbox(server_redis, ledger, of) == [*versions, (b"order", other.id, 1)]


@pytest.mark.parametrize("version", [1, 2, 4, 5])
async def test_a_version_that_does_not_follow_is_busy(ledger, open_event, version):
    of = await open_event(quota(1, 5, 1))
    made = await create(ledger, of, 1)
    paid = await turn(ledger, of, made, "p", moves=[move(1, "n", -1), move(1, "p", 1)])
    rival = following(paid, "c")
    rival = type(rival)(**{name: getattr(rival, name) for name in rival.__struct_fields__} | {"version": version})
    with pytest.raises(Busy):
        await ledger.order_commit(of, rival, encode(rival), moves=[move(1, "p", -1)])
    assert await ledger.order_read(of, made.code) == paid
    assert await figures(ledger, of) == [(0, 0, 1, 1)]


async def test_an_order_that_left_redis_goes_on_from_its_version(ledger, server_redis, open_event):
    of = await open_event(quota(1, 5, 1))
    made = await create(ledger, of, 1)
    server_redis.delete(keys.order(ledger.shard_of(of), of.id, made.code))
    assert await ledger.order_read(of, made.code) is None
    paid = await turn(ledger, of, made, "p", moves=[move(1, "n", -1), move(1, "p", 1)])
    assert await ledger.order_read(of, made.code) == paid


async def test_a_change_takes_the_end_of_life_away(ledger, server_redis, open_event):
    of = await open_event(quota(1, 5, 1))
    made = await create(ledger, of, 1)
    key = keys.order(ledger.shard_of(of), of.id, made.code)
    server_redis.pexpire(key, 60_000)
    await turn(ledger, of, made, "c", moves=[move(1, "n", -1)])
    assert server_redis.pttl(key) == -1


async def test_the_catalogue_only_matters_to_those_who_judged_by_it(ledger, open_event):
    old = await open_event(quota(1, 2, 1))
    new = event(quota(1, 1, 1), like=old)
    await ledger.publish(new)
    with pytest.raises(StaleCatalogue):
        await create(ledger, old, 1, judged=True)
    await create(ledger, old, 1)
    assert await figures(ledger, new) == [(0, 1, 0, 1)]


# -------------------------------------------------------------------------------------------------------- carts


async def test_a_consumed_cart_gives_its_units_to_the_order(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1), quota(2, 9, 1))
    await ledger.hold(of, [group(1, 1, cart="mine")])
    assert await failures(create(ledger, of, 1, carts=["other"])) == [(0, 1)]
    await create(ledger, of, 1, 1, carts=["mine"])
    assert await figures(ledger, of) == [(0, 2, 0, 2)] * 2
    assert await ledger.hold_page(of, 0, 50, "cart_id") == (0, [])
    assert server_redis.zcard(keys.carts(ledger.shard_of(of), of.id)) == 0
    due = server_redis.zrange(keys.due(ledger.shard_of(of)), 0, -1)
    assert not [member for member in due if member.startswith(b"%d:" % of.id)]


async def test_a_cart_of_one_product_gives_no_credit_in_another_quota(ledger, open_event):
    of = await open_event(quota(1, 1, 1), quota(2, 0, 2))
    await ledger.hold(of, [group(1, cart="mine")])
    assert await failures(create(ledger, of, 2, carts=["mine"])) == [(0, 2)]
    assert await figures(ledger, of) == [(1, 0, 0, 1), (0, 0, 0, 0)]
    assert (await ledger.hold_page(of, 0, 50, "datetime"))[0] == 1


async def test_a_cart_with_more_than_the_order_gives_all_of_it_back(ledger, open_event):
    of = await open_event(quota(1, 3, 1))
    await ledger.hold(of, [group(1, 1, 1, cart="mine")])
    await create(ledger, of, 1, carts=["mine"])
    assert await figures(ledger, of) == [(0, 1, 0, 1)]


@pytest.mark.parametrize(("released", "left"), [((), 5), ((1,), 4), ((0, 2), 3), ((0, 1, 2, 3), 1)])
async def test_a_cart_filled_bit_by_bit_is_consumed_whole_and_alone(ledger, open_event, released, left):
    of = await open_event(quota(1, None, 1))
    mine = group(1, cart="mine")
    held = await ledger.hold(of, [group(1, 1, cart="mine"), mine, mine, group(1, cart="theirs"), mine])
    ids = [held[0].ids[0], held[0].ids[1], held[1].ids[0], held[2].ids[0], held[4].ids[0]]
    for number in released:
        await ledger.hold_release(of, ids[number])
    assert await figures(ledger, of) == [(left + 1, 0, 0, left + 1)]
    await create(ledger, of, 1, carts=["mine"])
    assert await figures(ledger, of) == [(1, 1, 0, 2)]
    assert [hold.cart_id for hold in (await ledger.hold_page(of, 0, 50, "cart_id"))[1]] == ["theirs"]


async def test_a_cart_named_twice_gives_once(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    await ledger.hold(of, [group(1, cart="mine"), group(1, cart="theirs")])
    assert await failures(create(ledger, of, 1, 1, carts=["mine", "mine"])) == [(1, 1)]
    await create(ledger, of, 1, carts=["mine", "mine"])
    assert await figures(ledger, of) == [(1, 1, 0, 2)]


@pytest.mark.parametrize(
    ("mine", "others"),
    [("a", ["a-b", "a1", "A", "a:", "a ", "a!"]), ("a:b", ["a", "a:b:c"]), ("100%", ["100", "100%25"]), ("", ["x"])],
)
async def test_only_the_cart_itself_is_consumed(ledger, open_event, mine, others):
    of = await open_event(quota(1, None, 1))
    await ledger.hold(of, [group(1, cart=cart) for cart in (mine, *others)])
    await create(ledger, of, 1, carts=[mine])
    assert {hold.cart_id for hold in (await ledger.hold_page(of, 0, 50, "datetime"))[1]} == set(others)


async def test_an_expired_cart_gives_no_credit_and_stays(ledger, server_redis, open_event):
    of = await open_event(quota(1, 1, 1))
    [mine] = await ledger.hold(of, [group(1, cart="mine", ttl_ms=2)])
    await after(server_redis, mine.deadline_ms)
    await ledger.hold(of, [group(1, cart="theirs")])
    assert await failures(create(ledger, of, 1, carts=["mine"])) == [(0, 1)]
    assert {hold.cart_id for hold in (await ledger.hold_page(of, 0, 50, "datetime"))[1]} == {"mine", "theirs"}
    assert await figures(ledger, of) == [(1, 0, 0, 1)]


async def test_an_expired_cart_hinders_nobody_if_there_is_room(ledger, open_event):
    of = await open_event(quota(1, 1, 1))
    await ledger.hold(of, [group(1, cart="mine", deadline_ms=LONG_AGO_MS)])
    await create(ledger, of, 1, carts=["mine"])
    assert await figures(ledger, of) == [(0, 1, 0, 1)]
    assert (await ledger.hold_page(of, 0, 50, "datetime"))[0] == 1


@pytest.mark.parametrize("mode", ["commit", "simulate"])
async def test_many_holds_due_at_once_do_not_stop_an_order(ledger, server_redis, open_event, mode):
    of = await open_event(quota(1, 500, 1))
    deadline = now_ms(server_redis) + 100
    [answer] = await ledger.hold(of, [group(*[1] * 500, cart="mine", deadline_ms=deadline)])
    assert isinstance(answer, Held)
    await after(server_redis, deadline)
    await create(ledger, of, *[1] * 500, carts=["mine"], mode=mode)
    assert (await ledger.hold_page(of, 0, 1, "datetime"))[0] == 500
    assert await figures(ledger, of) == [(0, 500, 0, 500) if mode == "commit" else (0, 0, 0, 0)]


async def test_holds_of_another_event_of_the_shard_expire_with_an_order(ledger, server_redis, open_event):
    mine = await open_event(quota(1, 12, 1))
    theirs = neighbour(mine, quota(1, 40, 1))
    await ledger.publish(theirs)
    deadline = now_ms(server_redis) + 60
    await ledger.hold(theirs, [group(*[1] * 30, deadline_ms=deadline)])
    await ledger.hold(mine, [group(*[1] * 12, deadline_ms=deadline)])
    await after(server_redis, deadline)
    await create(ledger, mine, *[1] * 12)
    shard = ledger.shard_of(theirs)
    assert server_redis.hget(keys.event(shard, theirs.id), "h1.0.0") == b"0"
    assert await figures(ledger, mine) == [(0, 12, 0, 12)]
    assert await figures(ledger, theirs) == [(0, 0, 0, 0)]


# -------------------------------------------------------------------------------------------------- force, simulate


async def test_force_overbooks_even_what_is_closed(ledger, open_event):
    of = await open_event(quota(1, 1, 1), quota(2, 0, 1), quota(3, 9, 1, closed=True))
    await create(ledger, of, 1, 1, 1, mode="force")
    assert await figures(ledger, of) == [(0, 3, 0, 3)] * 3
    assert [count.free for count in (await ledger.availability(of, [1, 2, 3])).values()] == [0, 0, 0]
    assert await failures(create(ledger, of, 1)) == [(0, 1)]


async def test_what_is_beyond_the_size_must_go_before_anything_is_free(ledger, open_event):
    of = await open_event(quota(1, 1, 1))
    made = await create(ledger, of, 1, 1, mode="force")
    await turn(ledger, of, made, "c", moves=[move(1, "n", -1)])
    assert await failures(create(ledger, of, 1)) == [(0, 1)]


async def test_simulate_answers_and_changes_nothing(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1, close_when_sold_out=True))
    await ledger.hold(of, [group(1, cart="mine")])
    shard = ledger.shard_of(of)
    event_key = keys.event(shard, of.id)
    before = (server_redis.hgetall(event_key), server_redis.dump(keys.holds(shard, of.id)))
    made = await create(ledger, of, 1, 1, carts=["mine"], mode="simulate")
    assert await failures(create(ledger, of, 1, 1, 1, carts=["mine"], mode="simulate")) == [(2, 1)]
    assert (server_redis.hgetall(event_key), server_redis.dump(keys.holds(shard, of.id))) == before
    assert await ledger.order_read(of, made.code) is None
    assert outbox(server_redis, ledger, of) == []


# ------------------------------------------------------------------------------------------- close when sold out


async def closed(ledger, of):
    return (await ledger.availability(of, [1]))[1].closed


async def test_a_quota_closes_by_orders_and_not_by_holds(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1, close_when_sold_out=True, word=7))
    first = await create(ledger, of, 1)
    [answer] = await ledger.hold(of, [group(1, cart="mine")])
    assert isinstance(answer, Held)
    await turn(ledger, of, first, "p", moves=[move(1, "n", -1), move(1, "p", 1)])
    assert not await closed(ledger, of)
    last = await create(ledger, of, 1, carts=["mine"])
    assert await closed(ledger, of)
    assert outbox(server_redis, ledger, of)[-2:] == [(b"quota_closed", 1, 7), (b"order", last.id, 1)]
    await turn(ledger, of, last, "c", moves=[move(1, "n", -1)])
    assert await closed(ledger, of)
    assert (await ledger.availability(of, [1]))[1].free == 0
    assert await failures(create(ledger, of, 1)) == [(0, 1)]
    kinds = [kind for kind, _, _ in outbox(server_redis, ledger, of)]
    assert kinds.count(b"quota_closed") == 1


async def test_a_quota_that_may_not_close_stays_open(ledger, open_event):
    of = await open_event(quota(1, 1, 1))
    await create(ledger, of, 1)
    assert not await closed(ledger, of)


async def test_a_quota_that_closed_itself_only_hears_a_newer_word(ledger, open_event):
    of = await open_event(quota(1, 1, 1, close_when_sold_out=True))
    made = await create(ledger, of, 1)
    await turn(ledger, of, made, "c", moves=[move(1, "n", -1)])

    older = event(quota(1, 5, 1, close_when_sold_out=True), like=of)
    await ledger.publish(older)
    assert await closed(ledger, older)

    newer = event(quota(1, 5, 1, close_when_sold_out=True, word=3), like=older)
    await ledger.publish(newer)
    assert not await closed(ledger, newer)
    await create(ledger, newer, 1)

    by_hand = event(quota(1, 5, 1, closed=True, word=4), like=newer)
    await ledger.publish(by_hand)
    assert await closed(ledger, by_hand)


async def test_a_quota_that_is_opened_while_sold_out_closes_again(ledger, open_event):
    of = await open_event(quota(1, 1, 1, close_when_sold_out=True))
    await create(ledger, of, 1)
    newer = event(quota(1, 1, 1, close_when_sold_out=True, word=2), like=of)
    await ledger.publish(newer)
    assert await closed(ledger, newer)
