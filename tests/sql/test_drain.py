"""The drain: reads an outbox, writes it, lets it go; and what it does with an entry that it cannot write."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import msgspec
import pytest
from batches import OTHER_SHARD, SHARD, fresh, listen, noted, order_ids, spoiled, stored
from sample_events import following

from engine.domain.errors import Fenced
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.scripts import load_scripts
from engine.settings import Settings
from persistence.follower import Follower, Moved
from workers.drain import _LET_GO_S, _QUIET_S, BATCH_BYTES_MAX, BATCH_MAX, Drain, _batches


@pytest.fixture
def drain(redis_url, drained_url, client, follower, marks):
    """A drain that knows two shards, whose outboxes begin after their watermarks."""
    for shard in (SHARD, OTHER_SHARD):
        client.delete(keys.outbox(shard), keys.shard(shard))
        client.hset(keys.shard(shard), "epoch", 7)
    client.script_load(load_scripts()["order_settle"].text)
    made = Drain(Settings(redis_url=redis_url, database_url=drained_url, order_hot_s=60))
    made.learn(follower)
    yield made
    made.close()


def feed(client, of, *orders, shard=SHARD):
    """Add orders, or documents by themselves, to an outbox as a commit does."""
    for one in orders:
        number, version = (one.id, one.version) if not isinstance(one, bytes) else (next(order_ids), 1)
        document = one if isinstance(one, bytes) else encode(one)
        key = keys.order(shard, of.id, f"C{number}")
        client.hset(key, mapping={"v": version, "d": document})
        client.xadd(keys.outbox(shard), {"kind": "order", "id": number, "v": version, "d": document, "key": key})
        yield key


def feed_together(client, of, *documents):
    """Add one entry for all orders, as a call of order_commit does."""
    found = []
    for document in documents:
        head = msgspec.json.decode(document)
        found.append(keys.order(SHARD, of.id, head["code"]))
        client.hset(found[-1], mapping={"v": head["version"], "d": document})
    client.xadd(keys.outbox(SHARD), {"d": b"\n".join(documents)})
    return found


def parked(sql, shard=SHARD):
    return sql.execute("SELECT entry, body, error FROM parked_entries WHERE shard = %s ORDER BY 1", [shard]).fetchall()


def run_once(drain, follower):
    entries = drain.read()
    drain.write(follower, entries)
    drain.let_go_if_due(idle=True)
    return entries


def test_versions_that_come_in_one_batch_are_all_noted(sql, client, follower, of, drain):
    listen(sql, of)
    first, off = fresh(of), fresh(of)
    second = following(first, "p")
    third = following(second, "c")
    list(feed(client, of, first, second))
    body = {"kind": "order", "id": third.id, "v": third.version, "d": encode(third), "key": "a"}
    client.xadd(keys.outbox(SHARD), {**body, "split_id": off.id, "split_d": encode(off), "split_key": "b"})
    assert len(run_once(drain, follower)) == 3
    assert noted(sql, first.id) == [(False, [None, (1, "n"), (2, "p"), (3, "c")])]
    assert noted(sql, off.id) == [(True, [None, (1, "n")])]


def test_whoever_begins_to_listen_is_told_from_the_next_batch_on(sql, client, follower, of, drain):
    sql.execute("UPDATE webhooks SET enabled = false")
    before, after = fresh(of), fresh(of)
    list(feed(client, of, before))
    run_once(drain, follower)
    listen(sql, of)
    list(feed(client, of, after, following(before, "p")))
    run_once(drain, follower)
    assert noted(sql, after.id) == [(False, [None, (1, "n")])]
    assert noted(sql, before.id) == [(False, [(1, "n"), (2, "p")])]


def test_a_batch_is_written_trimmed_settled_and_announced(sql, client, follower, of, drain):
    first, other = fresh(of), fresh(of)
    second = following(first, "p")
    third = fresh(of)
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(keys.DRAINED_CHANNEL)
        heard.get_message(timeout=1)
        found = [*feed(client, of, first, second, third), *feed(client, of, other, shard=OTHER_SHARD)]
        entries = run_once(drain, follower)
        message = None
        while message is None:
            message = heard.get_message(timeout=1)
    assert [stored(sql, one.id) for one in (first, third, other)] == [second, third, other]
    for shard in (SHARD, OTHER_SHARD):
        newest = max(entry.id for entry in entries if entry.shard == shard)
        assert f"{shard}={newest[0]}-{newest[1]}@7".encode() in message["data"].split()
        assert sql.execute("SELECT last_ms, last_seq FROM shards WHERE shard = %s", [shard]).fetchone() == newest
        assert client.xlen(keys.outbox(shard)) == 0
    assert all(0 < client.pttl(key) <= 60_000 for key in found)
    assert client.exists(found[0])


def test_an_order_that_was_changed_meanwhile_is_kept(sql, client, follower, of, drain):
    new = fresh(of)
    [key] = feed(client, of, new)
    client.hset(key, "v", 2)
    run_once(drain, follower)
    assert client.pttl(key) == -1


@pytest.fixture(params=range(5), ids=lambda place: f"at {place}")
def place(request):
    return request.param


def test_only_the_poison_is_parked(sql, client, follower, of, drain, place):  # noqa: PLR0917 - fixtures
    good = [fresh(of) for _ in range(4)]
    poison = spoiled(of, email="a\x00b")
    batch = [*good[:place], poison, *good[place:]]
    found = list(feed(client, of, *batch))
    also = fresh(of)
    list(feed(client, of, also, shard=OTHER_SHARD))
    before = len(parked(sql))
    entries = run_once(drain, follower)
    assert [stored(sql, one.id) for one in (*good, also)] == [*good, also]
    rows = parked(sql)
    assert len(rows) == before + 1
    ms, sequence = [entry for entry in entries if entry.shard == SHARD][place].id
    assert [body for entry, body, _ in rows if entry == f"{ms}-{sequence}"] == [poison.decode()]
    assert client.xlen(keys.outbox(SHARD)) == 0
    # Postgres does not have it, so Redis must not forget it
    assert client.pttl(found[place]) == -1
    assert all(client.pttl(key) > 0 for index, key in enumerate(found) if index != place)

    more = fresh(of)
    list(feed(client, of, more))
    run_once(drain, follower)
    assert stored(sql, more.id) == more


def named(of, **changes):
    """Return an order whose key is its own: there are many with the sample's code."""
    made = fresh(of, **changes)
    return msgspec.structs.replace(made, code=f"T{made.id}")


def test_orders_of_one_entry_are_written_and_let_go_like_any_others(sql, client, follower, of, drain):
    first, other = named(of), named(of)
    second = following(first, "p")
    found = feed_together(client, of, encode(first), encode(other), encode(second))
    entries = run_once(drain, follower)
    assert [entry.key.decode() for entry in entries] == found
    assert len({entry.id for entry in entries}) == 1
    assert [stored(sql, one.id) for one in (first, other)] == [second, other]
    assert client.xlen(keys.outbox(SHARD)) == 0
    assert drain._last[SHARD] == entries[0].id
    assert all(client.pttl(key) > 0 for key in found)


@pytest.mark.parametrize("at", range(3))
def test_only_the_poison_of_an_entry_is_parked(sql, client, follower, of, drain, at):  # noqa: PLR0917 - fixtures
    good = [named(of) for _ in range(2)]
    poison = [spoiled(of, email="a\x00b"), spoiled(of, id="none", code="BAD")]
    documents = [*map(encode, good[:at]), *poison, *map(encode, good[at:])]
    found = feed_together(client, of, *documents)
    before = {entry for entry, _, _ in parked(sql)}
    [entry, *_] = run_once(drain, follower)
    assert [stored(sql, one.id) for one in good] == good
    assert sorted(body for name, body, _ in parked(sql) if name not in before) == sorted(map(bytes.decode, poison))
    assert client.xlen(keys.outbox(SHARD)) == 0
    assert drain._last[SHARD] == entry.id
    assert [client.pttl(key) > 0 for key in found] == [document not in poison for document in documents]


def test_an_entry_that_was_written_in_part_is_written_again(sql, client, follower, of, drain):
    listen(sql, of)
    orders = [named(of) for _ in range(3)]
    feed_together(client, of, *map(encode, orders))
    before = drain._last[SHARD]
    drain.write(follower, drain.read()[:2])
    assert [stored(sql, one.id) for one in orders] == [*orders[:2], None]
    assert sql.execute("SELECT last_ms, last_seq FROM shards WHERE shard = %s", [SHARD]).fetchone() == before
    assert client.xlen(keys.outbox(SHARD)) == 1
    drain.learn(follower)
    run_once(drain, follower)
    assert [stored(sql, one.id) for one in orders] == orders
    assert [noted(sql, one.id) for one in orders] == 3 * [[(False, [None, (1, "n")])]]


def test_nobody_is_told_that_a_parked_entry_was_written(sql, client, follower, of, drain):
    list(feed(client, of, b"{"))
    run_once(drain, follower)
    list(feed(client, of, fresh(of)))
    entries = run_once(drain, follower)
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(keys.DRAINED_CHANNEL)
        heard.get_message(timeout=1)
        # a drain that was elected later passes on what an earlier one has written
        drain.learn(follower)
        drain.announce({SHARD: entries[0].id, OTHER_SHARD: (1000, 0)})
        message = None
        while message is None:
            message = heard.get_message(timeout=1)
    ms, sequence = entries[0].id
    assert message["data"].split() == [f"{SHARD}={ms}-{sequence}@0".encode(), f"{OTHER_SHARD}=1000-0@7".encode()]
    sql.execute("UPDATE parked_entries SET parked_at = now() - interval '1 day'")
    assert not any(mark.parked for mark in follower.marks().values())


def test_what_was_written_but_not_let_go_is_let_go_by_the_next_drain(sql, client, follower, of, drain):
    done, left = fresh(of), fresh(of)
    found = list(feed(client, of, done, left))
    first, _ = drain.read()
    drain._commit(follower, [first], {SHARD: first.id})
    drain._epochs = {}
    drain.learn(follower)
    assert client.xlen(keys.outbox(SHARD)) == 1
    assert [client.pttl(key) > 0 for key in found] == [True, False]
    run_once(drain, follower)
    assert stored(sql, left.id) == left


@pytest.fixture
def clock(monkeypatch):
    """The drain's clock, which stands still; what is added to it is the time that has passed."""
    passed = [1000.0]
    monkeypatch.setattr("workers.drain.time", SimpleNamespace(monotonic=lambda: passed[0], sleep=lambda seconds: None))
    return passed


def test_a_quiet_shard_waits_a_moment_at_most_while_others_are_busy(client, follower, of, drain, clock):
    def shards_of(entries):
        return {entry.shard for entry in entries}

    def add(count, shard):
        list(feed(client, of, *(fresh(of) for _ in range(count)), shard=shard))

    add(5, SHARD)
    assert shards_of(drain.read()) == {SHARD}
    add(1, OTHER_SHARD)
    for _ in range(3):  # there is always something in the other, and nobody has written any of it
        clock[0] += _QUIET_S / 4
        assert shards_of(drain.read()) == {SHARD}
    clock[0] += _QUIET_S / 4
    entries = drain.read()
    assert shards_of(entries) == {SHARD, OTHER_SHARD}
    drain.write(follower, entries)
    # both are busy now; and as soon as none of the busy ones has anything, all are asked
    assert drain.read(wait=False) == []
    add(1, SHARD)
    assert shards_of(drain.read()) == {SHARD}


def test_what_is_written_is_let_go_together_and_soon(client, follower, of, drain, clock):
    found = []
    for _ in range(3):
        found += feed(client, of, fresh(of), fresh(of))
        drain.write(follower, drain.read())
        drain.let_go_if_due()
    assert client.xlen(keys.outbox(SHARD)) == 6
    assert all(client.pttl(key) == -1 for key in found)
    clock[0] += 2 * _LET_GO_S
    drain.let_go_if_due()
    assert client.xlen(keys.outbox(SHARD)) == 0
    assert all(client.pttl(key) > 0 for key in found)
    assert drain.read(wait=False) == []


def test_much_that_is_written_is_let_go_at_once(client, follower, of, drain, clock):
    orders = [fresh(of) for _ in range(BATCH_MAX)]
    list(feed(client, of, *orders))
    drain._busy = [SHARD]
    drain.write(follower, drain.read())
    drain.let_go_if_due()
    assert client.xlen(keys.outbox(SHARD)) == 0


def test_a_transaction_has_no_more_entries_than_it_may_and_no_shard_is_out_of_order(client, of, drain):
    drain._busy = [SHARD]
    for shard in (SHARD, OTHER_SHARD):
        list(feed(client, of, *(b"{" for _ in range(BATCH_MAX + 1)), shard=shard))
    entries = drain.read()
    batches = list(_batches(entries))
    assert [entry for batch in batches for entry in batch] == entries
    assert len(entries) == 2 * BATCH_MAX
    assert max(map(len, batches)) <= BATCH_MAX
    assert len(drain.read()) <= BATCH_MAX, "after what was read last, each has a share"
    large = msgspec.structs.replace(entries[0], document=bytes(BATCH_BYTES_MAX // 2 + 1))
    assert list(map(len, _batches([large, large, entries[0]]))) == [1, 2]


def test_a_drain_under_an_old_epoch_writes_and_trims_nothing(sql, client, follower, of, drain):
    new = fresh(of)
    list(feed(client, of, new))
    sql.execute("UPDATE shards SET epoch = 8 WHERE shard = %s", [SHARD])
    with pytest.raises(Moved):
        run_once(drain, follower)
    assert stored(sql, new.id) is None
    assert client.xlen(keys.outbox(SHARD)) == 1
    drain.learn(follower)
    assert run_once(drain, follower) == []
    client.hset(keys.shard(SHARD), "epoch", 8)
    drain.learn(follower)
    run_once(drain, follower)
    assert stored(sql, new.id) == new


def test_a_quota_that_closed_itself_is_closed_unless_a_client_spoke_since(sql, client, follower, of, drain):
    numbers = [
        sql.execute(
            "INSERT INTO quotas (event_id, name, items, variations, close_when_sold_out, closed, closed_version,"
            " release_after_exit) VALUES (%s, 'Q', '{}', '{}', true, false, %s, false) RETURNING id",
            [of.id, word],
        ).fetchone()[0]
        for word in (3, 4)
    ]
    for number in numbers:
        client.xadd(keys.outbox(SHARD), {"kind": "quota_closed", "id": number, "v": 3})
    run_once(drain, follower)
    rows = sql.execute("SELECT closed FROM quotas WHERE id = ANY(%s) ORDER BY id", [numbers]).fetchall()
    assert rows == [(True,), (False,)]


def test_a_server_that_never_answers_is_left(drained_url, monkeypatch):
    monkeypatch.setattr("persistence.follower._ANSWER_TIMEOUT_S", 1.0)
    with Follower(drained_url) as follower:
        silent = follower._connection.info.backend_pid
        os.kill(silent, signal.SIGSTOP)
        try:
            with pytest.raises(Fenced):
                follower.marks()
        finally:
            os.kill(silent, signal.SIGCONT)
