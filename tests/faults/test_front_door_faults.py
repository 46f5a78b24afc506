"""A front door that is killed takes its requests with it and nothing else; a client that is gone, not even that."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import books
import redis
from crowd import PRICE, Client, Crowd, Shop
from machine import kill_one, stopped, until
from stored import shard_of

from engine.ledger import keys

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


def order_body(shop: Shop, email: str) -> dict[str, Any]:
    return {
        "email": email,
        "locale": "en",
        "payment_provider": "manual",
        "positions": [{"item": shop.items[0], "price": PRICE}],
    }


async def test_a_front_door_killed_between_script_and_answer_has_sold(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    shop = crowd.shop
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
    outbox = keys.outbox(shard_of(up, shop.slug))
    with redis.Redis.from_url(up.redis_url) as connection:
        # the last one of all, so that there is only one to be found
        await until("all others are written", lambda: connection.xlen(outbox) == 0)
        with stopped(up, "workers"):
            asking = asyncio.create_task(api.ask("POST", f"{shop.path}orders/", order_body(shop, "gone@example.org")))
            await until("the script has run", lambda: connection.xlen(outbox) == 1)
            await asyncio.gather(kill_one(up, "front_doors", 0), kill_one(up, "front_doors", 1))
            [answer] = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(answer, aiohttp.ClientError)

    async def found() -> bool:
        try:
            status, orders, _ = await api.ask("GET", f"{shop.path}orders/?email=gone@example.org")
        except aiohttp.ClientError:
            return False
        return bool(status == 200 and orders["count"] == 1)

    await until("its client finds the order", found)
    crowd.unanswered_orders += 1
    await books.compare(up, crowd)


async def gone_client(up: Any, path: str, body: bytes, part: float) -> None:
    """Send a part of a request, all of it if `part` is 1, and leave without waiting for an answer."""
    address = urlsplit(up.base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = [
        f"POST {urlsplit(path).path} HTTP/1.1",
        f"Host: {address.netloc}",
        f"Authorization: Token {up.token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    request = "\r\n".join([*head, "", ""]).encode() + body
    writer.write(request[: int(len(request) * part)])
    await writer.drain()
    if part == 1:
        # the server has to have read it: nothing is promised of what never arrived
        await asyncio.sleep(0.002)
    writer.transport.abort()


async def test_clients_that_are_gone_leave_nothing_half_done(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    shop = crowd.shop
    order = json.dumps(order_body(shop, "gone@example.org")).encode()
    hold = json.dumps({"item": shop.items[0], "price": PRICE}).encode()
    asked = 0
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        for part in (0.1, 0.5, 0.99, 1.0, 1.0, 1.0, 1.0):
            for path, body in (("orders/", order), ("cartpositions/", hold)):
                await asyncio.gather(*(gone_client(up, f"{api.root}{shop.path}{path}", body, part) for _ in range(20)))
            asked += 20 if part == 1 else 0
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
    outbox = keys.outbox(shard_of(up, shop.slug))
    with redis.Redis.from_url(up.redis_url) as connection:
        await until("all orders are written", lambda: connection.xlen(outbox) == 0)
    # what was held and told to nobody: it would expire in half an hour
    while (page := await api.must("GET", f"{shop.path}cartpositions/?page_size=100"))["results"]:
        gone = [hold["id"] for hold in page["results"]]
        await asyncio.gather(*(api.ask("DELETE", f"{shop.path}cartpositions/{number}/") for number in gone))
    orders = await api.must("GET", f"{shop.path}orders/?email=gone@example.org")
    assert 0 < orders["count"] <= asked
    crowd.unanswered_orders += orders["count"]
    await books.compare(up, crowd)
