"""Who verifies may stop in the middle of it: somebody else takes over, and what he goes on with then has no effect."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import psycopg
import pytest
import redis
from crowd import PRICE, Client, Shop
from machine import until
from stored import connected, key_of

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.pipe import Pinned, Pipe
from engine.ledger.scripts import load_scripts

SILENCE_S = 10


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


async def ask(up: Any, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask on a connection of its own: it may end at a process that stands still, and then there is no answer."""
    url = f"{up.base_url}{path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.request(
                "GET" if body is None else "POST", url, json=body, headers={"Authorization": f"Token {up.token}"}
            ) as response,
        ):
            return response.status, await response.text()
    except (TimeoutError, aiohttp.ClientError):
        return 0, ""


async def order(up: Any, shop: Shop) -> bool:
    """Tell whether an order was confirmed."""
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    body |= {"positions": [{"item": shop.items[0], "price": PRICE}]}
    path = f"/api/v1/organizers/{up.organizer}/{shop.path}orders/"
    return (await ask(up, path, body))[0] == 201


async def verifier(up: Any) -> int:
    """Return the process that verifies, as metrics tell."""
    found: list[str] = []

    async def told() -> bool:
        _, text = await ask(up, "/metrics")
        found[:] = re.findall(r'holdfast_server_verifying\{process="[^"]*:(\d+)",server="[^"]*"\} 1\.0', text)
        return len(found) == 1

    await until("metrics tell who verifies", told)
    return int(found[0])


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def epochs(up: Any) -> list[tuple[int, int]]:
    """Return of each shard the epochs that Postgres and Redis know."""
    with psycopg.connect(up.database_url) as database, connected(up) as store:
        rows = database.execute("SELECT shard, epoch FROM shards").fetchall()
        return [(epoch, int(store.hget(keys.shard(shard), "epoch") or 0)) for shard, epoch in rows]


async def test_a_process_that_is_stopped_while_it_verifies_is_deposed(up: Any, api: Client) -> None:
    shop = await api.shop(5000)
    # both have the event at hand, and ask Postgres nothing before they ask Redis
    await until("every front door serves", lambda: served(up, shop))
    with redis.Redis.from_url(up.redis_url) as store:
        event = key_of(up, shop.slug, "event")
        with psycopg.connect(up.database_url) as owner:
            # whoever rebuilds waits for what the event has for sale
            owner.execute("LOCK TABLE quotas IN ACCESS EXCLUSIVE MODE")
            store.delete(event)
            assert not await order(up, shop)
            pid = await verifier(up)
            os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    with stopped(pid):
        await until("somebody else has verified", lambda: order(up, shop))
        assert time.monotonic() - began > SILENCE_S / 2
        for _ in range(3):
            await order(up, shop)
    await until("it serves again", lambda: served(up, shop))
    await until("the epochs agree", lambda: all(known == live for known, live in epochs(up)))

    async def counted() -> bool:
        answer = await api.must("GET", f"{shop.path}quotas/{next(iter(shop.sizes))}/availability/")
        with psycopg.connect(up.database_url) as database:
            sql = "SELECT count(*) FROM orders JOIN events ON events.id = event_id WHERE slug = %s"
            [(sold,)] = database.execute(sql, (shop.slug,)).fetchall()
        return bool(answer["available_number"] == 5000 - sold)

    # orders whose clients did not wait are made nevertheless
    await until("the books agree", counted)


async def served(up: Any, shop: Shop) -> bool:
    """Tell whether every front door serves: as connections are spread, some of a dozen end at each."""
    return all(await asyncio.gather(*(order(up, shop) for _ in range(12))))


async def test_nothing_is_sent_on_a_connection_that_took_the_place_of_a_pinned_one(redis_url: str) -> None:
    pipe = Pipe(redis_url)
    await pipe.open()
    try:
        pinned = Pinned(pipe)
        assert await pinned.call("PING")
        with redis.Redis.from_url(redis_url) as other:
            other.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        await until("the pipe is connected again", lambda: pipe.connections == 2)
        assert await pipe.call("PING")
        assert (pipe.away, pinned.away) == (False, True)
        with pytest.raises(Fenced):
            await pinned.call("PING")
    finally:
        await pipe.close()


def test_a_shard_is_never_given_an_epoch_that_is_over(redis_url: str) -> None:
    opening = load_scripts()["shard_open"].text
    shard, outbox = keys.shard(4711), keys.outbox(4711)
    with redis.Redis.from_url(redis_url) as store:
        store.hset(shard, "epoch", 6)
        assert store.eval(opening, 2, shard, outbox, 7, "5-0", 0) == [b"ok"]
        assert store.eval(opening, 2, shard, outbox, 6, "9-0", 1) == [b"older"]
        assert store.hgetall(shard) == {b"epoch": b"7"}
        assert store.eval(opening, 2, shard, outbox, 8, "5-0", 0) == [b"ok"]
        store.delete(shard, outbox)


def test_a_shard_that_was_found_whole_and_emptied_since_is_not_opened(redis_url: str) -> None:
    opening = load_scripts()["shard_open"].text
    shard, outbox = keys.shard(4712), keys.outbox(4712)
    with redis.Redis.from_url(redis_url) as store:
        store.hset(shard, "next", 7)  # what a verification sets when the emptying has come before it
        assert store.eval(opening, 2, shard, outbox, 7, "5-0", 0) == [b"emptied"]
        assert store.exists(outbox) == 0
        store.delete(shard)
