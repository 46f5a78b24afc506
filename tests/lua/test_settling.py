"""Orders that Postgres has get an end of life, unless they have changed since."""

from __future__ import annotations

from sample_events import following, order, quota

from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.scripts import load_scripts

HOT_MS = 60_000


async def made(ledger, of):
    """Commit an order that takes nothing; return it and its key."""
    new = order(of)
    await ledger.order_commit(of, new, encode(new))
    return new, keys.order(ledger.shard_of(of), of.id, new.code)


def settle(server_redis, names):
    """Tell that Postgres has the first version of each order."""
    script = load_scripts()["order_settle"].text
    return server_redis.eval(script, len(names), *names, HOT_MS, *("1" for _ in names))


async def test_an_order_ends_unless_it_has_changed_since(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    (_, settled), (old, changed) = await made(ledger, of), await made(ledger, of)
    new = following(old, "c")
    await ledger.order_commit(of, new, encode(new))
    assert settle(server_redis, [settled, changed]) == [b"ok"]
    assert 0 < server_redis.pttl(settled) <= HOT_MS
    assert server_redis.pttl(changed) == -1


async def test_all_others_end_though_somebody_has_overwritten_one(ledger, server_redis, open_event):
    of = await open_event(quota(1, 2, 1))
    (_, overwritten), (_, settled) = await made(ledger, of), await made(ledger, of)
    server_redis.set(overwritten, "a text")
    assert settle(server_redis, [overwritten, settled]) == [b"ok"]
    assert 0 < server_redis.pttl(settled) <= HOT_MS
    server_redis.delete(overwritten)
