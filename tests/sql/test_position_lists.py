"""Lists of positions are answered from an index, however many positions there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from persistence.database import Database
from persistence.position_lists import Wanted, page, side_by_side, values
from persistence.queries import Queries

EVENTS, ORDERS = 20, 10_000
ORGANIZER, FIRST_EVENT, FIRST = 9_100_000, 9_100_000, 9_100_000_000

ADD_ORDERS = """
INSERT INTO orders
SELECT %(first)s + n, %(organizer)s, %(event)s + n %% %(events)s, 1, 'C' || n, (ARRAY['p', 'n'])[n %% 2 + 1], false,
       false, 'buyer' || n || '@example.org', 46, moment, moment, moment,
       jsonb_build_object(
           'id', %(first)s + n, 'organizer_id', %(organizer)s, 'event_id', %(event)s + n %% %(events)s, 'version', 1,
           'code', 'C' || n, 'status', 'n', 'secret', 's', 'datetime', moment, 'expires', moment,
           'last_modified', moment, 'total', '46.00', 'positions', (
               SELECT jsonb_agg(jsonb_build_object(
                   'id', %(first)s + 2 * n + k, 'positionid', k, 'item', n %% 7, 'price', '23.00', 'tax_rate', '0.00',
                   'tax_value', '0.00', 'secret', 's' || n || k, 'pseudonymization_id', 'P' || n || k,
                   'attendee_name', 'Guest ' || n))
               FROM generate_series(1, 2) AS k))
FROM generate_series(1, %(orders)s) AS n, LATERAL (SELECT now() - n * interval '1 second') AS t (moment)
"""
ADD_POSITIONS = """
INSERT INTO positions (id, order_id, event_id, positionid, item, price, tax_value, canceled, secret, attendee_name,
                       pseudonymization_id, ordered_at, words)
SELECT (p ->> 'id')::bigint, orders.id, orders.event_id, (p ->> 'positionid')::integer, (p ->> 'item')::bigint, 23, 0,
       false, p ->> 'secret', p ->> 'attendee_name', p ->> 'pseudonymization_id', orders.datetime,
       concat_ws(E'\\x7f', '', 't' || lower(orders.code), 'n' || lower(p ->> 'attendee_name'),
                 't' || (p ->> 'secret'), '')
FROM orders, json_array_elements(orders.doc::json -> 'positions') AS p
WHERE orders.organizer_id = %(organizer)s
"""


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database in which one organizer has many orders of two positions."""
    database = Database(database_url)
    await database.open()
    values = {"first": FIRST, "organizer": ORGANIZER, "event": FIRST_EVENT, "events": EVENTS, "orders": ORDERS}
    await database.run(ADD_ORDERS, values)
    await database.run(ADD_POSITIONS, values)
    await database.run("VACUUM ANALYZE orders, positions")
    yield database
    await database.run("DELETE FROM positions WHERE event_id >= %(event)s AND event_id < %(event)s + 20", values)
    await database.run("DELETE FROM orders WHERE organizer_id = %(organizer)s", values)
    await database.close()


async def plan(database: Database, wanted: Wanted) -> str:
    queries = Queries("position_lists")
    async with database.transaction() as session:
        asked = {**values(wanted, 0, 50), "side_by_side": await side_by_side(session, wanted)}
        await session.run(queries["plan_each_call"], asked)
        rows = await session.rows("EXPLAIN " + queries["page"], asked)
    return "\n".join(row["QUERY PLAN"] for row in rows)


@pytest.mark.parametrize(
    ("conditions", "index", "count"),
    [
        ({}, "positions_ordered_idx", 2 * ORDERS // EVENTS),
        ({"ordering": "-order__datetime"}, "positions_ordered_idx", 2 * ORDERS // EVENTS),
        ({"order": "c40"}, "orders_code_key", 2),
        ({"secret": "s402"}, "positions_secret_idx", 1),
        ({"pseudonymization_id": "P401"}, "positions_pseudonym_idx", 1),
        ({"attendee_name": "guest 40"}, "positions_ordered_idx", 2),
        ({"addon_to": [FIRST + 81]}, "positions_addon_idx", 0),
        ({"items": [77]}, "positions_ordered_idx", 0),
        ({"items": [1]}, "positions_ordered_idx", None),
        ({"statuses": ["n"]}, "positions_ordered_idx", None),
        ({"subevents": [5]}, "positions_ordered_idx", 0),
        ({"vouchers": [5]}, "positions_voucher_idx", 0),
    ],
)
async def test_the_common_lists_use_an_index(
    database: Database, conditions: dict[str, Any], index: str, count: int | None
) -> None:
    wanted = Wanted(organizer_id=ORGANIZER, event_id=FIRST_EVENT, **conditions)
    explained = await plan(database, wanted)
    assert index in explained, explained
    # counting a twentieth of so few rows may well read them all; showing a page may not
    assert "Seq Scan" not in explained[explained.index("WindowAgg") :], explained
    assert "Seq Scan on orders" not in explained, explained
    found, rows = await page(database, wanted, 0, 50)
    assert count is None or found == count
    assert len(rows) == min(found, 50)


async def test_positions_come_by_date_of_their_order_and_number(database: Database) -> None:
    _, rows = await page(database, Wanted(organizer_id=ORGANIZER, event_id=FIRST_EVENT), 0, 4)
    assert [position.positionid for _, position in rows] == [1, 2, 1, 2]
    assert rows[0][0].datetime == rows[1][0].datetime < rows[2][0].datetime
    _, rows = await page(
        database, Wanted(organizer_id=ORGANIZER, event_id=FIRST_EVENT, ordering="-order__datetime"), 0, 4
    )
    assert [position.positionid for _, position in rows] == [2, 1, 2, 1]
    assert rows[0][0].datetime > rows[2][0].datetime
