"""What is being written while a list is read is found by whoever asks on from that list's horizon."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import psycopg
import pytest
from databases import upsert

from persistence.database import Database
from persistence.order_lists import Wanted, page

ORGANIZER = EVENT = 9_200_000
ALL = Wanted(organizer_id=ORGANIZER, event_id=EVENT)


def document(number: int, moment: dt.datetime, version: int = 1) -> dict[str, object]:
    made = moment.isoformat()
    return {
        "id": 9_200_000_000 + number,
        "organizer_id": ORGANIZER,
        "event_id": EVENT,
        "version": version,
        "code": f"H{number}",
        "status": "n",
        "secret": "s",
        "datetime": made,
        "expires": made,
        "last_modified": made,
        "total": "23.00",
        "positions": [],
    }


@pytest.fixture
async def database(database: Database) -> AsyncIterator[Database]:
    yield database
    await database.run("DELETE FROM orders WHERE organizer_id = %(organizer)s", {"organizer": ORGANIZER})


async def codes(database: Database, since: dt.datetime) -> set[str]:
    _, _, rows = await page(
        database, Wanted(organizer_id=ORGANIZER, event_id=EVENT, modified_since=since), offset=0, size=50
    )
    return {order.code for _, order in rows}


async def test_a_write_that_is_not_committed_yet_holds_the_horizon_back(database: Database, database_url: str) -> None:
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as two:
        upsert(two, document(2, long_ago))
        upsert(one, document(1, long_ago))
        one.commit()
        horizon, count, rows = await page(database, ALL, 0, 50)
        assert (count, [order.code for _, order in rows]) == (1, ["H1"])
        assert horizon < dt.datetime.now(dt.UTC)
        two.commit()
    assert "H2" in await codes(database, horizon)
    horizon, count, _ = await page(database, ALL, 0, 50)
    assert count == 2
    assert await codes(database, horizon) == set()


async def test_a_transaction_that_has_not_written_yet_stores_later_than_the_horizon(
    database: Database, database_url: str
) -> None:
    now = dt.datetime.now(dt.UTC)
    with psycopg.connect(database_url) as slow:
        slow.execute("SELECT 1")
        horizon, count, _ = await page(database, ALL, 0, 50)
        assert count == 0
        upsert(slow, document(3, now - dt.timedelta(seconds=9)))
        slow.commit()
    assert await codes(database, horizon) == {"H3"}


async def test_a_front_door_whose_clock_is_wrong_hides_nothing(database: Database, database_url: str) -> None:
    now = dt.datetime.now(dt.UTC)
    horizon, _, _ = await page(database, ALL, 0, 50)
    with psycopg.connect(database_url) as drain:
        behind, ahead = document(4, now - dt.timedelta(days=1)), document(5, now + dt.timedelta(days=1))
        upsert(drain, behind, ahead)
    assert await codes(database, horizon) == {"H4", "H5"}
    # whoever asks by the time that an order shows is not disappointed
    assert await codes(database, now + dt.timedelta(hours=23)) == {"H5"}


async def test_only_a_newer_version_is_a_change(database: Database, database_url: str) -> None:
    now = dt.datetime.now(dt.UTC)
    with psycopg.connect(database_url) as drain:
        upsert(drain, document(6, now))
        drain.commit()
        horizon, _, _ = await page(database, ALL, 0, 50)
        upsert(drain, document(6, now))
        drain.commit()
        assert await codes(database, horizon) == set()
        upsert(drain, document(6, now, version=2))
        drain.commit()
        assert await codes(database, horizon) == {"H6"}
