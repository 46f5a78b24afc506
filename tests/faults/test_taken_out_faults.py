"""Somebody takes entries out of a running outbox, puts junk into it, or puts older keys back: it is noticed."""

from __future__ import annotations

import asyncio
from typing import Any

import books
import psycopg
import pytest
from crowd import PRICE, Client, Crowd, Shop
from machine import stopped, until
from stored import SHARDS, connected, shard_of

from engine.ledger import keys

LARGE = (100_000, 100_000)
FIRST, LAST = "-", "+"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for some seconds only: as long as it may take on a busy machine."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "4"}


async def order(api: Client, shop: Shop) -> tuple[int, str]:
    """Order one unit; return the status and the code."""
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    body |= {"positions": [{"item": shop.items[0], "price": PRICE}]}
    status, answer, _ = await api.ask("POST", f"{shop.path}orders/", body)
    return status, answer.get("code", "")


def whole(up: Any, shard: int) -> bool:
    """Tell whether a shard was rebuilt since it lost its outbox."""
    with connected(up) as store:
        return not store.hexists(keys.shard(shard), "restored")


def written(up: Any, code: str) -> bool:
    with psycopg.connect(up.database_url) as connection:
        return connection.execute("SELECT FROM orders WHERE code = %s", (code,)).fetchone() is not None


async def confirmed(crowd: Crowd, more: int = 25) -> None:
    """Wait until orders are confirmed."""
    before = crowd.confirmed()
    await until("orders are confirmed", lambda: crowd.confirmed() > before + more)


async def test_entries_that_are_taken_out_in_a_rush_reach_postgres_nevertheless(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    outbox = keys.outbox(shard_of(up, crowd.shop.slug))
    with connected(up) as store:
        async with crowd.rush():
            await confirmed(crowd)
            with stopped(up, "workers"):
                await until("some wait", lambda: store.xlen(outbox) > 10)
                # every second one, and not the last
                for identity, _ in store.xrange(outbox, FIRST, LAST)[:-1:2]:
                    store.xdel(outbox, identity)
            await confirmed(crowd)
            with stopped(up, "workers"):
                await until("some wait again", lambda: store.xlen(outbox) > 10)
                store.xtrim(outbox, maxlen=0, approximate=False)
            await confirmed(crowd)
    await books.compare(up, crowd)


async def test_what_is_taken_out_at_the_end_reaches_postgres_without_another_order(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    outbox = keys.outbox(shard_of(up, shop.slug))
    with connected(up) as store:
        with stopped(up, "workers"):
            orders = await asyncio.gather(*(order(api, shop) for _ in range(3)))
            assert [status for status, _ in orders] == [202] * 3
            store.xtrim(outbox, maxlen=0, approximate=False)
        await until("they are written", lambda: all(written(up, code) for _, code in orders))
    await until("it is over", lambda: whole(up, shard_of(up, shop.slug)))
    [quota] = shop.sizes
    answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
    assert (answer["pending_orders"], answer["available_number"]) == (3, 7)


async def test_what_somebody_else_puts_into_an_outbox_is_parked_and_holds_nobody_up(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    junk: list[dict[str, str]] = [
        {"to be": "or not"},
        {"kind": "order"},
        {"kind": "order", "id": "one", "v": "1", "d": "{}", "key": "k"},
        {"kind": "quota_closed", "id": "1", "v": "2", "after": "nothing"},
    ]
    with connected(up) as store:
        for entry in junk:
            store.xadd(keys.outbox(shard_of(up, shop.slug)), entry)  # type: ignore[arg-type]
    status, code = await order(api, shop)
    assert (status, written(up, code)) == (201, True)
    with psycopg.connect(up.database_url, autocommit=True) as connection:
        parked = connection.execute("DELETE FROM parked_entries RETURNING body").fetchall()
    assert len(parked) == len(junk)
    assert any("or not" in body for (body,) in parked)


async def test_a_postgres_that_has_lost_its_last_moments_is_told_again(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    shard = shard_of(up, shop.slug)
    kept = [await order(api, shop) for _ in range(2)]
    with psycopg.connect(up.database_url, autocommit=True) as connection:
        mark = connection.execute("SELECT last_ms, last_seq FROM shards WHERE shard = %s", (shard,)).fetchone()
        assert mark is not None
        lost = [await order(api, shop) for _ in range(3)]
        assert {status for status, _ in (*kept, *lost)} == {201}
        codes = [code for _, code in lost]
        paid = f"{shop.path}orders/{kept[0][1]}/payments/1/confirm/"
        await api.must("POST", paid, {"force": False})
        ids = connection.execute("SELECT last_value FROM order_ids").fetchone()
        with stopped(up, "workers"), connection.transaction():
            connection.execute("DELETE FROM orders WHERE code = ANY (%s)", (codes,))
            connection.execute("UPDATE shards SET last_ms = %s, last_seq = %s WHERE shard = %s", (*mark, shard))
        await until("they are there again", lambda: all(written(up, code) for code in codes))
        assert connection.execute("SELECT last_value > %s + 100000 FROM order_ids", ids).fetchone() == (True,)
    await until("it is over", lambda: whole(up, shard))
    [quota] = shop.sizes
    answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
    assert (answer["pending_orders"], answer["paid_orders"], answer["available_number"]) == (4, 1, 5)
    status, code = await order(api, shop)
    assert (status, written(up, code)) == (201, True)


async def test_older_keys_that_are_put_back_confirm_nothing_and_are_rebuilt(up: Any, api: Client) -> None:
    crowd, small = Crowd(api, await api.shop(*LARGE)), Crowd(api, await api.shop(40, 30), keeps=0.9)
    with connected(up) as store:
        shards = [keys.shard(shard) for shard in range(SHARDS)]

        def verified() -> bool:
            """Tell whether all shards have the epoch of Postgres."""
            with psycopg.connect(up.database_url) as connection:
                rows = connection.execute("SELECT epoch FROM shards ORDER BY shard").fetchall()
            return [store.hget(key, "epoch") for key in shards] == [b"%d" % epoch for (epoch,) in rows]

        async with crowd.rush(), small.rush():
            for _ in range(2):
                await confirmed(crowd)
                store.execute_command("SWAPDB", 0, 1)
                await until("the server is verified", verified)
            await confirmed(crowd)
    await books.compare(up, crowd, redis_lost=True)
    await books.compare(up, small, redis_lost=True)
