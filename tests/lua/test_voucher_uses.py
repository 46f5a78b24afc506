"""Uses of vouchers: taken by carts, redeemed by orders, given back once; what they keep free, until they expire."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from sample_events import (
    LONG_AGO_MS,
    MINUTE_MS,
    after,
    event,
    following,
    group,
    move,
    now_ms,
    order,
    product,
    quota,
    voucher,
)

from engine.domain.catalogue import whole_quota
from engine.domain.errors import SoldOut, VoucherSpent
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.values import Held, HoldGroup, HoldPosition, Short, UsedUp, VoucherMove, VoucherUse


def using(number, *vouchers, usages=1, skips=False, cart="c@api", deadline_ms=None):
    """Return a group of positions of one item, one for each voucher (0: none)."""
    positions = [
        HoldPosition(product(number), b"{}", voucher=VoucherUse(v, usages, skips) if v else None) for v in vouchers
    ]
    return HoldGroup(cart, positions, MINUTE_MS, deadline_ms)


async def buy(ledger, of, number, use, *, usages=1, carts=(), skips=False):
    made = order(of, number)
    await ledger.order_commit(
        of,
        made,
        encode(made),
        moves=[move(number, "n", 1)],
        needs=[] if skips else [product(number)],
        carts=carts,
        vouchers=[VoucherMove(use, 1, usages)],
        mode="admit" if skips else "commit",
    )
    return made


async def counts(ledger, of, number=1):
    found = (await ledger.availability(of, [number]))[number]
    return found.held, found.pending, found.blocked, found.free


async def uses(ledger, of, number):
    found = (await ledger.voucher_uses(of, [number]))[number]
    return found.redeemed, found.taken


async def test_what_a_voucher_lets_carts_hold_beyond_the_size_is_allowed(ledger, open_event, server_redis):
    of = await open_event(quota(1, 2, 1))
    outbox = keys.outbox(ledger.shard_of(of))
    [first, *_] = await ledger.hold(of, [using(1, 7, usages=9, skips=True), using(1, 0), using(1, 0)])
    assert server_redis.xlen(outbox) == 0
    [second, third] = await ledger.hold(
        of, [using(1, 7, 0, usages=9, skips=True), using(1, 7, 7, usages=9, skips=True)]
    )
    assert second == Short(1)
    assert isinstance(third, Held)
    allowed = [{key: fields[key] for key in (b"kind", b"id", b"v")} for _, fields in server_redis.xrange(outbox)]
    assert allowed == [{b"kind": b"quota_allowance", b"id": b"1", b"v": b"2"}]
    assert server_redis.hget(keys.event(ledger.shard_of(of), of.id), "a1") == b"2"
    await ledger.hold_release(of, first.ids[0])
    await ledger.hold(of, [using(1, 7, usages=9, skips=True)])
    assert server_redis.xlen(outbox) == 1


async def test_carts_use_a_voucher_as_often_as_it_may_be(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    answers = await ledger.hold(of, [using(1, 7, usages=3) for _ in range(5)])
    assert [isinstance(answer, Held) for answer in answers] == [True] * 3 + [False] * 2
    assert answers[3:] == [UsedUp(7)] * 2
    assert await uses(ledger, of, 7) == (0, 3)
    await ledger.hold_release(of, answers[0].ids[0])
    assert await uses(ledger, of, 7) == (0, 2)
    assert await counts(ledger, of) == (2, 0, 0, 7)


async def test_a_group_gets_all_its_uses_or_nothing(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    assert await ledger.hold(of, [using(1, 7, 7, 0, usages=1)]) == [UsedUp(7)]
    assert await counts(ledger, of) == (0, 0, 0, 9)
    [answer] = await ledger.hold(of, [using(1, 7, 7, 0, usages=2)])
    assert (len(answer.ids), await uses(ledger, of, 7)) == (3, (0, 2))


async def test_a_use_comes_back_when_its_cart_expires(ledger, open_event, server_redis):
    of = await open_event(quota(1, 9, 1))
    deadline = now_ms(server_redis) + 500
    [answer] = await ledger.hold(of, [using(1, 7, deadline_ms=deadline)])
    assert await ledger.hold(of, [using(1, 7)]) == [UsedUp(7)]
    await after(server_redis, deadline)
    [again] = await ledger.hold(of, [using(1, 7)])
    assert isinstance(again, Held)
    await ledger.hold_release(of, answer.ids[0])  # long expired: nothing to give back
    assert await uses(ledger, of, 7) == (0, 1)


async def test_a_cart_that_has_expired_already_takes_no_use(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    await ledger.hold(of, [using(1, 7, deadline_ms=LONG_AGO_MS)])
    assert await uses(ledger, of, 7) == (0, 0)


async def test_orders_redeem_a_voucher_as_often_as_it_may_be(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    await buy(ledger, of, 1, 7, usages=2)
    await ledger.hold(of, [using(1, 7, usages=2)])
    with pytest.raises(VoucherSpent) as refused:
        await buy(ledger, of, 1, 7, usages=2)
    assert refused.value.lacking == {7: 1}
    assert await uses(ledger, of, 7) == (1, 1)
    assert await counts(ledger, of) == (1, 1, 0, 7)


async def test_force_does_not_lift_the_limit_of_a_voucher(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    made = order(of, 1, 1)
    with pytest.raises(VoucherSpent):
        await ledger.order_commit(of, made, encode(made), vouchers=[VoucherMove(7, 2, 1)], mode="force")
    assert await uses(ledger, of, 7) == (0, 0)


async def test_a_consumed_cart_gives_its_use_to_the_order(ledger, open_event):
    of = await open_event(quota(1, 1, 1))
    await ledger.hold(of, [using(1, 7, cart="mine@api")])
    with pytest.raises(VoucherSpent):
        await buy(ledger, of, 1, 7)
    await buy(ledger, of, 1, 7, carts=["mine@api"])
    assert (await uses(ledger, of, 7), await counts(ledger, of)) == ((1, 0), (0, 1, 0, 0))


async def test_a_canceled_order_gives_its_use_back(ledger, open_event):
    of = await open_event(quota(1, 9, 1))
    made = await buy(ledger, of, 1, 7)
    canceled = following(made, "c")
    await ledger.order_commit(
        of, canceled, encode(canceled), moves=[move(1, "n", -1)], vouchers=[VoucherMove(7, -1, 0)]
    )
    assert (await uses(ledger, of, 7), await counts(ledger, of)) == ((0, 0), (0, 0, 0, 9))


async def test_what_a_voucher_keeps_free_is_sold_to_those_who_have_it(ledger, open_event):
    of = await open_event(quota(1, 2, 1), reserving=(voucher(7, 1, usages=2),))
    assert await counts(ledger, of) == (0, 0, 2, 0)
    assert await ledger.hold(of, [group(1)]) == [Short(1)]
    [answer] = await ledger.hold(of, [using(1, 7, usages=2, skips=True, cart="mine@api")])
    assert await counts(ledger, of) == (0, 0, 2, 0)  # its reservation covers the cart
    with pytest.raises(SoldOut):
        await buy(ledger, of, 1, 8, usages=9)
    await buy(ledger, of, 1, 7, usages=2, carts=["mine@api"], skips=True)
    assert await counts(ledger, of) == (0, 1, 1, 0)
    await buy(ledger, of, 1, 7, usages=2, skips=True)
    assert await counts(ledger, of) == (0, 2, 0, 0)
    assert isinstance(answer, Held)


async def test_a_quota_as_a_whole_can_be_kept_free(ledger, open_event):
    of = await open_event(quota(1, 3, 1, 2), quota(2, 3, 2), reserving=(voucher(7, quota_id=1, usages=2),))
    assert (await counts(ledger, of), await counts(ledger, of, 2)) == ((0, 0, 2, 1), (0, 0, 0, 3))
    await ledger.hold(of, [using(2, 7, usages=2, skips=True)])
    assert (await counts(ledger, of), await counts(ledger, of, 2)) == ((0, 0, 2, 1), (1, 0, 0, 2))
    assert whole_quota(1) in of.quotas_by_product


async def test_an_expired_voucher_keeps_nothing_free(ledger, open_event, server_redis):
    till = now_ms(server_redis) + 1000
    moment = dt.datetime.fromtimestamp(till / 1000, dt.UTC)
    of = await open_event(quota(1, 3, 1), reserving=(voucher(7, 1, usages=3, till=moment),))
    await ledger.hold(of, [using(1, 7, usages=3, skips=True)])
    assert await counts(ledger, of) == (0, 0, 3, 0)
    await after(server_redis, till)
    assert await counts(ledger, of) == (1, 0, 0, 2)
    assert isinstance((await ledger.hold(of, [group(1)]))[0], Held)


async def test_a_voucher_that_lives_longer_now_keeps_on(ledger, open_event, server_redis):
    till = now_ms(server_redis) + 40
    first, later = (dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in (till, till + MINUTE_MS))
    of = await open_event(quota(1, 3, 1), reserving=(voucher(7, 1, till=first),))
    newer = msgspec.structs.replace(of, version=of.version + 1, reserving=(voucher(7, 1, till=later),))
    await ledger.publish(newer)
    server_redis.zadd(keys.due(ledger.shard_of(of)), {f"{of.id}:v7": till})
    await after(server_redis, till)
    assert await counts(ledger, newer) == (0, 0, 1, 2)
    assert server_redis.zscore(keys.due(ledger.shard_of(of)), f"{of.id}:v7") == till + MINUTE_MS


async def test_a_catalogue_change_moves_what_is_kept_free(ledger, open_event):
    of = await open_event(quota(1, 5, 1), quota(2, 5, 2), reserving=(voucher(7, 1, usages=3),), waiting={(2, 0, 0): 2})
    await ledger.hold(of, [using(1, 7, usages=3, skips=True)])
    assert (await counts(ledger, of), await counts(ledger, of, 2)) == ((0, 0, 3, 2), (0, 0, 0, 3))
    assert (await ledger.availability(of, [2]))[2].waiting == 2
    newer = event(*of.quotas.values(), like=of, reserving=(voucher(7, 2, usages=4),))
    await ledger.publish(newer)
    assert await counts(ledger, newer) == (1, 0, 0, 4)
    assert await counts(ledger, newer, 2) == (0, 0, 4, 2)
    none = event(*of.quotas.values(), like=newer)
    await ledger.publish(none)
    assert (await counts(ledger, none), await counts(ledger, none, 2)) == ((1, 0, 0, 4), (0, 0, 0, 5))


async def test_a_quota_closes_once_orders_and_vouchers_have_all_of_it(ledger, open_event):
    of = await open_event(quota(1, 2, 1, close_when_sold_out=True))
    await ledger.hold(of, [group(1, 1)])
    newer = event(*of.quotas.values(), like=of, reserving=(voucher(7, 1, usages=2),))
    await ledger.publish(newer)
    assert (await ledger.availability(newer, [1]))[1].closed
