"""What an event's orders take is the same however few positions are counted at a time, and each is counted once."""

from __future__ import annotations

from itertools import count
from typing import Any

import psycopg
import pytest

from persistence import orders
from persistence.database import Database

_numbers = count(9_700_001)
_POSITION = """
INSERT INTO positions (id, order_id, event_id, positionid, item, price, tax_value, canceled, secret,
                       pseudonymization_id, ordered_at, has_left, voucher, voucher_budget_use)
SELECT id, id, event_id, 1, %s, 23, 0, %s, 's', 'p', datetime, %s, %s, %s FROM orders WHERE id = %s
"""
_ORDER = """
INSERT INTO orders (id, organizer_id, event_id, version, code, status, testmode, require_approval, total, datetime,
                    expires, last_modified, doc)
SELECT %(id)s, %(id)s, %(event)s, 1, 'C', %(status)s, false, false, 23, moment, moment, moment, '{}'
FROM (SELECT timestamptz '2031-01-01T10:00Z' + %(second)s * interval '1 second') AS t (moment)
"""


@pytest.fixture(scope="module")
def event(database_url: str) -> int:
    """Forty positions: several of one moment, of two items and each status, some canceled, left or with a voucher."""
    event = next(_numbers)
    with psycopg.connect(database_url) as connection:
        for n in range(40):
            number = next(_numbers)
            voucher = (7 if n % 2 else 8) if n % 5 == 0 else None
            connection.execute(_ORDER, {"id": number, "event": event, "status": "npec"[n % 4], "second": n // 6})
            values: list[Any] = [1 + n % 2, n % 9 == 0, n % 3 == 0, voucher, "1.50" if voucher else None, number]
            connection.execute(_POSITION, values)
    return event


@pytest.mark.parametrize("most", [1, 5, 6, 39, 40, 41])
async def test_all_is_counted_once_however_few_at_a_time(database: Database, event: int, most: int) -> None:
    read: list[int] = []
    taken = await orders.taken(database, event, read.append, most=most)
    standing = [n for n in range(40) if n % 9 and n % 4 < 2]
    for item, status in ((1, 0), (2, 1)):
        mine = [n for n in standing if (1 + n % 2, n % 4) == (item, status)]
        product = (item, 0, 0)
        assert taken.units[product, "np"[status]] == len(mine)
        assert taken.units[product, "x"] == sum(n % 3 == 0 for n in mine)
    for voucher in (7, 8):
        uses = [n for n in range(40) if n % 9 and n % 4 < 3 and n % 5 == 0 and (7 if n % 2 else 8) == voucher]
        assert taken.vouchers[voucher] == (len(uses), 150 * sum(n % 4 < 2 for n in uses))
    assert sum(read) == 40
    assert (await orders.position_counts(database, [event, -1])) == {event: 40}
    assert max(read) <= max(most, 6) + 6, "not much more at a time than was asked for"


async def test_an_event_without_orders_takes_nothing(database: Database) -> None:
    assert await orders.taken(database, -1) == orders.Taken({}, {})
