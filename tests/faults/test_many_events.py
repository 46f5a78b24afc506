"""A server with the events of many years is verified as any other."""

from __future__ import annotations

from typing import Any

import psycopg
from crowd import Client
from machine import until
from stored import connected, shard_of

from engine.ledger import keys
from engine.ledger.pipe import WAITING_MAX


async def test_a_server_of_many_events_is_verified(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    path = f"{shop.path}quotas/{shop.sizes.copy().popitem()[0]}/availability/"
    shard = keys.shard(shard_of(up, shop.slug))
    with psycopg.connect(up.database_url, autocommit=True) as sql, connected(up) as store:
        names = sql.execute(
            "SELECT string_agg(column_name, ', ') FROM information_schema.columns"
            " WHERE table_name = 'events' AND column_name NOT IN ('id', 'slug')"
        ).fetchone()
        assert names is not None
        sql.execute(
            f"INSERT INTO events (slug, {names[0]}) SELECT 'past' || n, {names[0]}"  # type: ignore[arg-type]  # noqa: S608
            " FROM events, generate_series(1, %s) AS n WHERE slug = %s",
            (WAITING_MAX + 1000, shop.slug),
        )
        try:
            before = store.hget(shard, "epoch")
            store.script_flush()

            async def verified() -> bool:
                status, _, _ = await api.ask("GET", path)
                return status == 200 and store.hget(shard, "epoch") != before

            await until("sales go on", verified)
        finally:
            sql.execute("DELETE FROM events WHERE slug LIKE 'past%'")
