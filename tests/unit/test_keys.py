"""Where an event lives, and the names of its keys."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.ledger import keys

ALL = {
    "shard": keys.shard(7),
    "due": keys.due(7),
    "purge": keys.purge(7),
    "outbox": keys.outbox(7),
    "event": keys.event(7, 12),
    "holds": keys.holds(7, 12),
    "carts": keys.carts(7, 12),
    "order": keys.order(7, 12, "ABCDE"),
    "reply": keys.reply(7, "x"),
}


@pytest.mark.parametrize("kind", ALL)
def test_every_key_says_its_layout_its_shard_and_its_kind(kind):
    assert ALL[kind].startswith(f"hf1:{{s07}}:{kind}")


def test_no_two_keys_are_one():
    assert len(set(ALL.values())) == len(ALL)
    assert keys.event(1, 23) != keys.event(12, 3)


def test_scripts_find_the_other_keys_of_a_shard_by_cutting_off_due():
    assert keys.due(7)[:-3] == keys.prefix(7)
    assert keys.prefix(7) + "holds:12" == keys.holds(7, 12)
    assert keys.prefix(7) + "event:12" == keys.event(7, 12)
    assert keys.prefix(7) + "carts:12" == keys.carts(7, 12)
    assert keys.prefix(7) + "purge" == keys.purge(7)


def test_the_shard_of_an_event_never_changes():
    """A value that moves would lose every event of an installation."""
    assert keys.shard_of("bigevents", "conf", 64) == 3
    assert keys.shard_of("bigevents", "conf", 1) == 0


def test_events_spread_over_the_shards():
    found = Counter(keys.shard_of("bigevents", f"event{number}", 64) for number in range(6400))
    assert set(found) == set(range(64))
    assert max(found.values()) < 200
