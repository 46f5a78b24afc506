"""Redis has no memory left and evicts nothing: it refuses, whole requests at a time, until it has some again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import books
import pytest
import redis
from crowd import Client, Crowd
from machine import until

SMALL = (60, 40)
LARGE = (100_000, 100_000)
KEEPS = {SMALL: 0.1, LARGE: 0.75}


@contextmanager
def full(up: Any, spare: int) -> Iterator[None]:
    """Give Redis no more memory than it has in use and `spare` bytes, as long as the block lasts."""
    with redis.Redis.from_url(up.redis_url) as connection:
        connection.config_set("maxmemory", connection.info("memory")["used_memory"] + spare)
        try:
            yield
        finally:
            connection.config_set("maxmemory", 0)


@pytest.mark.parametrize("spare", [0, 200_000], ids=["at once", "soon"])
@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["small", "large"])
async def test_a_redis_out_of_memory_does_nothing_by_halves(
    up: Any, api: Client, sizes: tuple[int, int], spare: int
) -> None:
    crowd = Crowd(api, await api.shop(*sizes), keeps=KEEPS[sizes])
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with full(up, spare):
            refused = crowd.statuses["hold 503"]
            await until("buyers are told to come again", lambda: crowd.statuses["hold 503"] > refused + 100)
            assert not books.oversold(up, crowd.shop)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)
