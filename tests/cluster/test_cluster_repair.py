"""On three masters: what differs is told, also while one of them is away, and repaired where it is wrong alone."""

from __future__ import annotations

import psycopg
from installing import SHARDS, Installation, buyers_of, order, until
from redis_cluster import Master, wait_until_joined

from engine.ledger import keys
from loadtests.api import Api


def miscount(installation: Installation, on: Master, path: str, item: int) -> None:
    """Count seven units more of an item as held than anybody holds."""
    slug = path.split("/")[1]
    with psycopg.connect(installation.server.database_url) as database, on.client() as client:
        row = database.execute("SELECT id FROM events WHERE slug = %s", (slug,)).fetchone()
        assert row is not None
        shard = keys.shard_of(installation.server.organizer, slug, SHARDS)
        client.hincrby(keys.event(shard, row[0]), f"h{item}.0.0", 7)


def told(installation: Installation) -> set[str]:
    """Return the events of which something is told to differ."""
    with psycopg.connect(installation.server.database_url) as database:
        rows = database.execute("SELECT DISTINCT slug FROM differences JOIN events ON events.id = event_id")
        return {slug for (slug,) in rows}


def test_what_differs_on_a_master_is_told_and_repaired_while_the_others_sell(installation: Installation) -> None:
    wrong = installation.masters[1]
    before = installation.epochs()
    with buyers_of(installation) as buyers:
        until("all sell", lambda: all(buyer.answers[201] > 5 for buyer in buyers))
        assert told(installation) == set()
        miscount(installation, wrong, buyers[1].path, buyers[1].item)
        until("a worker has told", lambda: told(installation) == {buyers[1].path.split("/")[1]})
        assert installation.epochs() == before, "nobody repairs without being asked"
        said = installation.audit("--repair")
        sold = [buyer.answers[201] for buyer in buyers]
        until("all sell", lambda: all(b.answers[201] > n + 5 for b, n in zip(buyers, sold, strict=True)))
        until("it is forgotten", lambda: told(installation) == set())
    assert f"{installation.server.organizer}/{buyers[1].path.split('/')[1]}" in said
    assert [set(buyers[n].answers) for n in (0, 2)] == [{201}, {201}], "nobody else was kept waiting"
    raised = {shard for shard, epoch in installation.epochs().items() if epoch != before[shard]}
    assert raised == {shard for shard, master in enumerate(installation.has) if master is wrong}
    installation.audit()


def test_what_differs_is_told_while_another_master_is_away(installation: Installation) -> None:
    away, wrong = installation.masters[0], installation.masters[2]
    elsewhere, ticket = installation.shop(away, 5)
    path, item = installation.shop(wrong, 5)
    away.kill()
    try:
        miscount(installation, wrong, path, item)
        until("a worker has told", lambda: told(installation) == {path.split("/")[1]})
    finally:
        away.start()
    wait_until_joined(installation.masters)
    api = Api(installation.target)
    # then it has been verified: until it is, an audit meets epochs on their way up
    until("it sells again", lambda: order(api, elsewhere, ticket) == 201)
    api.close()
    installation.audit("--repair")
    until("it is forgotten", lambda: told(installation) == set())
