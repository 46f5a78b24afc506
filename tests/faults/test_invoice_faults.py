"""Whoever dies while invoices are issued: no number is lost, and no order is billed twice or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from crowd import Client, Crowd
from machine import kill_one, until

KILLS = 2

_OPEN = """
SELECT count(*) FROM orders JOIN events ON events.id = orders.event_id
LEFT JOIN invoices ON invoices.order_id = orders.id AND NOT invoices.is_cancellation AND NOT invoices.canceled
WHERE events.slug = %s AND (orders.status IN ('n', 'p')) <> (invoices.id IS NOT NULL)
"""
_NUMBERS = """
SELECT regexp_replace(number, '^.*-', '')::int FROM invoices JOIN events ON events.id = invoices.event_id
WHERE events.slug = %s ORDER BY 1
"""
_BALANCE = """
SELECT orders.code FROM orders JOIN events ON events.id = orders.event_id
JOIN invoices ON invoices.order_id = orders.id, jsonb_array_elements(invoices.body -> 'lines') AS line
WHERE events.slug = %s
GROUP BY orders.id
HAVING sum((line ->> 'gross_value')::numeric) <> CASE WHEN orders.status IN ('n', 'p') THEN orders.total ELSE 0 END
"""


def query(up: Any, sql: str, slug: str) -> list[Any]:
    with psycopg.connect(up.database_url) as connection:
        return connection.execute(sql, [slug]).fetchall()


async def test_numbers_have_no_gaps_whoever_is_killed(up: Any, api: Client) -> None:
    shop = await api.shop(100_000, 100_000)
    await api.must("PATCH", f"{shop.path}settings/", {"invoice_generate": "True"})
    crowd = Crowd(api, shop, keeps=0.5)

    def issued() -> int:
        return len(query(up, _NUMBERS, shop.slug))

    async def ask(code: str) -> None:
        await api.ask("POST", f"{shop.path}orders/{code}/create_invoice/", {})

    async with crowd.rush():
        for number in range(KILLS):
            before = issued()
            await until("invoices are issued", lambda before=before: issued() > before + 20)
            await kill_one(up, "workers")
            # by hand too, from a front door that dies over it
            asking = asyncio.gather(*(ask(code) for code in list(crowd.orders)[-20:]), return_exceptions=True)
            await asyncio.sleep(0.02)
            await kill_one(up, "front_doors", number % 2)
            await asking
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 10)
    await until("every order is billed as it is", lambda: query(up, _OPEN, shop.slug) == [(0,)])
    numbers = [number for (number,) in query(up, _NUMBERS, shop.slug)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert query(up, _BALANCE, shop.slug) == []
    assert not crowd.failures, crowd.failures
