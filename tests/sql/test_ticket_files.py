"""Files of tickets in Postgres: each is made by one worker, as was asked for last, and by another if that one dies."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator

import psycopg
import pytest
from databases import upsert

from engine.domain.order import Order, decode
from persistence import ticket_files
from persistence.database import Database
from persistence.queries import Queries

ORGANIZER_SLUG = "ticket-files"
NOW = "2031-03-05T12:00:00Z"
LOOK, OTHER_LOOK = "a" * 24, "b" * 24


@pytest.fixture
async def database(database: Database) -> AsyncIterator[Database]:
    await database.run("DELETE FROM ticket_files")
    yield database
    await database.run("DELETE FROM ticket_files")


@pytest.fixture
async def event_id(database: Database) -> tuple[int, int]:
    """The ids of an organizer and of its event."""
    organizer = await database.row(
        "INSERT INTO organizers (slug, name) VALUES (%(slug)s, 'T')"
        " ON CONFLICT (slug) DO UPDATE SET name = 'T' RETURNING id",
        {"slug": ORGANIZER_SLUG},
    )
    assert organizer is not None
    event = await database.row(
        "INSERT INTO events (organizer_id, slug, body) VALUES (%(id)s, 'e', '{}')"
        " ON CONFLICT (organizer_id, slug) DO UPDATE SET version = 1 RETURNING id",
        {"id": organizer["id"]},
    )
    assert event is not None
    return organizer["id"], event["id"]


@pytest.fixture
async def order(database: Database, event_id: tuple[int, int]) -> AsyncIterator[Order]:
    yield await written(database, event_id, 1)
    await database.run(Queries("orders")["delete"], {"ids": [9_400_000_001]})


async def written(database: Database, event_id: tuple[int, int], version: int) -> Order:
    """Write a version of the order; return it."""
    document = {
        "id": 9_400_000_001,
        "organizer_id": event_id[0],
        "event_id": event_id[1],
        "version": version,
        "code": "TF001",
        "status": "p",
        "secret": "s",
        "datetime": NOW,
        "expires": NOW,
        "last_modified": NOW,
        "total": "23.00",
        "positions": [],
    }
    with psycopg.connect(database.url, autocommit=True) as connection:
        upsert(connection, document)
    return decode(json.dumps(document))


async def later(database: Database) -> None:
    """Let an hour pass for all files that are waited for."""
    await database.run("UPDATE ticket_files SET due_at = due_at - interval '1 hour'")


async def test_of_many_workers_one_gets_a_file(database: Database, order: Order) -> None:
    assert await ticket_files.ask(database, order, 7, LOOK) == 1
    claimed = await asyncio.gather(*(ticket_files.claim(database) for _ in range(6)))
    [due] = [one for one in claimed if one is not None]
    assert (due.order, due.position_id, due.tries, due.event, due.organizer) == (order, 7, 1, "e", "T")
    assert await ticket_files.ask(database, order, 7, LOOK) == 1
    assert await ticket_files.claim(database) is None
    await ticket_files.store(database, due, ticket_files.named(order, LOOK), b"%PDF")
    assert await ticket_files.get(database, order, 7, LOOK) == b"%PDF"
    assert await ticket_files.get(database, order, 7, OTHER_LOOK) is None
    assert await ticket_files.get(database, order, ticket_files.WHOLE_ORDER, LOOK) is None
    await later(database)
    assert await ticket_files.claim(database) is None


async def test_a_file_whose_worker_died_is_somebody_elses_after_a_while(database: Database, order: Order) -> None:
    await ticket_files.ask(database, order, 7, LOOK)
    assert await ticket_files.claim(database) is not None
    assert await ticket_files.claim(database) is None
    await later(database)
    again = await ticket_files.claim(database)
    assert again is not None
    assert again.tries == 2


async def test_what_changes_while_a_file_is_made_is_made_next(
    database: Database, order: Order, event_id: tuple[int, int]
) -> None:
    await ticket_files.ask(database, order, 7, LOOK)
    first = await ticket_files.claim(database)
    assert first is not None
    newer = await written(database, event_id, 2)
    await ticket_files.ask(database, newer, 7, LOOK)
    await ticket_files.store(database, first, ticket_files.named(order, LOOK), b"old")
    assert await ticket_files.get(database, newer, 7, LOOK) is None
    second = await ticket_files.claim(database)
    assert second is not None
    assert (second.order.version, second.tries) == (2, 1)
    await ticket_files.store(database, second, ticket_files.named(newer, LOOK), b"new")
    assert await ticket_files.get(database, newer, 7, LOOK) == b"new"


async def test_a_version_that_is_not_here_yet_is_waited_for(
    database: Database, order: Order, event_id: tuple[int, int]
) -> None:
    newer = await written(database, event_id, 2)
    await database.run(Queries("orders")["delete"], {"ids": [order.id]})
    await written(database, event_id, 1)
    await ticket_files.ask(database, newer, 7, LOOK)
    assert await ticket_files.claim(database) is None
    await written(database, event_id, 2)
    due = await ticket_files.claim(database)
    assert due is not None
    assert due.order.version == 2


async def test_a_file_that_is_given_up_is_tried_again_when_somebody_asks(database: Database, order: Order) -> None:
    await ticket_files.ask(database, order, 7, LOOK)
    due = await ticket_files.claim(database)
    assert due is not None
    await ticket_files.failed(database, due, "no paper", last=False)
    assert 50 < await ticket_files.ask(database, order, 7, LOOK) <= 60
    await ticket_files.failed(database, due, "no paper", last=True)
    await later(database)
    assert await ticket_files.claim(database) is None
    assert await ticket_files.ask(database, order, 7, LOOK) == 1
    again = await ticket_files.claim(database)
    assert again is not None
    assert again.tries == 1


async def test_a_file_of_an_order_that_is_deleted_meanwhile_is_not_kept(database: Database, order: Order) -> None:
    await ticket_files.ask(database, order, 7, LOOK)
    due = await ticket_files.claim(database)
    assert due is not None
    await database.run(Queries("orders")["delete"], {"ids": [order.id]})
    await ticket_files.store(database, due, due.wanted, b"%PDF")
    assert await database.rows("SELECT FROM ticket_files") == []


async def test_files_go_when_they_are_old(database: Database, order: Order) -> None:
    await ticket_files.ask(database, order, 7, LOOK)
    await ticket_files.ask(database, order, 8, LOOK)
    assert await ticket_files.remove_expired(database) == 0
    old = "UPDATE ticket_files SET expires_at = expires_at - %(kept)s WHERE position_id = 7"
    await database.run(old, {"kept": ticket_files.KEPT + dt.timedelta(seconds=1)})
    assert await ticket_files.remove_expired(database) == 1
    assert [row["position_id"] for row in await database.rows("SELECT position_id FROM ticket_files")] == [8]
