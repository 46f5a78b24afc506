"""Sixty-four buyers want the last units of quotas that overlap: exactly as many get one as there are."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any

import books
import pytest
from crowd import PRICE, SOLD_OUT, Client, Shop

BUYERS = 64
ROUNDS = 10


async def buy(api: Client, shop: Shop, start: asyncio.Event, item: int, *, by_cart: bool) -> int | None:
    """Try to get one unit, by way of a cart or at once; return the item if there is an order."""
    position = {"item": item, "price": PRICE}
    body: dict[str, Any] = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    await start.wait()
    if by_cart:
        cart = f"{secrets.token_urlsafe(12)}@api"
        status, answer, _ = await api.ask("POST", f"{shop.path}cartpositions/", {**position, "cart_id": cart})
        if status == 400 and SOLD_OUT in str(answer):
            return None
        assert status == 201, answer
        body["consume_carts"] = [cart]
    status, answer, _ = await api.ask("POST", f"{shop.path}orders/", {**body, "positions": [position]})
    if status == 400 and SOLD_OUT in str(answer) and not by_cart:
        return None
    assert status == 201, answer
    return item


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_exactly_the_last_units_are_sold(up: Any, api: Client, number: int) -> None:
    # Quotas of 7 and 5 share the second of three items: how many are sold in all depends on who comes first,
    # but a quota has units left only if nobody was refused for want of them.
    shop = await api.shop(7, 5)
    start = asyncio.Event()
    buyers = [
        asyncio.create_task(buy(api, shop, start, shop.items[n % 3], by_cart=n % 2 == number % 2))
        for n in range(BUYERS)
    ]
    start.set()
    sold = Counter(item for item in await asyncio.gather(*buyers) if item is not None)
    pending = {quota: pending for quota, (pending, _) in books.taken(up, shop).items()}
    for quota, size in shop.sizes.items():
        assert pending[quota] == sum(sold[item] for item in shop.covers[quota]) == size
        answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
        assert (answer["pending_orders"], answer["cart_positions"], answer["available_number"]) == (size, 0, 0)
