"""With HOLDFAST_REDIS_APPENDFSYNC=always a Redis that is killed has lost nothing of what it answered: holds neither."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import Any

import books
import pytest
from crowd import PRICE, Client, Crowd, Shop
from machine import kill_one, pids, stopped, until

KILLS = 3
ENDS = "2031-12-27T10:00:00Z"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {"HOLDFAST_REDIS_APPENDFSYNC": "always", "HOLDFAST_ACK_TIMEOUT_S": "1"}


async def hold(api: Client, shop: Shop) -> str | None:
    """Hold one unit for years; return the hold's path, None if there was no answer."""
    status, answer, _ = await api.ask(
        "POST", f"{shop.path}cartpositions/", {"item": shop.items[0], "price": PRICE, "expires": ENDS}
    )
    return f"{shop.path}cartpositions/{answer['id']}/" if status == 201 else None


async def test_holds_survive_a_redis_that_is_killed(up: Any, api: Client) -> None:
    shop = await api.shop(1000)
    held: list[str] = []

    async def one_more() -> bool:
        one = await hold(api, shop)
        held.extend([one] if one else [])
        return one is not None

    for _ in range(KILLS):
        asking = [asyncio.create_task(hold(api, shop)) for _ in range(50)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        os.kill(pids(up, "redis")[0], signal.SIGKILL)
        held.extend(path for path in await asyncio.gather(*asking) if path is not None)

        await until("holds are given again", one_more)
    assert len(held) > KILLS

    async def answers(method: str, path: str) -> int:
        status: int = (await api.ask(method, path))[0]
        assert status != 404, f"{path} is lost"
        return status

    for path in held:
        # one of the front doors may not be connected again yet
        await until("it is there", lambda path=path: _is(answers("GET", path), 200))
        await until("it is deleted", lambda path=path: _is(answers("DELETE", path), 204))


async def _is(asked: Awaitable[int], status: int) -> bool:
    return await asked == status


async def test_what_was_answered_202_survives_as_well(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with stopped(up, "workers"):
            await until("orders wait for Postgres", lambda: crowd.statuses["order 202"] > 20)
            await kill_one(up, "redis")
            before = crowd.statuses["order 202"]
            await until("orders are taken again", lambda: crowd.statuses["order 202"] > before + 10)
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)
