"""Holds: given a quota, do this, get that answer and these counts."""

from __future__ import annotations

import pytest
from sample_events import LONG_AGO_MS, MINUTE_MS, after, event, group, neighbour, now_ms, product, quota, seats

from engine.domain.errors import NotFound, StaleCatalogue
from engine.ledger import keys
from engine.ledger.values import Held, HoldGroup, HoldPosition, Short, VoucherUse


async def counts(ledger, of, number=1):
    return (await ledger.availability(of, [number]))[number]


async def held(ledger, of, number=1):
    return (await counts(ledger, of, number)).held


def due(server_redis, ledger, of):
    members = server_redis.zrange(keys.due(ledger.shard_of(of)), 0, -1)
    return {int(member.split(b":")[1]) for member in members if member.startswith(b"%d:" % of.id)}


# (quotas, groups that are held first, groups asked for, answers: True for held or the id of the quota that is short,
#  units held in each quota afterwards)
HOLDS = {
    "one of two": ([quota(1, 2, 1)], [], [group(1)], [True], [1]),
    "the last one": ([quota(1, 1, 1)], [], [group(1)], [True], [1]),
    "one too many": ([quota(1, 1, 1)], [group(1)], [group(1)], [1], [1]),
    "none for sale": ([quota(1, 0, 1)], [], [group(1)], [1], [0]),
    "closed": ([quota(1, 5, 1, closed=True)], [], [group(1)], [1], [0]),
    "closed without limit": ([quota(1, None, 1, closed=True)], [], [group(1)], [1], [0]),
    "without limit": ([quota(1, None, 1)], [], [group(1, 1, 1, 1)], [True], [4]),
    "a group takes all": ([quota(1, 3, 1)], [], [group(1, 1, 1)], [True], [3]),
    "a group takes nothing": ([quota(1, 2, 1)], [], [group(1, 1, 1)], [1], [0]),
    "in every quota": ([quota(1, 5, 1), quota(2, 5, 1, 2)], [], [group(1, 2)], [True], [1, 2]),
    "nothing in any quota": ([quota(1, 5, 1, 2), quota(2, 1, 2)], [], [group(1, 2, 2)], [2], [0, 0]),
    "the first exhausted quota is named": (
        [quota(1, 5, 1), quota(2, 0, 1), quota(3, 0, 1)],
        [],
        [group(1)],
        [2],
        [0, 0, 0],
    ),
    "no room for all of them in the wide quota": ([quota(1, 5, 1), quota(2, 1, 1, 2)], [], [group(1, 2)], [2], [0, 0]),
    "each group for itself": ([quota(1, 2, 1)], [], [group(1), group(1), group(1)], [True, True, 1], [2]),
    "what fails leaves its share": (
        [quota(1, 3, 1)],
        [],
        [group(1), group(1, 1, 1), group(1, 1)],
        [True, 1, True],
        [3],
    ),
    "what fails in one quota leaves the other": (
        [quota(1, 2, 1, 2), quota(2, 0, 2)],
        [],
        [group(1, 2), group(1, 1)],
        [2, True],
        [2, 0],
    ),
    "a variation": ([quota(1, 1, (9, 91))], [], [group((9, 91)), group((9, 91))], [True, 1], [1]),
    "variations for themselves": (
        [quota(1, 1, (9, 91)), quota(2, 1, (9, 92))],
        [group((9, 91))],
        [group((9, 92))],
        [True],
        [1, 1],
    ),
    "past its deadline it takes nothing": ([quota(1, 1, 1)], [], [group(1, deadline_ms=LONG_AGO_MS)], [True], [0]),
    "past its deadline it leaves the room": (
        [quota(1, 1, 1)],
        [group(1, deadline_ms=LONG_AGO_MS)],
        [group(1)],
        [True],
        [1],
    ),
    "before the epoch": ([quota(1, 1, 1)], [], [group(1, deadline_ms=-MINUTE_MS)], [True], [0]),
    "at the epoch": ([quota(1, 1, 1)], [], [group(1, deadline_ms=0)], [True], [0]),
    "until the year 9999": ([quota(1, 1, 1)], [], [group(1, deadline_ms=253_402_300_799_999)], [True], [1]),
    "of no time at all": ([quota(1, 1, 1)], [], [group(1, ttl_ms=0)], [True], [0]),
    "no group": ([quota(1, 1, 1)], [], [], [], [0]),
}


@pytest.mark.parametrize("case", HOLDS)
async def test_a_hold_takes_all_of_its_units_or_none(ledger, open_event, case):
    quotas, first, groups, answers, units = HOLDS[case]
    of = await open_event(*quotas)
    assert all(isinstance(answer, Held) for answer in await ledger.hold(of, first))

    got = await ledger.hold(of, groups)

    assert [isinstance(answer, Held) or answer.quota for answer in got] == answers
    found = await ledger.availability(of, list(of.quotas))
    assert [found[number].held for number in of.quotas] == units
    assert all(found[number].used == found[number].held for number in of.quotas)


async def test_a_hold_is_stored_with_all_that_was_given(ledger, open_event):
    of = await open_event(quota(1, 5, (9, 91)))
    [answer] = await ledger.hold(of, [group((9, 91), cart="c1@api", deadline_ms=253_402_300_799_999)])
    stored = await ledger.hold_read(of, answer.ids[0])
    assert (stored.id, stored.cart_id, stored.product) == (answer.ids[0], "c1@api", (9, 91, 0))
    assert (stored.created_ms, stored.deadline_ms) == (answer.created_ms, 253_402_300_799_999)
    assert stored.payload == b"{}"


@pytest.mark.parametrize("deadline_ms", [-62_135_596_800_000, -1, 0, 1])
async def test_an_ancient_deadline_is_kept_and_can_be_released(ledger, open_event, deadline_ms):
    of = await open_event(quota(1, 5, 1))
    [answer] = await ledger.hold(of, [group(1, deadline_ms=deadline_ms)])
    assert answer.deadline_ms == deadline_ms
    assert (await ledger.hold_read(of, answer.ids[0])).deadline_ms == deadline_ms
    await ledger.hold_release(of, answer.ids[0])
    assert await ledger.hold_page(of, 0, 50, "datetime") == (0, [])


async def test_the_deadline_is_the_servers_now_and_the_time_to_live(ledger, server_redis, open_event):
    of = await open_event(quota(1, 5, 1))
    before = now_ms(server_redis)
    [answer] = await ledger.hold(of, [group(1, ttl_ms=5000)])
    assert before <= answer.created_ms <= now_ms(server_redis)
    assert answer.deadline_ms == answer.created_ms + 5000


async def test_a_hold_ends_exactly_at_its_deadline(ledger, server_redis, open_event):
    of = await open_event(quota(1, 1, 1))
    # a machine that stands still for a moment may miss a short one
    for ttl_ms in (20, 200, 2000):
        [answer] = await ledger.hold(of, [group(1, ttl_ms=ttl_ms)])
        looked_before = looked_after = 0
        while not looked_after:
            began = now_ms(server_redis)
            free = (await counts(ledger, of)).free
            ended = now_ms(server_redis)
            if ended <= answer.deadline_ms:
                assert free == 0
                looked_before += 1
            elif began > answer.deadline_ms:
                assert free == 1
                looked_after += 1
        if looked_before:
            break
    assert looked_before
    [again] = await ledger.hold(of, [group(1)])
    assert isinstance(again, Held)


async def test_an_expired_hold_is_listed_and_releasing_it_gives_nothing_back(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    [short_lived] = await ledger.hold(of, [group(1, ttl_ms=2)])
    await ledger.hold(of, [group(1)])
    await after(server_redis, short_lived.deadline_ms)
    assert await held(ledger, of) == 1
    assert (await ledger.hold_page(of, 0, 50, "datetime"))[0] == 2
    await ledger.hold_release(of, short_lived.ids[0])
    assert await held(ledger, of) == 1
    assert (await ledger.hold_page(of, 0, 50, "datetime"))[0] == 1


async def test_a_hold_that_nobody_reaped_yet_gives_its_unit_back_once(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    [answer] = await ledger.hold(of, [group(1, ttl_ms=2)])
    await after(server_redis, answer.deadline_ms)
    await ledger.hold_release(of, answer.ids[0])
    found = await counts(ledger, of)
    assert (found.held, found.used) == (0, 0)
    assert due(server_redis, ledger, of) == set()


@pytest.mark.parametrize("first", ["hold", "availability"])
async def test_many_holds_due_at_once_are_never_taken_for_sold_out(ledger, server_redis, open_event, first):
    of = await open_event(quota(1, 500, 1))
    deadline = now_ms(server_redis) + 150
    answers = await ledger.hold(of, [group(*[1] * 100, deadline_ms=deadline) for _ in range(5)])
    assert all(isinstance(answer, Held) for answer in answers)
    if now_ms(server_redis) <= deadline:
        assert len(due(server_redis, ledger, of)) == 500
    await after(server_redis, deadline)
    if first == "hold":
        assert isinstance((await ledger.hold(of, [group(*[1] * 500)]))[0], Held)
        assert (await counts(ledger, of)).held == 500
    else:
        assert (await counts(ledger, of)).free == 500
        assert isinstance((await ledger.hold(of, [group(1)]))[0], Held)


async def test_a_mixed_call_is_dealt_anew_once_everything_due_is_released(ledger, server_redis, open_event):
    """The first group fits at once, the second only after more releases than a quick call makes."""
    of = await open_event(quota(1, 30, 1), quota(2, 30, 1, 2))
    deadline = now_ms(server_redis) + 60
    await ledger.hold(of, [group(*[1] * 30, deadline_ms=deadline)])
    await after(server_redis, deadline)
    got = await ledger.hold(of, [group(1, 1), group(*[2] * 29), group(*[1] * 20), group(*[2] * 8)])
    assert [isinstance(answer, Held) or answer.quota for answer in got] == [True, 2, True, True]
    found = await ledger.availability(of, [1, 2])
    assert (found[1].held, found[2].held) == (22, 30)
    assert all(count.used == count.held for count in found.values())
    assert len(due(server_redis, ledger, of)) == 30


async def test_holds_of_another_event_of_the_shard_expire_on_the_way(ledger, server_redis, open_event):
    mine = await open_event(quota(1, 3, 1))
    theirs = neighbour(mine, quota(1, 40, 1), quota(2, 40, 1))
    await ledger.publish(theirs)
    deadline = now_ms(server_redis) + 80
    for of, units in ((theirs, 20), (mine, 3), (theirs, 20)):
        await ledger.hold(of, [group(*[1] * units, deadline_ms=deadline)])
    await after(server_redis, deadline)
    [answer] = await ledger.hold(mine, [group(1, 1, 1)])
    assert isinstance(answer, Held)
    assert await held(ledger, mine) == 3
    found = await ledger.availability(theirs, [1, 2])
    assert [(count.held, count.used) for count in found.values()] == [(0, 0), (0, 0)]
    assert due(server_redis, ledger, theirs) == set()
    assert due(server_redis, ledger, mine) == set(answer.ids)


async def test_a_released_hold_is_gone_and_gives_back_once(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1), quota(2, 9, 1))
    [answer] = await ledger.hold(of, [group(1, 1)])
    await ledger.hold_release(of, answer.ids[0])
    with pytest.raises(NotFound):
        await ledger.hold_release(of, answer.ids[0])
    with pytest.raises(NotFound):
        await ledger.hold_read(of, answer.ids[0])
    assert [count.held for count in (await ledger.availability(of, [1, 2])).values()] == [1, 1]
    assert due(server_redis, ledger, of) == {answer.ids[1]}


@pytest.mark.parametrize("number", [0, 2**53 + 1, 10**17])
async def test_a_hold_that_never_was_is_not_found(ledger, open_event, number):
    of = await open_event(quota(1, 2, 1))
    with pytest.raises(NotFound):
        await ledger.hold_read(of, number)
    with pytest.raises(NotFound):
        await ledger.hold_release(of, number)


async def test_a_hold_belongs_to_its_event_alone(ledger, open_event):
    mine = await open_event(quota(1, 2, 1))
    theirs = neighbour(mine, quota(1, 2, 1))
    await ledger.publish(theirs)
    [answer] = await ledger.hold(mine, [group(1)])
    with pytest.raises(NotFound):
        await ledger.hold_release(theirs, answer.ids[0])
    assert await held(ledger, mine) == 1


async def test_a_request_that_judged_by_an_old_catalogue_takes_nothing(ledger, open_event):
    old = await open_event(quota(1, 2, 1))
    new = event(quota(1, 1, 1), like=old)
    await ledger.publish(new)
    with pytest.raises(StaleCatalogue):
        await ledger.hold(old, [group(1)])
    with pytest.raises(StaleCatalogue):
        await ledger.availability(old, [1])
    assert await held(ledger, new) == 0


async def test_ids_ascend_over_all_calls_and_follow_the_positions(ledger, open_event):
    of = await open_event(quota(1, None, 1, 2))
    ids = []
    for _ in range(3):
        for answer in await ledger.hold(of, [group(1, 2), group(2)]):
            ids += answer.ids
    assert ids == sorted(set(ids))
    _, stored = await ledger.hold_page(of, 0, 50, "datetime")
    assert [hold.id for hold in stored] == ids
    assert [hold.product for hold in stored] == [product(1), product(2), product(2)] * 3


async def test_a_block_of_ids_that_runs_out_is_followed_by_another(ledger, server_redis, open_event):
    of = await open_event(quota(1, None, 1))
    [first] = await ledger.hold(of, [group(1)])
    key = keys.event(ledger.shard_of(of), of.id)
    last = int(server_redis.hget(key, "id_last"))
    server_redis.hset(key, "id", last - 1)
    [two] = await ledger.hold(of, [group(1, 1)])
    assert two.ids == [last - 1, last]
    [three] = await ledger.hold(of, [group(1, 1, 1)])
    assert three.ids[0] > last
    assert [first.ids[0], *two.ids, *three.ids] == [
        hold.id for hold in (await ledger.hold_page(of, 0, 50, "datetime"))[1]
    ]
    assert await held(ledger, of) == 6


async def test_a_thousand_positions_go_in_one_call(ledger, server_redis, open_event):
    of = await open_event(quota(1, 1000, 1, 2), quota(2, 500, 2))
    groups = [group(1, 2, cart=f"cart{number}@api") for number in range(500)]
    answers = await ledger.hold(of, groups)
    assert sum(len(answer.ids) for answer in answers) == 1000
    assert [count.held for count in (await ledger.availability(of, [1, 2])).values()] == [1000, 500]
    assert len(due(server_redis, ledger, of)) == 1000
    assert await ledger.hold(of, [group(1)]) == [Short(1)]
    count, page = await ledger.hold_page(of, 990, 50, "datetime")
    assert (count, len(page)) == (1000, 10)


CARTS = [
    "a|b",
    "a:b",
    "a:b:000000000000001",
    "Zürich 🎟",
    "100%",
    "%7C",
    "a\nb",
    "a\x00b",
    "",
    "a b+c@api=",
    "'\"\\",
    "*[?",
]


@pytest.mark.parametrize("cart", CARTS)
async def test_a_cart_may_have_any_name(ledger, open_event, cart):
    of = await open_event(quota(1, 9, 1))
    [answer] = await ledger.hold(of, [group(1, cart=cart)])
    await ledger.hold(of, [group(1, cart=cart + "2")])
    assert (await ledger.hold_read(of, answer.ids[0])).cart_id == cart
    for ordering in ("datetime", "-datetime", "cart_id", "-cart_id"):
        count, page = await ledger.hold_page(of, 0, 50, ordering)
        assert count == 2
        assert {hold.cart_id for hold in page} == {cart, cart + "2"}
    await ledger.hold_release(of, answer.ids[0])
    assert [hold.cart_id for hold in (await ledger.hold_page(of, 0, 50, "cart_id"))[1]] == [cart + "2"]


async def test_payloads_come_back_as_they_were(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    for payload in (b"", b"|", b'{"a": "\\u0000|\xf0\x9f\x8e\x9f"}', b"\n\x00\n", b"%s" * 1000):
        given = group(1)
        given.positions[0] = given.positions[0].__class__(product(1), payload)
        [answer] = await ledger.hold(of, [given])
        assert (await ledger.hold_read(of, answer.ids[0])).payload == payload


async def test_a_hold_tells_of_its_seat_its_voucher_and_its_parent(ledger, open_event):
    of = await open_event(quota(1, 9, 1), seated=seats("Row 1|ü", "2"))
    first = HoldPosition(product(1), b"{}", voucher=VoucherUse(7, 9, False))
    second = HoldPosition(product(1), b"|", seat="Row 1|ü", parent=0)
    third = HoldPosition(product(1), b"|", seat="2", parent=1)
    await ledger.hold(of, [group(1)])
    [answer] = await ledger.hold(of, [HoldGroup("c", [first, second, third], MINUTE_MS)])
    told = [(hold.seat, hold.voucher, hold.parent) for hold in (await ledger.hold_page(of, 1, 50, "datetime"))[1]]
    assert told == [("", 7, 0), ("Row 1|ü", 0, answer.ids[0]), ("2", 0, answer.ids[1])]


async def test_pages_are_in_the_order_asked_for(ledger, open_event):
    of = await open_event(quota(1, None, 1))
    carts = ["b", "a", "a-b", "a1", "c10", "c1", "a", "b@api"]
    for cart in carts:
        await ledger.hold(of, [group(1, cart=cart)])
    by_time = [hold.cart_id for hold in (await ledger.hold_page(of, 0, 50, "datetime"))[1]]
    by_cart = (await ledger.hold_page(of, 0, 50, "cart_id"))[1]
    assert by_time == carts
    assert [hold.cart_id for hold in by_cart] == sorted(carts)
    assert by_cart[0].id < by_cart[1].id
    for ordering, everything in (("datetime", by_time), ("cart_id", sorted(carts))):
        for sign, rows in (("", everything), ("-", everything[::-1])):
            pages = [await ledger.hold_page(of, offset, 3, sign + ordering) for offset in (0, 3, 6, 9)]
            assert [count for count, _ in pages] == [8] * 4
            assert [hold.cart_id for _, page in pages for hold in page] == rows


async def test_the_sweep_releases_what_is_due_and_later_forgets_it(ledger, server_redis, open_event):
    of = await open_event(quota(1, 300, 1))
    shard = ledger.shard_of(of)
    deadline = now_ms(server_redis) + 500
    await ledger.hold(of, [group(*[1] * 250, deadline_ms=deadline), group(1), group(1, deadline_ms=LONG_AGO_MS)])
    await after(server_redis, deadline)
    sweeps = 0
    while await ledger.sweep(shard):
        sweeps += 1
    assert sweeps == 2
    counters = server_redis.hgetall(keys.event(shard, of.id))
    assert (counters[b"h1.0.0"], counters[b"u1"]) == (b"1", b"1")
    assert (await ledger.hold_page(of, 0, 1, "datetime"))[0] == 252

    for member in server_redis.zrange(keys.purge(shard), 0, -1):
        server_redis.zadd(keys.purge(shard), {member: now_ms(server_redis) - 1})
    while await ledger.sweep(shard):
        pass
    count, page = await ledger.hold_page(of, 0, 50, "cart_id")
    assert (count, len(page)) == (1, 1)
    assert server_redis.zcard(keys.carts(shard, of.id)) == 1
    assert await held(ledger, of) == 1
