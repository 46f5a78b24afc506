"""What survives of holds when an event is made anew: as many as there is room for, the first ones."""

from __future__ import annotations

from collections import Counter

import msgspec
from sample_events import LONG_AGO_MS, MINUTE_MS, after, group, now_ms, product, quota, seats, voucher

from engine.domain.errors import NotFound
from engine.ledger import keys
from engine.ledger.outcomes import SeatOwner
from engine.ledger.quotas import quota_args
from engine.ledger.scripts import load_scripts
from engine.ledger.values import HoldGroup, HoldPosition, VoucherUse

LISTED_MS = 60_000


def rebuild(ledger, server_redis, of, sold=None):
    """Make an event anew from its holds and what is sold, units by field; return how many holds were given up."""
    shard = ledger.shard_of(of)
    counts = Counter(sold or {})
    for member in server_redis.zrange(keys.holds(shard, of.id), 0, -1):
        _, state, held, _, _, _, _, used, _ = member.decode().split("|", 8)
        counts[f"h{held}"] += state == "H"
        counts[f"t{used}"] += state == "H" and used != "0"
    counted = [word for pair in counts.items() for word in pair]
    script_keys = [keys.event(shard, of.id), keys.due(shard), keys.shard(shard)]
    script_keys += [keys.holds(shard, of.id), keys.carts(shard, of.id)]
    head = [8, of.version, of.id, LISTED_MS, len(counts)]
    text = load_scripts()["event_rebuild"].text
    server_redis.hset(keys.shard(shard), "rebuilding", 8)
    status, given_up = server_redis.eval(text, len(script_keys), *script_keys, *head, *counted, *quota_args(of))
    server_redis.hdel(keys.shard(shard), "rebuilding")
    assert status == b"ok"
    return given_up


async def take(ledger, of, *groups):
    """Hold groups; return the ids of each."""
    return [list(held.ids) for held in await ledger.hold(of, groups)]


async def standing(ledger, of, *families):
    """Return which holds are still there."""
    found = []
    for number in (number for family in families for number in family):
        try:
            found.append((await ledger.hold_read(of, number)).id)
        except NotFound:
            continue
    return found


async def counts(ledger, of, *numbers):
    """Return of each quota what is held and used."""
    found = await ledger.availability(of, numbers)
    return [(found[number].held, found[number].size - found[number].free) for number in numbers]


def listed(server_redis, ledger, of):
    """Return how many holds each of the three lists has."""
    shard = ledger.shard_of(of)
    due = [member for member in server_redis.zrange(keys.due(shard), 0, -1) if member.startswith(b"%d:" % of.id)]
    sizes = (server_redis.zcard(key) for key in (keys.holds(shard, of.id), keys.carts(shard, of.id)))
    return (*sizes, len(due))


async def test_nothing_is_given_up_of_what_has_room(ledger, server_redis, open_event):
    of = await open_event(quota(1, 4, 1), quota(2, None, 2))
    families = await take(ledger, of, group(1), group(2), group(1))
    assert rebuild(ledger, server_redis, of, {"n1.0.0": 1, "p1.0.0": 1, "p2.0.0": 9}) == 0
    assert await standing(ledger, of, *families) == [number for [number] in families]
    assert listed(server_redis, ledger, of) == (3, 3, 3)


async def test_the_newest_are_given_up_and_not_one_more(ledger, server_redis, open_event):
    of = await open_event(quota(1, 4, 1), quota(2, 9, 2))
    [first], [other], [second], [third] = await take(ledger, of, group(1), group(2), group(1), group(1))
    assert rebuild(ledger, server_redis, of, {"n1.0.0": 2, "p1.0.0": 1}) == 2
    assert await standing(ledger, of, [first, other, second, third]) == [first, other]
    assert await counts(ledger, of, 1, 2) == [(1, 4), (1, 1)]
    assert listed(server_redis, ledger, of) == (2, 2, 2)


async def test_those_who_came_first_make_room_for_others(ledger, server_redis, open_event):
    # whoever gives up a unit of both quotas makes room in the second one as well
    of = await open_event(quota(1, 1, 1, 2), quota(2, 2, 2, 3))
    [both], [one] = await take(ledger, of, group(2), group(3))
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 1, "p3.0.0": 1}) == 1
    assert await standing(ledger, of, [both, one]) == [one]
    assert await counts(ledger, of, 2) == [(1, 2)]


async def test_what_belongs_to_a_position_goes_with_it(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1), quota(2, 9, 2))
    positions = [HoldPosition(product(1), b"{}"), *(HoldPosition(product(2), b"{}", parent=0) for _ in range(2))]
    [kept, gone] = await take(ledger, of, *(HoldGroup(cart, positions, MINUTE_MS, None) for cart in ("a", "b")))
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 1}) == 3
    assert await standing(ledger, of, kept, gone) == kept
    assert await counts(ledger, of, 1, 2) == [(1, 2), (2, 2)]
    assert listed(server_redis, ledger, of) == (3, 3, 3)


async def test_an_add_on_without_room_goes_alone(ledger, server_redis, open_event):
    of = await open_event(quota(1, 9, 1), quota(2, 1, 2))
    positions = [HoldPosition(product(1), b"{}"), HoldPosition(product(2), b"{}", parent=0)]
    [[base, add_on]] = await take(ledger, of, HoldGroup("a", positions, MINUTE_MS, None))
    assert rebuild(ledger, server_redis, of, {"p2.0.0": 1}) == 1
    assert await standing(ledger, of, [base, add_on]) == [base]


async def test_what_has_expired_gives_back_its_unit_first(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    deadline = now_ms(server_redis) + LONG_AGO_MS // 10
    [[expired], [valid]] = await take(ledger, of, group(1, deadline_ms=deadline), group(1))
    await after(server_redis, deadline)
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 1}) == 0
    assert await standing(ledger, of, [expired, valid]) == [expired, valid]
    assert await counts(ledger, of, 1) == [(1, 2)]
    assert listed(server_redis, ledger, of) == (2, 2, 1)


async def test_seats_and_uses_of_vouchers_are_given_back(ledger, server_redis, open_event):
    of = await open_event(quota(1, 1, 1), seated=seats("A", "B"))
    position = HoldPosition(product(1), b"{}", seat="A", voucher=VoucherUse(7, 5, skips_quota=False))
    await take(ledger, of, HoldGroup("a", [position], MINUTE_MS, None))
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 1}) == 1
    assert await ledger.seat_owners(of, [(0, "A")]) == [SeatOwner()]
    assert (await ledger.voucher_uses(of, [7]))[7].taken == 0
    assert await counts(ledger, of, 1) == [(0, 1)]


async def test_a_hold_stays_whose_unit_a_voucher_would_keep_free_anyway(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1), reserving=(voucher(7, 1, usages=1),))
    position = HoldPosition(product(1), b"{}", voucher=VoucherUse(7, 1, skips_quota=True))
    [[kept], [plain]] = await take(ledger, of, HoldGroup("a", [position], MINUTE_MS, None), group(1))
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 2}) == 1
    assert await standing(ledger, of, [kept, plain]) == [kept]
    # it was ordered in what was lost: then it is in the way, as nothing is kept free after that
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 2, "r7": 1}) == 1
    assert await standing(ledger, of, [kept, plain]) == []


async def test_what_was_allowed_may_stay_and_what_is_sold_beyond_that_leaves_room_for_no_hold(
    ledger, server_redis, open_event
):
    of = await open_event(quota(1, 2, 1))
    [[first], [second]] = await take(ledger, of, group(1), group(1))
    allowed = msgspec.structs.replace(of, quotas={1: msgspec.structs.replace(of.quotas[1], allowance=3)})
    assert rebuild(ledger, server_redis, allowed, {"p1.0.0": 4}) == 1
    assert await standing(ledger, of, [first, second]) == [first]
    assert rebuild(ledger, server_redis, allowed, {"p1.0.0": 7}) == 1
    assert await standing(ledger, of, [first, second]) == []
    assert listed(server_redis, ledger, of) == (0, 0, 0)
    assert server_redis.hget(keys.event(ledger.shard_of(of), of.id), "a1") == b"3"


async def test_a_closed_quota_counts_by_its_size(ledger, server_redis, open_event):
    of = await open_event(quota(1, 3, 1))
    [[first], [second]] = await take(ledger, of, group(1), group(1))
    closed = msgspec.structs.replace(of, quotas={1: msgspec.structs.replace(of.quotas[1], closed=True)})
    assert rebuild(ledger, server_redis, closed, {"p1.0.0": 1}) == 0
    assert rebuild(ledger, server_redis, closed, {"p1.0.0": 2}) == 1
    assert await standing(ledger, of, [first, second]) == [first]


async def test_more_holds_than_are_read_at_once_are_given_up(ledger, server_redis, open_event):
    of = await open_event(quota(1, 1300, 1), quota(2, None, 2))
    families = await take(ledger, of, *(group(2 if n % 3 else 1) for n in range(1300)))
    holding = [number for n, [number] in enumerate(families) if n % 3 == 0]
    assert rebuild(ledger, server_redis, of, {"p1.0.0": 1290}) == len(holding) - 10
    assert await standing(ledger, of, holding) == holding[:10]
    assert await counts(ledger, of, 1) == [(10, 1300)]
