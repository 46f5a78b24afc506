"""Postgres hangs or dies: sales go on, nothing is promised that is not kept, and what was sold is there in the end."""

from __future__ import annotations

from typing import Any

import books
import pytest
from crowd import Client, Crowd
from machine import kill_one, stopped, until


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


async def test_orders_are_202_while_postgres_hangs_and_durable_once_it_is_back(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with stopped(up, "postgres"):
            await until("orders are taken without Postgres", lambda: crowd.statuses["order 202"] > 20)
            code = next(reversed(crowd.orders))
            order = await api.must("GET", f"{crowd.shop.path}orders/{code}/")
            assert order["code"] == code, "an order that waits for Postgres is readable"
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)
    for code in crowd.orders:
        await api.must("GET", f"{crowd.shop.path}orders/{code}/")


async def test_a_postgres_that_hangs_for_long_leaves_no_request_hanging(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000), buyers=4)
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 10)
        with stopped(up, "postgres"):
            status, _, headers = await api.ask("GET", f"{crowd.shop.path}orders/")
            assert status == 503, "a list needs Postgres"
            assert headers["Retry-After"].isdigit()
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 10)
    await books.compare(up, crowd)


async def test_postgres_killed_in_a_rush_costs_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(100_000, 100_000))
    async with crowd.rush():
        for _ in range(2):
            before = crowd.confirmed()
            await until("orders are confirmed", lambda before=before: crowd.confirmed() > before + 25)
            await kill_one(up, "postgres")
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)
