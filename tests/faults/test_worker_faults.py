"""A worker that is killed in the middle of its work costs nobody anything but time."""

from __future__ import annotations

from typing import Any

import books
from crowd import Client, Crowd
from machine import kill_one, until

KILLS = 4


async def test_a_worker_killed_in_mid_batch_loses_nothing_and_doubles_nothing(up: Any, api: Client) -> None:
    async with Crowd(api, await api.shop(100_000, 100_000)).rush() as crowd:
        for _ in range(KILLS):
            before = crowd.confirmed()
            await until("orders are confirmed", lambda before=before: crowd.confirmed() > before + 40)
            await kill_one(up, "workers")
    await books.compare(up, crowd)
    assert not {"order 202", "order 503"} & crowd.statuses.keys(), crowd.statuses
