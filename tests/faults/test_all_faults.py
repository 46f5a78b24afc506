"""All faults in one rush, one on top of the other in random order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import Any

import books
import pytest
import redis
from crowd import Client, Crowd
from machine import pids, until
from standstill import family, send

SECONDS = 12


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


def kill(up: Any, kind: str) -> None:
    """End one process with -9; one that is just being started again is left alone."""
    send([random.choice(pids(up, kind))], signal.SIGKILL)


async def flush(up: Any) -> None:
    """Lose all keys, unless Redis is just being started again."""
    try:
        with redis.Redis.from_url(up.redis_url, socket_timeout=5) as connection:
            connection.flushall()
    except (redis.ConnectionError, redis.TimeoutError):
        return


async def hang(up: Any, kind: str) -> None:
    """Stop one process, or all of Postgres, for a moment."""
    chosen = random.choice(pids(up, kind))
    try:
        os.kill(chosen, signal.SIGSTOP)
        stopped = family(chosen)
    except (ProcessLookupError, FileNotFoundError):
        return
    send(stopped, signal.SIGSTOP)
    try:
        await asyncio.sleep(random.uniform(0.1, 2))
    finally:
        send(stopped, signal.SIGCONT)


async def one_fault(up: Any) -> None:
    """Do one of them."""
    kind = random.choice(["front_doors", "workers", "redis", "postgres"])
    what = random.choice([kill, hang, flush])
    if what is kill:
        kill(up, kind)
    elif what is hang:
        await hang(up, kind)
    else:
        await flush(up)


@pytest.mark.parametrize("sizes", [(60, 40), (100_000, 100_000)], ids=["small", "large"])
async def test_all_faults_in_one_rush(up: Any, api: Client, sizes: tuple[int, int]) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or 1)
    print(f"FAULTS_SEED={seed}")
    random.seed(seed)
    crowd = Crowd(api, await api.shop(*sizes))
    async with crowd.rush():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            await one_fault(up)
            await asyncio.sleep(random.uniform(0, 1))
        before = crowd.served()
        await until("buyers are served again", lambda: crowd.served() > before + 50)
    await books.compare(up, crowd, redis_lost=True)
