"""What has happened to orders becomes notifications, in order, however much it is."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import psycopg
import pytest
from databases import empty_database
from sample_events import event, following, order

from engine.domain.order import encode
from persistence.database import Database
from persistence.migrate import migrate
from workers.webhooks import CHANGES_MAX, tell

TYPES = "{pretix.event.order.placed,pretix.event.order.paid}"


@pytest.fixture
def url(database_url):
    with empty_database(database_url) as made:
        migrate(made)
        yield made


async def test_a_backlog_is_told_in_one_run_and_what_was_overtaken_is_told_once(url):
    with psycopg.connect(url, autocommit=True) as sql:
        organizer = sql.execute("INSERT INTO organizers (slug, name) VALUES ('a', 'A') RETURNING id").fetchone()[0]
        number = sql.execute(
            "INSERT INTO events (organizer_id, slug, body) VALUES (%s, 'conf', '{}') RETURNING id", [organizer]
        ).fetchone()[0]
        sql.execute(
            """INSERT INTO webhooks (organizer_id, enabled, target_url, all_events, limit_events, action_types)
               VALUES (%s, true, 'http://a/', true, '{}', %s)""",
            [organizer, TYPES],
        )
        first = msgspec.structs.replace(order(event(), 1), code="ABCDE")
        paid = following(first, "p")
        backlog = 2 * CHANGES_MAX + 1
        # the same version twice, as from a batch of which a part was here before
        sql.execute(
            """INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
               SELECT n, %s, %s, false, jsonb_build_array(null, %s::jsonb, %s::jsonb, %s::jsonb)
               FROM generate_series(1, %s) AS n""",
            [organizer, number, *(encode(one).decode() for one in (first, first, paid)), backlog],
        )
        database = Database(url, connections_max=1)
        await database.open()
        try:
            assert await tell(SimpleNamespace(database=database)) == backlog
            assert await tell(SimpleNamespace(database=database)) == 0
        finally:
            await database.close()
        rows = sql.execute(
            "SELECT order_id, body ->> 'action', notification_id FROM notifications ORDER BY id"
        ).fetchall()
        assert [(number, action.rpartition(".")[2]) for number, action, _ in rows] == [
            (number, action) for number in range(1, backlog + 1) for action in ("placed", "paid")
        ]
        assert [row[2] for row in rows] == sorted({row[2] for row in rows})
        assert sql.execute("SELECT count(*) FROM webhook_queues").fetchone() == (backlog,)
