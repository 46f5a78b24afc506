"""Every filter and ordering of the lists is answered from an index, where one event has nearly all orders there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import many_orders
import pytest
from bench_lists import ORDERS, POSITIONS
from databases import empty_database
from many_orders import EVENT, FIRST, ORGANIZER

from persistence import order_lists, position_lists
from persistence.database import Database
from persistence.migrate import migrate
from persistence.queries import Queries

MANY = 60_000
DATES = [EVENT + number for number in range(20, 80)]


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    with empty_database(database_url) as url:
        migrate(url)
        many_orders.make(url, MANY)
        database = Database(url)
        await database.open()
        # others than the newest were changed last
        await database.run(
            "UPDATE orders SET last_modified = last_modified + id % 7 * interval '5 hours' WHERE id % 3 = 0"
        )
        await database.run("UPDATE positions SET positionid = 1 + id % 3, attendee_name = NULL WHERE id % 4 = 0")
        await database.run("VACUUM ANALYZE orders, positions")
        yield database
        await database.close()


async def plan(database: Database, values: dict[str, Any]) -> str:
    queries = Queries("order_lists")
    async with database.transaction() as session:
        await session.run(queries["plan_each_call"])
        rows = await session.rows("EXPLAIN " + queries["page"], values)
    return "\n".join(row["QUERY PLAN"] for row in rows)


async def position_plan(database: Database, wanted: position_lists.Wanted, offset: int = 0) -> str:
    queries = Queries("position_lists")
    async with database.transaction() as session:
        side_by_side = await position_lists.side_by_side(session, wanted)
        values = {**position_lists.values(wanted, offset, 50), "side_by_side": side_by_side}
        await session.run(queries["plan_each_call"], values)
        rows = await session.rows("EXPLAIN " + queries["page"], values)
    return "\n".join(row["QUERY PLAN"] for row in rows)


@pytest.mark.parametrize("whole_organizer", [False, True])
@pytest.mark.parametrize("name", ORDERS)
async def test_orders_come_from_an_index(database: Database, name: str, whole_organizer: bool) -> None:
    conditions = {key: value for key, value in ORDERS[name].items() if key != "offset"}
    wanted = order_lists.Wanted(organizer_id=ORGANIZER, event_id=None if whole_organizer else EVENT, **conditions)
    offset = ORDERS[name].get("offset", 0)
    dates = (DATES if wanted.subevent_after else None, DATES if wanted.subevent_before else None)
    explained = await plan(database, order_lists.values(wanted, [EVENT], dates, offset, 50))
    assert "Seq Scan on orders" not in explained, explained
    assert "Seq Scan on positions" not in explained, explained


@pytest.mark.parametrize("name", POSITIONS)
async def test_positions_come_from_an_index(database: Database, name: str) -> None:
    conditions = {key: value for key, value in POSITIONS[name].items() if key != "offset"}
    wanted = position_lists.Wanted(organizer_id=ORGANIZER, event_id=EVENT, **conditions)
    offset = POSITIONS[name].get("offset", 0)
    explained = await position_plan(database, wanted, offset)
    assert "Seq Scan on orders" not in explained, explained
    assert "Seq Scan on positions" not in explained, explained
    # who asks nothing of the orders does not pay for them
    by_status = "statuses" in conditions or "order__status" in conditions.get("ordering", "")
    assert ("orders theirs" in explained) == by_status, explained
    assert ("Merge" in explained) == by_status, explained


@pytest.mark.parametrize("conditions", [{"statuses": ["n"]}, {"ordering": "order__status"}])
async def test_orders_of_an_event_that_is_not_known_yet_are_looked_up(
    database: Database, conditions: dict[str, Any]
) -> None:
    """Postgres takes it for an event without orders, and would read all of them anew for each position."""
    wanted = position_lists.Wanted(organizer_id=ORGANIZER, event_id=EVENT + 9, **conditions)
    explained = await position_plan(database, wanted)
    read = [line for line in explained.splitlines() if "orders theirs" in line]
    assert read, explained
    assert [line for line in read if "orders_pkey on orders theirs" not in line] == [], explained


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"item": 3}, MANY // 10),
        ({"item": 999}, MANY // 1000),
        ({"subevent": EVENT + 7}, MANY // 100),
        ({"subevent": EVENT + 7, "item": 3}, 0),
        ({"subevent": EVENT + 7, "item": 7}, MANY // 100),
        ({"locale": "de", "payment_provider": "rare"}, MANY // 1000),
        ({"customer": "RARE", "testmode": True}, MANY // 1000),
        ({"customer": "RARE", "testmode": False}, 0),
        ({"search": "buyer4711@"}, 1),
        ({"search": "C4711", "search_code": "C4711"}, 11),
        ({"search": "er47%", "search_code": None}, 0),
    ],
)
async def test_the_counts_are_exact(database: Database, conditions: dict[str, Any], count: int) -> None:
    for event in (EVENT, None):
        wanted = order_lists.Wanted(organizer_id=ORGANIZER, event_id=event, **conditions)
        _, found, rows = await order_lists.page(database, wanted, 0, 50)
        assert (found, len(rows)) == (count, min(count, 50))


@pytest.mark.parametrize("ordering", sorted(order_lists.ORDERINGS))
@pytest.mark.parametrize(
    ("conditions", "rule"),
    [
        ({}, "true"),
        ({"sales_channel": "web"}, "true"),
        ({"item": 3, "testmode": False}, "id % 10 = 3 AND id % 1000 <> 0"),
        ({"customer": "RARE"}, "id % 1000 = 0"),
        ({"status": "n"}, "status = 'n'"),
    ],
)
async def test_pages_are_in_order_whether_few_or_most_match(
    database: Database, conditions: dict[str, Any], rule: str, ordering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for then in (None, "-datetime", "code"):
        fields = [field for field in (ordering, then) if field]
        down = ordering[0] == "-" or ordering == "status"
        keys = [f"{field.removeprefix('-')} {'DESC' if field[0] == '-' else 'ASC'}" for field in fields]
        rows = await database.rows(
            f"SELECT id FROM orders WHERE event_id = {EVENT} AND {rule} ORDER BY {', '.join(keys)}, id {'DESC' * down}"  # noqa: S608
        )
        for offset, event, walked_max in ((0, EVENT, 100_000), (150, None, 100_000), (len(rows) // 2, EVENT, 0)):
            monkeypatch.setattr(order_lists, "WALKED_MAX", walked_max)
            wanted = order_lists.Wanted(
                organizer_id=ORGANIZER, event_id=event, ordering=ordering, then=then, **conditions
            )
            _, count, found = await order_lists.page(database, wanted, offset, 50)
            assert count == len(rows)
            assert [order.id for _, order in found] == [row["id"] for row in rows[offset : offset + 50]], (then, offset)


_FIELDS = {
    "order__code": "split_part(words, chr(127), 2)",
    "order__datetime": "ordered_at",
    "positionid": "positionid",
    "attendee_name": "coalesce(attendee_name, '')",
    "order__status": "(SELECT status FROM orders WHERE orders.id = order_id)",
}


@pytest.mark.parametrize("ordering", sorted(position_lists.ORDERINGS))
async def test_pages_of_positions_are_in_order(database: Database, ordering: str) -> None:
    for then in (None, "-order__datetime", "order__code", "-positionid"):
        keys = ", ".join(
            f"{_FIELDS[field.removeprefix('-')]} {'DESC' if field[0] == '-' else 'ASC'}"
            for field in (ordering, then)
            if field
        )
        rows = await database.rows(
            f"SELECT id FROM positions WHERE event_id = {EVENT} AND id % 10 <> 9 ORDER BY {keys}, id DESC"  # noqa: S608
        )
        wanted = position_lists.Wanted(
            organizer_id=ORGANIZER, event_id=EVENT, statuses=["n", "p"], ordering=ordering, then=then
        )
        for offset in (0, len(rows) // 2, len(rows) - 20):
            count, found = await position_lists.page(database, wanted, offset, 50)
            assert count == len(rows)
            assert [line.id for _, line in found] == [row["id"] for row in rows[offset : offset + 50]], (then, offset)


async def test_a_sample_that_is_unlike_the_rest_only_costs_time(database: Database) -> None:
    rows = await database.rows(
        f"""
        UPDATE orders SET last_modified = '2000-01-01'
        FROM (SELECT sqrt({MANY} - 1)::bigint AS step) AS span,
             generate_series({FIRST} + 1, {FIRST} + {MANY}, step) AS run (first)
        WHERE orders.id - run.first - abs(hashint8(run.first)::bigint) % (span.step - 4) BETWEEN 0 AND 4
          AND orders.id BETWEEN run.first AND run.first + step
        RETURNING orders.id
        """  # noqa: S608
    )
    assert MANY // 100 < len(rows) < MANY // 10
    rows = await database.rows(f"SELECT id FROM orders WHERE event_id = {EVENT} ORDER BY last_modified, id")  # noqa: S608
    wanted = order_lists.Wanted(organizer_id=ORGANIZER, event_id=EVENT, ordering="last_modified", sales_channel="web")
    for offset in (0, MANY // 2, MANY - 50):
        _, count, found = await order_lists.page(database, wanted, offset, 50)
        assert count == MANY
        assert [order.id for _, order in found] == [row["id"] for row in rows[offset : offset + 50]], offset


async def test_orders_of_several_events_are_in_one_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.run(
        "INSERT INTO events (id, organizer_id, slug, body) OVERRIDING SYSTEM VALUE"
        " VALUES (%(id)s, %(owner)s, 'too', '{}')",
        {"id": EVENT + 1, "owner": ORGANIZER},
    )
    await database.run("UPDATE orders SET event_id = event_id + 1 WHERE id % 7 < 3")
    for walked_max in (0, 10 * MANY):
        monkeypatch.setattr(order_lists, "WALKED_MAX", walked_max)
        for ordering in ("datetime", "-datetime", "-code", "status"):
            key = f"{ordering.removeprefix('-')} {'DESC' * (ordering[0] == '-')}"
            down = "DESC" * (ordering != "datetime")
            rows = await database.rows(f"SELECT id FROM orders WHERE NOT testmode ORDER BY {key}, id {down}")  # noqa: S608
            wanted = order_lists.Wanted(organizer_id=ORGANIZER, ordering=ordering, testmode=False)
            for offset in (0, MANY // 2):
                _, count, found = await order_lists.page(database, wanted, offset, 50)
                assert count == len(rows)
                assert [order.id for _, order in found] == [row["id"] for row in rows[offset : offset + 50]], ordering
