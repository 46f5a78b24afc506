"""Redis stands still for a while, or arq's queue is emptied, in the middle of a rush: nothing is lost, work goes on."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import books
import pytest
import redis
from crowd import PRICE, Client, Crowd
from machine import PATIENCE_S, pids, until
from stored import shard_of

from engine.embedded.redis import redis_server
from engine.ledger import keys

BUSY_S = 1.2


@pytest.fixture(scope="module")
def queue_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis for arq's queue alone, so that it can be emptied."""
    with redis_server(tmp_path_factory.mktemp("queue")) as url:
        yield url


@pytest.fixture(scope="module")
def environment(queue_url: str) -> dict[str, str]:
    return {"HOLDFAST_QUEUE_URL": queue_url}


Fault = Callable[[redis.Redis], None]


def pause_all(store: redis.Redis) -> None:
    store.client_pause(round(BUSY_S * 1000))


def pause_writes(store: redis.Redis) -> None:
    store.client_pause(round(BUSY_S * 1000), all=False)


def run_a_long_script(store: redis.Redis) -> None:
    """Let somebody else's script run so long that Redis answers everybody that it is busy."""
    store.config_set("busy-reply-threshold", 500)
    store.eval(
        """
        local function now() local t = redis.call('TIME') return t[1] + t[2] / 1000000 end
        local till = now() + tonumber(ARGV[1])
        while now() < till do end
        """,
        0,
        str(BUSY_S),
    )
    store.config_set("busy-reply-threshold", 5000)


def rewrite(store: redis.Redis) -> None:
    """Write the append-only file anew, and the configuration where there is a file of it."""
    for _ in range(5):
        with suppress(redis.ResponseError):
            store.bgrewriteaof()
        with suppress(redis.ResponseError):
            store.config_rewrite()


def cut_all(store: redis.Redis) -> None:
    """Cut every connection, several times."""
    for _ in range(5):
        store.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        store.execute_command("CLIENT KILL TYPE pubsub")


@pytest.mark.parametrize("fault", [pause_all, pause_writes, run_a_long_script, rewrite, cut_all])
async def test_redis_stands_still_in_a_rush(up: Any, api: Client, fault: Fault) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with redis.Redis.from_url(up.redis_url) as store:
            await asyncio.to_thread(fault, store)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


def empty(queue: redis.Redis) -> None:
    queue.flushall()


def delete_keys(queue: redis.Redis) -> None:
    names = [*queue.scan_iter("arq:*"), *queue.scan_iter(f"{keys.LAYOUT}:queue*")]
    if names:
        queue.delete(*names)


@pytest.mark.parametrize("fault", [empty, delete_keys])
async def test_the_queue_of_jobs_is_emptied_in_a_rush(up: Any, api: Client, queue_url: str, fault: Fault) -> None:
    crowd, quiet = Crowd(api, await api.shop(100_000, 100_000)), await api.shop(3)
    while shard_of(up, quiet.slug) == shard_of(up, crowd.shop.slug):
        quiet = await api.shop(3)
    expires = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)).isoformat()
    hold = {"item": quiet.items[0], "price": PRICE, "expires": expires}
    await api.must("POST", f"{quiet.path}cartpositions/", hold)
    with redis.Redis.from_url(queue_url) as queue, redis.Redis.from_url(up.redis_url) as store:
        async with crowd.rush():
            for _ in range(20):
                fault(queue)
                await asyncio.sleep(0.1)
            # nobody but the sweeper, which is such a job, has a look at a quiet shard
            await until("jobs are done again", lambda: not store.zcard(keys.due(shard_of(up, quiet.slug))))
        assert set(crowd.statuses) <= {"hold 201", "order 201", "pay 200", "cancel 200", "read 200"}
        jobs: Any = queue.zcard(f"{keys.LAYOUT}:queue")
        assert jobs <= 20, "jobs pile up"
    await books.compare(up, crowd)


async def test_a_worker_outlives_a_queue_that_cuts_it_off_while_it_begins_with_jobs(
    up: Any, api: Client, queue_url: str
) -> None:
    shop, worker = await api.shop(3), pids(up, "workers")
    expires = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)).isoformat()
    await api.must("POST", f"{shop.path}cartpositions/", {"item": shop.items[0], "price": PRICE, "expires": expires})
    with redis.Redis.from_url(queue_url) as queue, redis.Redis.from_url(up.redis_url) as store:

        def cut_at_a_job() -> None:
            before: Any = set(queue.keys("arq:in-progress:*"))
            deadline = time.monotonic() + PATIENCE_S
            while set(queue.keys("arq:in-progress:*")) <= before:
                assert time.monotonic() < deadline, "no job is begun"
            queue.execute_command("CLIENT KILL TYPE normal SKIPME yes")

        for _ in range(5):
            await asyncio.to_thread(cut_at_a_job)
        await until("jobs are done again", lambda: not store.zcard(keys.due(shard_of(up, shop.slug))))
    # nor is what it does besides broken off, a verification for one
    assert pids(up, "workers") == worker
