"""The books compared: what buyers were told, what Postgres has, and what availability says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from typing import Any

import psycopg
from crowd import Crowd, Shop
from machine import until

ORDERS = """
SELECT orders.code, orders.status, orders.last_modified, positions.item, count(positions.id) AS units
FROM orders JOIN events ON events.id = orders.event_id
LEFT JOIN positions ON positions.order_id = orders.id AND NOT positions.canceled
WHERE events.slug = %s
GROUP BY orders.id, positions.item
"""

TAKEN = """
SELECT positions.item, count(*) FILTER (WHERE orders.status = 'n'), count(*) FILTER (WHERE orders.status = 'p')
FROM orders JOIN events ON events.id = orders.event_id
JOIN positions ON positions.order_id = orders.id AND NOT positions.canceled
WHERE events.slug = %s
GROUP BY positions.item
"""


SEATS_TWICE = """
SELECT positions.seat_guid, count(*)
FROM orders JOIN events ON events.id = orders.event_id
JOIN positions ON positions.order_id = orders.id AND NOT positions.canceled
WHERE events.slug = %s AND orders.status IN ('n', 'p') AND positions.seat_guid IS NOT NULL
GROUP BY 1 HAVING count(*) > 1
"""

OVERUSED = """
SELECT vouchers.body ->> 'code', count(*), (vouchers.body ->> 'max_usages')::int
FROM orders JOIN events ON events.id = orders.event_id
JOIN positions ON positions.order_id = orders.id AND NOT positions.canceled
JOIN vouchers ON vouchers.id = positions.voucher
WHERE events.slug = %s AND orders.status <> 'c'
GROUP BY vouchers.id HAVING count(*) > (vouchers.body ->> 'max_usages')::int
"""


def taken(server: Any, shop: Shop) -> dict[int, tuple[int, int]]:
    """Return (pending, paid) units of each quota, by what Postgres has."""
    pending: Counter[int] = Counter()
    paid: Counter[int] = Counter()
    with psycopg.connect(server.database_url, connect_timeout=10) as connection:
        for item, item_pending, item_paid in connection.execute(TAKEN, (shop.slug,)):
            pending[item], paid[item] = item_pending, item_paid
    return {
        quota: (sum(pending[item] for item in items), sum(paid[item] for item in items))
        for quota, items in shop.covers.items()
    }


def oversold(server: Any, shop: Shop) -> list[str]:
    """Return a line for each quota of which Postgres knows more units sold than there are."""
    return [
        f"quota {quota} of {shop.sizes[quota]} has {pending} pending and {paid} paid"
        for quota, (pending, paid) in taken(server, shop).items()
        if pending + paid > shop.sizes[quota]
    ]


def doubles(server: Any, shop: Shop) -> list[str]:
    """Return a line for each seat that two orders have, and each voucher that is used more often than it may be."""
    with psycopg.connect(server.database_url, connect_timeout=10) as connection:
        seats = connection.execute(SEATS_TWICE, (shop.slug,)).fetchall()
        vouchers = connection.execute(OVERUSED, (shop.slug,)).fetchall()
    return [f"seat {seat} has {count} orders" for seat, count in seats] + [
        f"voucher {code} was used {uses} times of {most}" for code, uses, most in vouchers
    ]


def order_problems(server: Any, crowd: Crowd, *, redis_lost: bool) -> list[str]:
    """Return where Postgres' orders differ from what buyers were told.

    An answer 202 promises no more than Redis' own file does: with `redis_lost`, what it said may be gone.
    """
    found = []
    with psycopg.connect(server.database_url, connect_timeout=10) as connection:
        rows = connection.execute(ORDERS, (crowd.shop.slug,)).fetchall()
        parked = connection.execute("SELECT entry, error FROM parked_entries").fetchall()
    found += [f"parked: {row}" for row in parked]
    kept = {row[0]: row[1:] for row in rows}
    if len(kept) != len(rows):
        found.append("an order has positions that nobody ordered")
    for code, told in crowd.orders.items():
        if code not in kept:
            if told.safe or not redis_lost:
                found.append(f"{code} was answered and is not there: {told}")
            continue
        status, modified, item, units = kept[code]
        if (item, units) != (told.item, told.units):
            found.append(f"{code} has {units} of {item}: {told}")
        told_at = datetime.fromisoformat(told.last_modified)
        if redis_lost and told.safe != told.last_modified:
            stale = bool(told.safe) and modified < datetime.fromisoformat(told.safe)
        else:
            stale = modified < told_at or (told.sure and (status, modified) != (told.status, told_at))
        if stale:
            found.append(f"{code} is {status} of {modified.isoformat()}: {told}")
    if len(kept) - len(crowd.orders) > crowd.unanswered_orders:
        found.append(f"{len(kept)} orders, told {len(crowd.orders)}, unanswered {crowd.unanswered_orders}")
    return found


async def availability_problems(server: Any, crowd: Crowd) -> list[str]:
    """Return where availability differs from Postgres, or units are held after all have left."""
    found = []
    sold = taken(server, crowd.shop)
    for quota, size in crowd.shop.sizes.items():
        path = f"{crowd.shop.path}quotas/{quota}/availability/"
        status, answer, _ = await crowd.api.ask("GET", path)
        if status != 200:
            found.append(f"quota {quota}: {status} {answer}")
            continue
        pending, paid = sold[quota]
        expected = {"available_number": size - pending - paid, "pending_orders": pending, "paid_orders": paid}
        expected |= {"total_size": size, "cart_positions": 0}
        if wrong := {key: answer[key] for key in expected if answer[key] != expected[key]}:
            found.append(f"quota {quota}: {wrong} instead of {expected}")
    return found


async def compare(server: Any, crowd: Crowd, *, redis_lost: bool = False) -> None:
    """Require that the books agree once all orders are written and all holds have expired."""
    assert not crowd.failures, crowd.failures[:5]
    assert not oversold(server, crowd.shop)
    problems = ["not compared yet"]

    async def agree() -> bool:
        problems[:] = [
            *order_problems(server, crowd, redis_lost=redis_lost),
            *await availability_problems(server, crowd),
        ]
        return not problems

    try:
        await until("the books agree", agree)
    except AssertionError:
        raise AssertionError(f"{crowd.statuses}\n" + "\n".join(problems[:20])) from None
    assert not oversold(server, crowd.shop)


def audit(server: Any) -> None:
    """Require that `holdfast audit` finds nothing."""
    stores = {"HOLDFAST_REDIS_URL": server.redis_url, "HOLDFAST_DATABASE_URL": server.database_url}
    command = [sys.executable, "-m", "engine", "audit"]
    done = subprocess.run(command, env={**os.environ, **stores}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
