"""Whoever verifies a server may die of it: the next one starts from the beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import redis
from crowd import PRICE, Client, Shop
from machine import kill_one, until

from engine.ledger import keys

SHARDS = 64


@contextmanager
def blocking(up: Any, table: str) -> Iterator[psycopg.Connection]:
    """Let nobody read a table of Postgres as long as the block lasts; yield a connection to look on."""
    with psycopg.connect(up.database_url) as owner, psycopg.connect(up.database_url, autocommit=True) as onlooker:
        owner.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield onlooker


def waiting(onlooker: psycopg.Connection) -> bool:
    """Tell whether somebody waits for that table while he holds the fence's lock."""
    sql = """
        SELECT FROM pg_locks AS elected JOIN pg_locks AS waits USING (pid)
        WHERE elected.locktype = 'advisory' AND elected.objid = (hashtext('holdfast fence')::bigint & 4294967295)::oid
          AND elected.granted AND NOT waits.granted
    """
    return onlooker.execute(sql).fetchone() is not None


def shard_of(up: Any, shop: Shop) -> int:
    return keys.shard_of(up.organizer, shop.slug, SHARDS)


async def order(api: Client, shop: Shop) -> int:
    """Order one unit; return the status."""
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    body |= {"positions": [{"item": shop.items[0], "price": PRICE}]}
    status, _, _ = await api.ask("POST", f"{shop.path}orders/", body)
    return status


async def test_a_front_door_killed_while_it_verifies_leaves_no_shard_behind(up: Any, api: Client) -> None:
    damaged, intact = await api.shop(10), await api.shop(10)
    while shard_of(up, damaged) == shard_of(up, intact):
        intact = await api.shop(10)
    assert [await order(api, damaged), await order(api, intact)] == [201, 201]
    with blocking(up, "events") as onlooker, redis.Redis.from_url(up.redis_url) as connection:
        [event] = connection.scan_iter(f"{keys.prefix(shard_of(up, damaged))}event:*")
        connection.delete(event)
        [quota] = damaged.sizes
        status, _, _ = await api.ask("GET", f"{damaged.path}quotas/{quota}/availability/")
        assert status == 503
        await until("somebody verifies", lambda: waiting(onlooker))
        # both, as one cannot tell from here which of them was elected
        await asyncio.gather(kill_one(up, "front_doors", 0), kill_one(up, "front_doors", 1))

    async def confirmed() -> bool:
        try:
            return await order(api, intact) == 201 and await order(api, damaged) == 201
        except OSError:
            return False

    await until("orders of both shards are confirmed", confirmed)
    [quota] = intact.sizes
    answer = await api.must("GET", f"{intact.path}quotas/{quota}/availability/")
    assert answer["pending_orders"] + answer["available_number"] == 10
