"""Redis loses the replies that it keeps: whoever sends a request again still gets no second order."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
import pytest
import redis
from crowd import PRICE, Client, Shop
from machine import stopped, until
from stored import shard_of

from engine.ledger import keys


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for three seconds only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "3"}


def lose_everything(up: Any) -> None:
    """Lose all keys and all scripts."""
    with redis.Redis.from_url(up.redis_url) as connection, connection.pipeline() as together:
        together.flushall()
        together.script_flush()
        together.execute()


def lose_orders(up: Any) -> None:
    """Lose the orders that are not drained, and all counts; the replies survive."""
    with redis.Redis.from_url(up.redis_url) as connection:
        lost = [
            name
            for kind in ("event:*", "order:*", "outbox", "shard")
            for name in connection.scan_iter(f"{keys.LAYOUT}:*:{kind}")
        ]
        connection.delete(*lost)


class Sender:
    """Sends one request as often as it takes."""

    def __init__(self, api: Client, path: str, body: Any) -> None:
        self.api, self.path, self.body = api, path, body
        self.headers = {"X-Idempotency-Key": secrets.token_hex(12)}

    async def once(self, body: Any = None) -> tuple[int, bytes]:
        url = self.api.root + self.path
        async with self.api.session.post(url, json=body or self.body, headers=self.headers) as response:
            return response.status, await response.read()

    async def surely(self) -> tuple[int, bytes]:
        """Send until there is an answer that is final."""
        answers: list[tuple[int, bytes]] = []

        async def final() -> bool:
            answers.append(await self.once())
            return answers[-1][0] not in (409, 503)

        await until("there is an answer", final)
        return answers[-1]


def order_of(api: Client, shop: Shop) -> Sender:
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    return Sender(api, f"{shop.path}orders/", {**body, "positions": [{"item": shop.items[0], "price": PRICE}]})


async def orders_of(api: Client, shop: Shop) -> list[str]:
    return [order["code"] for order in (await api.must("GET", f"{shop.path}orders/"))["results"]]


async def test_an_order_that_is_sent_again_is_not_made_again(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    sender = order_of(api, shop)
    first = await sender.once()
    assert first[0] == 201
    [code] = await orders_of(api, shop)
    pay = Sender(api, f"{shop.path}orders/{code}/payments/1/confirm/", {"force": False})
    paid = await pay.once()
    assert paid[0] == 200
    for _ in range(2):
        lose_everything(up)
        assert await sender.surely() == first
        assert await pay.surely() == paid
    assert await orders_of(api, shop) == [code]
    status, answer = await sender.once({**sender.body, "email": "other@example.org"})
    assert (status, b"idempotency key" in answer) == (409, True), "another request must not have this reply"
    lose_everything(up)

    async def refused() -> bool:
        status, answer = await sender.once({**sender.body, "email": "other@example.org"})
        assert status in (409, 503)
        return b"was used for another" in answer

    await until("another request does not have this reply either", refused)
    assert await sender.surely() == first


async def test_an_order_that_was_lost_is_made_again(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    sender = order_of(api, shop)
    with stopped(up, "workers"):
        assert (await sender.once())[0] == 202
        lose_orders(up)
        await until("somebody verifies", lambda: _verified(up, api, shop))
    status, _ = await sender.surely()
    assert status == 201
    assert len(await orders_of(api, shop)) == 1
    [quota] = shop.sizes
    assert (await api.must("GET", f"{shop.path}quotas/{quota}/availability/"))["available_number"] == 9


async def _verified(up: Any, api: Client, shop: Shop) -> bool:
    [quota] = shop.sizes
    status, answer, _ = await api.ask("GET", f"{shop.path}quotas/{quota}/availability/")
    return bool(status == 200 and answer["available_number"] == 10)


async def test_an_order_that_was_deleted_since_is_not_made_again(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    sender = order_of(api, shop)
    sender.body["testmode"] = True
    first = await sender.once()
    assert first[0] == 201
    [code] = await orders_of(api, shop)
    assert (await api.ask("DELETE", f"{shop.path}orders/{code}/"))[0] == 204
    with redis.Redis.from_url(up.redis_url) as connection:
        # a shard that was not rebuilt of late asks nobody about keys; and as a restart leaves it
        connection.hdel(keys.shard(shard_of(up, shop.slug)), "rebuilt")
        connection.script_flush()
    assert (await order_of(api, shop).surely())[0] == 201
    [other] = await orders_of(api, shop)
    assert await sender.surely() == first
    assert await orders_of(api, shop) == [other]
    lose_everything(up)
    assert await sender.surely() == first
    assert await orders_of(api, shop) == [other]


async def test_old_replies_are_forgotten(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    assert (await order_of(api, shop).once())[0] == 201
    with psycopg.connect(up.database_url, autocommit=True) as connection:
        [(before,)] = connection.execute("SELECT count(*) FROM replies").fetchall()
        connection.execute("UPDATE replies SET kept_at = now() - interval '25 hours'")
        assert before > 0

    def forgotten() -> bool:
        with psycopg.connect(up.database_url) as connection:
            return connection.execute("SELECT count(*) FROM replies").fetchall() == [(0,)]

    await until("a worker has forgotten them", forgotten)
