"""Repair: makes Redis count anew what the audit found wrong there; only ever on an operator's word."""

from __future__ import annotations

from collections.abc import Sequence

from engine.ledger import keys
from engine.ledger.ledger import Ledger
from engine.settings import Settings
from persistence import outbox
from persistence.database import Database


async def run(settings: Settings, shards: Sequence[int]) -> list[str]:
    """Rebuild shards under the fence, from Postgres and the holds that are still listed; return what was done.

    Raises Fenced if a store is away, or Postgres lacks entries of a shard; those before it are repaired.
    """
    database = Database(settings.database_url)
    ledger = Ledger(settings, database)
    await database.open()
    try:
        await ledger.open("command")
        done = []
        for shard in shards:
            await ledger.fence.repair(shard)
            names = [
                f"{row['organizer']}/{row['slug']}"
                for row in await outbox.all_events(database)
                if keys.shard_of(row["organizer"], row["slug"], settings.shards) == shard
            ]
            done.append(f"shard {shard} rebuilt from Postgres and its holds: {', '.join(names) or 'no events'}")
        return done
    finally:
        await ledger.close()
        await database.close()
