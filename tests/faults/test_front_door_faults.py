"""A front door that is killed takes its requests with it, and nothing else."""

from __future__ import annotations

from typing import Any

import books
from crowd import Client, Crowd
from machine import kill_one, until

KILLS = 4


async def test_front_doors_killed_in_a_rush_leave_the_books_right(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(60, 40), keeps=0.1)
    async with crowd.rush():
        for number in range(KILLS):
            before = crowd.confirmed()
            await until("orders are confirmed", lambda before=before: crowd.confirmed() > before + 10)
            await kill_one(up, "front_doors", number % 2)
            assert not books.oversold(up, crowd.shop)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 10)
    await books.compare(up, crowd)


async def test_all_front_doors_killed_at_once_come_back(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        await kill_one(up, "front_doors", 0)
        await kill_one(up, "front_doors", 1)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)
