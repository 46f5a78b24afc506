"""Hundreds of unpaid orders expire, each once and not before its time, whatever happens to some of them meanwhile."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter
from typing import Any

import httpx
from shop import MakeShop

from engine.domain.order import Order, decode
from engine.sales.house import open_house
from engine.settings import Settings
from persistence.database import Database
from workers.expire import BATCH_MAX, expire_orders

LEFT_ALONE, MOVED = BATCH_MAX + 60, 90
AT_ONCE = 24


async def stored(database: Database, codes: list[str]) -> list[Order]:
    rows = await database.rows("SELECT doc::text AS doc FROM orders WHERE code = ANY(%(codes)s)", {"codes": codes})
    return [decode(row["doc"]) for row in rows]


async def test_unpaid_orders_expire_on_time_once_and_in_batches(server: Any, shop: MakeShop) -> None:
    s, item, quota = shop().selling(LEFT_ALONE + MOVED)
    gate = asyncio.Semaphore(AT_ONCE)
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=6)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    root = f"{s.api.base_url}events/{s.slug}/orders/"
    headers = {"Authorization": f"Token {server.token}"}
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(headers=headers, timeout=30, limits=limits) as client:

        async def ask(method: str, path: str, body: Any) -> Any:
            async with gate:
                answer = await client.request(method, root + path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        async def order() -> str:
            code = str((await ask("POST", "", {"payment_provider": "manual", "positions": [{"item": item}]}))["code"])
            # set afterwards: no order is made with a deadline that is over, and making all of them may take a while
            await ask("PATCH", f"{code}/", {"expires": expires.isoformat()})
            return code

        async def move(number: int, code: str) -> tuple[str, str]:
            """Move the deadline of an order, or pay it; return the status that was answered."""
            if number % 3 == 0:
                answer = await ask("POST", f"{code}/extend/", {"expires": later.date().isoformat()})
            elif number % 3 == 1:
                answer = await ask("PATCH", f"{code}/", {"expires": later.isoformat()})
            else:
                answer = await ask("POST", f"{code}/mark_paid/", {})
            return code, answer["status"]

        moved = await asyncio.gather(*(order() for _ in range(MOVED)))
        answered = dict(await asyncio.gather(*(move(*which) for which in enumerate(moved))))
        left_alone = await asyncio.gather(*(order() for _ in range(LEFT_ALONE)))

    settings = Settings(redis_url=server.redis_url, database_url=server.database_url)
    async with open_house(settings) as house:
        end = time.monotonic() + 40
        while True:
            # three more who do the worker's work, beside the worker
            await asyncio.gather(*(expire_orders(house) for _ in range(3)))
            orders = await stored(house.database, left_alone)
            if {order.status for order in orders} == {"e"}:
                break
            assert time.monotonic() < end, Counter(order.status for order in orders)
            await asyncio.sleep(0.2)
        kept = await stored(house.database, moved)

    assert {order.version for order in orders} == {3}, "an order expired more than once"
    assert all(order.last_modified > order.expires for order in orders), "an order expired before its time"
    # a deadline that was moved too late is no deadline that was moved
    assert {order.code: order.status for order in kept} == answered
    assert set(answered.values()) <= {"n", "p", "e"}
    assert sum(status != "e" for status in answered.values()) > 0
    counts = s.availability(quota)
    taken = Counter(answered.values())
    assert (counts["pending_orders"], counts["paid_orders"]) == (taken["n"], taken["p"])
