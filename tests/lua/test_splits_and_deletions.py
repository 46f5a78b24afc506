"""Two orders out of one, and an order that goes: each in one step, with one entry of the outbox."""

from __future__ import annotations

import msgspec
import pytest
from sample_events import event, following, move, order, product, quota

from engine.domain.errors import Busy, NotFound, SoldOut
from engine.domain.order import decode, encode
from engine.ledger import keys


async def made(ledger, of, *numbers, status="n"):
    """Commit a new order over `numbers` and return it."""
    new = order(of, *numbers, status=status)
    await ledger.order_commit(
        of, new, encode(new), moves=[move(number, status, 1) for number in numbers], needs=[product(n) for n in numbers]
    )
    return new


def split(old):
    """Return the next version of an order without its last position, and a new order that has it."""
    staying = msgspec.structs.replace(following(old, old.status), positions=old.positions[:-1])
    new = msgspec.structs.replace(order(event(), 1, status=old.status), positions=old.positions[-1:])
    return staying, new


async def used(ledger, of):
    return [counts.used for counts in (await ledger.availability(of, list(of.quotas))).values()]


def entries(server_redis, ledger, of, code):
    rows = server_redis.xrange(keys.outbox(ledger.shard_of(of)))
    return [fields for _, fields in rows if fields.get(b"key", b"").endswith(b":" + code.encode())]


async def test_a_split_makes_both_orders_true_in_one_entry(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    old = await made(ledger, of, 1, 1)
    staying, new = split(old)
    await ledger.order_commit(of, staying, encode(staying), split_off=new)
    assert await ledger.order_read(of, old.code) == staying
    assert await ledger.order_read(of, new.code) == new
    assert await used(ledger, of) == [2]
    last = entries(server_redis, ledger, of, old.code)[-1]
    assert (int(last[b"id"]), int(last[b"v"]), decode(last[b"d"])) == (old.id, 2, staying)
    assert (int(last[b"split_id"]), decode(last[b"split_d"])) == (new.id, new)
    assert last[b"split_key"].endswith(new.code.encode())


async def test_a_split_that_lost_a_race_leaves_no_order_behind(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    old = await made(ledger, of, 1, 1)
    staying, new = split(old)
    rival = following(old, "n")
    await ledger.order_commit(of, rival, encode(rival))
    with pytest.raises(Busy):
        await ledger.order_commit(of, staying, encode(staying), split_off=new)
    assert await ledger.order_read(of, new.code) is None


async def test_a_split_without_room_leaves_no_order_behind(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    old = await made(ledger, of, 1, 1)
    staying, new = split(old)
    with pytest.raises(SoldOut):
        await ledger.order_commit(
            of, staying, encode(staying), split_off=new, moves=[move(1, "n", 1)], needs=[product(1)]
        )
    assert await ledger.order_read(of, new.code) is None
    assert await used(ledger, of) == [2]


async def test_a_deleted_order_is_gone_and_its_units_are_back(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    old = await made(ledger, of, 1)
    await ledger.order_commit(of, following(old, "n"), b"", moves=[move(1, "n", -1)])
    assert await used(ledger, of) == [0]
    with pytest.raises(NotFound):
        await ledger.order_read(of, old.code)
    last = entries(server_redis, ledger, of, old.code)[-1]
    assert (last[b"kind"], int(last[b"id"]), int(last[b"v"])) == (b"order_deleted", old.id, -1)


async def test_who_read_an_order_before_it_was_deleted_cannot_bring_it_back(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    old = await made(ledger, of, 1)
    await ledger.order_commit(of, following(old, "n"), b"", moves=[move(1, "n", -1)])
    for late in (following(old, "p"), following(following(old, "n"), "p")):
        with pytest.raises(Busy):
            await ledger.order_commit(of, late, encode(late), moves=[move(1, "n", -1), move(1, "p", 1)])
    with pytest.raises(Busy):
        await ledger.order_commit(of, following(old, "n"), b"", moves=[move(1, "n", -1)])
    assert await used(ledger, of) == [0]


async def test_the_code_of_a_deleted_order_may_be_used_again(ledger, open_event):
    of = await open_event(quota(1, 2, 1))
    old = await made(ledger, of, 1)
    await ledger.order_commit(of, following(old, "n"), b"", moves=[move(1, "n", -1)])
    again = msgspec.structs.replace(order(of, 1), code=old.code)
    await ledger.order_commit(of, again, encode(again), moves=[move(1, "n", 1)], needs=[product(1)])
    assert await ledger.order_read(of, old.code) == again
    assert await used(ledger, of) == [1]
