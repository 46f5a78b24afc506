"""Where Redis keeps what the tests have made."""

from __future__ import annotations

from typing import Any

import psycopg

from engine.ledger import keys

SHARDS = 64


def shard_of(server: Any, slug: str) -> int:
    return keys.shard_of(server.organizer, slug, SHARDS)


def key_of(server: Any, slug: str, kind: str) -> str:
    """Return the key of one event: of `kind` event, holds, carts or seats. Others may share its shard."""
    # who asks while a test has locked the table would wait for ever
    with psycopg.connect(server.database_url, options="-c lock_timeout=60s") as connection:
        row = connection.execute("SELECT id FROM events WHERE slug = %s", (slug,)).fetchone()
    assert row is not None
    return f"{keys.prefix(shard_of(server, slug))}{kind}:{row[0]}"
