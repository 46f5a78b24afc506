"""Orders that share a call of the script: each is decided by itself, and one entry of the outbox tells of them."""

from __future__ import annotations

import asyncio

import msgspec
from sample_events import following, move, order, product, quota

from engine.domain.errors import Busy, SoldOut
from engine.domain.order import encode
from engine.ledger import keys
from workers.entries import entries_of


def told(server_redis, ledger, of):
    """Return what each entry tells: kind, code and version of each order."""
    shard = ledger.shard_of(of)
    found = [entries_of(shard, [row]) for row in server_redis.xrange(keys.outbox(shard))]
    return [
        [(one.kind.decode(), one.key.decode().rpartition(":")[2], one.version) for one in entries]
        for entries in found
        if f"order:{of.id}:".encode() in entries[0].key
    ]


def new(ledger, of, made):
    return ledger.order_commit(of, made, encode(made), moves=[move(1, "n", 1)], needs=[product(1)])


async def test_one_entry_tells_of_all(ledger, server_redis, open_event):
    of = await open_event(quota(1, 9, 1))
    made = [order(of, 1) for _ in range(3)]
    committed = await asyncio.gather(*(new(ledger, of, one) for one in made))
    assert told(server_redis, ledger, of) == [[("order", one.code, 1) for one in made]]
    assert len({one.entry for one in committed}) == 1
    assert [await ledger.order_read(of, one.code) for one in made] == made


async def test_who_is_refused_is_not_told_of(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    made = [order(of, 1) for _ in range(4)]
    done = await asyncio.gather(
        *(new(ledger, of, one) for one in (made[0], made[0], *made[1:])), return_exceptions=True
    )
    assert [type(one) for one in done[1:2] + done[3:]] == [Busy, SoldOut, SoldOut]
    assert told(server_redis, ledger, of) == [[("order", one.code, 1) for one in made[:2]]]
    assert [await ledger.order_read(of, one.code) for one in made] == [*made[:2], None, None]


async def test_versions_of_one_order_follow_each_other_in_a_call(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    first = order(of, 1)
    second = following(first, "p")
    paid = [move(1, "n", -1), move(1, "p", 1)]
    await asyncio.gather(new(ledger, of, first), ledger.order_commit(of, second, encode(second), moves=paid))
    assert told(server_redis, ledger, of) == [[("order", first.code, 1), ("order", first.code, 2)]]
    assert await ledger.order_read(of, first.code) == second
    assert server_redis.pttl(keys.order(ledger.shard_of(of), of.id, first.code)) == -1


async def test_what_is_more_than_a_document_has_its_own_entry_in_its_turn(ledger, server_redis, open_event):
    of = await open_event(quota(1, 9, 1))
    old, before, behind = (order(of, 1) for _ in range(3))
    await new(ledger, of, old)
    gone = ledger.order_commit(of, following(old, "n"), b"", moves=[move(1, "n", -1)])
    await asyncio.gather(new(ledger, of, before), gone, new(ledger, of, behind))
    assert told(server_redis, ledger, of)[1:] == [
        [("order", before.code, 1)],
        [("order_deleted", old.code, -1)],
        [("order", behind.code, 1)],
    ]


async def test_an_entry_has_only_so_much(ledger, server_redis, open_event):
    of = await open_event(quota(1, 9, 1))
    made = [msgspec.structs.replace(order(of, 1), comment="x" * 7000) for _ in range(4)]
    await asyncio.gather(*(new(ledger, of, one) for one in made))
    assert [len(entry) for entry in told(server_redis, ledger, of)] == [3, 1]
    assert [await ledger.order_read(of, one.code) for one in made] == made
