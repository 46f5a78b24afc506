"""What has run out gives its units back by itself: orders soon after, holds at their very instant."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Any

from crowd import PRICE, Client, Shop
from machine import stopped, until


async def left(api: Client, shop: Shop) -> int:
    """Return the free units of the only quota."""
    [quota] = shop.sizes
    number: int = (await api.must("GET", f"{shop.path}quotas/{quota}/availability/"))["available_number"]
    return number


async def test_unpaid_orders_expire_by_themselves_and_give_back_their_units(up: Any, api: Client) -> None:
    shop = await api.shop(5)
    body = {
        "email": "buyer@example.org",
        "locale": "en",
        "payment_provider": "manual",
        "positions": [{"item": shop.items[0], "price": PRICE}],
    }
    unpaid = [await api.must("POST", f"{shop.path}orders/", body) for _ in range(4)]
    paid = await api.must("POST", f"{shop.path}orders/", body)
    await api.must("POST", f"{shop.path}orders/{paid['code']}/payments/1/confirm/", {"force": False})
    assert await left(api, shop) == 0
    # set afterwards, since an order with a deadline that is over by now would be refused
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=4)
    for order in [*unpaid, paid]:
        await api.must("PATCH", f"{shop.path}orders/{order['code']}/", {"expires": expires.isoformat()})

    async def all_back() -> bool:
        back = await left(api, shop)
        assert back == 0 or dt.datetime.now(dt.UTC) > expires, "units came back before the order's time was over"
        return back == 4

    await until("the unpaid orders have expired", all_back)
    states = [await api.must("GET", f"{shop.path}orders/{order['code']}/") for order in [*unpaid, paid]]
    assert [state["status"] for state in states] == ["e"] * 4 + ["p"]


async def test_holds_expire_at_their_instant_without_any_worker(up: Any, api: Client) -> None:
    shop = await api.shop(3)
    with stopped(up, "workers"):
        deadline = time.time() + 3
        expires = dt.datetime.fromtimestamp(deadline, dt.UTC).isoformat()
        hold = {"item": shop.items[0], "price": PRICE, "expires": expires}
        for _ in range(3):
            await api.must("POST", f"{shop.path}cartpositions/", hold)
        await asyncio.sleep(max(0, deadline - 0.5 - time.time()))
        while True:
            asked = time.time()
            free = await left(api, shop)
            answered = time.time()
            # the deadline has whole milliseconds in the ledger
            assert free == 0 or answered >= deadline - 0.001, "a hold ended before its time"
            assert free == 3 or asked <= deadline + 0.002, "a hold lasted longer than its time"
            if free:
                break
            await asyncio.sleep(0.002)
        assert free == 3, "all three had the same deadline"


async def test_a_hold_can_be_had_the_moment_another_expires(up: Any, api: Client) -> None:
    shop = await api.shop(1)
    with stopped(up, "workers"):
        deadline = time.time() + 2
        expires = dt.datetime.fromtimestamp(deadline, dt.UTC).isoformat()
        hold = {"item": shop.items[0], "price": PRICE, "expires": expires}
        await api.must("POST", f"{shop.path}cartpositions/", hold)

        async def had() -> bool:
            asked = time.time()
            later = dt.datetime.fromtimestamp(asked + 60, dt.UTC).isoformat()
            status, _, _ = await api.ask("POST", f"{shop.path}cartpositions/", {**hold, "expires": later})
            assert status != 201 or time.time() >= deadline - 0.001, "the unit was given twice"
            assert status == 201 or asked <= deadline + 0.002, "the unit was not free at the deadline"
            return status == 201

        await until("the next buyer has the unit", had)
