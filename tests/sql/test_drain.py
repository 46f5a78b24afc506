"""What the drain writes: each order in its newest version; and what it does with an entry that it cannot write."""

from __future__ import annotations

from itertools import count

import msgspec
import psycopg
import pytest
import redis
from databases import empty_database
from sample_events import event, following, order

from engine.domain.order import Mail, MailKind, decode, encode
from engine.ledger import keys
from engine.ledger.scripts import load_scripts
from engine.settings import Settings
from persistence.follower import Follower, Moved, Step, Unwritable
from persistence.migrate import migrate
from workers.drain import BATCH_BYTES_MAX, BATCH_MAX, Drain, _batches

SHARD, OTHER_SHARD = 3, 5
_order_ids = count(9_000_001)


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


def fresh(of, *numbers, **changes):
    made = order(of, *numbers or (1,))
    return msgspec.structs.replace(made, id=next(_order_ids), **changes)


def step(shard=SHARD, old=1000, new=1001, epoch=7):
    return Step(shard, epoch, (old, 0), (new, 0))


def write(follower, steps, *orders):
    follower.write(steps, [one if isinstance(one, bytes) else encode(one) for one in orders], {}, {})


def stored(sql, number):
    row = sql.execute("SELECT doc::text, version, status FROM orders WHERE id = %s", [number]).fetchone()
    if row is None:
        return None
    found = decode(row[0])
    assert (found.version, found.status) == row[1:]
    return found


def last_ms(sql, shard=SHARD):
    return sql.execute("SELECT last_ms FROM shards WHERE shard = %s", [shard]).fetchone()[0]


# ---------------------------------------------------------------------------------------------------- one write


def test_an_order_is_written_whole(sql, follower, of, marks):
    new = fresh(of, 1, (9, 91))
    write(follower, [step()], new)
    assert stored(sql, new.id) == new
    rows = sql.execute(
        "SELECT id, item, variation, secret, canceled FROM positions WHERE order_id = %s ORDER BY id", [new.id]
    )
    assert [tuple(row) for row in rows] == [(p.id, p.item, p.variation, p.secret, p.canceled) for p in new.positions]
    assert last_ms(sql) == 1001


def test_an_older_version_never_overwrites_a_newer_one(sql, follower, of, marks):
    first = fresh(of)
    gone = msgspec.structs.replace(first.positions[0], canceled=True)
    second = msgspec.structs.replace(following(first, "p"), positions=(gone,))
    write(follower, [step()], second)
    write(follower, [step(old=1001, new=1002)], first)
    assert stored(sql, first.id) == second
    assert sql.execute("SELECT canceled FROM positions WHERE order_id = %s", [first.id]).fetchall() == [(True,)]
    write(follower, [step(old=1002, new=1003)], following(second, "c"))
    assert stored(sql, first.id).version == 3


def test_the_same_again_changes_nothing(sql, follower, of, marks):
    new = fresh(of)
    write(follower, [step()], new)
    before = sql.execute("SELECT ctid::text FROM orders WHERE id = %s", [new.id]).fetchone()
    write(follower, [step(old=1001, new=1002)], new)
    assert sql.execute("SELECT ctid::text FROM orders WHERE id = %s", [new.id]).fetchone() == before


def noted(sql, number):
    """Return what is to be told of an order: split, and version and status of each version, None where it is not."""
    rows = sql.execute("SELECT split, versions FROM order_changes WHERE order_id = %s ORDER BY id", [number]).fetchall()
    return [(split, [each and (each["version"], each["status"]) for each in versions]) for split, versions in rows]


def listen(sql, of, *, enabled=True):
    sql.execute(
        """INSERT INTO webhooks (organizer_id, enabled, target_url, all_events, limit_events, action_types)
           VALUES (%s, %s, 'http://a/', true, '{}', '{}')""",
        [of.organizer_id, enabled],
    )


def test_what_happens_is_noted_with_each_order_while_somebody_listens(sql, follower, of, marks):
    listen(sql, of, enabled=False)
    first, other = fresh(of), fresh(of)
    write(follower, [step()], first)
    assert noted(sql, first.id) == []
    listen(sql, of)
    second = following(first, "p")
    write(follower, [step(old=1001, new=1002)], second, other)
    # an older one is not written, so it is not told of either
    write(follower, [step(old=1002, new=1003)], first)
    follower.write([step(old=1003, new=1004)], [], {}, {}, [first.id])
    assert noted(sql, first.id) == [(False, [(1, "n"), (2, "p")]), (False, [(2, "p"), None])]
    assert noted(sql, other.id) == [(False, [None, (1, "n")])]


def test_mails_of_all_versions_are_written_once_and_go_with_their_order(sql, follower, of, marks):
    first = fresh(of, mails=(Mail(1, MailKind.PLACED),))
    write(follower, [step()], first)
    sql.execute("UPDATE mails SET sent_at = now() WHERE order_id = %s", [first.id])
    # two versions later: the drain writes the newest of a batch alone
    paid, canceled = Mail(2, MailKind.PAID), Mail(3, MailKind.CANCELED, "Sorry")
    third = msgspec.structs.replace(following(following(first, "p"), "c"), mails=(*first.mails, paid, canceled))
    write(follower, [step(old=1001, new=1002)], third)
    write(follower, [step(old=1002, new=1003)], third)
    rows = "SELECT version, kind, comment, sent_at IS NOT NULL FROM mails WHERE order_id = %s ORDER BY version"
    assert sql.execute(rows, [first.id]).fetchall() == [
        (1, "placed", "", True),
        (2, "paid", "", False),
        (3, "canceled", "Sorry", False),
    ]
    follower.write([step(old=1003, new=1004)], [], {}, {}, [first.id])
    assert sql.execute(rows, [first.id]).fetchall() == []


@pytest.mark.parametrize(
    "steps",
    [
        [step(old=999)],
        [step(old=1001, new=1002)],
        [step(epoch=6)],
        [step(epoch=8)],
        [step(shard=60_000)],
        [step(), step(shard=OTHER_SHARD, old=999)],
        [step(), step(shard=OTHER_SHARD, epoch=6)],
    ],
    ids=["behind", "ahead", "old epoch", "new epoch", "no such shard", "one of two behind", "one of two by old epoch"],
)
def test_a_drain_that_was_overtaken_writes_nothing(sql, follower, of, marks, steps):
    new = fresh(of)
    with pytest.raises(Moved):
        write(follower, steps, new)
    assert stored(sql, new.id) is None
    assert (last_ms(sql), last_ms(sql, OTHER_SHARD)) == (1000, 1000)
    write(follower, [step()], new)
    assert stored(sql, new.id) == new


def spoiled(of, **changes):
    """Return the document of an order with some fields that Postgres does not take."""
    return msgspec.json.encode(msgspec.to_builtins(fresh(of)) | changes)


UNWRITABLE = {
    "nothing": lambda of: b"",
    "no JSON": lambda of: b"{",
    "not UTF-8": lambda of: b'{"id": "\xff"}',
    "no order": lambda of: b"{}",
    "a list": lambda of: b"[]",
    "a number": lambda of: b"7",
    "a character that no text may have": lambda of: spoiled(of, email="a\x00b"),
    "an id out of range": lambda of: spoiled(of, id=2**63),
    "no date": lambda of: spoiled(of, expires="never"),
    "no status": lambda of: spoiled(of, status=None),
    "too deep": lambda of: spoiled(of, api_meta="DEEP").replace(b'"DEEP"', b"[" * 100_000 + b"]" * 100_000),
    "too long for an index": lambda of: spoiled(of, code="".join(map(str, range(200_000)))),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_a_document_that_cannot_be_written_stops_its_batch(sql, follower, of, marks, case):
    good = fresh(of)
    with pytest.raises(Unwritable):
        write(follower, [step()], good, UNWRITABLE[case](of))
    assert stored(sql, good.id) is None
    assert last_ms(sql) == 1000
    write(follower, [step()], good)
    assert stored(sql, good.id) == good


# ----------------------------------------------------------------------------------------------- the whole drain


@pytest.fixture
def drain(redis_url, drained_url, client, follower, marks):
    """A drain that knows two shards, whose outboxes begin after their watermarks."""
    for shard in (SHARD, OTHER_SHARD):
        client.delete(keys.outbox(shard))
        client.hset(keys.shard(shard), "epoch", 7)
    client.script_load(load_scripts()["order_settle"].text)
    made = Drain(Settings(redis_url=redis_url, database_url=drained_url, order_hot_s=60))
    made.learn(follower)
    yield made
    made._redis.close()


def feed(client, of, *orders, shard=SHARD):
    """Add orders, or documents by themselves, to an outbox as a commit does."""
    for one in orders:
        number, version = (one.id, one.version) if not isinstance(one, bytes) else (next(_order_ids), 1)
        document = one if isinstance(one, bytes) else encode(one)
        key = keys.order(shard, of.id, f"C{number}")
        client.hset(key, mapping={"v": version, "d": document})
        client.xadd(keys.outbox(shard), {"kind": "order", "id": number, "v": version, "d": document, "key": key})
        yield key


def parked(sql, shard=SHARD):
    return sql.execute("SELECT entry, body, error FROM parked_entries WHERE shard = %s ORDER BY 1", [shard]).fetchall()


def run_once(drain, follower):
    entries = drain.read()
    drain.write(follower, entries)
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


def test_a_transaction_has_no_more_entries_than_it_may_and_no_shard_is_out_of_order(client, of, drain):
    drain._busy = 1
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
