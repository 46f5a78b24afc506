"""Somebody writes a text over keys of a running Redis: as if they had been deleted, nothing confirmed is lost."""

from __future__ import annotations

from typing import Any

import books
import pytest
from crowd import Client, Crowd, Shop
from machine import until
from stored import connected, key_of, shard_of

from engine.ledger import keys


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


def names_of(up: Any, shop: Shop, kind: str) -> list[str]:
    """Return the keys of a kind that a shop has: its own ones, or its shard's."""
    if kind == "orders":
        with connected(up) as connection:
            found = connection.scan_iter(f"{keys.prefix(shard_of(up, shop.slug))}order:*")
            return [name.decode() for name in found]
    if kind in ("event", "holds", "carts"):
        return [key_of(up, shop.slug, kind)]
    return [f"{keys.prefix(shard_of(up, shop.slug))}{kind}"]


def texts(up: Any, names: list[str]) -> list[str]:
    """Return which of these keys are texts."""
    with connected(up) as connection:
        return [name for name in names if connection.type(name) == b"string"]


@pytest.mark.parametrize("kind", ["shard", "event", "holds", "carts", "due", "orders", "outbox"])
async def test_a_key_that_is_overwritten_in_a_rush_costs_no_order(up: Any, api: Client, kind: str) -> None:
    shop = await api.shop(100_000, 100_000)
    crowd = Crowd(api, shop, buyers=16)
    async with crowd.rush():
        await until("sales go on", lambda: crowd.confirmed() > 50)
        names = names_of(up, shop, kind)
        assert names
        with connected(up) as connection:
            for name in names:
                # an order that only has to go away may be gone by itself
                connection.set(name, "a text", xx=kind == "orders", px=600_000)
        if kind == "orders":  # nobody else may come back to them
            for name in names:
                await api.ask("GET", f"{shop.path}orders/{name.rpartition(':')[2]}/")
        await until("all are made anew or gone", lambda: not texts(up, names))
        before = crowd.confirmed()
        await until("sales go on again", lambda: crowd.confirmed() > before + 50)
    await books.compare(up, crowd)
