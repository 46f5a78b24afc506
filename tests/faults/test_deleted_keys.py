"""Somebody deletes a key of a running Redis: nothing of the outbox is lost, and deadlines are missed."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
from typing import Any

import books
import psycopg
import pytest
import redis
from crowd import PRICE, Client, Crowd, Shop
from machine import stopped, until
from stored import SHARDS, connected, shard_of

from engine.ledger import keys
from engine.settings import Settings
from persistence.follower import Follower
from workers.drain import Drain


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


def delete(up: Any, kind: str, shards: range = range(SHARDS)) -> None:
    with redis.Redis.from_url(up.redis_url) as connection:
        connection.delete(*(f"{keys.prefix(shard)}{kind}" for shard in shards))


def there(up: Any, kind: str) -> bool:
    """Tell whether each shard has a key."""
    names = [f"{keys.prefix(shard)}{kind}" for shard in range(SHARDS)]
    with connected(up) as connection:
        return bool(connection.exists(*names) == SHARDS)


def unavailable(crowd: Crowd) -> int:
    """Return how many have been told to come again."""
    return sum(count for status, count in crowd.statuses.items() if status.endswith(" 503"))


async def order(api: Client, shop: Shop, **more: Any) -> tuple[int, str]:
    """Order one unit; return the status and the order's path."""
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual", **more}
    body |= {"positions": [{"item": shop.items[0], "price": PRICE}]}
    status, answer, _ = await api.ask("POST", f"{shop.path}orders/", body)
    return status, f"{shop.path}orders/{answer.get('code')}/"


async def test_an_outbox_that_is_deleted_in_a_rush_costs_no_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000), buyers=32)
    async with crowd.rush():
        for _ in range(3):
            before = crowd.confirmed()
            await until("sales go on", lambda before=before: crowd.confirmed() > before + 50)  # type: ignore[misc]
            alarms = unavailable(crowd)
            delete(up, "outbox")
            await until("it is noticed", lambda alarms=alarms: unavailable(crowd) > alarms)  # type: ignore[misc]
    await books.compare(up, crowd)


async def test_what_waited_in_a_deleted_outbox_reaches_postgres(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    [quota] = shop.sizes
    _, deleted = await order(api, shop, testmode=True)
    with stopped(up, "workers"):
        status, undrained = await order(api, shop)
        assert status == 202
        assert (await api.ask("DELETE", deleted))[0] in (202, 204)
        await api.must(
            "PATCH", f"{shop.path}quotas/{quota}/", {"closed": False, "close_when_sold_out": True, "size": 1}
        )
        delete(up, "outbox")
    await until("it is noticed and made anew", lambda: there(up, "outbox"))
    await until("sales go on", lambda: found(api, f"{shop.path}quotas/{quota}/availability/"))
    assert (await api.must("GET", undrained))["status"] == "n"
    assert (await api.ask("GET", deleted))[0] == 404
    with psycopg.connect(up.database_url) as connection:
        codes = [path.rstrip("/").rpartition("/")[2] for path in (undrained, deleted)]
        rows = connection.execute("SELECT code FROM orders WHERE code = ANY (%s)", (codes,)).fetchall()
        assert [code for (code,) in rows] == codes[:1]
    assert (await order(api, shop))[0] == 400, "the only unit is sold"


async def test_an_outbox_made_anew_is_let_go_though_a_drain_died_when_it_had_written_it(
    up: Any, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await api.shop(10)
    shard = shard_of(up, shop.slug)
    monkeypatch.setattr(Drain, "finish", lambda *args: None)
    with stopped(up, "workers"):
        status, undrained = await order(api, shop)
        assert status == 202
        delete(up, "outbox", range(shard, shard + 1))
        assert (await order(api, shop))[0] == 503
        await until("it is made anew", lambda: there(up, "outbox"))
        drain = Drain(Settings(redis_url=up.redis_url, database_url=up.database_url, shards=SHARDS))
        with Follower(up.database_url) as follower:
            drain.learn(follower)
            drain.write(follower, drain.read(wait=False))
        drain.close()
    await until("sales go on", lambda: found(api, undrained))
    status, _ = await order(api, shop)
    assert status == 201


async def test_what_is_taken_out_of_an_outbox_made_anew_reaches_postgres_as_well(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    [quota] = shop.sizes
    shard = shard_of(up, shop.slug)
    outbox = keys.outbox(shard)
    elsewhere = await api.shop(1)
    while shard_of(up, elsewhere.slug) == shard:
        elsewhere = await api.shop(1)
    with stopped(up, "workers"):
        # what comes first has been sent to the worker that waits for it
        assert (await order(api, elsewhere))[0] == 202
        paths = [path for _, path in [await order(api, shop) for _ in range(4)]]
        delete(up, "outbox", range(shard, shard + 1))
        assert (await order(api, shop))[0] == 503
        await until("it is made anew", lambda: there(up, "outbox"))
        with connected(up) as connection:
            entries = [number for number, fields in connection.xrange(outbox) if fields[b"kind"] == b"order"]
            assert len(entries) == 4
            connection.xdel(outbox, *entries[1:3])
    await until("sales go on", lambda: found(api, f"{shop.path}quotas/{quota}/availability/"))
    assert [(await api.must("GET", path))["status"] for path in paths] == ["n"] * 4
    with psycopg.connect(up.database_url) as connection:
        codes = [path.rstrip("/").rpartition("/")[2] for path in paths]
        rows = connection.execute("SELECT FROM orders WHERE code = ANY (%s)", (codes,)).fetchall()
    assert len(rows) == 4


async def test_an_outbox_made_anew_is_written_though_a_drain_has_an_entry_of_the_old_one(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    [quota] = shop.sizes
    shard = shard_of(up, shop.slug)
    with stopped(up, "workers"):
        # the first one has been sent to the worker that waits for it
        paths = [path for _, path in [await order(api, shop) for _ in range(4)]]
        delete(up, "outbox", range(shard, shard + 1))
        assert (await order(api, shop))[0] == 503
        await until("it is made anew", lambda: there(up, "outbox"))
    await until("sales go on", lambda: found(api, f"{shop.path}quotas/{quota}/availability/"))
    assert [(await api.must("GET", path))["status"] for path in paths] == ["n"] * 4


async def test_a_reply_to_an_order_whose_outbox_was_deleted_outlives_redis(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    body |= {"positions": [{"item": shop.items[0], "price": PRICE}]}

    async def sent() -> tuple[int, str]:
        url = f"{api.root}{shop.path}orders/"
        async with api.session.post(url, json=body, headers={"X-Idempotency-Key": "once"}) as response:
            return response.status, (await response.json()).get("code", "")

    with stopped(up, "workers"):
        # what comes first has been sent to the worker that waits for it
        assert (await order(api, shop))[0] == 202
        status, code = await sent()
        assert status == 202
        delete(up, "outbox")
    [quota] = shop.sizes
    await until("it is noticed and made anew", lambda: there(up, "outbox"))
    await until("sales go on", lambda: found(api, f"{shop.path}quotas/{quota}/availability/"))
    with connected(up) as connection:
        connection.flushall()
    await until("sales go on", lambda: found(api, f"{shop.path}quotas/{quota}/availability/"))
    assert await sent() == (201, code)


async def found(api: Client, path: str) -> bool:
    status, _, _ = await api.ask("GET", path)
    return status == 200


async def test_deadlines_that_are_deleted_are_told_and_repaired_on_a_word(up: Any, api: Client) -> None:
    shop = await api.shop(5)
    [quota] = shop.sizes
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)
    hold = {"item": shop.items[0], "price": PRICE, "expires": expires.isoformat()}
    for _ in range(5):
        await api.must("POST", f"{shop.path}cartpositions/", hold)
    delete(up, "due")
    await until("a worker has told", lambda: told(up, shop.slug))
    path = f"{shop.path}quotas/{quota}/availability/"
    await asyncio.sleep(max(0.0, (expires - dt.datetime.now(dt.UTC)).total_seconds()) + 1)
    assert (await api.must("GET", path))["cart_positions"] == 5, "nothing is repaired without a word"
    stores = {"HOLDFAST_REDIS_URL": up.redis_url, "HOLDFAST_DATABASE_URL": up.database_url}
    command = [sys.executable, "-m", "engine", "audit", "--repair"]
    done = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **stores}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = await api.must("GET", path)
    assert (answer["cart_positions"], answer["available_number"]) == (0, 5)


def told(up: Any, slug: str) -> bool:
    sql = "SELECT DISTINCT rule FROM differences JOIN events ON events.id = event_id WHERE slug = %s"
    with psycopg.connect(up.database_url) as connection:
        rows = connection.execute(sql, (slug,)).fetchall()
    return rows == [("each hold has its deadline, each deadline its hold",)]
