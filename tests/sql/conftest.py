"""The database of all tests; and one of its own for drains, with an event and two shards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import psycopg
import pytest
import redis
from batches import OTHER_SHARD, SHARD
from databases import empty_database
from sample_events import event

from persistence.database import Database
from persistence.follower import Follower
from persistence.migrate import migrate


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The pool that everything else uses."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def drained_url(database_url):
    with empty_database(database_url) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="module")
def sql(drained_url):
    with psycopg.connect(drained_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def follower(drained_url):
    with Follower(drained_url) as opened:
        yield opened


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
def of(sql):
    """An event that Postgres knows: orders refer to it."""
    organizer = sql.execute(
        "INSERT INTO organizers (slug, name) VALUES (gen_random_uuid()::text, 'Big Events') RETURNING id"
    ).fetchone()[0]
    number = sql.execute(
        "INSERT INTO events (organizer_id, slug, body) VALUES (%s, 'conf', '{}') RETURNING id", [organizer]
    ).fetchone()[0]
    return msgspec.structs.replace(event(), id=number, organizer_id=organizer)


@pytest.fixture
def marks(sql, follower):
    """The watermarks of two shards, at epoch 7."""

    sql.execute("DELETE FROM shards")
    for shard in (SHARD, OTHER_SHARD):
        sql.execute("INSERT INTO shards (shard, epoch, last_ms, last_seq) VALUES (%s, 7, 1000, 0)", [shard])
