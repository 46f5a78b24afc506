"""Where Redis keeps what the tests have made."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from engine.ledger import keys

SHARDS = 64


def connected(server: Any) -> redis.Redis:
    """Connect to a server's Redis, again and again: who rebuilds a shard cuts all connections.

    With one connection, since one that is taken out of a pool may be cut while it greets, and is not tried again.
    """
    again = Retry(ConstantBackoff(0.1), 100)
    for _ in range(100):
        try:
            return redis.Redis.from_url(
                server.redis_url, single_connection_client=True, retry=again, retry_on_error=[redis.ConnectionError]
            )
        except redis.ConnectionError:
            time.sleep(0.1)
    raise TimeoutError("Redis does not answer")


def shard_of(server: Any, slug: str) -> int:
    return keys.shard_of(server.organizer, slug, SHARDS)


def key_of(server: Any, slug: str, kind: str) -> str:
    """Return the key of one event: of `kind` event, holds, carts or seats. Others may share its shard."""
    # who asks while a test has locked the table would wait for ever
    with psycopg.connect(server.database_url, options="-c lock_timeout=60s") as connection:
        row = connection.execute("SELECT id FROM events WHERE slug = %s", (slug,)).fetchone()
    assert row is not None
    return f"{keys.prefix(shard_of(server, slug))}{kind}:{row[0]}"
