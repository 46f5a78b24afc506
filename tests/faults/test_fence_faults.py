"""Whoever verifies a server may die of it: the next one starts from the beginning, and drops nothing that is whole."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import psycopg
import pytest
import redis
from crowd import PRICE, Client, Shop
from machine import kill_one, stopped, until
from stored import SHARDS, connected, key_of, shard_of

from engine.domain.errors import Fenced
from engine.ledger import keys, rebuild
from engine.ledger.ledger import Ledger
from engine.ledger.scripts import load_scripts
from engine.settings import Settings
from persistence.database import Database

UNITS = 100
"""Enough for all who order again because they were told 202 or 503."""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


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


async def order(api: Client, shop: Shop) -> tuple[int, str]:
    """Order one unit; return the status and the order's path."""
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    body |= {"positions": [{"item": shop.items[0], "price": PRICE}]}
    status, answer, _ = await api.ask("POST", f"{shop.path}orders/", body)
    return status, f"{shop.path}orders/{answer.get('code')}/"


def lose(up: Any, key: str) -> None:
    """Delete one key; that of an event is all that Redis knows of it."""
    with redis.Redis.from_url(up.redis_url) as connection:
        connection.delete(key)


def known(up: Any) -> bool:
    """Tell whether the server knows any of our scripts."""
    with connected(up) as connection:
        return any(connection.script_exists(*(script.sha for script in load_scripts().values())))


async def served(api: Client, *shops: Shop) -> bool:
    """Tell whether an order of each shop is confirmed."""
    try:
        return all([(await order(api, shop))[0] == 201 for shop in shops])
    except OSError:
        return False


async def counted(api: Client, shop: Shop) -> bool:
    """Tell whether each unit is free or in one of the orders that Postgres has, two or more."""
    [quota] = shop.sizes
    orders = (await api.must("GET", f"{shop.path}orders/"))["count"]
    answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
    return bool(orders >= 2 and answer["pending_orders"] == orders == UNITS - answer["available_number"])


async def test_a_front_door_killed_while_it_verifies_leaves_no_shard_behind(up: Any, api: Client) -> None:
    damaged, intact = await api.shop(UNITS), await api.shop(UNITS)
    while shard_of(up, damaged.slug) == shard_of(up, intact.slug):
        intact = await api.shop(UNITS)
    await until("orders of both shards are confirmed", lambda: served(api, damaged, intact))
    with stopped(up, "workers"):
        status, undrained = await order(api, intact)
        assert status == 202
        event = key_of(up, damaged.slug, "event")
        with blocking(up, "events") as onlooker:
            lose(up, event)
            [quota] = damaged.sizes
            status, _, _ = await api.ask("GET", f"{damaged.path}quotas/{quota}/availability/")
            assert status == 503
            await until("somebody verifies", lambda: waiting(onlooker))
            # both, as one cannot tell from here which of them was elected
            await asyncio.gather(kill_one(up, "front_doors", 0), kill_one(up, "front_doors", 1))
    await until("orders of both shards are confirmed", lambda: served(api, intact, damaged))
    assert (await api.must("GET", undrained))["status"] == "n", "what waited in an intact shard was kept"
    await until("the books agree", lambda: counted(api, intact))


async def test_a_shard_that_lost_a_key_is_drained_before_it_is_rebuilt(up: Any, api: Client) -> None:
    shop = await api.shop(UNITS)
    with stopped(up, "workers"):
        status, undrained = await order(api, shop)
        assert status == 202
        lose(up, key_of(up, shop.slug, "event"))
        assert (await order(api, shop))[0] == 503
        await until("somebody verifies", lambda: not known(up))
    await until("sales go on", lambda: served(api, shop))
    assert (await api.must("GET", undrained))["status"] == "n"
    await until("the books agree", lambda: counted(api, shop))


async def test_other_scripts_stay_known_unless_a_shard_was_lost(up: Any, api: Client) -> None:
    shop = await api.shop(UNITS)
    with redis.Redis.from_url(up.redis_url) as connection:
        theirs = connection.script_load("return 'another application'")
        with connection.pipeline() as together:
            for name in connection.scan_iter(f"{keys.LAYOUT}:*:shard"):
                together.hset(name, "node", "somebody else")
            together.execute()
        # a front door that starts does not believe a server that was verified as another
        await kill_one(up, "front_doors", 0)
        await until("it has been verified", lambda: connection.hget(keys.shard(0), "node") != b"somebody else")
        await until("sales go on", lambda: served(api, shop))
        assert connection.evalsha(theirs, 0) == b"another application"


async def test_an_event_that_lost_its_holds_is_counted_again_when_the_first_of_them_is_due(
    up: Any, api: Client
) -> None:
    shop = await api.shop(UNITS)
    [quota] = shop.sizes
    expires = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)).isoformat()
    for _ in range(3):
        await api.must(
            "POST", f"{shop.path}cartpositions/", {"item": shop.items[0], "price": PRICE, "expires": expires}
        )
    with redis.Redis.from_url(up.redis_url) as connection:
        connection.delete(key_of(up, shop.slug, "holds"))

    async def free() -> bool:
        status, answer, _ = await api.ask("GET", f"{shop.path}quotas/{quota}/availability/")
        return bool(status == 200 and answer["available_number"] == UNITS)

    await until("their units are free", free)


async def test_a_server_that_is_emptied_while_it_is_rebuilt_keeps_no_units_of_holds_that_are_gone(
    up: Any, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await api.shop(UNITS)
    for _ in range(3):
        await api.must("POST", f"{shop.path}cartpositions/", {"item": shop.items[0], "price": PRICE})
    read: list[int] = []

    async def read_and_emptied(*args: Any) -> Any:
        held, seats = await surviving_holds(*args)
        if held:
            read.append(held.total())
            with redis.Redis.from_url(up.redis_url) as connection:
                connection.flushall()
        return held, seats

    surviving_holds = rebuild._surviving_holds
    monkeypatch.setattr(rebuild, "_surviving_holds", read_and_emptied)
    settings = Settings(redis_url=up.redis_url, database_url=up.database_url, shards=SHARDS)
    async with AsyncExitStack() as stack:
        database = Database(up.database_url)
        await database.open()
        stack.push_async_callback(database.close)
        ledger = Ledger(settings, database)
        await ledger.open()
        stack.push_async_callback(ledger.close)
        with pytest.raises(Fenced, match="emptied"):
            await ledger.fence.repair(shard_of(up, shop.slug))
    assert read == [3]
    await until("sales go on", lambda: served(api, shop))
    [quota] = shop.sizes
    answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
    assert answer["cart_positions"] == 0
    assert answer["pending_orders"] + answer["available_number"] == UNITS


async def test_a_shard_whose_outbox_goes_after_a_verification_that_was_not_ended_is_rebuilt(
    up: Any, api: Client
) -> None:
    shop = await api.shop(UNITS)
    await until("orders are confirmed", lambda: served(api, shop))
    shard = shard_of(up, shop.slug)
    with redis.Redis.from_url(up.redis_url) as connection:
        event = key_of(up, shop.slug, "event")
        older = connection.dump(event)
        await until("another order is confirmed", lambda: served(api, shop))
        with psycopg.connect(up.database_url) as database:
            sql = "UPDATE shards SET epoch = epoch + 1 WHERE shard = %s RETURNING epoch"
            [(epoch,)] = database.execute(sql, (shard,)).fetchall()
        with connection.pipeline() as together:
            together.restore(event, 0, older, replace=True)
            together.hset(keys.shard(shard), "next", epoch)
            together.delete(keys.outbox(shard))
            together.script_flush("SYNC")
            together.execute()
    await until("sales go on", lambda: served(api, shop))
    [quota] = shop.sizes
    answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
    assert answer["pending_orders"] >= 3
    await until("the books agree", lambda: counted(api, shop))
    with connected(up) as connection:
        fields = connection.hkeys(keys.shard(shard))
    assert {b"rebuilt", b"epoch"} <= set(fields)
    assert not {b"rebuilding", b"restored", b"next"} & set(fields)


async def test_a_server_that_is_emptied_as_it_is_found_whole_is_rebuilt(up: Any, api: Client) -> None:
    shop = await api.shop(UNITS)
    await until("orders are confirmed", lambda: served(api, shop))
    shard = keys.shard(shard_of(up, shop.slug))
    with connected(up) as connection, psycopg.connect(up.database_url) as database:
        sql = "UPDATE shards SET epoch = epoch + 1 WHERE shard = %s RETURNING epoch"
        [(epoch,)] = database.execute(sql, (shard_of(up, shop.slug),)).fetchall()
        database.commit()
        with connection.pipeline() as together:
            together.flushall()
            # what whoever verifies sends next
            together.hset(shard, "next", epoch)
            together.script_flush("SYNC")
            together.execute()
    await until("sales go on", lambda: served(api, shop))
    await until("the books agree", lambda: counted(api, shop))
