"""What a batch writes: each order in its newest version, what it tells and mails; all of it, or nothing."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec
import pytest
from batches import OTHER_SHARD, fresh, last_ms, listen, noted, spoiled, step, stored, write
from psycopg.rows import dict_row
from sample_events import following

from engine.domain.order import Mail, MailKind
from persistence.follower import Moved, Unwritable
from persistence.queries import Queries


def test_an_order_is_written_whole(sql, follower, of, marks):
    new = fresh(of, 1, (9, 91))
    write(follower, [step()], new)
    assert stored(sql, new.id) == new
    rows = sql.execute(
        "SELECT id, item, variation, secret, canceled FROM positions WHERE order_id = %s ORDER BY id", [new.id]
    )
    assert [tuple(row) for row in rows] == [(p.id, p.item, p.variation, p.secret, p.canceled) for p in new.positions]
    assert last_ms(sql) == 1001


def test_all_that_tables_repeat_is_as_the_document_says(sql, follower, of, marks):
    """Amounts are made of groups of four digits, and each column has its place."""
    amounts = ["0.00", "0.05", "-12.30", "23.00", "500", "1E+4", "10000.01", "99999999999.99", "-0.10", "123456.78"]
    made = fresh(of, *range(1, len(amounts) + 1), email="Ä@example.org", comment='a\\u0000 "b"\n')
    positions = [
        msgspec.structs.replace(
            one,
            price=Decimal(amount),
            tax_value=Decimal(amount),
            voucher_budget_use=Decimal(amount) if number % 2 else None,
            variation=number,
            subevent=number + 100,
            addon_to=number + 200,
            voucher=number + 300,
            attendee_name=f"N{number}",
            has_left=bool(number % 2),
        )
        for number, (one, amount) in enumerate(zip(made.positions, amounts, strict=True))
    ]
    made = msgspec.structs.replace(made, positions=tuple(positions), total=Decimal("-0.01"), testmode=True)
    write(follower, [step()], made)
    assert stored(sql, made.id) == made
    read = sql.cursor(row_factory=dict_row)
    row = read.execute("SELECT * FROM orders WHERE id = %s", [made.id]).fetchone()
    same = "id organizer_id event_id version code status testmode require_approval total datetime expires last_modified"
    assert [row[name] for name in same.split()] == [getattr(made, name) for name in same.split()]
    assert row["email"] == "ä@example.org"
    rows = read.execute("SELECT * FROM positions WHERE order_id = %s ORDER BY id", [made.id]).fetchall()
    same = (
        "id positionid item variation subevent price tax_value canceled secret attendee_name addon_to voucher"
        " voucher_budget_use pseudonymization_id has_left"
    )
    of_order = (made.event_id, made.datetime, False)
    for one, row in zip(positions, rows, strict=True):
        assert [row[name] for name in same.split()] == [getattr(one, name) for name in same.split()]
        assert (row["event_id"], row["ordered_at"], row["checked_in"]) == of_order
    rows = sql.execute("SELECT local_id, state, provider, amount FROM payments WHERE order_id = %s", [made.id])
    assert rows.fetchall() == [(one.local_id, one.state, one.provider, one.amount) for one in made.payments]


def test_new_orders_changed_ones_and_those_written_before_come_in_one_batch(sql, follower, of, marks):
    changed, again, new = fresh(of), fresh(of), fresh(of)
    write(follower, [step()], changed, again)
    write(follower, [step(old=1001, new=1002)], following(changed, "p"), new)
    assert [stored(sql, one.id).version for one in (changed, again, new)] == [2, 1, 1]
    newest = fresh(of)
    write(follower, [step(old=1002, new=1003)], again, newest, following(new, "p"), changed)
    assert [stored(sql, one.id).version for one in (changed, again, new, newest)] == [2, 1, 2, 1]


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


UNWRITABLE = {
    "nothing": lambda of: b"",
    "no JSON": lambda of: b"{",
    "not UTF-8": lambda of: b'{"id": "\xff"}',
    "no order": lambda of: b"{}",
    "a list": lambda of: b"[]",
    "a number": lambda of: b"7",
    "a character that no text may have": lambda of: spoiled(of, email="a\x00b"),
    "such a character in what only travels": lambda of: spoiled(of, api_meta={"a": ["b\\\\\x00"]}),
    "an id out of range": lambda of: spoiled(of, id=2**63),
    "no amount": lambda of: spoiled(of, total="NaN"),
    "more than an amount has room for": lambda of: spoiled(of, total="1e11"),
    "very much more": lambda of: spoiled(of, total="1e999999"),
    "no date": lambda of: spoiled(of, expires="never"),
    "no status": lambda of: spoiled(of, status=None),
    "another status": lambda of: spoiled(of, status="x"),
    "no version": lambda of: spoiled(of, version=0),
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


@pytest.mark.parametrize("name", ["insert", "update", "upsert", "upsert_rest", "delete"])
def test_no_plan_reads_orders_whole_although_it_is_made_while_there_are_few(sql, follower, name):
    text = Queries("orders")[name]
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", text)
    plan = follower._connection.pgconn.exec_(f"EXPLAIN (GENERIC_PLAN) {numbered}".encode())
    lines = [plan.get_value(row, 0).decode() for row in range(plan.ntuples)]
    assert lines
    assert [line for line in lines if "Seq Scan" in line and " on webhooks" not in line] == []


def test_a_changed_order_may_have_other_positions_than_before(sql, follower, of, marks):
    """Then it is not enough to update what is there."""
    first, other = fresh(of), fresh(of)
    write(follower, [step()], first, other)
    more = msgspec.structs.replace(following(first, "p"), positions=(*first.positions, *fresh(of, (9, 91)).positions))
    write(follower, [step(old=1001, new=1002)], more, following(other, "p"))
    rows = sql.execute("SELECT id FROM positions WHERE order_id = %s ORDER BY id", [first.id]).fetchall()
    assert rows == [(position.id,) for position in more.positions]
    assert [stored(sql, one.id).version for one in (first, other)] == [2, 2]
    assert last_ms(sql) == 1002
