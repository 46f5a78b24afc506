"""The lists that clients ask for most are answered from an index, however many orders there are."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from databases import upsert

from persistence.database import Database
from persistence.order_lists import Wanted, page, values
from persistence.queries import Queries

EVENTS, ORDERS = 20, 20_000
ORGANIZER, FIRST_EVENT, FIRST_ORDER = 9_000_000, 9_000_000, 9_000_000_000

FILL = """
INSERT INTO orders
SELECT %(first)s + n, %(organizer)s, %(event)s + n %% %(events)s, 1, 'C' || n,
       (ARRAY['p', 'p', 'p', 'p', 'n'])[n %% 5 + 1], false, false, 'buyer' || n || '@example.org', 23,
       moment, moment, moment,
       jsonb_build_object(
           'id', %(first)s + n, 'organizer_id', %(organizer)s, 'event_id', %(event)s + n %% %(events)s, 'version', 1,
           'code', 'C' || n, 'status', 'n', 'secret', 's', 'datetime', moment, 'expires', moment,
           'last_modified', moment, 'total', '23.00', 'positions', '[]'::jsonb), moment
FROM generate_series(1, %(orders)s) AS n, LATERAL (SELECT now() - n * interval '1 second') AS t (moment)
"""


FILL_EVENTS = """
INSERT INTO events (id, organizer_id, slug, body) OVERRIDING SYSTEM VALUE
SELECT %(event)s + n, %(organizer)s, 'e' || n, '{}' FROM generate_series(0, %(events)s - 1) AS n
"""
FILL_ORGANIZER = (
    "INSERT INTO organizers (id, slug, name) OVERRIDING SYSTEM VALUE VALUES (%(organizer)s, 'listed', 'Listed')"
)

CLEAR = (
    "DELETE FROM orders WHERE organizer_id = %(organizer)s",
    "DELETE FROM events WHERE organizer_id = %(organizer)s",
    "DELETE FROM organizers WHERE id = %(organizer)s",
)


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database in which one organizer has many orders."""
    database = Database(database_url)
    await database.open()
    values = {"first": FIRST_ORDER, "organizer": ORGANIZER, "event": FIRST_EVENT, "events": EVENTS, "orders": ORDERS}
    for statement in (FILL_ORGANIZER, FILL_EVENTS, FILL):
        await database.run(statement, values)
    await database.run("VACUUM ANALYZE orders")
    yield database
    for statement in CLEAR:
        await database.run(statement, values)
    await database.close()


async def plan(database: Database, wanted: Wanted) -> str:
    queries = Queries("order_lists")
    async with database.transaction() as session:
        await session.run(queries["plan_each_call"])
        rows = await session.rows(
            "EXPLAIN " + queries["page"], values(wanted, [wanted.event_id or FIRST_EVENT], (None, None), 0, 50)
        )
    return "\n".join(row["QUERY PLAN"] for row in rows)


@pytest.mark.parametrize(
    ("conditions", "index", "count"),
    [
        ({}, "orders_datetime_idx", ORDERS // EVENTS),
        ({"ordering": "-datetime"}, "orders_datetime_idx", ORDERS // EVENTS),
        ({"code": "c40"}, "orders_code_key", 1),
        ({"code": "c41"}, "orders_code_key", 0),
        ({"email": "BUYER40@example.org"}, "orders_email_idx", 1),
        ({"event_id": None, "email": "buyer41@example.org"}, "orders_email_idx", 1),
        ({"modified_since": 60, "ordering": "last_modified"}, "orders_stored_idx", None),
        ({"created_since": 60}, "orders_datetime_idx", None),
        ({"event_id": FIRST_EVENT + 4, "status": "n"}, "orders_datetime_idx", ORDERS // EVENTS),
    ],
)
async def test_the_common_lists_use_an_index(
    database: Database, conditions: dict[str, Any], index: str, count: int | None
) -> None:
    for name in ("modified_since", "created_since"):
        if name in conditions:
            conditions = conditions | {name: dt.datetime.now(dt.UTC) - dt.timedelta(seconds=conditions[name])}
    wanted = Wanted(**{"organizer_id": ORGANIZER, "event_id": FIRST_EVENT, **conditions})
    explained = await plan(database, wanted)
    assert index in explained, explained
    assert "Seq Scan on orders" not in explained, explained
    _, found, rows = await page(database, wanted, 0, 50)
    assert count is None or found == count
    assert len(rows) == min(found, 50)
    if wanted.ordering == "-datetime":
        moments = [order.datetime for _, order in rows]
        assert moments == sorted(moments, reverse=True)


async def test_a_page_past_the_end_is_empty_and_knows_the_count(database: Database) -> None:
    wanted = Wanted(organizer_id=ORGANIZER, event_id=FIRST_EVENT)
    assert (await page(database, wanted, ORDERS, 50))[1:] == (ORDERS // EVENTS, [])
    assert (await page(database, Wanted(organizer_id=ORGANIZER, event_id=1), 0, 50))[1:] == (0, [])


async def test_an_order_with_more_words_than_an_index_takes_is_found_all_the_same(database: Database) -> None:
    moment = dt.datetime.now(dt.UTC).isoformat()
    first, event, items = FIRST_ORDER + 5_000_000, FIRST_EVENT + 99, range(70_000_000, 70_000_300)
    lines = [
        {
            "id": first + place,
            "positionid": place + 1,
            "item": item,
            "price": "1.00",
            "tax_rate": "0.00",
            "tax_value": "0.00",
            "secret": f"many{place}",
            "pseudonymization_id": f"MANY{place}",
            "attendee_name": f"Person {place}",
            "subevent": 80_000_000 + place,
        }
        for place, item in enumerate(items)
    ]
    order: dict[str, Any] = {"id": first, "organizer_id": ORGANIZER, "event_id": event, "version": 1}
    order |= {
        "code": "MANYLINES",
        "status": "n",
        "secret": "s",
        "datetime": moment,
        "expires": moment,
        "last_modified": moment,
        "total": "300.00",
    }
    payment = {"local_id": 1, "created": moment, "state": "created", "provider": "manual", "amount": "300.00"}
    order |= {"positions": lines, "payments": [payment]}
    with psycopg.connect(database.url, autocommit=True) as connection:
        upsert(connection, order)
    try:
        for conditions, count in (
            ({"item": items[-1]}, 1),
            ({"item": items[-1] + 1}, 0),
            ({"payment_provider": "manual"}, 1),
            ({"payment_provider": "other"}, 0),
            ({"variation": 1}, 0),
            ({"subevent": 80_000_000}, 1),
            ({"subevent": 80_000_150}, 1),
            ({"subevent": 80_000_299}, 1),
            ({"subevent": 80_000_300}, 0),
            ({"locale": "en"}, 1),
            ({"search": "person 299", "search_code": None}, 1),
            ({"search": "MANY299", "search_code": None}, 1),
        ):
            wanted = Wanted(organizer_id=ORGANIZER, event_id=event, **conditions)
            assert (await page(database, wanted, 0, 50))[1] == count, conditions
    finally:
        await database.run(Queries("orders")["delete"], {"ids": [first]})
