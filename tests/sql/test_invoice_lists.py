"""Lists of invoices, and the search for what is to be done, are answered from indexes where there are many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from databases import empty_database
from msgspec.structs import asdict

from persistence.database import Database
from persistence.invoices import Wanted
from persistence.migrate import migrate
from persistence.queries import Queries

MANY = 30_000
ORGANIZER = EVENT = 9_500_000
_SQL = Queries("invoices")
_MADE = """
INSERT INTO organizers (id, slug, name) OVERRIDING SYSTEM VALUE VALUES (9500000, 'many', 'Many');
INSERT INTO events (id, organizer_id, slug, body) OVERRIDING SYSTEM VALUE
SELECT 9500000 + n, 9500000, 'e' || n, '{}' FROM generate_series(0, 9) AS n;
INSERT INTO invoice_marks (event_id, seen_at) SELECT id, now() FROM events;
INSERT INTO orders (id, organizer_id, event_id, version, code, status, testmode, require_approval, total, datetime,
                    expires, last_modified, doc, stored_at)
SELECT n, 9500000, 9500000 + n % 10, 1, 'C' || n, 'p', false, false, 1, now(), now(), now(), '{}',
       now() - n * interval '1 second'
FROM generate_series(1, 30000) AS n;
INSERT INTO invoices (organizer_id, event_id, order_id, order_code, order_version, number, series, place,
                      is_cancellation, refers, date, locale, body)
SELECT 9500000, 9500000, n, 'C' || n, 1, 'R-' || n, 'R-', n, n % 10 = 0, CASE WHEN n % 10 = 0 THEN 'R-' || n - 1 END,
       date '2031-01-01' + n % 100, CASE WHEN n % 100 = 0 THEN 'de' ELSE 'en' END,
       jsonb_build_object('text', repeat(md5(n::text), 20))
FROM generate_series(1, 30000) AS n;
INSERT INTO invoice_files (invoice_id, due_at, pdf) SELECT id, 'infinity', 'x' FROM invoices;
"""


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    with empty_database(database_url) as url:
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_MADE)
            connection.execute("VACUUM ANALYZE invoices, orders, invoice_files, invoice_marks, events")
        database = Database(url)
        await database.open()
        yield database
        await database.close()


async def plan(database: Database, name: str, values: dict[str, Any]) -> str:
    async with database.transaction() as session:
        await session.run(Queries("order_lists")["plan_each_call"])
        rows = await session.rows("EXPLAIN " + _SQL[name], values)
    return "\n".join(row["QUERY PLAN"] for row in rows)


@pytest.mark.parametrize("event_id", [EVENT, None])
@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"ordering": "-date"},
        {"order": "c4711"},
        {"number": "R-4711"},
        {"refers": "R-4719"},
        {"locale": "de", "is_cancellation": True},
        {"events": ["e1", "e2"]},
    ],
    ids=str,
)
async def test_invoices_come_from_an_index(
    database: Database, conditions: dict[str, Any], event_id: int | None
) -> None:
    wanted = Wanted(organizer_id=ORGANIZER, event_id=event_id, **conditions)
    explained = await plan(database, "page", {**asdict(wanted), "offset": 0, "size": 50})
    whole = event_id is None and not conditions.keys() & {"order", "number", "refers"}
    # who has nearly all there are, counts and sorts them by reading them
    assert whole or "Seq Scan on invoices" not in explained, explained


async def test_what_is_to_be_done_is_found_by_index(database: Database) -> None:
    async with database.session() as session:
        marks = await session.rows(_SQL["watched"])
    assert marks == []
    assert "Seq Scan on orders" not in await plan(database, "watched", {})
    seen = {"event_id": EVENT, "seen_at": "2026-01-01", "seen_id": 0, "most": 100}
    assert "orders_stored_idx" in await plan(database, "changed", seen)
    assert "invoice_files_due_idx" in await plan(database, "files_due", {"most": 10})
    assert "invoices_order_idx" in await plan(database, "of_orders", {"order_ids": list(range(1, 101))})
