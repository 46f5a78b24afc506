"""Batches of orders as a drain writes them, and what has become of them."""

from __future__ import annotations

from itertools import count

import msgspec
from sample_events import order

from engine.domain.order import decode, encode
from persistence.follower import Step, read

SHARD, OTHER_SHARD = 3, 5
order_ids = count(9_000_001)


def fresh(of, *numbers, **changes):
    made = order(of, *numbers or (1,))
    return msgspec.structs.replace(made, id=next(order_ids), **changes)


def step(shard=SHARD, old=1000, new=1001, epoch=7):
    return Step(shard, epoch, (old, 0), (new, 0))


def write(follower, steps, *orders):
    documents = [one if isinstance(one, bytes) else encode(one) for one in orders]
    follower.write(steps, [(read(document), document) for document in documents], {}, {})


def stored(sql, number):
    row = sql.execute("SELECT doc::text, version, status FROM orders WHERE id = %s", [number]).fetchone()
    if row is None:
        return None
    found = decode(row[0])
    assert (found.version, found.status) == row[1:]
    return found


def last_ms(sql, shard=SHARD):
    return sql.execute("SELECT last_ms FROM shards WHERE shard = %s", [shard]).fetchone()[0]


def listen(sql, of, *, enabled=True):
    sql.execute(
        """INSERT INTO webhooks (organizer_id, enabled, target_url, all_events, limit_events, action_types)
           VALUES (%s, %s, 'http://a/', true, '{}', '{}')""",
        [of.organizer_id, enabled],
    )


def noted(sql, number):
    """Return what is to be told of an order: split, and version and status of each version, None where it is not."""
    rows = sql.execute("SELECT split, versions FROM order_changes WHERE order_id = %s ORDER BY id", [number]).fetchall()
    return [(split, [each and (each["version"], each["status"]) for each in versions]) for split, versions in rows]


def spoiled(of, **changes):
    """Return the document of an order with some fields that Postgres does not take."""
    return msgspec.json.encode(msgspec.to_builtins(fresh(of)) | changes)
